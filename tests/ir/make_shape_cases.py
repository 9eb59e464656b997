#!/usr/bin/env python3
"""Writes shape_cases.txt: one-operator graphs in cygnet's text form, with the shapes that ONNX's own
shape inference (opset 18, the canonical form) finds for them. Run by hand when cases are added;
the test only reads the file. Needs the onnx package."""
import sys

import onnx
from onnx import TensorProto as T, helper as h, shape_inference

TYPES = {"f32": T.FLOAT, "s64": T.INT64, "s32": T.INT32, "bool": T.BOOL, "u8": T.UINT8, "s8": T.INT8}
NAMES = {v: k for k, v in TYPES.items()}
CASES = []


def case(op, ours, inputs, consts=(), attrs=None, outs=1, tensors=None, missing=()):
    """inputs: (type, dims); consts: (position, type, dims, values). missing: absent positions."""
    CASES.append((op, ours, inputs, consts, attrs or {}, outs, missing))


def f(*dims):
    return ("f32", dims)


def ints(position, *values):
    return (position, "s64", (len(values),), values)


def scalar(position, value):
    return (position, "s64", (), (value,))


def build_cases():
    for op in ["Relu", "Erf", "Sigmoid", "Identity", "Sqrt"]:
        case(op, op.lower(), [f(2, "N", 3)])
    case("Cast", "cast", [f(2, 3)], attrs={"to": T.INT64})
    shapes = [((2, 3), (2, 3)), ((2, 1, 4), (3, 1)), ((), (5,)), (("N", 4), (4,)), (("N", 4), (1, 1)),
              ((3, "N"), (3, 7)), (("N",), ("N",)), ((0, 3), (1, 3)), ((8, 1, 6, 1), (7, 1, 5))]
    for a, b in shapes:
        case("Add", "add", [f(*a), f(*b)])
        case("Greater", "greater", [f(*a), f(*b)])
    case("Where", "where", [("bool", (2, 1)), f(3), f(1, 1)])
    case("Max", "max", [f(2, 1), f(1, 3), f(1)])
    for a, b in [((2, 3), (3, 4)), ((3,), (3, 4)), ((2, 3), (3,)), ((3,), (3,)), ((5, 1, 2, 3), (7, 3, 4)),
                 (("B", 12, 49, 32), ("B", 12, 32, 49)), ((1, 197, 192), (192, 576))]:
        case("MatMul", "matmul", [f(*a), f(*b)])
    for ta in (0, 1):
        for tb in (0, 1):
            case("Gemm", "gemm", [f(*((5, 2) if ta else (2, 5))), f(*((3, 5) if tb else (5, 3))), f(3)],
                 attrs={"transA": ta, "transB": tb})
    conv = [dict(), dict(pads=[1, 1, 1, 1]), dict(strides=[2, 2], pads=[0, 1, 1, 0]), dict(dilations=[2, 3], pads=[2, 3, 2, 3]),
            dict(auto_pad="SAME_UPPER", strides=[2, 2]), dict(auto_pad="VALID"), dict(auto_pad="SAME_LOWER", strides=[3, 2])]
    for a in conv:
        case("Conv", "conv", [f(1, 4, 15, 17), f(6, 4, 3, 3)], attrs=a)
    case("Conv", "conv", [f(1, 4, 15, 17), f(8, 1, 5, 3), f(8)], attrs={"group": 4})
    case("Conv", "conv", [f("N", 3, 224, 224), f(96, 3, 4, 4)], attrs={"strides": [4, 4], "kernel_shape": [4, 4]})
    case("Conv", "conv", [f(2, 3, 20), f(4, 3, 5)], attrs={"strides": [3]})
    for op, ours in (("MaxPool", "max_pool"), ("AveragePool", "average_pool")):
        for a in [dict(), dict(strides=[2, 2]), dict(strides=[2, 2], pads=[1, 1, 1, 1]),
                  dict(strides=[2, 2], ceil_mode=1),
                  dict(auto_pad="SAME_UPPER", strides=[2, 2])]:
            case(op, ours, [f(1, 3, 14, 15)], attrs=dict(a, kernel_shape=[3, 3]))
    # Not 14 x 15: there a window would begin in the padding. onnx 1.17 counts it; the standard's text and ONNX Runtime do not.
    case("MaxPool", "max_pool", [f(1, 3, 13, 15)], attrs=dict(kernel_shape=[3, 3], strides=[3, 3], ceil_mode=1, pads=[1, 1, 1, 1]))
    case("MaxPool", "max_pool", [f(1, 3, 14, 15)], attrs={"kernel_shape": [2, 2], "dilations": [2, 3]})
    case("GlobalAveragePool", "global_average_pool", [f("N", 3, 7, 7)])
    case("BatchNormalization", "batch_normalization", [f(2, 3, 4, 4), f(3), f(3), f(3), f(3)])
    case("LayerNormalization", "layer_normalization", [f(2, 5, 3), f(3), f(3)])
    case("Softmax", "softmax", [f(2, "N", 3)], attrs={"axis": 1})
    for keep in (0, 1):
        case("ReduceMean", "reduce_mean", [f(2, 3, 4)], [ints(1, -1)], {"keepdims": keep})
        case("ReduceSum", "reduce_sum", [f(2, 3, 4)], [ints(1, 0, 2)], {"keepdims": keep})
        case("ReduceMax", "reduce_max", [f(2, 3, 4)], attrs={"keepdims": keep})
        case("ArgMax", "arg_max", [f(2, 3, 4)], attrs={"axis": 1, "keepdims": keep})
    case("ReduceMean", "reduce_mean", [f(2, 3)], [ints(1)], {"noop_with_empty_axes": 1})
    for want in [(6, 4), (-1,), (0, -1), (2, -1, 2), (0, 0, 4), (4, 3, 2, 1)]:
        case("Reshape", "reshape", [f(2, 3, 4)], [ints(1, *want)])
    case("Reshape", "reshape", [f("N", 49, 96)], [ints(1, 0, 49, 3, -1)])
    case("Reshape", "reshape", [f(0, 4)], [ints(1, 2, 0)], {"allowzero": 1})
    for axis in (0, 1, 2, 3, -1):
        case("Flatten", "flatten", [f(2, 3, 4)], attrs={"axis": axis})
    case("Squeeze", "squeeze", [f(1, 3, 1)], [ints(1, -1)])
    case("Squeeze", "squeeze", [f(1, 3, 1)])
    case("Unsqueeze", "unsqueeze", [f(2, 3)], [ints(1, 0, -1)])
    case("Transpose", "transpose", [f(2, 3, 4)])
    case("Transpose", "transpose", [f(2, "N", 4)], attrs={"perm": [1, 2, 0]})
    case("Concat", "concat", [f(2, 3), f(2, 5)], attrs={"axis": 1})
    case("Concat", "concat", [f(2, 3), f("N", 3)], attrs={"axis": 0})
    case("Concat", "concat", [f(2, 1, 3), f(2, 4, 3), f(2, 2, 3)], attrs={"axis": -2})
    case("Split", "split", [f(2, 9)], attrs={"axis": 1, "num_outputs": 3}, outs=3)
    case("Split", "split", [f(2, 10)], attrs={"axis": 1, "num_outputs": 4}, outs=4)
    case("Split", "split", [f(7, 2)], [ints(1, 2, 5)], {"axis": 0}, outs=2)
    for starts, ends, axes, steps in [((1,), (5,), (0,), (2,)), ((-3,), (2**31 - 1,), (1,), (1,)), ((0, 8), (9, -100), (0, 1), (3, -3)),
                                      ((-1,), (-2**31,), (0,), (-1,)), ((5,), (2,), (1,), (1,)), ((100,), (-100,), (0,), (-4,)),
                                      ((0,), (2**63 - 1,), (0,), (1,)), ((3,), (3,), (0,), (1,))]:
        case("Slice", "slice", [f(10, 9)], [ints(1, *starts), ints(2, *ends), ints(3, *axes), ints(4, *steps)])
    case("Slice", "slice", [f(10, 9)], [ints(1, 1, 2), ints(2, 4, 8)])
    case("Gather", "gather", [f(5, 6, 7), ("s64", (2, 3))], attrs={"axis": 1})
    case("Gather", "gather", [f(5, "N"), ("s64", ())], attrs={"axis": 0})
    case("GatherElements", "gather_elements", [f(5, 6), ("s64", (2, 6))])
    case("GatherND", "gather_nd", [f(2, 3, 4), ("s64", (2, 5, 1))], attrs={"batch_dims": 1})
    case("GatherND", "gather_nd", [f(2, 3, 4), ("s64", (6, 2))])
    case("ScatterND", "scatter_nd", [f(4, 5), ("s64", (3, 1)), f(3, 5)])
    case("Pad", "pad", [f(2, 3)], [ints(1, 1, 0, 2, 3)])
    case("Pad", "pad", [f(2, 3, 4)], [ints(1, 1, -1), ints(3, -1)], missing=(2,))
    case("Expand", "expand", [f(3, 1)], [ints(1, 2, 1, 6)])
    case("Expand", "expand", [f(2, 3, 4)], [ints(1, 1, 1, 1)])
    case("Tile", "tile", [f(2, 3)], [ints(1, 2, 5)])
    case("Shape", "shape", [f(2, 3, "N")])
    case("Shape", "shape", [f(2, 3, "N")], attrs={"start": 1, "end": -1})
    case("Shape", "shape", [f(2, 3, "N")], attrs={"start": -2})
    case("Size", "size", [f(2, 3)])
    for a, b, c in [(0, 10, 3), (10, 0, -3), (5, 5, 1), (-7, 7, 7), (3, 0, 1)]:
        case("Range", "range", [], [scalar(0, a), scalar(1, b), scalar(2, c)])
    case("ConstantOfShape", "constant_of_shape", [], [ints(0, 2, 0, 3)])
    for attrs in [dict(), dict(strides=[2, 3], output_padding=[1, 0]), dict(pads=[1, 0, 0, 2], dilations=[2, 1]), dict(group=2),
                  dict(strides=[2, 2], output_shape=[12, 9]), dict(strides=[2, 2], auto_pad="SAME_UPPER")]:
        case("ConvTranspose", "conv_transpose", [f("N", 4, 5, 4), f(4, 3, 3, 2)], attrs=attrs)
    case("ConvTranspose", "conv_transpose", [f(1, 4, 7), f(4, 6, 3), f(6)])
    for scales in [(1, 1, 2, 2), (1, 1, 0.6, 1.7)]:
        case("Resize", "resize", [f(2, 3, 5, 7)], [(2, "f32", (4,), scales)], missing=(1,))
    case("Resize", "resize", [f(2, 3, 5, 7)], [ints(3, 2, 3, 10, 9)], missing=(1, 2))
    for policy in ("not_larger", "not_smaller"):
        case("Resize", "resize", [f(2, 3, 5, 7)], [ints(3, 10, 9)], {"axes": [2, 3], "keep_aspect_ratio_policy": policy}, missing=(1, 2))
    case("GridSample", "grid_sample", [f("N", 3, 5, 7), f("N", 4, 6, 2)])
    case("RoiAlign", "roi_align", [f(2, 3, 5, 7), f(6, 4), ("s64", (6,))], attrs={"output_height": 2, "output_width": 3})
    case("InstanceNormalization", "instance_normalization", [f(2, 3, "H"), f(3), f(3)])
    case("LpNormalization", "lp_normalization", [f(2, 3)], attrs={"axis": 0, "p": 1})
    for attrs, directions in [(dict(), 1), (dict(direction="bidirectional"), 2)]:
        case("LSTM", "lstm", [f("S", 2, 5), f(directions, 12, 5), f(directions, 12, 3)], attrs=dict(attrs, hidden_size=3), outs=3)
    case("TopK", "top_k", [f(2, 9)], [ints(1, 4)], {"axis": 1}, outs=2)
    case("ScatterElements", "scatter_elements", [f(4, 5), ("s64", (2, 3)), f(2, 3)], attrs={"axis": 1})
    case("NonZero", "nonzero", [f(2, 3)])
    case("Trilu", "trilu", [f("N", 3, 4)], [scalar(1, -1)], {"upper": 0})
    case("CumSum", "cumsum", [f(2, 3)], [scalar(1, -1)], {"reverse": 1})
    case("ArgMin", "arg_min", [f(2, 3, 4)], attrs={"axis": 1, "keepdims": 0})
    case("DepthToSpace", "depth_to_space", [f("N", 8, 2, 3)], attrs={"blocksize": 2})
    case("SpaceToDepth", "space_to_depth", [f("N", 2, 4, 6)], attrs={"blocksize": 2})
    case("QuantizeLinear", "quantize_linear", [f(2, 3), f(), ("s8", ())])
    case("DequantizeLinear", "dequantize_linear", [("u8", (2, 3)), f(), ("u8", ())])


