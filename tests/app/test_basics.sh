# Commands that need no model: names, help, exit codes, one error for what is wrong.
. "$SOURCE_ROOT/tests/app/common.sh"

run 0 version
grep -qE '^version: [0-9]+\.[0-9]+\.[0-9]+$' out || fail "version: first line: $(cat out)"
grep -qE '^commit: ([0-9a-f]{8,}|unknown)$' out || fail "version: second line: $(cat out)"
[ "$(wc -l <out)" -eq 2 ] || fail "version: expected two lines"
run 0 --version
run 0 version --json
json '"version" in d and "commit" in d'

run 0 targets
says 'CPU'
says 'AX650'
says 'NPU3    6 CONV 3 TENG 3 CV 3 SDMA'
says 'no machine description'
run 0 targets AX650
says 'ocm_bytes        3141632 / 7335936 / 11530240 B'
run 0 targets AX620E --json
json 'len(d["targets"]) == 1 and [m["mode"] for m in d["targets"][0]["machines"]] == ["NPU1", "NPU2"]'
refused 2 'did you mean AX650' targets AX560
refused 5 'no machine description' targets AX8860
printf '{"chip": "X",\n "mode": "M", "convz": 1}' >bad.json
refused 2 'bad.json:2:15: unknown key "convz"' targets bad.json
printf '{"modes": {}}' >bad.json
refused 2 '"modes" is empty' targets bad.json
run 0 targets --json
json 'd["targets"][0]["name"] == "CPU" and "c" in d["targets"][0]["isa_levels"]'
json 'd["targets"][1]["machines"][0]["ocm_bytes"] == 3141632 and len(d["targets"][1]["machines"][0]["hash"]) == 16'
CYGNET_CPU=z80 refused 2 'z80' targets

run 0 ops
says 'Softmax'
run 0 ops --json
json 'len(d["ops"]) > 50 and all(o["name"] and o["domain"] for o in d["ops"])'

run 0 --help
says 'build'
for command in build run bench classify eval inspect draw report targets ops version; do
    run 0 $command --help
    says "cygnet $command"
    run 0 help $command
done
run 0 bench '-?'

refused 2 'did you mean "build"' bild
refused 2 'unknown command' xyzzy
refused 2 'did you mean --repeat' bench --repeet 3 -m x
refused 2 '--repeat is given twice' bench --repeat 3 --repeat 4 -m x
refused 2 'expected an integer' bench --repeat many -m x
refused 2 '--model must be given' bench
refused 2 'unexpected argument' version now
refused 2 'expected one file' inspect
refused 2 'expected one folder' report
refused 2 'expected a package and at least one picture' classify
run 2
grep -q '^error: expected a command' err || fail "no command: $(cat err)"

refused 3 'nowhere.cyg' inspect nowhere.cyg
refused 3 'nowhere.cyg' bench -m nowhere.cyg
refused 3 'nowhere.cyg' classify nowhere.cyg cat.jpg
refused 3 'nowhere/report.json' report nowhere
printf 'neither one nor the other' >noise
refused 4 'noise' inspect noise
: >empty
refused 4 'empty' inspect empty
refused 3 '.' inspect .

# --verbose adds the source line; the others never show one.
run 3 inspect nowhere.cyg --verbose
grep -qE '\.c:[0-9]+\]' err || fail "--verbose: $(cat err)"

# A full disk and a reader that went away.
if [ -w /dev/full ]; then
    "$CYGNET" ops >/dev/full 2>err
    [ $? -eq 3 ] || fail "ops >/dev/full: expected exit status 3"
fi
"$CYGNET" ops | head -1 | grep -q Operators || fail 'ops | head'

# A report of hostile names.
mkdir d
cat >d/report.json <<'END'
{"cygnet": "1", "command": "cygnet build --input '</code><script>alert(1)</script>'",
 "inputs": [{"role": "model", "path": "<script>alert(2)</script>", "sha256": "00", "bytes": 5}],
 "steps": [{"index": 0, "name": "\"><img src=x onerror=alert(3)>", "kernel": "i_linear", "shape": [1, 2],
            "type": "u8", "macs": 1000, "weight_bytes": 0, "out_bytes": 2, "sources": "a&b"}],
 "warnings": ["<b>loud</b>"], "golden_check": null}
END
run 0 report d
[ "$(grep -c '<script' d/report.html)" -eq 1 ] || fail 'report: a name became a script'
grep -qE '<img|<b>loud' d/report.html && fail 'report: a name became an element'
grep -qE 'https?://' d/report.html && fail 'report: refers to the network'
grep -q 'a&amp;b' d/report.html || fail 'report: escaping'
printf '{"steps": [' >d/report.json
cp d/report.html before.html
refused 4 'd/report.json' report d
cmp -s before.html d/report.html || fail 'report: a failed one changed the page'
finish
