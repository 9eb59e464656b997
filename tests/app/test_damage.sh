# Damaged packages: one error and no crash, whatever byte is wrong or missing. (The reader itself is
# tested byte by byte in tests/format; this walks in larger steps through the whole program.)
. "$SOURCE_ROOT/tests/app/common.sh"
[ -n "$python" ] || exit 77
"$MAKE_PACKAGE" f32 good.cyg || exit 1
mkdir in
run 0 run --model good.cyg --input_dir in --output_dir good --random_input --quiet
cat >flip.py <<'END'
import sys
data = bytearray(open('good.cyg', 'rb').read())
at = int(sys.argv[2])
open('bad.cyg', 'wb').write(data[:at] if sys.argv[1] == 'cut' else data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1:])
END
size=$(wc -c <good.cyg)
step=$((size / 30 + 1))
at=0
while [ $at -lt "$size" ]; do
    "$python" flip.py cut $at
    refused 4 'bad.cyg' run --model bad.cyg --input_dir in --output_dir o --quiet
    [ -e o ] && fail "cut at $at: an output folder"
    "$python" flip.py flip $at
    "$CYGNET" run --model bad.cyg --input_dir in --output_dir o --quiet >out 2>err
    status=$?
    if [ $status -eq 0 ]; then
        # Padding, or a byte that nothing depends on.
        cmp -s o/scores.bin good/scores.bin || fail "flip at $at: another result"
        rm -rf o
    elif [ $status -ne 4 ] || [ "$(grep -c '^error: ' err)" -ne 1 ] || [ -e o ]; then
        fail "flip at $at: exit status $status: $(cat err)"
    fi
    "$CYGNET" inspect bad.cyg >out 2>err
    status=$?
    [ $status -eq 0 ] || [ $status -eq 4 ] || fail "inspect, flip at $at: exit status $status"
    at=$((at + step))
done
leftovers damage
finish
