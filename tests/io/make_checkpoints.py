#!/usr/bin/env python3
"""Writes tests/io/data/checkpoints with PyTorch and what PyTorch reads from each, as tensors.tsv.

Run by hand with torch 2.x and safetensors; the tests need only what is committed. Tensors are tiny: what is tested
is where they lie, not what they hold."""
import argparse
import collections
import pathlib
import shutil
import zipfile
import zlib

import torch
from safetensors.torch import save_file

out = pathlib.Path(__file__).parent / "data" / "checkpoints"
torch.manual_seed(7)
rows = []


def note(name, tensors):
    for key in sorted(tensors):
        t = tensors[key].detach()
        flat = t.contiguous().reshape(-1)
        raw = flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
        d = flat.to(torch.float64)
        stats = [d.min(), d.max(), d.mean(), d.std()] if flat.numel() > 1 else [float("nan")] * 4
        rows.append([name, key, str(t.dtype)[6:], "x".join(map(str, t.shape)) or "scalar", f"{zlib.crc32(raw):08x}"]
                    + [f"{float(s):.17g}" for s in stats])


def types():
    return {"f32": torch.randn(3, 4), "f16": torch.randn(5).half(), "bf16": torch.randn(2, 3).bfloat16(),
            "f64": torch.randn(4, dtype=torch.float64), "u8": torch.arange(7, dtype=torch.uint8) * 36,
            "s8": torch.arange(-3, 3, dtype=torch.int8), "s16": torch.arange(-300, 300, 100, dtype=torch.int16),
            "s32": torch.tensor([1 << 30, -5], dtype=torch.int32), "s64": torch.tensor([[1 << 40], [-7]]),
            "bool": torch.tensor([True, False, True]), "scalar": torch.tensor(3), "empty": torch.zeros(0, 3)}


def views():
    base = torch.arange(60, dtype=torch.float32).reshape(3, 4, 5)
    return {"base": base, "turned": base.permute(2, 0, 1), "row": base[1, 2], "column": base[:, 1, 3],
            "every_other": base[::2, :, 1::2], "expanded": base[0, :, :1].expand(4, 3), "part": base[1:, 2:, 1:4],
            "parameter": torch.nn.Parameter(base[2]), "narrow": base.half()[:, 1]}


def save(name, obj, tensors, **options):
    torch.save(obj, out / name, **options)
    note(name, tensors)


shutil.rmtree(out, ignore_errors=True)
out.mkdir(parents=True)
t = types()
save("types.pth", t, t)
save("types_old.pth", t, t, _use_new_zipfile_serialization=False)
save("types_protocol4.pth", collections.OrderedDict(t), t, pickle_protocol=4)
save_file(t, out / "types.safetensors", metadata={"format": "pt", "made by": "make_checkpoints.py"})
note("types.safetensors", t)
v = views()
save("views.pth", v, v)
save("views_old.pth", v, v, _use_new_zipfile_serialization=False)
save("views_old_protocol1.pth", v, v, _use_new_zipfile_serialization=False, pickle_protocol=1)
save("views_old_protocol5.pth", v, v, _use_new_zipfile_serialization=False, pickle_protocol=5)

# A training script's checkpoint: wrapped, with optimizer, arguments, averaged weights, DataParallel's prefix.
net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
step = torch.optim.AdamW(net.parameters())
net(torch.randn(8, 3)).sum().backward()
step.step()
plain = net.state_dict()
wrapped = collections.OrderedDict(("module." + k, v) for k, v in plain.items())
save("training.pth", {"epoch": 3, "model": wrapped, "model_ema": {k: v.clone() + 1 for k, v in wrapped.items()},
                      "optimizer": step.state_dict(), "args": argparse.Namespace(lr=0.1, names=["a", "b"]), "best": 0.5}, plain)
save("lightning.pth", {"pytorch-lightning_version": "2.0", "state_dict": plain, "callbacks": {}, "lr_schedulers": []}, plain)
save("generator.pth", {"generator": {"net_g": plain}, "step": 5}, plain)
torch.save(net, out / "module.pth")
torch.save({"epoch": 1, "model": net}, out / "module_inside.pth")

# the same with data.pkl compressed, and with everything compressed
for name, which in [("packed_pickle.pth", lambda n: n.endswith("data.pkl")), ("packed.pth", lambda n: True)]:
    with zipfile.ZipFile(out / "lightning.pth") as a, zipfile.ZipFile(out / name, "w") as b:
        for m in a.namelist():
            info = zipfile.ZipInfo(m)
            info.compress_type = zipfile.ZIP_DEFLATED if which(m) else zipfile.ZIP_STORED
            b.writestr(info, a.read(m))
note("packed_pickle.pth", plain)
# TorchScript without its debug_pkl members, which hold the paths of the machine
torch.jit.script(net).save(out / "script.full")
with zipfile.ZipFile(out / "script.full") as a, zipfile.ZipFile(out / "script.pth", "w") as b:
    for m in a.namelist():
        if not m.endswith(".debug_pkl"):
            b.writestr(zipfile.ZipInfo(m), a.read(m))
(out / "script.full").unlink()

# pickles alone, for the fuzz entry
for name in ["training", "types_protocol4"]:
    with zipfile.ZipFile(out / f"{name}.pth") as a:
        (out / f"{name}.pkl").write_bytes(a.read(f"{name}/data.pkl"))

with open(out / "tensors.tsv", "w") as f:
    f.write("file\tname\ttype\tshape\tcrc32\tmin\tmax\tmean\tstd\n")
    for row in rows:
        f.write("\t".join(row) + "\n")
