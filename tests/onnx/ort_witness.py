#!/usr/bin/env python3
"""Exported files against outside witnesses: onnx.checker (with shape inference) and ONNX Runtime.

    ort_witness.py EXPORT_ONE [MODEL.onnx ...]

Without models: every fused operator, and every standard one that export rewrites, at opsets 13 to 21, against numpy's reading of
docs/fused-ops.md and of the ONNX standard. With models: each one imported and exported at three opsets gives ONNX Runtime the same
outputs as the original. Exit code 77 (meson: skipped) when onnx, onnxruntime or numpy is missing."""
import math
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnx
    import onnxruntime as ort
except ImportError as e:
    print("SKIP: outside witness missing:", e)
    sys.exit(77)

RNG = np.random.default_rng(7)
erf = np.vectorize(math.erf)
failures = 0


def run(path, feeds):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(None, feeds), [o.name for o in session.get_outputs()]


def report(name, opset, difference, limit):
    global failures
    good = difference <= limit
    failures += not good
    if not good or name.endswith(".onnx"):
        print("%s %s opset %d: max |difference| %.3g" % ("ok  " if good else "FAIL", name, opset, difference))


def difference(found, want):
    if found.shape != want.shape:
        return math.inf
    return float(np.max(np.abs(found.astype(np.float64) - want))) if want.size else 0.0


# ---- cases: text graph, feeds, numpy reference ----

def const(name, array):
    kind = {"float32": "f32", "int64": "s64", "int8": "s8", "int32": "s32"}[array.dtype.name]
    dims = ",".join(map(str, array.shape))
    if array.size <= 16:
        data = "[" + ", ".join(("%.9g" if kind == "f32" else "%d") % v for v in array.ravel()) + "]"
    else:
        data = 'x"%s"' % array.tobytes().hex()
    return "const %%%s: %s[%s] = %s\n" % (name, kind, dims, data)


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def gelu(x):
    return x / 2 * (1 + erf(x / math.sqrt(2)))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


ACTS = {
    1: lambda x: np.maximum(x, 0), 2: gelu,
    3: lambda x: x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3))),
    4: lambda x: np.clip(x, -0.5, 0.75), 5: lambda x: x / (1 + np.exp(-x)), 6: lambda x: 1 / (1 + np.exp(-x)), 7: np.tanh,
    8: lambda x: x * np.clip(x / 6 + 0.5, 0, 1), 9: lambda x: np.clip(-0.5 * x + 0.75, 0, 1),
    10: lambda x: np.where(x < 0, -0.5 * x, x),
}


def linear_cases():
    for act, f in ACTS.items():
        x, w, b, r = floats(2, 5, 3), floats(4, 3), floats(4), floats(5, 4)
        text = "input %%x: f32[2,5,3]\n%s%s%s%%y: f32[2,5,4] = linear(%%x, %%w, %%b, %%r) " \
               "{act = %d, act_lo = -0.5, act_hi = 0.75, post_act = 1}\noutput %%y\n" % (const("w", w), const("b", b), const("r", r), act)
        yield "linear act %d" % act, text, {"x": x}, np.maximum(f(x.astype(np.float64) @ w.T + b) + r, 0)
    x, w, b = floats(6, 3), floats(4, 3), floats(4)
    yield "linear as gemm", "input %%x: f32[N,3]\n%s%s%%y: f32[N,4] = linear(%%x, %%w, %%b)\noutput %%y\n" % (const("w", w), const("b", b)), {"x": x}, x @ w.T + b
    yield "linear bare", "input %%x: f32[6,3]\n%s%%y: f32[6,4] = linear(%%x, %%w)\noutput %%y\n" % const("w", w), {"x": x}, x @ w.T


