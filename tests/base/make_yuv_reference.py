#!/usr/bin/env python3
"""Prints yuv_reference.h: 64 colours (Y, Cb, Cr) and what Pillow's convert("RGB") makes of them."""
import numpy as np
from PIL import Image

rng = np.random.default_rng(20)
ycc = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
ycc[0, 0], ycc[0, 1], ycc[0, 2] = (0, 128, 128), (255, 128, 128), (76, 85, 255)  # black, white, red
rgb = np.asarray(Image.fromarray(ycc, "YCbCr").convert("RGB"))
print("/* Made by make_yuv_reference.py with Pillow: Y, Cb, Cr, R, G, B. */")
print("static const uint8_t yuv_reference[64][6] = {")
for a, b in zip(ycc.reshape(-1, 3), rgb.reshape(-1, 3)):
    print("    {%s}," % ", ".join(str(v) for v in (*a, *b)))
print("};")
