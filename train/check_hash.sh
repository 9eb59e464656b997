#!/bin/sh
# Compares the pixels of twenty pictures with the committed hash, and checks that a picture does
# not depend on the range it was drawn in and that wrong arguments are refused.
# usage: check_hash.sh PROGRAM HASH-FILE
set -eu

scenes=$1
want=$(cat "$2")
got=$("$scenes" --count 20 --seed 2 --hash)
if [ "$got" != "$want" ]; then
    echo "check_hash: the pixels of seed 2 hash to $got, expected $want" >&2
    exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$scenes" --count 6 --seed 7 --size 64 --raw "$work/whole"
"$scenes" --count 6 --seed 7 --size 64 --raw "$work/parts" --begin 3
"$scenes" --count 6 --seed 7 --size 64 --raw "$work/parts" --end 3
cmp "$work/whole" "$work/parts"
cmp "$work/whole.labels" "$work/parts.labels"

"$scenes" --count 12 --seed 7 --size 64 --out "$work/a/b" --split test
[ "$(wc -l <"$work/a/b/test/labels.tsv")" -eq 13 ]
[ "$(sed -n 13p "$work/a/b/test/labels.tsv")" = "$(printf '01_wood/0001.png\t1')" ]
[ -s "$work/a/b/test/09_spheres/0000.png" ]

for wrong in "--count 0 --seed 1 --hash" "--count 5 --hash" "--count 5 --seed -1 --hash" \
    "--count 5 --seed 1" "--count 5 --seed 1 --hash --size 9999" "--count 5 --seed 1 --nonsense 3" \
    "--count 5 --seed 1 --hash --begin 5" "--count 5 --seed 1 --hash --end"; do
    # shellcheck disable=SC2086 # the words are separate arguments
    if "$scenes" $wrong >/dev/null 2>"$work/error"; then
        echo "check_hash: accepted: $wrong" >&2
        exit 1
    fi
    [ "$(wc -l <"$work/error")" -eq 1 ]
done
if "$scenes" --count 1 --seed 1 --out /dev/null/no 2>"$work/error"; then
    echo "check_hash: wrote below /dev/null" >&2
    exit 1
fi
[ "$(wc -l <"$work/error")" -eq 1 ]
