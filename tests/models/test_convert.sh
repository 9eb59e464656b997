#!/bin/sh
# `cygnet convert` as people run it: every opset and kind of batch of the demo's checkpoint, one
# object under --json, wrong flags refused, nothing left behind after a failure.
set -eu
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
model=$SOURCE_ROOT/demo/model
fail() {
    echo "$1" >&2
    exit 1
}
for opset in 13 17 20; do
    for batch in 1 2 dynamic; do
        "$CYGNET" convert "$model" -o "$scratch/m.onnx" --opset $opset --batch $batch --quiet
        "$CYGNET" inspect "$scratch/m.onnx" > "$scratch/inspect"
        grep -q "opset $opset" "$scratch/inspect" || fail "opset $opset is not written"
    done
done
"$CYGNET" convert "$model" -o "$scratch/m.onnx" --json > "$scratch/json" 2> /dev/null
for key in nodes_before nodes_after opset seconds peak_rss_bytes max_abs_diff; do
    grep -q "\"$key\"" "$scratch/json" || fail "--json lacks $key"
done
grep -q '"max_abs_diff": null' "$scratch/json" || fail "a difference that nobody measured"
for batch in 2 dynamic; do
    "$CYGNET" convert "$model" -o "$scratch/m.onnx" --batch $batch --check --json > "$scratch/json" 2> /dev/null
    grep -qE '"max_abs_diff": [0-9.]+e-0[5-9]' "$scratch/json" || fail "--check --batch $batch: $(cat "$scratch/json")"
    grep -qE '"check_seconds": [0-9]' "$scratch/json" || fail "--check lacks its time"
done

# --image: of one picture a class the first name is right in most, and five stand there, best first.
"$SCENES" --out "$scratch/scenes" --count 20 --seed 2
right=0
for picture in "$scratch"/scenes/*/0000.png; do
    "$CYGNET" convert "$model" -o "$scratch/m.onnx" --image "$picture" > "$scratch/text"
    grep -A5 "^$picture\$" "$scratch/text" | sed 1d > "$scratch/top"
    [ "$(wc -l < "$scratch/top")" -eq 5 ] || fail "--image: not five classes"
    sort -s -rn -k1,1 "$scratch/top" | cmp -s - "$scratch/top" || fail "--image: not the best first"
    set -- $(head -1 "$scratch/top")
    class=$(basename "$(dirname "$picture")")
    [ "$(printf '%02d_%s' "$3" "$4")" != "$class" ] || right=$((right + 1))
done
[ "$right" -ge 8 ] || fail "--image: only $right of 10 right"
"$CYGNET" convert "$model" -o "$scratch/m.onnx" --image "$picture" --json 2> /dev/null > "$scratch/json"
grep -q "\"label\": \"$4\"" "$scratch/json" || fail "--image --json: no $4"
[ "$(grep -c '"probability"' "$scratch/json")" -eq 5 ] || fail "--image --json: not five classes"

rm "$scratch/m.onnx"
for wrong in "--opset 12" "--batch 0" "--batch many" "--set nonsense=1" "--set"; do
    # shellcheck disable=SC2086
    if "$CYGNET" convert "$model" -o "$scratch/m.onnx" $wrong 2> "$scratch/error"; then
        fail "$wrong is taken"
    fi
    grep -q error "$scratch/error" || fail "$wrong: no message"
done
[ -z "$(find "$scratch" -name 'm.onnx*')" ] || fail "a failure leaves files"
