# Damaged packages: one error and no crash, whatever byte is wrong or missing. (The reader itself is
# tested byte by byte in tests/format; this walks in larger steps through the whole program.)
. "$SOURCE_ROOT/tests/app/common.sh"
[ -n "$python" ] || exit 77
"$MAKE_PACKAGE" f32 good.cyg || exit 1
mkdir in
run 0 run --model good.cyg --input_dir in --output_dir good --random_input --quiet
"$python" - <<'END' || fail 'making damaged files'
data = bytearray(open('good.cyg', 'rb').read())
places = range(0, len(data), len(data) // 30 + 1)
for at in places:
    open(f'cut-{at}.cyg', 'wb').write(data[:at])
    flipped = data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1:]
    open(f'flip-{at}.cyg', 'wb').write(flipped)
open('places', 'w').write(' '.join(map(str, places)))
END
for at in $(cat places); do
    refused 4 "cut-$at.cyg" run --model cut-$at.cyg --input_dir in --output_dir o --quiet
    [ -e o ] && fail "cut at $at: an output folder"
    "$CYGNET" run --model flip-$at.cyg --input_dir in --output_dir o --quiet >out 2>err
    status=$?
    if [ $status -eq 0 ]; then
        # Padding, or a byte that nothing depends on.
        cmp -s o/scores.bin good/scores.bin || fail "flip at $at: another result"
        rm -rf o
    elif [ $status -ne 4 ] || [ "$(grep -c '^error: ' err)" -ne 1 ] || [ -e o ]; then
        fail "flip at $at: exit status $status: $(cat err)"
    fi
    "$CYGNET" inspect flip-$at.cyg >out 2>err
    status=$?
    [ $status -eq 0 ] || [ $status -eq 4 ] || fail "inspect, flip at $at: exit status $status"
done
leftovers damage
finish
