#!/usr/bin/env python3
"""Makes the small pictures of tests/io/data and the list of what Pillow decodes them to.

Needs Pillow and numpy; the tests themselves need neither: they compare with the list that is committed.
Run it in this folder. libjpeg-turbo in Pillow and in the system may differ in version, not in pixels.
"""
import hashlib
import struct
import zlib

import numpy as np
from PIL import Image

W, H = 53, 37


def picture():
    """Smooth colours, one hard edge and a little noise, from integers only."""
    y, x = np.mgrid[0:H, 0:W]
    rng = np.random.RandomState(1)
    rgb = np.stack([x * 4, y * 6, (x + y) * 2 % 256], -1).astype(np.int64)
    rgb[10:20, 20:40] = 255 - rgb[10:20, 20:40]
    return np.clip(rgb + rng.randint(-9, 10, rgb.shape), 0, 255).astype(np.uint8)


def write_png(path, width, height, depth, kind, rows):
    """A PNG with depths that Pillow does not write."""
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    raw = b"".join(b"\0" + r for r in rows)
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
                + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b""))


def main():
    rgb = picture()
    im = Image.fromarray(rgb)
    grey = im.convert("L")
    im.save("data/420.jpg", quality=85)
    im.save("data/422.jpg", quality=85, subsampling="4:2:2")
    im.save("data/444.jpg", quality=95, subsampling=0)
    im.save("data/progressive.jpg", quality=80, progressive=True)
    grey.save("data/grey.jpg", quality=85)
    im.convert("CMYK").save("data/cmyk.jpg", quality=90)
    exif = Image.Exif()
    exif[0x0112] = 6
    im.save("data/exif6.jpg", quality=85, exif=exif)
    im.save("data/rgb.png")
    im.save("data/exif3.png", exif=(lambda e: (e.__setitem__(0x0112, 3), e)[1])(Image.Exif()))
    alpha = Image.fromarray(np.dstack([rgb, (rgb[..., 0] // 2)]))
    alpha.save("data/rgba.png")
    Image.merge("LA", [grey, grey.point(lambda v: 255 - v)]).save("data/la.png")
    grey.save("data/grey8.png")
    grey.point(lambda v: 255 * (v > 99)).convert("1").save("data/grey1.png")
    im.quantize(16).save("data/palette4.png")
    im.quantize(200).save("data/palette8.png", transparency=3)
    values = np.asarray(grey).astype(np.int64)
    for depth in (2, 4):
        v = values >> (8 - depth)
        per = 8 // depth
        v = np.pad(v, ((0, 0), (0, -W % per)))
        packed = sum(v[:, i::per] << (8 - depth * (i + 1)) for i in range(per)).astype(np.uint8)
        write_png(f"data/grey{depth}.png", W, H, depth, 0, [r.tobytes() for r in packed])
    wide = (rgb.astype(np.int64) * 257 + 77) % 65536
    write_png("data/rgb16.png", W, H, 16, 2, [r.astype(">u2").tobytes() for r in wide])

    names = """420.jpg 422.jpg 444.jpg progressive.jpg grey.jpg cmyk.jpg exif6.jpg rgb.png exif3.png rgba.png la.png
               grey8.png grey1.png grey2.png grey4.png palette4.png palette8.png rgb16.png""".split()
    with open("data/pixels.tsv", "w") as f:
        f.write("file\twidth\theight\torientation\tsha256\n")
        for n in names:
            p = Image.open("data/" + n)
            orientation = p.getexif().get(0x0112, 1)
            out = np.asarray(p.convert("RGB"))
            f.write(f"{n}\t{out.shape[1]}\t{out.shape[0]}\t{orientation}\t{hashlib.sha256(out.tobytes()).hexdigest()}\n")


main()