def ours_type(type_name, dims):
    return "%s[%s]" % (type_name, ",".join(str(d) for d in dims))


def ours_attr(v):
    if isinstance(v, str):
        return '"%s"' % v
    return str(v)


def write(out):
    for number, (op, ours, inputs, consts, attrs, outs, missing) in enumerate(CASES):
        at = {position: (t, dims, values) for position, t, dims, values in consts}
        count = len(inputs) + len(consts) + len(missing)
        names, graph_in, init, lines = [], [], [], ['graph "%s" opset 18' % op]
        rest = iter(inputs)
        for i in range(count):
            if i in missing:
                names.append("")
                continue
            names.append("i%d" % i)
            if i in at:
                t, dims, values = at[i]
                init.append(h.make_tensor(names[-1], TYPES[t], dims, list(values)))
                lines.append("const %%i%d: %s = [%s]" % (i, ours_type(t, dims), ", ".join(map(str, values))))
            else:
                t, dims = next(rest)
                graph_in.append(h.make_tensor_value_info(names[-1], TYPES[t], list(dims)))
                lines.append("input %%i%d: %s" % (i, ours_type(t, dims)))
        lines.sort(key=lambda s: (not s.startswith("graph"), not s.startswith("input")))
        results = ["o%d" % i for i in range(outs)]
        node = h.make_node(op, names, results, **attrs)
        onnx_out = [h.make_empty_tensor_value_info(r) for r in results]
        model = h.make_model(h.make_graph([node], "g", graph_in, onnx_out, init),
                             opset_imports=[h.make_opsetid("", 18)])
        found = shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True).graph.output
        text = ", ".join("%%%s: none[*]" % r for r in results)
        text += " = %s(%s)" % (ours, ", ".join("%" + n if n else "_" for n in names))
        if attrs:
            text += " {" + ", ".join("%s = %s" % (k, ours_attr(v)) for k, v in attrs.items()) + "}"
        lines.append(text)
        lines += ["output %%%s" % r for r in results]
        for value in found:
            tensor = value.type.tensor_type
            dims = [d.dim_value if d.HasField("dim_value") else "?" if d.dim_param.startswith("unk__") else d.dim_param or "?"
                    for d in tensor.shape.dim]
            lines.append("; expect %s: %s" % (value.name, ours_type(NAMES[tensor.elem_type], dims)))
        out.write("; case %d\n%s\n\n" % (number, "\n".join(lines)))


build_cases()
with open(sys.argv[1] if len(sys.argv) > 1 else "shape_cases.txt", "w") as out:
    write(out)
print(len(CASES), "cases with onnx", onnx.__version__)
