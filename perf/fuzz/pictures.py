"""Valid pictures of every kind that is taken or refused, small ones, drawn from a seed."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from random import Random

import numpy as np
from PIL import Image, ImageDraw

from perf.fuzz.files import chunk, png

WORDS = ("EXIT", "Platform 3", "OPEN", "42", "Kitchen", "a b c", "4.50")


def scene(rng: Random, mode: str = "RGB") -> Image.Image:
    """A picture of 1-200 pixels a side, with shapes and words where they fit."""
    width, height = (rng.choice((1, 7, 31, 64, 100, 100, 160, 160, 200, 200)) for _ in range(2))
    image = Image.new("RGB", (width, height), _colour(rng))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.randrange(4)):
        x, y, side = rng.randrange(width), rng.randrange(height), rng.randrange(2, 60)
        rng.choice((draw.ellipse, draw.rectangle))((x, y, x + side, y + side), fill=_colour(rng))
    if width >= 64 and rng.random() < 0.5:
        draw.text((3, rng.randrange(height)), rng.choice(WORDS), fill=_colour(rng), font_size=rng.randrange(8, 30))
    if rng.random() < 0.2:
        noise = np.random.default_rng(rng.randrange(2**32)).integers(0, 256, (height, width, 3), np.uint8)
        image = Image.blend(image, Image.fromarray(noise), rng.random())
    return image if mode == "RGB" else _in_mode(image, mode, rng)


def _in_mode(image: Image.Image, mode: str, rng: Random) -> Image.Image:
    if mode in ("RGBA", "LA"):
        clear = Image.linear_gradient("L").resize(image.size)
        image = image.convert("L" if mode == "LA" else "RGB")
        image.putalpha(clear)
        return image
    if mode == "P":
        return image.quantize(rng.choice((2, 16, 256)))
    return image.convert(mode)


def _colour(rng: Random) -> tuple[int, int, int]:
    return rng.randrange(256), rng.randrange(256), rng.randrange(256)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """`image` as a file of a kind that Pillow knows."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def deep(rng: Random, colour: int, clear: bytes = b"") -> bytes:
    """A PNG of 16 bits: colour 0 is grey, 2 RGB, 4 grey with alpha, 6 RGB with alpha."""
    width, height, parts = rng.randrange(1, 60), rng.randrange(1, 60), {0: 1, 2: 3, 4: 2, 6: 4}[colour]
    values = np.random.default_rng(rng.randrange(2**32)).integers(0, 2**16, (height, width * parts)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    return png(width, height, rows, depth=16, colour=colour, more=chunk(b"tRNS", clear) if clear else b"")


def ycck(rng: Random) -> bytes:
    """A JPEG as Adobe writes it: luminance, two chrominances and black, inverted."""
    y, cb, cr = scene(rng).point(lambda value: 255 - value).convert("YCbCr").split()
    stored = Image.merge("CMYK", (y, cb, cr, Image.new("L", y.size, 255)))
    data = encoded(stored.point(lambda value: 255 - value), "JPEG", quality=95)
    at = data.index(b"Adobe")
    return data[: at + 11] + b"\x02" + data[at + 12 :]


def turned(rng: Random, kind: str) -> bytes:
    """A picture with an orientation."""
    exif = Image.Exif()
    exif[0x0112] = rng.randrange(1, 9)
    return encoded(scene(rng), kind, exif=exif)


def moving(rng: Random, kind: str, most: int = 5, **options: object) -> bytes:
    """An animation of 3 to `most` frames."""
    first = scene(rng, "RGBA" if rng.random() < 0.5 else "RGB")
    frames = [first]
    for _ in range(rng.randrange(2, most)):
        other = frames[-1].copy()
        ImageDraw.Draw(other).rectangle((0, 0, rng.randrange(50), rng.randrange(50)), fill=_colour(rng))
        frames.append(other)
    # Pillow leaves out what is equal to the frame before.
    return encoded(first, kind, save_all=True, append_images=frames[1:], **options)


def interlaced(rng: Random) -> bytes:
    """A PNG of one bit in Adam7's order, all of one colour."""
    side = rng.randrange(1, 40)
    steps = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    rows = b""
    for left, top, across, down in steps:
        wide, high = -(-max(side - left, 0) // across), -(-max(side - top, 0) // down)
        rows += (b"\0" + b"\xff" * -(-wide // 8)) * high if wide else b""
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 1)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


STILL: dict[str, Callable[[Random], bytes]] = {
    "png": lambda rng: encoded(scene(rng), "PNG"),
    "png grey": lambda rng: encoded(scene(rng, "L"), "PNG"),
    "png one bit": lambda rng: encoded(scene(rng, "1"), "PNG"),
    "png palette": lambda rng: encoded(scene(rng, "P"), "PNG"),
    "png clear palette": lambda rng: encoded(scene(rng, "P"), "PNG", transparency=bytes((0, 90, 200))),
    "png alpha": lambda rng: encoded(scene(rng, "RGBA"), "PNG"),
    "png grey alpha": lambda rng: encoded(scene(rng, "LA"), "PNG"),
    "png 16 grey": lambda rng: deep(rng, 0),
    "png 16 rgb": lambda rng: deep(rng, 2),
    "png 16 grey alpha": lambda rng: deep(rng, 4),
    "png 16 rgb alpha": lambda rng: deep(rng, 6),
    "png 16 clear": lambda rng: deep(rng, 0, b"\x12\x34"),
    "png interlaced": interlaced,
    "png turned": lambda rng: turned(rng, "PNG"),
    "jpeg": lambda rng: encoded(scene(rng), "JPEG", quality=rng.randrange(20, 96)),
    "jpeg progressive": lambda rng: encoded(scene(rng), "JPEG", progressive=True),
    "jpeg grey": lambda rng: encoded(scene(rng, "L"), "JPEG"),
    "jpeg cmyk": lambda rng: encoded(scene(rng, "CMYK"), "JPEG"),
    "jpeg ycck": ycck,
    "jpeg turned": lambda rng: turned(rng, "JPEG"),
    "webp": lambda rng: encoded(scene(rng), "WEBP"),
    "webp lossless": lambda rng: encoded(scene(rng, "RGBA"), "WEBP", lossless=True),
    "webp turned": lambda rng: turned(rng, "WEBP"),
}
"""Kinds that are taken as pictures."""

MOVING: dict[str, Callable[[Random], bytes]] = {
    "webp moving": lambda rng: moving(rng, "WEBP"),
    "gif moving": lambda rng: moving(rng, "GIF", disposal=rng.randrange(4)),
    "png moving": lambda rng: moving(rng, "PNG", disposal=rng.randrange(3), blend=rng.randrange(2)),
    "png moving with another picture": lambda rng: moving(rng, "PNG", default_image=True),
}
"""Kinds that are taken as frames."""

EXTREME: dict[str, Callable[[Random], bytes]] = {
    "large": lambda rng: encoded(scene(rng).resize((4000, 3000)), "JPEG"),
    "wide": lambda rng: encoded(scene(rng).resize((30_000, rng.randrange(1, 4))), "PNG"),
    "high": lambda rng: encoded(scene(rng).resize((rng.randrange(1, 4), 16_000)), "WEBP"),
}
"""Kinds that are taken, of sizes that are seldom."""

REFUSED: dict[str, Callable[[Random], bytes]] = {
    "gif": lambda rng: encoded(scene(rng), "GIF"),
    "tiff": lambda rng: encoded(scene(rng), "TIFF"),
    "bmp": lambda rng: encoded(scene(rng), "BMP"),
    "ico": lambda rng: encoded(scene(rng), "ICO"),
    "svg": lambda rng: b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "text": lambda rng: b"no picture",
    "nothing": lambda rng: b"",
    "noise": lambda rng: rng.randbytes(rng.randrange(1, 3000)),
}
"""Kinds that are refused as a still picture."""
