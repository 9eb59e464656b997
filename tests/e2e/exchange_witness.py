#!/usr/bin/env python3
"""Quantised files against ONNX Runtime (and OpenVINO, where it is there).

    exchange_witness.py CYGNET MODEL.onnx ...

Each MODEL, quantised by somebody else, is built as QuantONNX; the package, ONNX Runtime on MODEL and ONNX Runtime on the QDQ file
that the build writes get the same inputs. Exit code 77 (meson: skipped) when onnxruntime or numpy is missing."""
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnxruntime as ort
except ImportError as e:
    print("SKIP: outside witness missing:", e)
    sys.exit(77)
try:
    import openvino
except ImportError:
    openvino = None

RUNS = 16
failures = 0


def session(path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def report(what, found, want, step):
    """All but one in fifty within rounding; none further than a few steps of the output."""
    global failures
    off = np.abs(found - want)
    good = bool((off <= 4 * step).all() and (off > 1e-5).mean() < 0.02)
    failures += not good
    print("%s %s: largest difference %.3g of %.3g" % ("ok  " if good else "FAIL", what, off.max(), np.abs(want).max()))


def check(cygnet, model, folder):
    ours = session(model)
    entry, result = ours.get_inputs()[0], ours.get_outputs()[0]
    rng = np.random.default_rng(3)
    feeds = [(rng.standard_normal(entry.shape) * 1.5).astype(np.float32) for _ in range(RUNS)]
    out = os.path.join(folder, "out")
    subprocess.run([cygnet, "build", "--model_type", "QuantONNX", "--input", model, "--output_dir", out,
                    "--target_hardware", "CPU", "--quiet"], check=True)
    for i, feed in enumerate(feeds):
        os.makedirs(os.path.join(folder, "in", str(i)), exist_ok=True)
        feed.tofile(os.path.join(folder, "in", str(i), entry.name + ".bin"))
    with open(os.path.join(folder, "list"), "w") as f:
        f.write("".join("%d\n" % i for i in range(RUNS)))
    subprocess.run([cygnet, "run", "--model", os.path.join(out, "compiled.cyg"), "--input_dir", os.path.join(folder, "in"),
                    "--output_dir", os.path.join(folder, "o"), "--list", os.path.join(folder, "list")], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    want = np.array([ours.run(None, {entry.name: x})[0] for x in feeds])
    found = np.array([np.fromfile(os.path.join(folder, "o", str(i), result.name + ".bin"), np.float32) for i in range(RUNS)])
    step = np.abs(want).max() / 100
    name = os.path.basename(model)
    report(name + ", package", found.reshape(want.shape), want, step)
    for file in ("quant/quant_axmodel.onnx", "frontend/optimized.onnx"):
        path = os.path.join(out, file)
        again = np.array([session(path).run(None, {entry.name: x})[0] for x in feeds])
        report(name + ", " + file, again, want, step)
        if openvino is not None:
            compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
            there = np.array([list(compiled({entry.name: x}).values())[0] for x in feeds])
            print("     %s, %s in OpenVINO: largest difference %.3g" % (name, file, np.abs(there - want).max()))


for model_path in sys.argv[2:]:
    with tempfile.TemporaryDirectory() as temporary:
        check(sys.argv[1], model_path, temporary)
sys.exit(1 if failures else 0)
