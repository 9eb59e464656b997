#!/usr/bin/env python3
"""ONNX Runtime as a witness of `cygnet convert`.

    ort_witness.py CYGNET GOLDEN [CASE ...]

Every golden checkpoint is converted at opsets 13, 17 and 20, for batch 1, 2 and dynamic; each file
must pass onnx.checker's full check, and its logits in ONNX Runtime must be the library's within
1e-4 of their range. Exits with 77 (skipped) when onnx or onnxruntime is not installed or there are
no golden cases.
"""
import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy
    import onnx
    import onnxruntime
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

OPSETS = (13, 17, 20)
BATCHES = ("1", "2", "dynamic")
FILES = ("model.pth", "pytorch_model.bin", "model.safetensors", "pytorch_model.bin.index.json",
         "model.safetensors.index.json")


def run(path, pixels):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: pixels})[0]


def check(cygnet, folder, checkpoint, opset, batch, out):
    command = [cygnet, "convert", str(checkpoint), "-o", str(out), "--opset", str(opset), "--batch",
               batch, "--model_config", str(folder / "case.json"), "--quiet"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    model = onnx.load(str(out))
    onnx.checker.check_model(model, full_check=True)
    pixels = numpy.load(folder / "input.npy")
    logits = numpy.load(folder / "logits.npy")
    rows = [run(out, pixels[i:i + 1]) for i in range(len(pixels))] if batch == "1" else [
        run(out, pixels)]
    if batch == "dynamic":
        rows.append(run(out, pixels[:1]))
        logits = numpy.concatenate([logits, logits[:1]])
    difference = numpy.abs(numpy.concatenate(rows) - logits).max() / numpy.ptp(logits)
    return difference, len([n for n in model.graph.node if n.op_type != "Constant"])


def main():
    cygnet, golden = sys.argv[1], pathlib.Path(sys.argv[2])
    cases = sys.argv[3:] or sorted(p.parent.name for p in golden.glob("*/case.json"))
    if not cases:
        print(f"skipped: no cases in {golden}")
        return 77
    wrong = 0
    with tempfile.TemporaryDirectory() as scratch:
        for name in cases:
            folder = golden / name
            if "resnet" in name or "mobilenet" in name:
                continue
            for file in FILES:
                if not (folder / file).exists():
                    continue
                for opset in OPSETS:
                    worst, nodes = 0.0, 0
                    for batch in BATCHES:
                        try:
                            difference, nodes = check(cygnet, folder, folder / file, opset, batch,
                                                      pathlib.Path(scratch) / "model.onnx")
                        except Exception as error:  # whatever it is, it is a failure of this case
                            print(f"{name} {file} opset {opset} batch {batch}: {error}")
                            difference = float("inf")
                        worst = max(worst, difference)
                    wrong += not worst <= 1e-4
                    print(f"{name:26} {file:28} opset {opset}  {nodes:4} nodes  {worst:.1e}"
                          f"{'' if worst <= 1e-4 else '   WRONG'}")
    print(f"{wrong} wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
