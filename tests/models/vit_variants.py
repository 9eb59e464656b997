#!/usr/bin/env python3
"""ViT models that the golden cases do not cover, against a forward pass in numpy.

    vit_variants.py CYGNET

timm: layer scale, distillation, positions without the class token, mean pooling with a class token;
transformers: BEiT with relative positions, DINOv2, the pooler of a ViT without classifier, an oblong
picture. Random checkpoints, converted by CYGNET, run in ONNX Runtime. Exits with 77 (skipped) without
onnxruntime.
"""
import json
import math
import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnxruntime
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

from variants import dense, gelu, norm, save, softmax

D, HEADS, DEPTH, PATCH, HIDDEN = 24, 3, 2, 8, 40


def make(c, seed):
    """Tensors in timm's names; c says which."""
    rng = np.random.default_rng(seed)
    t = {}

    def put(name, *shape, around=0.0):
        t[name] = (around + rng.standard_normal(shape) * 0.2).astype(np.float32)

    def put_norm(name):
        put(name + ".weight", D, around=1.0)
        put(name + ".bias", D)

    grid = [n // PATCH for n in c["image"]]
    patches = grid[0] * grid[1]
    tokens = c["tokens"]
    put("patch_embed.proj.weight", D, 3, PATCH, PATCH)
    put("patch_embed.proj.bias", D)
    for name in ("cls_token", "dist_token")[:tokens]:
        put(name, 1, 1, D)
    if c.get("positions", True):
        put("pos_embed", 1, patches + (0 if c.get("no_embed_class") else tokens), D)
    for b in range(DEPTH):
        p = f"blocks.{b}."
        put_norm(p + "norm1")
        put_norm(p + "norm2")
        for name, shape in {"attn.qkv": (3 * D, D), "attn.proj": (D, D), "mlp.fc1": (HIDDEN, D),
                            "mlp.fc2": (D, HIDDEN)}.items():
            put(p + name + ".weight", *shape)
            put(p + name + ".bias", shape[0])
        if c.get("relative"):
            put(p + "table", (2 * grid[0] - 1) * (2 * grid[1] - 1) + 3, HEADS)
            t[p + "attn.qkv.bias"][D:2 * D] = 0
        if c.get("scale"):
            put(p + "ls1.gamma", D, around=0.5)
            put(p + "ls2.gamma", D, around=0.5)
    put_norm("fc_norm" if c.get("pool_norm") else "norm")
    width = 2 * D if c.get("pool") == "both" else D
    if c.get("pooler"):
        put("pooler.dense.weight", D, D)
        put("pooler.dense.bias", D)
    else:
        put("head.weight", 7, width)
        put("head.bias", 7)
    if tokens == 2:
        put("head_dist.weight", 7, D)
        put("head_dist.bias", 7)
    return t


def relative(table, grid):
    n = grid[0] * grid[1]
    out = np.zeros((HEADS, n + 1, n + 1))
    rows = len(table)
    for i in range(n):
        for j in range(n):
            y = i // grid[1] - j // grid[1] + grid[0] - 1
            x = i % grid[1] - j % grid[1] + grid[1] - 1
            out[:, i + 1, j + 1] = table[y * (2 * grid[1] - 1) + x]
    out[:, 0, :] = table[rows - 3][:, None]
    out[:, :, 0] = table[rows - 2][:, None]
    out[:, 0, 0] = table[rows - 1]
    return out


def forward(t, c, x):
    eps = 1e-12 if c["lib"] == "hf" else 1e-6
    b, ch, h, w = x.shape
    grid = [h // PATCH, w // PATCH]
    x = x.reshape(b, ch, grid[0], PATCH, grid[1], PATCH).transpose(0, 2, 4, 1, 3, 5).reshape(
        b, grid[0] * grid[1], -1)
    x = x @ t["patch_embed.proj.weight"].reshape(D, -1).T + t["patch_embed.proj.bias"]
    front = [np.broadcast_to(t[name], (b, 1, D)) for name in ("cls_token", "dist_token")
             if name in t]
    if "pos_embed" in t and c.get("no_embed_class"):
        x = x + t["pos_embed"]
    x = np.concatenate([*front, x], 1)
    if "pos_embed" in t and not c.get("no_embed_class"):
        x = x + t["pos_embed"]
    for i in range(DEPTH):
        p = f"blocks.{i}."
        y = dense(t, p + "attn.qkv", norm(t, p + "norm1", x, eps))
        q, k, v = y.reshape(b, -1, 3, HEADS, D // HEADS).transpose(2, 0, 3, 1, 4)
        s = q @ k.transpose(0, 1, 3, 2) / math.sqrt(D // HEADS)
        if p + "table" in t:
            s = s + relative(t[p + "table"], grid)
        y = (softmax(s) @ v).transpose(0, 2, 1, 3).reshape(b, -1, D)
        x = x + dense(t, p + "attn.proj", y) * t.get(p + "ls1.gamma", 1)
        y = dense(t, p + "mlp.fc2", gelu(dense(t, p + "mlp.fc1", norm(t, p + "norm2", x, eps))))
        x = x + y * t.get(p + "ls2.gamma", 1)
    if "norm.weight" in t:
        x = norm(t, "norm", x, eps)
    mean = x[:, len(front):].mean(1)
    pooled = {"token": x[:, 0], "mean": mean, "both": np.concatenate([x[:, 0], mean], 1)}
    y = pooled[c.get("pool", "token")]
    if "fc_norm.weight" in t:
        y = norm(t, "fc_norm", y, eps)
    if "pooler.dense.weight" in t:
        return np.tanh(dense(t, "pooler.dense", y))
    if len(front) == 2:
        return (dense(t, "head", y) + dense(t, "head_dist", x[:, 1])) / 2
    return dense(t, "head", y)


HF = [("patch_embed.proj", "embeddings.patch_embeddings.projection"),
      ("cls_token", "embeddings.cls_token"), ("pos_embed", "embeddings.position_embeddings"),
      ("blocks.", "encoder.layer."), ("attn.qkv", "attention.attention.qkv"),
      ("attn.proj", "attention.output.dense"),
      ("table", "attention.attention.relative_position_bias.relative_position_bias_table")]
OTHER = {
    "beit": [("norm1", "layernorm_before"), ("norm2", "layernorm_after"),
             ("mlp.fc1", "intermediate.dense"), ("mlp.fc2", "output.dense"),
             ("ls1.gamma", "lambda_1"), ("ls2.gamma", "lambda_2"), ("fc_norm", "pooler.layernorm")],
    "dinov2": [("ls1.gamma", "layer_scale1.lambda1"), ("ls2.gamma", "layer_scale2.lambda1")],
    "vit": [("norm1", "layernorm_before"), ("norm2", "layernorm_after"),
            ("mlp.fc1", "intermediate.dense"), ("mlp.fc2", "output.dense")],
}


def named(t, c):
    if c["lib"] != "hf":
        return t
    out = {}
    for name, a in t.items():
        new = name
        for old, to in HF + OTHER[c["model"]]:
            new = new.replace(old, to)
        if new.startswith("norm."):
            new = "layer" + new
        new = new.replace("head.", "classifier.") if new.startswith("head.") else (
            "" if c.get("pooler") else c["model"] + ".") + new
        if ".qkv." not in new:
            out[new] = a
            continue
        for part, word in zip(np.split(a, 3), ("query", "key", "value")):
            if not (c["model"] == "beit" and word == "key" and new.endswith("bias")):
                out[new.replace("qkv", word)] = part
    return out


def cases():
    timm = dict(lib="timm", tokens=1, image=[32, 32])
    hf = dict(lib="hf", tokens=1, image=[32, 32])
    yield "timm plain", timm, {}
    yield "timm layer scale", {**timm, "scale": True}, {}
    yield "timm distilled", {**timm, "tokens": 2}, {}
    yield "timm no_embed_class", {**timm, "no_embed_class": True}, {"img_size": 32}
    yield "timm mean, class token", {**timm, "pool": "mean", "pool_norm": True}, {}
    yield "timm mean after norm", {**timm, "pool": "mean"}, {"global_pool": "avg"}
    yield "timm oblong", {**timm, "image": [24, 48]}, {"img_size": [24, 48]}
    yield "ViT pooler", {**hf, "model": "vit", "pooler": True}, {}
    yield "BEiT", {**hf, "model": "beit", "relative": True, "scale": True, "pool": "mean",
                   "pool_norm": True, "positions": False}, {}
    yield "BEiT class token", {**hf, "model": "beit", "relative": True, "scale": True}, {}
    yield "DINOv2", {**hf, "model": "dinov2", "scale": True, "pool": "both"}, {}


def main():
    wrong = total = 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        for seed, (what, c, config) in enumerate(cases()):
            t = make(c, seed)
            save(folder / "model.safetensors", named(t, c))
            (folder / "of_model.json").write_text(json.dumps({"num_heads": HEADS, **config}))
            x = np.random.default_rng(seed).standard_normal((2, 3, *c["image"])).astype(np.float32)
            want = forward({k: v.astype(np.float64) for k, v in t.items()}, c, x)
            done = subprocess.run(
                [sys.argv[1], "convert", str(folder / "model.safetensors"), "-o",
                 str(folder / "m.onnx"), "--batch", "dynamic", "--model_config",
                 str(folder / "of_model.json"), "--quiet"], capture_output=True, text=True)
            difference = float("inf")
            if done.returncode == 0:
                session = onnxruntime.InferenceSession(str(folder / "m.onnx"),
                                                       providers=["CPUExecutionProvider"])
                got = session.run(None, {"pixel_values": x})[0]
                difference = np.abs(got - want).max() / np.ptp(want)
            else:
                print(done.stderr[:1500])
            total += 1
            wrong += not difference <= 1e-4
            print(f"{what:26} {difference:.1e}{'' if difference <= 1e-4 else '   WRONG'}")
    print(f"{total} variants, {wrong} wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
