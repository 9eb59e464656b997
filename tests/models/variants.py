#!/usr/bin/env python3
"""Swin models that the golden cases do not cover, against a forward pass in numpy.

    variants.py CYGNET

Grids that need padding, odd grids before a merge, windows larger than the grid, other windows,
absolute positions, no qkv bias, no patch norm, SwinV2 with pretrained windows: random checkpoints in
the names of four libraries, converted by CYGNET and run in ONNX Runtime. The forward pass here is
written from the description of the libraries (roll, pad, cut into windows, attend, undo), on plain
arrays, so it shares nothing with the index tables of src/models. Exits with 77 (skipped) without
onnxruntime.
"""
import json
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnxruntime
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

erf = np.vectorize(__import__("math").erf)


def norm(t, name, x, eps=1e-5):
    mean = x.mean(-1, keepdims=True)
    var = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(var + eps) * t[name + ".weight"] + t[name + ".bias"]


def dense(t, name, x):
    y = x @ t[name + ".weight"].T
    return y + t[name + ".bias"] if name + ".bias" in t else y


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def cut(x, wh, ww):
    b, h, w, c = x.shape
    return x.reshape(b, h // wh, wh, w // ww, ww, c).transpose(0, 1, 3, 2, 4, 5).reshape(
        -1, wh * ww, c)


def glue(y, wh, ww, h, w):
    c = y.shape[-1]
    return y.reshape(-1, h // wh, w // ww, wh, ww, c).transpose(0, 1, 3, 2, 4, 5).reshape(
        -1, h, w, c)


def position_bias(t, p, wh, ww, v2, pretrained):
    n = wh * ww
    if v2:
        dy, dx = np.meshgrid(np.arange(1 - wh, wh), np.arange(1 - ww, ww), indexing="ij")
        grid = np.stack([dy / ((pretrained or wh) - 1), dx / ((pretrained or ww) - 1)], -1) * 8.0
        grid = np.sign(grid) * np.log2(np.abs(grid) + 1) / np.log2(8)
        hidden = np.maximum(
            grid.reshape(-1, 2) @ t[p + "attn.cpb_mlp.0.weight"].T + t[p + "attn.cpb_mlp.0.bias"], 0)
        table = 16 / (1 + np.exp(-hidden @ t[p + "attn.cpb_mlp.2.weight"].T))
    else:
        table = t[p + "attn.relative_position_bias_table"]
    out = np.zeros((table.shape[1], n, n))
    for i in range(n):
        for j in range(n):
            y, x = i // ww - j // ww + wh - 1, i % ww - j % ww + ww - 1
            out[:, i, j] = table[y * (2 * ww - 1) + x]
    return out


