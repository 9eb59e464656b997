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
rm "$scratch/m.onnx"
for wrong in "--opset 12" "--batch 0" "--batch many" "--set nonsense=1" "--set"; do
    # shellcheck disable=SC2086
    if "$CYGNET" convert "$model" -o "$scratch/m.onnx" $wrong 2> "$scratch/error"; then
        fail "$wrong is taken"
    fi
    grep -q error "$scratch/error" || fail "$wrong: no message"
done
[ -z "$(find "$scratch" -name 'm.onnx*')" ] || fail "a failure leaves files"
