# `cygnet classify`: the package says how pictures are fed; both forms of input see the same pixels.
. "$SOURCE_ROOT/tests/app/common.sh"
"$MAKE_PACKAGE" u8 u8.cyg && "$MAKE_PACKAGE" f32 f32.cyg && "$MAKE_PACKAGE" plain plain.cyg || exit 1
image=$SOURCE_ROOT/tests/io/data/rgb.png

run 0 classify u8.cyg "$image" "$image"
[ "$(grep -c ' %$' out)" -eq 10 ] || fail "two pictures, five lines each: $(cat out)"
says 'class no.'
says 'pictures: stretch to 8x8 (bilinear), fed as BGR u8 NHWC'
run 0 classify u8.cyg "$image" --json
cp out u8.json
run 0 classify f32.cyg "$image" --json
cp out f32.json
json 'len(d["images"]) == 1 and len(d["images"][0]["top"]) == 5'
if [ -n "$python" ]; then
    # u8: index (y * 8 + x) * 3 + c, c in B G R; f32: (c * 8 + y) * 8 + x, c in R G B.
    "$python" - <<'END' || fail 'u8 and f32 packages see different pixels'
import json, sys
a = json.load(open('u8.json'))['images'][0]['top']
b = json.load(open('f32.json'))['images'][0]['top']
values = lambda t, u8: [round(x['score'] * 8) if u8 else round(x['score'] * 64 + 127.5) for x in t]
place = lambda i: ((2 - i % 3) * 64 + i // 3)
same_values = values(a, True) == values(b, False)
best = [x['class'] for x in b if x['score'] == b[0]['score']]
sys.exit(0 if same_values and (len(best) > 1 or place(a[0]['class']) == b[0]['class']) else 1)
END
fi

run 0 classify -m u8.cyg -i "$image" -g 8,8 -r 3 --format axera
[ "$(grep -cE '^-{38}$' out)" -eq 5 ] || fail "five rules: $(cat out)"
[ "$(grep -cE '^Engine .* is done\.$' out)" -eq 5 ] || fail 'five engine lines'
[ "$(grep -cE '^-?[0-9]+\.[0-9]{4}, [0-9]+$' out)" -eq 5 ] || fail 'five results'
says 'img_h, img_w : 8 8'
grep -qE '^Repeat 3 times, avg time [0-9.]+ ms, max_time [0-9.]+ ms, min_time [0-9.]+ ms$' out ||
    fail 'the line of times'

refused 2 '--size' classify u8.cyg "$image" -g 224,224
refused 2 '--size' classify u8.cyg "$image" -g 8
refused 2 '--format' classify u8.cyg "$image" --format yaml
refused 3 'none.png' classify u8.cyg none.png
printf 'no picture' >text.png
refused 4 'text.png' classify u8.cyg text.png
head -c 60 "$image" >cut.png
refused 4 'cut.png' classify u8.cyg cut.png
refused 5 'plain.cyg' classify plain.cyg "$image"
finish
