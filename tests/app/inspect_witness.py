"""`cygnet inspect CKPT --json` and its plain form against what PyTorch says of the same tensors.

    inspect_witness.py CYGNET TSV FOLDER FORMAT...

The TSV (file, name, type, shape, crc32, min, max, mean, std) tells of files in the folder; each of
the formats must come up. It has nan for tensors of fewer than two elements. Of an empty one
every number is null in JSON and "-" in the plain form; of a single element only the deviation is,
and the others are that element.
"""
import csv
import json
import math
import os
import subprocess
import sys

TYPES = {"float32": "f32", "float64": "f64", "float16": "f16", "bfloat16": "bf16", "bool": "bool",
         "uint8": "u8", "int8": "s8", "int16": "s16", "int32": "s32", "int64": "s64"}
FORMATS = {"zip": "PyTorch (zip)", "old": "PyTorch (before 1.6)", "safetensors": "safetensors"}


def magic(path):
    with open(path, "rb") as f:
        head = f.read(9)
    return FORMATS["zip" if head[:2] == b"PK" else "safetensors" if head[8:9] == b"{" else "old"]


KEYS = ("min", "max", "mean", "std")


def wanted_of(row, shape, found):
    """What the four numbers must be; None = no number."""
    count = math.prod(shape)
    if count > 1:
        return [float(row[key]) for key in KEYS]
    return [None] * 4 if count == 0 else [found["max"]] * 3 + [None]


def same(found, wanted, close):
    if wanted is None or found is None:
        return found is wanted
    return math.isclose(found, wanted, rel_tol=close, abs_tol=close)


def check(cygnet, path, rows):
    said = subprocess.run([cygnet, "inspect", path, "--json"], check=True, capture_output=True)
    d = json.loads(said.stdout)
    assert d["kind"] == "checkpoint" and d["format"] == magic(path), d["format"]
    assert d["files"][0]["bytes"] == os.path.getsize(path)
    found = {t["name"]: t for t in d["tensors"]}
    assert sorted(found) == sorted(r["name"] for r in rows), sorted(found)
    elements, wanted = 0, {}
    for r in rows:
        t = found[r["name"]]
        shape = [int(n) for n in r["shape"].split("x")] if r["shape"] not in ("", "scalar") else []
        assert t["type"] == TYPES[r["type"]] and t["shape"] == shape, (path, t)
        wanted[r["name"]] = wanted_of(r, shape, t)
        for key, number in zip(KEYS, wanted[r["name"]]):
            assert same(t[key], number, 1e-9), (path, key, t, number)
        elements += math.prod(shape)
    assert d["elements"] == elements
    text = subprocess.run([cygnet, "inspect", path], check=True, capture_output=True, text=True)
    table = {}
    for line in text.stdout.splitlines():
        words = line.split()
        if len(words) == 7 and words[0] in found:
            table[words[0]] = words
    assert d["format"] in text.stdout and sorted(table) == sorted(found), text.stdout
    for r in rows:
        words = table[r["name"]]
        assert words[1] == TYPES[r["type"]] and words[2] == (r["shape"] or "scalar"), words
        for word, number in zip(words[3:], wanted[r["name"]]):
            assert same(None if word == "-" else float(word), number, 1e-5), (path, words)
    return d["format"]


def main():
    cygnet, tsv, folder, *wanted = sys.argv[1:]
    files = {}
    with open(tsv) as f:
        for row in csv.DictReader(f, delimiter="\t"):
            files.setdefault(row["file"], []).append(row)
    paths = {n: os.path.join(folder, n) for n in files}
    if not all(os.path.exists(p) for p in paths.values()):
        print(f"SKIPPED: {folder} is not there")
        sys.exit(77)
    formats = {check(cygnet, paths[n], rows) for n, rows in files.items()}
    assert formats == {FORMATS[w] for w in wanted}, formats
    print(f"{len(files)} files, {sum(map(len, files.values()))} tensors")


main()
