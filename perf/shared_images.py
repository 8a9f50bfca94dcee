"""`python -m perf.shared_images`: what shared memory saves a client of the same machine, by the size of an image.

Both ways ask a running server in turns for the same operation on the same picture, so that it decodes nothing anew.
"""

from __future__ import annotations

import argparse
import io
import statistics
import time

import numpy as np
from PIL import Image

from clients.client import PixelisClient
from clients.shared import LEAST

SIDES = (200, 320, 500, 900, 1800, 2500)
"""Of square pictures of noise, which PNG makes no smaller: 0.12 to 19 MB."""
ARGUMENTS = {"region": [0, 0, 16, 16]}


def picture(side: int) -> bytes:
    """An encoded picture."""
    pixels = np.random.default_rng(side).integers(0, 256, (side, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def took_ms(client: PixelisClient, image: bytes) -> float:
    """Milliseconds of one operation."""
    started = time.perf_counter()
    client.ops(image, "ZOOM_IN", ARGUMENTS)
    return 1000 * (time.perf_counter() - started)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="host:port of Triton's gRPC; default from the settings")
    parser.add_argument("--times", type=int, default=40, help="of each way and size")
    said = parser.parse_args()
    print(f"bytes of the image | message, ms | shared, ms | from {LEAST} bytes on it is used")
    with PixelisClient(said.url, shared_memory=False) as plain, PixelisClient(said.url) as shared:
        for image in map(picture, SIDES):
            times = [(took_ms(plain, image), took_ms(shared, image)) for _ in range(said.times + 2)][2:]
            message, memory = (statistics.median(column) for column in zip(*times, strict=True))
            print(f"{len(image):>18} | {message:>11.2f} | {memory:>10.2f}")


if __name__ == "__main__":
    main()
