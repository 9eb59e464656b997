# `cygnet run` on files: layout, lists, sizes, hashes, and nothing half-written.
. "$SOURCE_ROOT/tests/app/common.sh"
"$MAKE_PACKAGE" plain p.cyg || exit 1

# Names are escaped; the output is the input.
run 0 run --model p.cyg --input_dir in --output_dir out1 --random_input
cmp in/in_0.bin out1/_head_out_0.bin || fail 'the output is not the input'
[ "$(wc -c <in/in_0.bin)" -eq 768 ] || fail 'random input: size'
says '>>> [0] start'
says 'write [/head/out:0] to [out1/_head_out_0.bin] successfully'
says '>>> [0] finish'
cp in/in_0.bin first
run 0 run --model p.cyg --input_dir in --output_dir out1 --random_input
cmp first in/in_0.bin || fail 'random inputs differ from run to run'

run 0 run --model p.cyg --input_dir in --output_dir out1 --mode NPUBackend
grep -q 'mode NPUBackend has no effect' err || fail 'NPUBackend is not warned of'
run 0 run --model p.cyg --input_dir in --output_dir out1 --mode Reference
grep -q 'no effect' err && fail '--mode Reference is warned of'

# A list as Windows writes it, with empty lines and a sub-path.
printf '0\r\n\r\n  sub/1 \r\n' >list.txt
run 0 run --model p.cyg --input_dir in --output_dir out2 --list list.txt --random_input --json
cmp in/sub/1/in_0.bin out2/sub/1/_head_out_0.bin || fail 'list: second sample'
json 'd["samples"] == 2 and len(d["outputs"]) == 2 and len(d["outputs"][0]["sha256"]) == 64'
cmp -s in/0/in_0.bin in/sub/1/in_0.bin && fail 'random inputs of two samples are equal'
if command -v sha256sum >/dev/null; then
    grep -q "$(sha256sum <out2/0/_head_out_0.bin | cut -d' ' -f1)" out || fail 'sha256 of an output'
    "$CYGNET_RUN" --repeat 3 --output raw p.cyg in/0/in_0.bin >hash 2>err || fail "cygnet-run: $(cat err)"
    grep -q "$(cut -d' ' -f1 hash)" out || fail 'cygnet-run: another hash'
    cmp raw.0 out2/0/_head_out_0.bin || fail 'cygnet-run: another output'
fi
"$CYGNET_RUN" p.cyg first first >/dev/null 2>err && fail 'cygnet-run: too many inputs'
"$CYGNET_RUN" p.cyg p.cyg >/dev/null 2>err && fail 'cygnet-run: a wrong size'
"$CYGNET_RUN" >/dev/null 2>err && fail 'cygnet-run: no package'

# A config file.
cat >run.json <<'END'
{"model": "p.cyg", "input_dir": "in", "output_dir": "out3", "list": "list.txt"}
END
run 0 run --config run.json --quiet
[ -s out ] && fail 'run --quiet prints'
cmp out2/0/_head_out_0.bin out3/0/_head_out_0.bin || fail 'run by config file'
printf '{"inptu_dir": "in"}' >wrong.json
refused 2 'did you mean "input_dir"' run --config wrong.json

# What is refused leaves nothing behind: not even the samples before the bad one.
printf '0\n../0\n' >bad.txt
refused 2 '../0' run --model p.cyg --input_dir in --output_dir o --list bad.txt
printf '/etc\n' >bad.txt
refused 2 '/etc' run --model p.cyg --input_dir in --output_dir o --list bad.txt
printf '0\n0\n' >bad.txt
refused 2 'twice' run --model p.cyg --input_dir in --output_dir o --list bad.txt
: >bad.txt
refused 2 'lists no folder' run --model p.cyg --input_dir in --output_dir o --list bad.txt
printf '0\n7\n' >bad.txt
refused 3 'in/7/in_0.bin' run --model p.cyg --input_dir in --output_dir o --list bad.txt
mkdir in/8
head -c 767 first >in/8/in_0.bin
printf '0\n8\n' >bad.txt
refused 4 'expected 768 bytes' run --model p.cyg --input_dir in --output_dir o --list bad.txt
[ -e o ] && fail 'a refused run left its output folder'
refused 3 'list.txt' run --model p.cyg --input_dir in --output_dir list.txt --quiet
refused 2 '--input_dir' run --model p.cyg --output_dir o
refused 3 'first' run --model p.cyg --input_dir in --output_dir first/o --quiet
refused 4 'expected 3072 bytes' run --model p.cyg --input_dir in/0 --output_dir o --batch_size 4
refused 2 'group' run --model p.cyg --input_dir in/0 --output_dir o --group_index 1
[ -e o ] && fail 'a refused run left its output folder'
finish
