# docs/commands.md is what scripts/write-commands-doc prints, docs/ops.md what `cygnet ops` prints; docs/exit-codes.md names every status.
. "$SOURCE_ROOT/tests/app/common.sh"
docs=$SOURCE_ROOT/docs
sh "$SOURCE_ROOT/scripts/write-commands-doc" "$CYGNET" >page 2>err || fail "write-commands-doc: $(cat err)"
diff -u "$docs/commands.md" page ||
    fail 'docs/commands.md is old: scripts/write-commands-doc build/cygnet > docs/commands.md'
"$CYGNET" ops >page || fail 'cygnet ops'
diff -u "$docs/ops.md" page || fail 'docs/ops.md is old: build/cygnet ops > docs/ops.md'
sed -n 's/^CYG_STATUS([A-Z]*, [0-9]*, \([0-9]*\), "\(.*\)")$/\1 \2/p' \
    "$SOURCE_ROOT/src/base/status.def" >codes
[ -s codes ] || fail 'no statuses found'
while read -r code text; do
    grep -qF "| $code |" "$docs/exit-codes.md" || fail "docs/exit-codes.md: no $code"
    grep -qF "$text" "$docs/exit-codes.md" || fail "docs/exit-codes.md: no \"$text\""
done <codes
# Every field of a machine description stands on its page, with the words of machine.def.
sed -n 's/^CYG_MACHINE_[A-Z]*(\([a-z0-9_]*\),.*"\([^"]*\)")$/\1|\2/p' "$SOURCE_ROOT/src/npu/machine.def" >fields
[ "$(wc -l <fields)" -gt 20 ] || fail "machine.def: fields not found"
while IFS='|' read -r name text; do
    grep -F "| \`$name\` |" "$SOURCE_ROOT/docs/npu-machines.md" | grep -qF "| $text |" ||
        fail "docs/npu-machines.md: no row of $name with \"$text\""
done <fields
finish
