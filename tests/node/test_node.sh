#!/bin/sh
# ONNX's node tests against the float interpreter: test_node.sh NODE_TESTS [OPTION]. Skips, saying why, when the tests cannot be had.
set -eu
data=$("$SOURCE_ROOT/scripts/fetch-onnx-tests") || exit 77
program=$1
shift
exec "$program" "$data" "$@"