def attention(t, p, x, window, shift, heads, lib, v2, pretrained):
    """x: [B, H, W, C], normed already where that comes first."""
    b, h, w, c = x.shape
    (wh, ww), (sh, sw) = window, shift
    pad = ((0, 0), (0, -h % wh), (0, -w % ww), (0, 0))
    if lib == "timm":
        x = np.pad(np.roll(x, (-sh, -sw), (1, 2)), pad)
    else:
        x = np.roll(np.pad(x, pad), (-sh, -sw), (1, 2))
    hp, wp = x.shape[1:3]
    rows = cut(x, wh, ww)
    qkv = rows @ t[p + "attn.qkv.weight"].T
    if p + "attn.qkv.bias" in t:
        bias = t[p + "attn.qkv.bias"].copy()
        if v2:
            bias[c:2 * c] = 0
        qkv = qkv + bias
    q, k, v = qkv.reshape(len(rows), wh * ww, 3, heads, c // heads).transpose(2, 0, 3, 1, 4)
    if v2:
        q = q / np.maximum(np.linalg.norm(q, axis=-1, keepdims=True), 1e-12)
        k = k / np.maximum(np.linalg.norm(k, axis=-1, keepdims=True), 1e-12)
        scale = np.exp(np.minimum(t[p + "attn.logit_scale"], np.log(100.0)))
        s = q @ k.transpose(0, 1, 3, 2) * scale
    else:
        s = q @ k.transpose(0, 1, 3, 2) * (c // heads) ** -0.5
    s = s + position_bias(t, p, wh, ww, v2, pretrained)
    if sh or sw:
        mark = np.zeros((1, hp, wp, 1))
        count = 0
        for ys in (slice(0, -wh), slice(-wh, -sh), slice(-sh, None)):
            for xs in (slice(0, -ww), slice(-ww, -sw), slice(-sw, None)):
                mark[:, ys, xs] = count
                count += 1
        mark = cut(mark, wh, ww)[:, :, 0]
        mask = np.where(mark[:, :, None] != mark[:, None, :], -100.0, 0.0)
        mask = mask * (2 if v2 and lib == "hf" else 1)
        s = (s.reshape(b, len(mask), *s.shape[1:]) + mask[None, :, None]).reshape(s.shape)
    y = (softmax(s) @ v).transpose(0, 2, 1, 3).reshape(len(rows), wh * ww, c)
    y = dense(t, p + "attn.proj", y)
    y = glue(y, wh, ww, hp, wp)
    if lib == "timm":
        return np.roll(y[:, :h, :w], (sh, sw), (1, 2))
    return np.roll(y, (sh, sw), (1, 2))[:, :h, :w]


def place(lib, v2, grid, nominal, window, block):
    """Window and shift. nominal: the grid as timm and HF's SwinV2 compute it when the model is
    made, halving without regard to padding; the others look at the tokens that come in."""
    if lib == "timm" or (lib == "hf" and v2):
        grid = nominal
    shift = [window // 2 if block % 2 else 0] * 2
    size = [window] * 2
    for a in range(2):
        if lib == "tv":
            if window >= -(-grid[a] // window) * window:
                shift[a] = 0
        elif lib == "timm":
            if grid[a] <= window:
                size[a], shift[a] = grid[a], 0
        elif lib == "hf" and v2:
            if grid[0] <= window:
                size, shift = [grid[0]] * 2, [0, 0]
        elif min(grid) <= window:
            size, shift = [min(grid)] * 2, [0, 0]
    return size, shift


def forward(t, c, x):
    lib, v2 = c["lib"], c["v2"]
    patch = t["patch_embed.proj.weight"]
    size = patch.shape[-1]
    if lib == "hf":
        x = np.pad(x, ((0, 0), (0, 0), (0, -x.shape[2] % size), (0, -x.shape[3] % size)))
    b, ch, h, w = x.shape
    h, w = h // size, w // size
    nominal = [n // size for n in c["image"]]
    x = x[:, :, :h * size, :w * size].reshape(b, ch, h, size, w, size).transpose(0, 2, 4, 1, 3, 5)
    x = x.reshape(b, h, w, -1) @ patch.reshape(len(patch), -1).T + t["patch_embed.proj.bias"]
    if "patch_embed.norm.weight" in t:
        x = norm(t, "patch_embed.norm", x)
    if "absolute_pos_embed" in t:
        x = x + t["absolute_pos_embed"].reshape(1, h, w, -1)
    for s, depth in enumerate(c["depths"]):
        for i in range(depth):
            p = f"layers.{s}.blocks.{i}."
            window, shift = place(lib, v2, x.shape[1:3], nominal, c["window_size"], i)
            attend = lambda y: attention(t, p, y, window, shift, c["num_heads"][s], lib, v2,
                                         c.get("pretrained", 0))
            mlp = lambda y: dense(t, p + "mlp.fc2", gelu(dense(t, p + "mlp.fc1", y)))
            if v2:
                x = x + norm(t, p + "norm1", attend(x))
                x = x + norm(t, p + "norm2", mlp(x))
            else:
                x = x + attend(norm(t, p + "norm1", x))
                x = x + mlp(norm(t, p + "norm2", x))
        if s + 1 < len(c["depths"]):
            p = f"layers.{s}.downsample"
            nominal = [(n + (lib == "timm")) // 2 for n in nominal]
            x = np.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0)))
            x = np.concatenate([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2],
                                x[:, 1::2, 1::2]], -1)
            x = norm(t, p + ".norm", dense(t, p + ".reduction", x)) if v2 else dense(
                t, p + ".reduction", norm(t, p + ".norm", x))
    x = norm(t, "norm", x).reshape(b, -1, x.shape[-1]).mean(1)
    return dense(t, "head", x)


def gelu(x):
    return x / 2 * (1 + erf(x / np.sqrt(2)))


def make(c, seed):
    rng = np.random.default_rng(seed)
    t = {}

    def put(name, *shape, scale=0.2, around=0.0):
        t[name] = (around + rng.standard_normal(shape) * scale).astype(np.float32)

    def put_norm(name, size):
        put(name + ".weight", size, around=1.0)
        put(name + ".bias", size)

    d, lib, v2 = c["embed_dim"], c["lib"], c["v2"]
    put("patch_embed.proj.weight", d, 3, 4, 4)
    put("patch_embed.proj.bias", d)
    grid = [-(-n // 4) if lib == "hf" else n // 4 for n in c["image"]]
    nominal = [n // 4 for n in c["image"]]
    if c.get("patch_norm", True):
        put_norm("patch_embed.norm", d)
    if c.get("ape"):
        put("absolute_pos_embed", 1, grid[0] * grid[1], d)
    for s, depth in enumerate(c["depths"]):
        size, heads = d << s, c["num_heads"][s]
        for i in range(depth):
            p = f"layers.{s}.blocks.{i}."
            put_norm(p + "norm1", size)
            put_norm(p + "norm2", size)
            put(p + "attn.qkv.weight", 3 * size, size)
            if c.get("qkv_bias", True):
                put(p + "attn.qkv.bias", 3 * size)
            (wh, ww), _ = place(lib, v2, grid, nominal, c["window_size"], i)
            if v2:
                put(p + "attn.cpb_mlp.0.weight", 512, 2)
                put(p + "attn.cpb_mlp.0.bias", 512)
                put(p + "attn.cpb_mlp.2.weight", heads, 512)
                put(p + "attn.logit_scale", heads, 1, 1, around=2.3)
                t[p + "attn.logit_scale"][0] = 5
            else:
                put(p + "attn.relative_position_bias_table", (2 * wh - 1) * (2 * ww - 1), heads)
            for name, shape in {"attn.proj": (size, size), "mlp.fc1": (3 * size, size),
                                "mlp.fc2": (size, 3 * size)}.items():
                put(p + name + ".weight", *shape)
                put(p + name + ".bias", shape[0])
        if s + 1 < len(c["depths"]):
            put_norm(f"layers.{s}.downsample.norm", 2 * size if v2 else 4 * size)
            put(f"layers.{s}.downsample.reduction.weight", 2 * size, 4 * size)
            grid = [(n + 1) // 2 for n in grid]
            nominal = [(n + (lib == "timm")) // 2 for n in nominal]
    put_norm("norm", size)
    put("head.weight", 7, size)
    put("head.bias", 7)
    return t


HF = [("patch_embed.proj", "embeddings.patch_embeddings.projection"),
      ("patch_embed.norm", "embeddings.norm"), ("^layers", "encoder.layers"),
      ("norm1", "layernorm_before"), ("norm2", "layernorm_after"), ("mlp.fc1", "intermediate.dense"),
      ("mlp.fc2", "output.dense"), ("attn.proj", "attention.output.dense"),
      ("attn.cpb_mlp", "attention.self.continuous_position_bias_mlp"), ("attn.", "attention.self."),
      ("^norm", "layernorm")]


def named(t, lib, v2):
    """The same tensors under the library's names."""
    out = {}
    for name, a in t.items():
        if v2 and lib in ("ms", "timm") and name.endswith("qkv.bias"):
            third = len(a) // 3
            out[name.replace("qkv.bias", "q_bias")] = a[:third]
            out[name.replace("qkv.bias", "v_bias")] = a[2 * third:]
        elif lib == "timm":
            name = re.sub(r"layers\.(\d+)\.down", lambda m: f"layers.{int(m[1]) + 1}.down", name)
            out[name.replace("head.", "head.fc.")] = a
        elif lib == "tv":
            name = re.sub(r"layers\.(\d+)\.blocks", lambda m: f"features.{2 * int(m[1]) + 1}", name)
            name = re.sub(r"layers\.(\d+)\.down\w+", lambda m: f"features.{2 * int(m[1]) + 2}",
                          name)
            for old, new in (("patch_embed.proj", "features.0.0"),
                             ("patch_embed.norm", "features.0.2"), ("mlp.fc1", "mlp.0"),
                             ("mlp.fc2", "mlp.3")):
                name = name.replace(old, new)
            out[name] = a
        elif lib == "hf":
            if name.startswith("head."):
                out[name.replace("head", "classifier")] = a
                continue
            for old, new in HF:
                if "^" in old:
                    name = re.sub(old, new, name)
                elif old not in ("norm1", "norm2") or "downsample" not in name:
                    name = name.replace(old, new)
            prefix = "swinv2." if v2 else "swin."
            if ".qkv." in name:
                for part, word in zip(np.split(a, 3), ("query", "key", "value")):
                    if not (v2 and word == "key" and name.endswith("bias")):
                        out[prefix + name.replace("qkv", word)] = part
            else:
                out[prefix + name] = a
        else:
            out[name] = a
    return out


def save(path, t):
    head, at = {}, 0
    for name in sorted(t):
        head[name] = {"dtype": "F32", "shape": list(t[name].shape),
                      "data_offsets": [at, at + t[name].nbytes]}
        at += t[name].nbytes
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text +
                     b"".join(np.ascontiguousarray(t[name]).tobytes() for name in sorted(t)))


def cases():
    base = dict(v2=False, embed_dim=8, depths=[2, 2], num_heads=[2, 4], window_size=4,
                image=[32, 32])
    for lib in ("ms", "timm", "tv", "hf"):
        for v2 in (False, True):
            one = {**base, "lib": lib, "v2": v2}
            yield "plain", one
            yield "no qkv bias", {**one, "qkv_bias": False} if not (v2 and lib == "tv") else one
            yield "window 3, three stages", {**one, "window_size": 3, "depths": [2, 1, 1],
                                             "num_heads": [1, 2, 4], "image": [48, 48]}
            if lib == "ms":
                yield "absolute positions", {**one, "ape": True}
                yield "no patch norm", {**one, "patch_norm": False}
                yield "grid below window", {**one, "window_size": 5, "image": [40, 40],
                                            "depths": [2, 2], "embed_dim": 8}
            else:
                yield "padded", {**one, "image": [44, 44], "window_size": 3}
                yield "padded, odd", {**one, "image": [36, 36], "window_size": 4,
                                      "depths": [2, 2, 2] if lib != "hf" else [2, 2],
                                      "num_heads": [2, 4, 8][:3 if lib != "hf" else 2]}
                yield "oblong", {**one, "image": [40, 72]}
            if lib in ("timm", "tv"):
                yield "grid below window", {**one, "window_size": 6, "depths": [2, 2, 1],
                                            "num_heads": [2, 2, 4], "image": [56, 56]}
            if lib == "hf":
                yield "picture padded to the patch", {**one, "image": [62, 63], "window_size": 4}
            if v2 and lib != "tv":
                yield "pretrained window", {**one, "pretrained": 6}


def main():
    wrong = total = 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        for seed, (what, c) in enumerate(cases()):
            t = make(c, seed)
            save(folder / "model.safetensors", named(t, c["lib"], c["v2"]))
            config = {"img_size": c["image"], "window_size": c["window_size"]}
            if c.get("pretrained"):
                config["pretrained_window_sizes"] = [c["pretrained"]] * len(c["depths"])
            (folder / "config_of_model.json").write_text(json.dumps(config))
            x = np.random.default_rng(seed).standard_normal((2, 3, *c["image"])).astype(np.float32)
            want = forward({k: v.astype(np.float64) for k, v in t.items()}, c, x)
            total += 1
            done = subprocess.run(
                [sys.argv[1], "convert", str(folder / "model.safetensors"), "-o",
                 str(folder / "m.onnx"), "--batch", "2", "--model_config",
                 str(folder / "config_of_model.json"), "--quiet"], capture_output=True, text=True)
            difference = float("inf")
            if done.returncode == 0:
                session = onnxruntime.InferenceSession(str(folder / "m.onnx"),
                                                       providers=["CPUExecutionProvider"])
                got = session.run(None, {"pixel_values": x})[0]
                difference = np.abs(got - want).max() / np.ptp(want)
            else:
                print(done.stderr[:1500])
            wrong += not difference <= 1e-4
            print(f"{c['lib']:5}{'V2' if c['v2'] else 'V1'} {what:30} {difference:.1e}"
                  f"{'' if difference <= 1e-4 else '   WRONG'}")
    print(f"{total} variants, {wrong} wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
