#!/usr/bin/env python3
"""Writes resize.tsv: what Pillow makes of synthetic pictures, as hashes, for every filter and many sizes.

Needs Pillow before 13 (9.5 to 12.0 agree; 13 runs the columns first when that is cheaper, which moves a few pixels by
one) and numpy; the tests need neither, they build the same pictures and compare. Run in this folder.
With the folder of common material as argument, also shared_pixels.tsv: photographs through the whole preprocessing.
The picture: a multiplicative generator over [height, width, channels]; every fourth one is only 0 and 255, so that the
overshoot of bicubic and Lanczos is clipped.
"""
import hashlib
import os
import sys

import numpy as np
from PIL import Image

FILTERS = ["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"]
SIZES = [
    (1, 1, 1, 1), (1, 1, 5, 7), (2, 2, 3, 3), (3, 5, 224, 224), (7, 3, 2, 2), (17, 31, 31, 17), (64, 64, 32, 32),
    (64, 48, 64, 48), (64, 48, 64, 24), (64, 48, 32, 48), (100, 75, 224, 224), (227, 227, 224, 224),
    (224, 224, 256, 256), (333, 500, 224, 224), (500, 375, 224, 224), (500, 375, 341, 256), (640, 427, 224, 224),
    (1024, 3, 20, 3), (1000, 777, 17, 13), (1, 300, 1, 40), (513, 257, 512, 256), (301, 199, 301, 50),
    (97, 89, 1, 1), (5, 4, 60, 61),
]


def picture(width, height, channels, index):
    n = width * height * channels
    out = np.empty(n, np.uint8)
    state = index + 1
    for i in range(n):
        state = state * 1664525 + 1013904223 & 0xFFFFFFFF
        out[i] = state >> 24
    if index % 4 == 3:
        out = np.where(out > 127, 255, 0).astype(np.uint8)
    return out.reshape(height, width, channels)


def main():
    with open("resize.tsv", "w") as f:
        f.write("in_width\tin_height\tchannels\tout_width\tout_height\tfilter\tsha256\n")
        for index, (w, h, ow, oh) in enumerate(SIZES):
            for channels in (3, 1):
                if channels == 1 and index % 3:
                    continue
                a = picture(w, h, channels, index)
                im = Image.fromarray(a if channels == 3 else a[..., 0])
                for number, name in enumerate(FILTERS):
                    out = np.asarray(im.resize((ow, oh), Image.Resampling(number)))
                    digest = hashlib.sha256(out.tobytes()).hexdigest()
                    f.write(f"{w}\t{h}\t{channels}\t{ow}\t{oh}\t{name}\t{digest}\n")


def preprocessed(path, mode):
    """Stretched to 224x224; or the shorter side to 256 and the centre, as HuggingFace's processors do it."""
    im = Image.open(path).convert("RGB")
    if mode == "stretch":
        return np.asarray(im.resize((224, 224), Image.Resampling.BICUBIC))
    w, h = im.size
    size = (256, int(256 * h / w)) if w <= h else (int(256 * w / h), 256)
    a = np.asarray(im.resize(size, Image.Resampling.BICUBIC))
    top, left = (a.shape[0] - 224) // 2, (a.shape[1] - 224) // 2
    return a[top:top + 224, left:left + 224]


def shared(folder):
    """Real photographs of the common material: only hashes go into the project."""
    with open("shared_pixels.tsv", "w") as f:
        f.write("file\tgeometry\tsha256\n")
        for sub in ("imagenet_calib", "imagenette_calib"):
            for name in sorted(os.listdir(f"{folder}/data/{sub}"))[:12]:
                if not name.lower().endswith((".jpeg", ".jpg")):
                    continue
                for mode in ("stretch", "short"):
                    out = np.ascontiguousarray(preprocessed(f"{folder}/data/{sub}/{name}", mode))
                    f.write(f"data/{sub}/{name}\t{mode}\t{hashlib.sha256(out.tobytes()).hexdigest()}\n")


main()
if len(sys.argv) > 1:
    shared(sys.argv[1])
