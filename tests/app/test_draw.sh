# `cygnet draw`: on the demo's checkpoint and on the ONNX file that convert makes of it.
. "$SOURCE_ROOT/tests/app/common.sh"
model=$SOURCE_ROOT/demo/model
run 0 convert "$model" -o m.onnx

# A block before and after, the same text every time; a file and a checkpoint.
for m in m.onnx "$model"; do
    run 0 draw "$m" --block 2 -o a.dot
    says 'wrote a.dot'
    run 0 draw "$m" --block 2 -o b.dot
    cmp a.dot b.dot || fail "$m: two pictures of one block differ"
    grep -q 'after: 4 steps' a.dot || fail "$m: four steps"
    grep -q '>Softmax<' a.dot || fail "$m: a softmax before"
    grep -q '>Attention<' a.dot || fail "$m: an attention after"
    [ "$(grep -c 'rank=same' a.dot)" -eq 4 ] || fail "$m: four steps become"
    run 0 draw "$m" --stage optimised -o whole.dot
    [ "$(grep -c '>Attention<' whole.dot)" -eq 8 ] || fail "$m: eight attentions in the whole"
done
run 0 draw m.onnx --block 2 --stage source -o source.dot
grep -q '>Attention<' source.dot && fail 'source: an attention'
run 0 draw m.onnx --block 2 --stage optimised -o after.dot --json
json 'd["form"] == "dot" and d["picture"] == "after.dot" and d["boxes"] == 6'
grep -q '>Softmax<' after.dot && fail 'optimised: a softmax'

# Around a node.
node=$(sed -n '/>Softmax</s/.*tooltip="\([^"]*\)".*/\1/p' source.dot | head -1)
run 0 draw m.onnx --around "$node" --radius 1 -o near.dot
run 0 draw m.onnx --around "$node" --radius 2 -o far.dot
[ "$(grep -c tooltip near.dot)" -lt "$(grep -c tooltip far.dot)" ] || fail 'a larger radius shows more'
refused 2 "did you mean \"$node\"" draw m.onnx --around "x$node" -o x.dot
refused 2 'no node or value is called "zzz"' draw m.onnx --around zzz -o x.dot

refused 2 'expected 1 to 8, found 9' draw m.onnx --block 9 -o x.dot
refused 2 'exclude each other' draw m.onnx --block 1 --around x -o x.dot
refused 2 '--radius belongs to --around' draw m.onnx --radius 2 -o x.dot
refused 2 'add --block' draw m.onnx --stage both -o x.dot
refused 2 'expected a .svg or .dot file' draw m.onnx -o x.png
refused 2 '--output must be given' draw m.onnx
refused 2 'expected one model, found 0' draw -o x.dot
refused 3 'nowhere' draw nowhere -o x.dot
"$MAKE_PACKAGE" u8 u8.cyg || exit 1
refused 5 'compiled package' draw u8.cyg -o x.dot
[ -e x.dot ] && fail 'a failure wrote a file'

# Without graphviz there is DOT, and the user is told; with it there is SVG.
path=$PATH
PATH=/nowhere "$CYGNET" draw m.onnx --block 2 -o c.svg >out 2>err || fail "without graphviz: $(cat err)"
grep -q 'graphviz is not installed' err || fail "without graphviz: $(cat err)"
says 'wrote c.dot'
cmp a.dot c.dot >/dev/null && fail 'a checkpoint and its ONNX file have one picture'
[ -e c.svg ] && fail 'without graphviz: an SVG'
PATH=$path
if command -v dot >/dev/null; then
    run 0 draw m.onnx --block 2 -o d.svg --json
    json 'd["form"] == "svg"'
    head -c 4 d.svg | grep -q '<svg' || fail "d.svg: $(head -c 80 d.svg)"
    grep -q 'prefers-color-scheme:dark' d.svg || fail 'd.svg: no dark colours'
    [ -z "$python" ] || "$python" -c 'import xml.dom.minidom; xml.dom.minidom.parse("d.svg")' ||
        fail 'd.svg is no XML'
else
    echo 'SKIPPED in part: no graphviz here'
fi
finish