def conv_reference(x, w, stride, pads, dilation, group):
    """x [B, H, W, C], w [O, kh, kw, C / group]"""
    x = np.pad(x, ((0, 0), (pads[0], pads[2]), (pads[1], pads[3]), (0, 0)))
    o, kh, kw, c = w.shape
    h = (x.shape[1] - (kh - 1) * dilation[0] - 1) // stride[0] + 1
    v = (x.shape[2] - (kw - 1) * dilation[1] - 1) // stride[1] + 1
    y = np.zeros((x.shape[0], h, v, o))
    for g in range(group):
        for i in range(kh):
            for j in range(kw):
                part = x[:, i * dilation[0]:, j * dilation[1]:, g * c:(g + 1) * c][:, ::stride[0], ::stride[1]][:, :h, :v]
                span = slice(g * o // group, (g + 1) * o // group)
                y[..., span] += part.astype(np.float64) @ w[span, i, j].T
    return y


def conv_cases():
    for nchw in (0, 1):
        for group in (1, 2):
            x, w, b, r = floats(2, 9, 8, 4), floats(6, 3, 2, 4 // group), floats(6), floats(2, 5, 4, 6)
            want = conv_reference(x, w, (2, 2), (1, 0, 2, 1), (1, 2), group) + b
            feed = x.transpose(0, 3, 1, 2).copy() if nchw else x
            text = "input %%x: f32[%s]\n%s%s%s%%y: none[*] = conv2d(%%x, %%w, %%b, %%r) {kernel_shape = [3, 2], strides = [2, 2], " \
                   "pads = [1, 0, 2, 1], dilations = [1, 2], group = %d, x_nchw = %d, act = 1}\noutput %%y\n" % (
                       ",".join(map(str, feed.shape)), const("w", w), const("b", b), const("r", r), group, nchw)
            yield "conv2d nchw %d group %d" % (nchw, group), text, {"x": feed}, np.maximum(want, 0) + r


def attention_reference(q, k, v, heads, d, tokens, scale, bias, mask, rows, head_scale, cosine, images):
    flat = [a.reshape(images, -1, heads, d).astype(np.float64) for a in (q, k, v)]
    total = flat[0].shape[1]
    rows = np.arange(total).reshape(-1, tokens) if rows is None else rows
    y = np.zeros_like(flat[0])
    for image in range(images):
        for g, at in enumerate(rows):
            for h in range(heads):
                Q, K, V = (a[image, at, h] for a in flat)
                if cosine:
                    Q, K = (a / np.maximum(np.linalg.norm(a, axis=-1, keepdims=True), 1e-12) for a in (Q, K))
                s = scale * (1 if head_scale is None else head_scale[h]) * (Q @ K.T)
                if bias is not None:
                    s = s + bias[mask[g] if mask is not None else (g if len(bias) > 1 else 0), h]
                y[image, at, h] = softmax(s) @ V
    return y


def attention_cases():
    heads, d, n, g = 3, 4, 5, 4
    width = heads * d
    for name, tables, masked, rowed, scaled, cosine, images in [
            ("bare", 0, 0, 0, 0, 0, 1), ("one table", 1, 0, 0, 0, 0, 2), ("one table, rows", 1, 0, 1, 0, 0, 2), ("table each", g, 0, 0, 0, 0, 2),
            ("masks", 2, 1, 0, 1, 0, 2), ("masks, rows", 2, 1, 1, 0, 0, 2), ("cosine", 2, 1, 1, 1, 1, 1), ("cosine bare", 0, 0, 0, 1, 1, 2)]:
        for batch in ([images, "N"]):
            qkv = floats(images, g * n, 3 * width)
            bias = floats(tables, heads, n, n) if tables else None
            mask = np.array([1, 0, 0, 1]) if masked else None
            rows = RNG.permutation(g * n).reshape(g, n) if rowed else None
            hs = floats(heads) if scaled else None
            text = "input %%x: f32[%s,%d,%d]\n" % (batch, g * n, 3 * width)
            operands = ["%x"] * 3
            for key, array in (("bias", bias), ("mask", mask), ("rows", rows), ("hs", hs)):
                operands.append("_" if array is None else "%" + key)
                text += "" if array is None else const(key, array)
            text += "%%y: none[*] = attention(%s) {heads = %d, head_dim = %d, tokens = %d, scale = 0.3, cosine = %d, k_offset = %d, v_offset = %d}\n" % (
                ", ".join(operands), heads, d, n, cosine, width, 2 * width)
            want = attention_reference(qkv[..., :width], qkv[..., width:2 * width], qkv[..., 2 * width:], heads, d, n, 0.3, bias, mask, rows, hs, cosine, images)
            yield "attention " + name, text + "output %y\n", {"x": qkv}, want.reshape(images, g * n, width)


def run_time_cases():
    """Keys of another length, wider values, masks made at run time; entries with tables of their own."""
    heads, d, wide, n, m, g, images = 3, 4, 5, 6, 7, 2, 2
    for tables, rowed, per_entry, rows_of_mask, hidden in [(0, 0, 0, 1, 0), (1, 0, 1, n, 1), (g, 1, 1, 1, 2), (g, 0, 0, n, 2), (1, 1, 1, 1, 1)]:
        for batch in (["%d" % images, "N"] if not per_entry else ["%d" % images]):
            q, k, v = floats(images, g * n, heads * d), floats(images, g * m, heads * d), floats(images, g * m, heads * wide)
            entries = images * g if per_entry else 1
            mask, hide = floats(entries, 1, rows_of_mask, m), RNG.random((entries, heads, 1, m)) < 0.4
            bias = floats(tables, heads, n, m) if tables else None
            rows = RNG.permutation(g * n).reshape(g, n) if rowed else np.arange(g * n).reshape(g, n)
            text = "input %%q: f32[%s,%d,%d]\ninput %%k: f32[%s,%d,%d]\ninput %%v: f32[%s,%d,%d]\n" % (batch, g * n, heads * d, batch, g * m, heads * d, batch, g * m, heads * wide)
            text += "input %%mask: f32[%d,1,%d,%d]\ninput %%hide: bool[%d,%d,1,%d]\n" % (entries, rows_of_mask, m, entries, heads, m)
            text += (const("bias", bias) if tables else "") + const("rows", rows)
            text += "%%y: none[*] = attention(%%q, %%k, %%v, %s, _, %%rows, _, %%mask, %s) {heads = %d, head_dim = %d, tokens = %d, scale = 0.3, kv_tokens = %d, value_dim = %d, hide_when = %d, hide_fill = -2}\noutput %%y\n" % (
                "%bias" if tables else "_", "%hide" if hidden else "_", heads, d, n, m, wide, hidden - 1)
            want = np.zeros((images, g * n, heads, wide))
            for image, e, h in np.ndindex(images, g, heads):
                at, own = rows[e], slice(e * m, (e + 1) * m)
                which = image * g + e if per_entry else 0
                s = 0.3 * (q[image, at, h * d:(h + 1) * d].astype(np.float64) @ k[image, own, h * d:(h + 1) * d].T) + mask[which, 0]
                s = s + (bias[e if tables > 1 else 0, h] if tables else 0)
                s = np.where(hide[which, h] == (hidden == 2), -2, s) if hidden else s
                want[image, at, h] = softmax(s) @ v[image, own, h * wide:(h + 1) * wide]
            feeds = {"q": q, "k": k, "v": v, "mask": mask, "hide": hide}
            yield "attention, masks at run time", text, feeds, want.reshape(images, g * n, heads * wide)


def gather_cases():
    x = floats(2, 6, 3)
    for index in ([0, 5, 2, 2], [3, -1, 0, -1]):
        idx = np.array(index).reshape(2, 2)
        want = np.concatenate([x, np.zeros((2, 1, 3))], 1)[:, idx.ravel()]
        for shape in ("2,6,3", "N,6,3", "2,2,3,3"):
            text = "input %%x: f32[%s]\n%s%%y: none[*] = gather_rows(%%x, %%i) {rows_in = 6}\noutput %%y\n" % (shape, const("i", idx))
            yield "gather_rows", text, {"x": x.reshape(2, 2, 3, 3) if shape.count(",") == 3 else x}, want


def standard_cases():
    x = floats(2, 3, 4)
    x64 = x.astype(np.float64)
    one = "input %x: f32[2,3,4]\n"
    g, b = floats(4), floats(4)
    norm = (x64 - x64.mean(-1, keepdims=True)) / np.sqrt(x64.var(-1, keepdims=True) + 0.001) * g + b
    yield "layer_norm", one + const("g", g) + const("b", b) + "%y: none[*] = layer_normalization(%x, %g, %b) {axis = 2, epsilon = 0.001}\noutput %y\n", {"x": x}, norm
    norm = x64 / np.sqrt((x64 * x64).mean(-1, keepdims=True) + 0.001) * g
    yield "rms_norm", one + const("g", g) + "%y: none[*] = rms_normalization(%x, %g) {axis = -1, epsilon = 0.001}\noutput %y\n", {"x": x}, norm
    c, e = floats(3), floats(3)
    norm = (x64 - x64.mean(1, keepdims=True)) / np.sqrt(x64.var(1, keepdims=True) + 0.001)
    yield "channel_norm", one + const("c", c) + const("e", e) + "%y: none[*] = channel_norm(%x, %c, %e) {epsilon = 0.001}\noutput %y\n", {"x": x}, norm * c[:, None] + e[:, None]
    yield "channel_norm bare", one + const("c", np.ones(3, np.float32)) + "%y: none[*] = channel_norm(%x, %c) {epsilon = 0.001}\noutput %y\n", {"x": x}, norm
    for how in ("none", "tanh"):
        yield "gelu", one + '%%y: none[*] = gelu(%%x) {approximate = "%s"}\noutput %%y\n' % how, {"x": x}, ACTS[3 if how == "tanh" else 2](x64)
    yield "hardswish", one + "%y: none[*] = hardswish(%x)\noutput %y\n", {"x": x}, ACTS[8](x64)
    yield "mish", one + "%y: none[*] = mish(%x)\noutput %y\n", {"x": x}, x64 * np.tanh(np.log1p(np.exp(x64)))
    axes = const("a", np.array([0, -1]))
    for op, f in (("mean", np.mean), ("sum", np.sum), ("max", np.max), ("min", np.min), ("prod", np.prod), ("l2", lambda v, axis: np.sqrt((v * v).sum(axis)))):
        yield "reduce_" + op, one + axes + "%%y: none[*] = reduce_%s(%%x, %%a) {keepdims = 0, noop_with_empty_axes = 0}\noutput %%y\n" % op, {"x": x}, f(x64, axis=(0, 2))
    yield "split", one + "%y: none[*], %z: none[*] = split(%x) {axis = 2, num_outputs = 2}\noutput %y\noutput %z\n", {"x": x}, x64[..., :2]
    pads = const("p", np.array([1, -1])) + const("a", np.array([-1]))
    yield "pad axes", one + pads + "%y: none[*] = pad(%x, %p, _, %a)\noutput %y\n", {"x": x}, np.pad(x64, ((0, 0), (0, 0), (1, 0)))[..., :-1]
    yield "shape range", one + "%y: none[*] = shape(%x) {start = 1, end = -1}\noutput %y\n", {"x": x}, np.array([3])
    yield "cast_like", one + const("s", np.array([1])) + "%y: none[*] = cast_like(%x, %s)\noutput %y\n", {"x": x}, np.trunc(x64)
    w = floats(3, 2, 4)
    yield "transposed constant", one + const("w", w) + "%t: none[*] = transpose(%w) {perm = [1, 0, 2]}\n%y: none[*] = add(%x, %t)\noutput %y\n", {"x": x}, x64 + w.transpose(1, 0, 2)


def layer_norm(x, g, b):
    d = x - x.mean(-1, keepdims=True)
    return d / np.sqrt((d * d).mean(-1, keepdims=True) + 1e-5) * g + b


def chain_cases():
    """Linears one behind the other: written by rows, as Gemm, with Reshapes only where a shape is asked for."""
    w, b, g, t = floats(4, 4), floats(4), floats(4), floats(1, 6, 4)
    rows = RNG.permutation(6).astype(np.int64)
    consts = const("w", w) + const("b", b) + const("g", g) + const("t", t) + const("i", rows) + const("s", np.array([0, 6, 4])) + const("c", np.array([2]))
    for batch, n in (("1", 1), ("2", 2), ("N", 3)):
        x = floats(n, 2, 3, 4)
        head = ("symbol N\n" if batch == "N" else "") + "input %%x: f32[%s,2,3,4]\n" % batch + consts
        body = ("%n: none[*] = layer_normalization(%x, %g, %b) {axis = -1, epsilon = 1e-05}\n%l: none[*] = linear(%n, %w, %b) {act = 1}\n"
                "%r: none[*] = reshape(%l, %s)\n%m: none[*] = linear(%r, %w, %b)\n%a: none[*] = add(%r, %m)\n%u: none[*] = tanh(%a)\n")
        x64 = x.astype(np.float64)
        r = np.maximum(layer_norm(x64, g, b) @ w.T + b, 0).reshape(n, 6, 4)
        u = np.tanh(r + (r @ w.T + b))
        yield "chain, batch " + batch, head + body + "output %u\n", {"x": x}, u
        yield "chain, two outputs " + batch, head + body + "%y: none[*] = linear(%u, %w, %b, %r)\noutput %y\noutput %r\n", {"x": x}, u @ w.T + b + r
        yield "chain, a whole table added " + batch, head + body + "%p: none[*] = add(%u, %t)\n%y: none[*] = linear(%p, %w, %b)\noutput %y\n", {"x": x}, (u + t) @ w.T + b
        yield "chain, gathered rows " + batch, head + body + "%p: none[*] = gather_rows(%u, %i) {rows_in = 6}\n%y: none[*] = linear(%p, %w, %b, %p)\noutput %y\n", {"x": x}, u[:, rows] @ w.T + b + u[:, rows]
        yield "chain, one row " + batch, head + body + "%p: none[*] = gather_rows(%u, %c) {rows_in = 6}\n%y: none[*] = linear(%p, %w, %b)\noutput %y\n", {"x": x}, u[:, 2:3] @ w.T + b
        score = u @ u.transpose(0, 2, 1)
        e = np.exp(score - score.max(-1, keepdims=True))
        o = e / e.sum(-1, keepdims=True) @ u
        for addressed in (False, True):
            order = const("o", rows.reshape(1, 6)) if addressed else ""
            yield "chain, attention %s %d" % (batch, addressed), head + order + body + "%%p: none[*] = attention(%%u, %%u, %%u%s) {heads = 1, head_dim = 4, tokens = 6}\n%%y: none[*] = linear(%%p, %%w, %%b, %%u)\noutput %%y\n" % (", _, _, %o" if addressed else ""), {"x": x}, o @ w.T + b + u


def channels_first_cases():
    """What follows convolutions: the reference reads channels last, as the graph says."""
    x, w, b, v = floats(2, 3, 9, 8), floats(6, 3, 3, 3), floats(6), floats(4, 1, 1, 12)
    c, d = floats(6), floats(2, 1, 1, 6)
    head = "input %%x: f32[2,3,9,8]\n%s%s%s%s" % (const("w", w), const("b", b), const("v", v), const("c", c))
    conv = "%t: none[*] = conv2d(%x, %w, %b) {kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1], dilations = [1, 1], group = 1, x_nchw = 1, act = 1}\n"
    t = np.maximum(conv_reference(x.transpose(0, 2, 3, 1), w, (2, 2), (1, 1, 1, 1), (1, 1), 1) + b, 0)
    s = np.tanh(t) * c
    j = np.concatenate([t, s], -1)
    y = j @ v[:, 0, 0].T
    last = "%j: none[*] = concat(%t, %s) {axis = -1}\n%y: none[*] = conv2d(%j, %v) {kernel_shape = [1, 1], strides = [1, 1], pads = [0, 0, 0, 0], dilations = [1, 1], group = 1, x_nchw = 0}\n"
    body = head + conv + "%a: none[*] = tanh(%t)\n%s: none[*] = mul(%a, %c)\n" + last
    yield "convolutions", body + "output %y\n", {"x": x}, y
    yield "convolutions, two readers", body + "%z: none[*] = sigmoid(%y)\n%k: s64[3]\n".replace("%k: s64[3]\n", "") + const("k", np.array([2, 20, 4])) + "%r: none[*] = reshape(%z, %k)\noutput %r\n", {"x": x}, 1 / (1 + np.exp(-y.reshape(2, 20, 4)))
    for keep in (0, 1):
        yield "convolutions, mean %d" % keep, body + const("k", np.array([1, 2])) + "%%r: none[*] = reduce_mean(%%y, %%k) {keepdims = %d}\noutput %%r\n" % keep, {"x": x}, y.mean((1, 2), keepdims=bool(keep))
    yield "convolutions, factors of a picture", head + const("d", d) + conv + "%g: none[*] = add(%d, %c)\n%s: none[*] = mul(%t, %g)\n" + last + "output %y\n", {"x": x}, np.concatenate([t, t * (d + c)], -1) @ v[:, 0, 0].T
    yield "convolutions, turned", body + "%r: none[*] = transpose(%y) {perm = [0, 3, 1, 2]}\n%q: none[*] = abs(%r)\noutput %q\n", {"x": x}, np.abs(y).transpose(0, 3, 1, 2)
    p = np.maximum(np.maximum(y[:, 0:4:2, 0:4:2], y[:, 1:4:2, 0:4:2]), np.maximum(y[:, 0:4:2, 1:4:2], y[:, 1:4:2, 1:4:2]))
    yield "convolutions, pool", body + "%p: none[*] = pool2d(%y) {mode = \"max\", kernel_shape = [2, 2], strides = [2, 2], pads = [0, 0, 0, 0], dilations = [1, 1]}\n%r: none[*] = add(%p, %p)\noutput %r\n", {"x": x}, 2 * p


def quantised_cases():
    x = floats(2, 5, 3)
    w = RNG.integers(-127, 128, (4, 3)).astype(np.int8)
    b = RNG.integers(-90, 90, (4,)).astype(np.int32)
    sw, sx = np.array([0.01, 0.02, 0.03, 0.04], np.float32), 0.05
    text = "input %x: f32[2,5,3] q(u8 zero 120 axis -1 scale 0.05)\n"
    text += const("w", w).replace("]", "] q(s8 zero 0 axis 0 scale 0.01 0.02 0.03 0.04)", 1)
    text += const("b", b).replace("]", "] q(s32 zero 0 axis 0 scale 0.0005 0.001 0.0015 0.002)", 1)
    text += "%h: f32[2,5,4] q(s16 zero 0 axis -1 scale 0.001) = linear(%x, %w, %b) {act = 1}\n"
    text += "%r: f32[2,5,4] q(u8 zero 3 axis -1 scale 0.03) = requant(%h)\n%y: f32[2,4,5] = transpose(%r) {perm = [0, 2, 1]}\noutput %y\n"
    q = (np.clip(np.rint(x / sx) + 120, 0, 255) - 120) * sx
    h = np.maximum(q @ (w * sw[:, None]).T + b * sw * sx, 0)
    r = (np.clip(np.rint(h / 0.03) + 3, 0, 255) - 3) * 0.03 # the 16 bits between are far finer
    yield "quantised linear", text, {"x": x}, r.transpose(0, 2, 1)


def check_cases(tool, folder):
    count = 0
    for cases in (linear_cases, conv_cases, attention_cases, run_time_cases, gather_cases, standard_cases, chain_cases,
                  channels_first_cases, quantised_cases):
        for name, text, feeds, want in cases():
            source, out = os.path.join(folder, "case.txt"), os.path.join(folder, "case.onnx")
            with open(source, "w") as f:
                f.write('graph "case" opset 18\n' + text)
            for opset in range(13, 22):
                subprocess.run([tool, source, str(opset), out], check=True)
                onnx.checker.check_model(onnx.load(out), full_check=True)
                found, _ = run(out, feeds)
                # A value on a rounding edge may fall to the other side: one step.
                report(name, opset, difference(found[0], want), 0.031 if "quantised" in name else 2e-5)
                count += 1
    print("%d case files, %d failures" % (count, failures))


def check_model(tool, folder, path):
    out = os.path.join(folder, "model.onnx")
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    feeds = {}
    for i in session.get_inputs():
        feeds[i.name] = floats(*[d if isinstance(d, int) else 2 for d in i.shape])
    want, names = run(path, feeds)
    for opset in (13, 17, 20):
        subprocess.run([tool, path, str(opset), out], check=True)
        onnx.checker.check_model(onnx.load(out), full_check=True)
        found, found_names = run(out, feeds)
        assert found_names == names, (found_names, names)
        report(os.path.basename(path), opset, max(difference(a, b) for a, b in zip(found, want)), 1e-3)


with tempfile.TemporaryDirectory() as temporary:
    if len(sys.argv) == 2:
        check_cases(sys.argv[1], temporary)
    for model_path in sys.argv[2:]:
        check_model(sys.argv[1], temporary, model_path)
sys.exit(1 if failures else 0)
