#!/usr/bin/env python3
"""ONNX's node tests in older opsets: a development check, too slow for every day.

  tests/node/older_opsets.py "$(scripts/fetch-onnx-tests)" OUT && build/tests/node/node_tests OUT

Writes OUT/node/<test>@<opset> for every opset from 7 on that onnx.version_converter can bring the
test's model to and onnx.checker accepts; the data sets are links. Left out where the converter
changes the meaning: Softmax and its like below 13, whose axis it does not adapt. Needs the package
onnx, of any version."""
import os
import sys

import onnx
from onnx import version_converter

CHANGED_AT_13 = {"Softmax", "LogSoftmax", "Hardmax"}


def older(model, first=7):
    """(opset, model) for every older opset that can be had."""
    own = [o.version for o in model.opset_import if o.domain == ""]
    kinds = {n.op_type for n in model.graph.node}
    for opset in range(first, own[0] if own and not model.functions else first):
        if opset < 13 <= own[0] and kinds & CHANGED_AT_13:
            continue
        try:
            converted = version_converter.convert_version(model, opset)
            onnx.checker.check_model(converted)
        except Exception:  # the converter throws what it likes
            continue
        yield opset, converted


def main(data, out):
    count = 0
    for test in sorted(os.listdir(os.path.join(data, "node"))):
        source = os.path.join(data, "node", test)
        for opset, model in older(onnx.load(os.path.join(source, "model.onnx"))):
            target = os.path.join(out, "node", f"{test}@{opset}")
            os.makedirs(target)
            onnx.save(model, os.path.join(target, "model.onnx"))
            for name in os.listdir(source):
                if name.startswith("test_data_set_"):
                    os.symlink(os.path.join(source, name), os.path.join(target, name))
            count += 1
    print(count, "models in", out)


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]), sys.argv[2])
