# `cygnet bench`: the vendor's form, the JSON line, the data test.
. "$SOURCE_ROOT/tests/app/common.sh"
"$MAKE_PACKAGE" plain p.cyg || exit 1

run 0 bench -m p.cyg -r 3 -w 2
says '        model: p.cyg'
says '       repeat: 3'
grep -qE '^min = +[0-9]+\.[0-9]{3} ms   max = +[0-9]+\.[0-9]{3} ms   avg = +[0-9]+\.[0-9]{3} ms$' out ||
    fail "result line: $(cat out)"
[ "$(grep -cE '^-{54}$' out)" -eq 2 ] || fail 'rules of 54 dashes'
run 0 bench -m p.cyg -r 200
says '99% ='
[ "$(grep -cE '^-{75}$' out)" -eq 2 ] || fail 'rules of 75 dashes'
run 0 bench -m p.cyg -r 5 -t 1 --json
[ "$(wc -l <out)" -eq 1 ] || fail 'JSON is not one line'
json 'd["runs"] == 5 and len(d["times_ms"]) == 5 and d["threads"] == 1 and d["target"] == "CPU"'
json 'd["min_ms"] <= d["median_ms"] <= d["p90_ms"] <= d["max_ms"]'
json '{"isa", "load_ms", "peak_rss_bytes"} <= set(d)'
run 0 bench -m p.cyg --profile
says 'flatten'
run 0 bench -m p.cyg --isa c --save-benchmark
[ -s benchmark.json ] || fail '--save-benchmark'
run 0 bench -m p.cyg -a 3 -v 1
[ "$(grep -c '^warning: ' err)" -eq 2 ] || fail "flags without effect warn: $(cat err)"
run 0 bench -m p.cyg --inputs-is-folder --outputs-is-folder --use-tensor-name
refused 2 'unknown ISA' bench -m p.cyg --isa z80
refused 2 '--input-folder' bench -m p.cyg -i in
refused 2 '--verify' bench -m p.cyg --verify
run 0 bench -m p.cyg -b 4
says 'batch: 4'
refused 2 'group' bench -m p.cyg -g 1

# A .npy in, a .npy out: the package hands its input through.
if [ -n "$python" ]; then
    "$python" - <<'END'
import struct
values = [0.25 * i - 24 for i in range(192)]
head = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3, 8, 8), }"
head += ' ' * (63 - (10 + len(head)) % 64) + '\n'
with open('in.npy', 'wb') as f:
    f.write(b'\x93NUMPY\x01\x00' + struct.pack('<H', len(head)) + head.encode())
    f.write(struct.pack('<192f', *values))
END
    run 0 bench -m p.cyg --input in.npy --output out.npy --json
    tail -c 768 in.npy >a
    tail -c 768 out.npy >b
    cmp a b || fail '--input, --output'
    head -c 800 in.npy >cut.npy
    refused 4 'cut.npy' bench -m p.cyg --input cut.npy --quiet
fi
leftovers bench

# The data test: skipped samples and different bytes are failures.
printf '0\r\n1\r\n' >list.txt
run 0 run --model p.cyg --input_dir in --output_dir ref --list list.txt --random_input
run 0 bench -m p.cyg -i in -o ref -l list.txt --verify
says 'total found {2} input drive folders.'
says 'infer model, total 2/2. Done.'
run 0 bench -m p.cyg -i in -o made -l list.txt
cmp ref/1/_head_out_0.bin made/1/_head_out_0.bin || fail 'data test: outputs'
printf '\377' | dd of=ref/1/_head_out_0.bin bs=1 seek=100 conv=notrunc 2>/dev/null
run 6 bench -m p.cyg -i in -o ref -l list.txt --verify
grep -q 'byte offset 100' err || fail "data test: offset: $(cat err)"
printf '0\n9\n' >list.txt
run 6 bench -m p.cyg -i in -o ref -l list.txt --verify
grep -q 'skipped' err || fail "data test: skipped: $(cat err)"
printf '8\n9\n' >list.txt
run 3 bench -m p.cyg -i in -o ref -l list.txt
finish
