# The runtime builds for aarch64 and gives the same bytes there, under emulation. A package of two
# small steps; scripts/check-aarch64 takes any other.
. "$SOURCE_ROOT/tests/app/common.sh"
"$MAKE_PACKAGE" f32 p.cyg || exit 1
"$CYGNET_RUN" p.cyg >/dev/null 2>&1 || fail 'cygnet-run'
sh "$SOURCE_ROOT/scripts/check-aarch64" "$CYGNET_RUN" p.cyg
status=$?
[ $status -eq 77 ] && exit 77
[ $status -eq 0 ] || fail "check-aarch64: exit status $status"
finish
