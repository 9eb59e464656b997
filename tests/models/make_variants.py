#!/usr/bin/env python3
"""Checkpoints with the hyper-parameters that the golden cases leave out, written by the libraries
themselves, with the libraries' answers.

    make_variants.py OUT [--only NAME ...] [--ms-swin DIR]      write OUT/<name>/ as golden cases
    make_variants.py OUT --small --ms-swin DIR                  those of tests/models/golden
    make_variants.py --check GOLDEN_TEST CYGNET [...]           write to a scratch folder and check

A case is case.json (with the constructor's arguments under "config"), a checkpoint, input.npy and
logits.npy, so that test_golden_checkpoints (the float interpreter) and ort_witness.py (onnx.checker
and ONNX Runtime, every opset and batch) take the folder as they take ../shared/golden. Weights are
random, none at a default of zero or one. --ms-swin is a folder that holds microsoft's
swin_transformer.py and swin_transformer_v2.py; without it those cases are left out and named.
Exits with 77 (skipped) without torch and the libraries.
"""
import argparse
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import zlib

try:
    import numpy as np
    import torch
    import safetensors.torch
    import timm
    import torchvision
    import transformers
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

import variant_cases


def randomise(model, seed):
    """Every parameter a value that matters, whatever the version of torch draws."""
    rng = np.random.default_rng(seed)
    for path, module in model.named_modules():
        for name, p in module.named_parameters(recurse=False):
            around, scale = 0.0, 0.2
            if isinstance(module, torch.nn.LayerNorm) and name == "weight":
                around = 1.0
            elif name == "logit_scale":
                around, scale = math.log(10.0), 0.5
            elif name in ("gamma", "lambda1", "lambda_1", "lambda_2", "gamma_1", "gamma_2"):
                around, scale = 0.8, 0.1
            elif "relative_position_bias_table" in name:
                scale = 0.8
            elif p.ndim > 1 and name.endswith("weight"):
                scale = 1 / math.sqrt(p[0].numel())
            values = around + scale * rng.standard_normal(tuple(p.shape))
            if name == "logit_scale":
                values.reshape(-1)[0] = math.log(100.0) + 0.5  # beyond the clamp
            with torch.no_grad():
                p.copy_(torch.from_numpy(values))


def tensor_of(answer):
    for name in ("logits", "pooler_output"):
        if getattr(answer, name, None) is not None:
            return getattr(answer, name)
    return answer


def save_state(state, path, form):
    """The state dict in one of the forms that people have on disk."""
    if form.get("dtype"):
        state = {k: v.to(form["dtype"]) if v.is_floating_point() else v for k, v in state.items()}
    state = {form.get("prefix", "") + k: v.contiguous() for k, v in state.items()}
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
        return
    for key in reversed(form.get("wrap", ())):
        state = {key: state}
    if form.get("training"):
        state["optimizer"] = {"state": {0: {"exp_avg": torch.ones(7)}}, "param_groups": [{"lr": 1}]}
        state["args"] = argparse.Namespace(lr=0.1, names=["a", "b"])
        state["epoch"] = 3
    torch.save(state, path, _use_new_zipfile_serialization=not form.get("legacy"))


def save_shards(state, folder, stem):
    """Three files and their index, as transformers splits large models."""
    names, suffix = sorted(state), stem.split(".")[1]
    weight_map = {}
    for i in range(3):
        file = f"{stem.split('.')[0]}-{i + 1:05}-of-00003.{suffix}"
        part = {n: state[n].contiguous() for n in names[i::3]}
        save_state(part, folder / file, {})
        weight_map.update({n: file for n in part})
    index = {"metadata": {"total_size": 0}, "weight_map": weight_map}
    (folder / f"{stem}.index.json").write_text(json.dumps(index))


def load_rounded(model, dtype):
    """What the checkpoint keeps of the weights, so that the answer is that of the file."""
    state = {k: v.to(dtype).to(v.dtype) if v.is_floating_point() else v
             for k, v in model.state_dict().items()}
    model.load_state_dict(state)


def make(case, out):
    folder = out / case.name
    folder.mkdir(parents=True, exist_ok=True)
    seed = zlib.crc32(case.name.encode()) % 100000
    model = case.build().float().eval()
    randomise(model, seed)
    form = case.form
    if form.get("dtype"):
        load_rounded(model, form["dtype"])
    rng = np.random.default_rng(seed + 1)
    x = rng.standard_normal((2, case.channels, *case.image)).astype(np.float32)
    with torch.no_grad():
        logits = tensor_of(case.run(model, torch.from_numpy(x))).numpy()
    assert np.isfinite(logits).all() and np.ptp(logits, axis=1).min() > 0.01, case.name
    np.save(folder / "input.npy", x)
    np.save(folder / "logits.npy", logits.astype(np.float32))
    state = {k: v.detach().clone() for k, v in model.state_dict().items()}
    for file in form.get("files", ["model.safetensors" if case.library == "hf" else "model.pth"]):
        if file.endswith(".index.json"):
            save_shards(state, folder, file[:-len(".index.json")])
        else:
            save_state(state, folder / file, form)
    if case.library == "hf":
        model.config.image_size = case.config.get("image_size")  # what it was run at
        model.config.save_pretrained(folder)
    description = {"name": case.name, "library": case.library, "class": type(model).__name__,
                   "config": case.config, "seed": seed, "input_shape": list(x.shape)}
    (folder / "case.json").write_text(json.dumps(description, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", nargs="?", type=pathlib.Path)
    parser.add_argument("--only", nargs="+", metavar="NAME")
    parser.add_argument("--ms-swin", default=os.environ.get("CYGNET_MS_SWIN"), metavar="DIR")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--check", nargs=2, metavar=("GOLDEN_TEST", "CYGNET"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    if args.out is None and not args.check:
        parser.error("a folder or --check")
    with tempfile.TemporaryDirectory() as scratch:
        out = args.out or pathlib.Path(scratch)
        cases = variant_cases.all_cases(args.ms_swin, args.small)
        for case in cases:
            if not args.only or case.name in args.only:
                make(case, out)
        print(f"{len(cases)} cases; torch {torch.__version__}, transformers "
              f"{transformers.__version__}, timm {timm.__version__}, torchvision "
              f"{torchvision.__version__}" + ("" if args.ms_swin else "; microsoft's left out"),
              flush=True)
        if not args.check:
            return 0
        witness = pathlib.Path(__file__).with_name("ort_witness.py")
        interpreter = subprocess.run([args.check[0], str(out)]).returncode
        runtime = subprocess.run([sys.executable, str(witness), args.check[1], str(out)]).returncode
        return int(interpreter != 0 or runtime != 0)


if __name__ == "__main__":
    sys.exit(main())
