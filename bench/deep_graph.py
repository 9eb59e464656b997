#!/usr/bin/env python3
"""Write an ONNX file with as many nodes as asked for: transformer blocks as exporters spell them.

    bench/deep_graph.py NODES OUT.onnx

Each block has a layer norm in nine operators, attention with the shape arithmetic of an exporter
around every Reshape, and a GELU in five: 66 nodes over 16 tokens of 8 channels. Weights are tiny, so
that what is measured is the graph. Every block has weights of its own. No packages are needed.
"""

import random
import struct
import sys

TOKENS, CHANNELS, HEADS = 16, 8, 2
FLOAT, INT64 = 1, 7


def varint(n: int) -> bytes:
    """An unsigned LEB128 number."""
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out + bytes([n]))


def field(number: int, value: int | bytes | str) -> bytes:
    """One field of a message: a varint, or bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def tensor(name: str, kind: int, dims: list[int], data: bytes) -> bytes:
    """A TensorProto with raw data."""
    return b"".join(field(1, d) for d in dims) + field(2, kind) + field(8, name) + field(9, data)


def value_info(name: str, dims: list[int]) -> bytes:
    """A ValueInfoProto of floats."""
    shape = b"".join(field(1, field(1, d)) for d in dims)
    return field(1, name) + field(2, field(1, field(1, FLOAT) + field(2, shape)))


class Graph:
    """Nodes and initialisers in the making."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.nodes: list[bytes] = []
        self.weights: list[bytes] = []
        self.random = random.Random(1)

    def node(self, op: str, inputs: list[str], out: str, **attrs: int | list[int] | bytes) -> str:
        """Append a node; the result's name."""
        data = b"".join(field(1, i) for i in inputs) + field(2, out) + field(3, out) + field(4, op)
        for key, value in attrs.items():
            if isinstance(value, int):
                body = field(3, value) + field(20, 2)
            elif isinstance(value, list):
                body = b"".join(field(8, v) for v in value) + field(20, 7)
            else:
                body = field(5, value) + field(20, 4)
            data += field(5, field(1, key) + body)
        self.nodes.append(data)
        return out

    def ints(self, out: str, values: list[int], scalar: bool = False) -> str:
        """A Constant node of integers, as exporters write them."""
        data = struct.pack(f"<{len(values)}q", *values)
        return self.node("Constant", [], out,
                         value=tensor("", INT64, [] if scalar else [len(values)], data))

    def number(self, out: str, x: float) -> str:
        """A Constant node with one float."""
        return self.node("Constant", [], out, value=tensor("", FLOAT, [], struct.pack("<f", x)))

    def weight(self, name: str, dims: list[int], scale: float) -> str:
        """A random initialiser."""
        count = 1
        for d in dims:
            count *= d
        values = [self.random.uniform(-scale, scale) for _ in range(count)]
        self.weights.append(tensor(name, FLOAT, dims, struct.pack(f"<{count}f", *values)))
        return name

    def linear(self, p: str, x: str, rows: int, columns: int) -> str:
        """MatMul and Add."""
        product = self.node("MatMul", [x, self.weight(p + "w", [rows, columns], rows**-0.5)], p + "m")
        return self.node("Add", [self.weight(p + "b", [columns], 0.1), product], p + "a")

    def norm(self, p: str, x: str) -> str:
        """Layer norm in nine operators."""
        mean = self.node("ReduceMean", [x], p + "mean", axes=[-1])
        centred = self.node("Sub", [x, mean], p + "sub")
        square = self.node("Pow", [centred, self.number(p + "two", 2.0)], p + "pow")
        variance = self.node("ReduceMean", [square], p + "var", axes=[-1])
        sum_ = self.node("Add", [variance, self.number(p + "eps", 1e-5)], p + "sum")
        y = self.node("Div", [centred, self.node("Sqrt", [sum_], p + "sqrt")], p + "div")
        y = self.node("Mul", [y, self.weight(p + "g", [CHANNELS], 1.0)], p + "mul")
        return self.node("Add", [y, self.weight(p + "b", [CHANNELS], 0.1)], p + "out")

    def shaped(self, p: str, x: str, tail: list[int]) -> str:
        """Reshape whose first two sizes come from the value's own shape."""
        parts = []
        for axis in range(2):
            q = f"{p}{axis}"
            size = self.node("Gather", [self.node("Shape", [x], q + "s"),
                                        self.ints(q + "i", [axis], True)], q + "g", axis=0)
            parts.append(self.node("Unsqueeze", [size, self.ints(q + "x", [0])], q + "u"))
        shape = self.node("Concat", [*parts, self.ints(p + "t", tail)], p + "c", axis=0)
        return self.node("Reshape", [x, shape], p + "r")

    def attention(self, p: str, x: str) -> str:
        """Two heads."""
        heads = {}
        for name in "qkv":
            y = self.shaped(p + name, self.linear(p + name, x, CHANNELS, CHANNELS),
                            [HEADS, CHANNELS // HEADS])
            turn = [0, 2, 3, 1] if name == "k" else [0, 2, 1, 3]
            heads[name] = self.node("Transpose", [y], p + name + "h", perm=turn)
        scores = self.node("MatMul", [heads["q"], heads["k"]], p + "qk")
        scores = self.node("Div", [scores, self.number(p + "two", 2.0)], p + "scaled")
        shares = self.node("Softmax", [scores], p + "softmax", axis=-1)
        y = self.node("MatMul", [shares, heads["v"]], p + "context")
        y = self.node("Transpose", [y], p + "back", perm=[0, 2, 1, 3])
        return self.linear(p + "o", self.shaped(p + "m", y, [CHANNELS]), CHANNELS, CHANNELS)

    def gelu(self, p: str, x: str) -> str:
        """GELU by erf."""
        y = self.node("Erf", [self.node("Div", [x, self.number(p + "r", 2.0**0.5)], p + "d")], p + "e")
        y = self.node("Add", [y, self.number(p + "one", 1.0)], p + "p")
        return self.node("Mul", [self.node("Mul", [x, y], p + "x"), self.number(p + "h", 0.5)], p + "y")

    def block(self, p: str, x: str) -> str:
        """One transformer block."""
        x = self.node("Add", [self.attention(p + "a", self.norm(p + "n", x)), x], p + "res1")
        y = self.linear(p + "f", self.norm(p + "l", x), CHANNELS, 2 * CHANNELS)
        return self.node("Add", [x, self.linear(p + "s", self.gelu(p + "g", y), 2 * CHANNELS, CHANNELS)],
                         p + "res2")


def main() -> None:
    """Command line."""
    wanted, path = int(sys.argv[1]), sys.argv[2]
    g, x, k = Graph(), "x", 0
    while len(g.nodes) < wanted:
        x = g.block(f"b{k}.", x)
        k += 1
    g.node("Identity", [x], "y")
    dims = [1, TOKENS, CHANNELS]
    graph = b"".join(field(1, n) for n in g.nodes) + field(2, "deep")
    graph += b"".join(field(5, w) for w in g.weights)
    graph += field(11, value_info("x", dims)) + field(12, value_info("y", dims))
    with open(path, "wb") as out:
        out.write(field(1, 8) + field(2, "deep_graph") + field(7, graph) + field(8, field(2, 17)))
    print(f"{len(g.nodes)} nodes in {k} blocks")


if __name__ == "__main__":
    main()
