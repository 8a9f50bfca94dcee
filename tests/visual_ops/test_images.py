"""Decoding: what is accepted, what is refused before it is decompressed, and the cache."""

from __future__ import annotations

import contextlib
import io
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pixelis.errors import InvalidImage, LimitExceeded, RequestError
from pixelis.settings import Limits
from python_backends import images
from python_backends.images import DecodedImages, decode, size_of

LIMITS = Limits()


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def picture(width: int = 40, height: int = 20, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_formats(kind: str) -> None:
    pixels = decode(encoded(picture(), kind), LIMITS)
    assert pixels.shape == (20, 40, 3)
    assert pixels.dtype == np.uint8


def test_png_is_lossless() -> None:
    np.testing.assert_array_equal(decode(encoded(picture()), LIMITS), np.asarray(picture()))


def test_transparency_lies_on_white() -> None:
    assert decode(encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 0))), LIMITS)[0, 0].tolist() == [255, 255, 255]
    assert decode(encoded(Image.new("LA", (4, 4), (0, 0))), LIMITS)[0, 0].tolist() == [255, 255, 255]


def test_palette_with_a_transparent_entry() -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 200, 30])
    assert decode(encoded(image), LIMITS)[0, 0].tolist() == [10, 200, 30]
    assert decode(encoded(image, transparency=1), LIMITS)[0, 0].tolist() == [255, 255, 255]


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    grey = np.array([[0, 257, 32768, 65535]], np.uint16)
    assert decode(encoded(Image.fromarray(grey)), LIMITS)[0, :, 0].tolist() == [0, 1, 128, 255]


def test_cmyk() -> None:
    red = decode(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"), LIMITS)[4, 4]
    assert red[0] > 200
    assert max(red[1], red[2]) < 60


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation: int) -> None:
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :16] = 255
    turned = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.transpose(1, 0, 2), 6: np.rot90(upright), 7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(np.ascontiguousarray(turned)), "JPEG", exif=exif, quality=95)
    pixels = decode(data, LIMITS)
    assert pixels.shape == upright.shape
    assert np.abs(pixels.astype(int) - upright).mean() < 6
    assert size_of(data, LIMITS) == (32, 16)


def test_damaged_exif_does_not_refuse_the_picture() -> None:
    data = encoded(picture(), "JPEG", exif=b"Exif\x00\x00garbage that is no TIFF header")
    assert decode(data, LIMITS).shape == (20, 40, 3)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"),
        (b"hello, world", "not a picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
        (encoded(picture(), "GIF"), "not a picture"),
        (encoded(picture(), "TIFF"), "not a picture"),
        (encoded(picture(), "GIF", save_all=True, append_images=[picture(seed=1)]), "`media` is `video`"),
        (encoded(picture(), "JPEG")[:-200], "damaged or cut short"),
        (encoded(picture(200, 200))[:20_000], "damaged or cut short"),
        (encoded(picture(), "WEBP", save_all=True, append_images=[picture(seed=1)]), "animated"),
        (encoded(picture(), "PNG", save_all=True, append_images=[picture(seed=1)]), "animated"),
    ],
)
def test_what_is_no_still_picture_is_refused_with_a_reason(data: bytes, why: str) -> None:
    with pytest.raises(InvalidImage, match=why):
        decode(data, LIMITS)


def test_too_many_bytes() -> None:
    data = encoded(picture())
    with pytest.raises(LimitExceeded, match=f"{len(data)} bytes"):
        decode(data, Limits(image_bytes=len(data) - 1))


def test_too_many_pixels_are_refused_by_the_header() -> None:
    with pytest.raises(LimitExceeded, match="40x20 = 800 pixels"):
        decode(encoded(picture()), Limits(image_pixels=799))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 400), st.sampled_from(["PNG", "JPEG", "WEBP"]))
def test_damaged_files_give_pixels_or_a_typed_error(noise: bytes, at: int, kind: str) -> None:
    data = bytearray(encoded(picture(), kind))
    data[at : at + len(noise)] = noise
    with contextlib.suppress(RequestError):
        assert decode(bytes(data), LIMITS).ndim == 3


def test_the_cache_decodes_once_and_its_pixels_are_read_only() -> None:
    cache = DecodedImages(budget_bytes=10_000, entries=4, limits=LIMITS)
    data = encoded(picture())
    first = cache.get(data)
    assert cache.get(bytes(data)) is first
    assert not first.flags.writeable
    assert cache.stats() == {"hits": 1, "misses": 1, "entries": 1, "bytes": 2400}


def test_the_cache_keeps_within_its_bytes_and_drops_the_least_recent() -> None:
    cache = DecodedImages(budget_bytes=2 * 2400, entries=10, limits=LIMITS)
    a, b, c = (encoded(picture(seed=seed)) for seed in range(3))
    cache.get(a), cache.get(b), cache.get(a), cache.get(c)
    assert cache.stats()["bytes"] == 4800
    cache.get(a)
    assert cache.stats()["misses"] == 3
    cache.get(b)
    assert cache.stats()["misses"] == 4


def test_a_picture_larger_than_the_budget_is_not_kept() -> None:
    cache = DecodedImages(budget_bytes=100, entries=10, limits=LIMITS)
    assert cache.get(encoded(picture())).shape == (20, 40, 3)
    assert cache.stats()["entries"] == 0


def test_a_failure_is_not_kept() -> None:
    cache = DecodedImages(budget_bytes=10_000, entries=4, limits=LIMITS)
    for _ in range(2):
        with pytest.raises(InvalidImage):
            cache.get(b"no picture")
    assert cache.stats()["misses"] == 2


def test_threads_share_one_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = DecodedImages(budget_bytes=10_000, entries=4, limits=LIMITS)
    data, entered, release, calls = encoded(picture()), threading.Event(), threading.Event(), []
    real = images.decode

    def slow(data: bytes, limits: Limits | None = None) -> images.Pixels:
        calls.append(1)
        entered.set()
        assert release.wait(5)
        return real(data, limits)

    monkeypatch.setattr(images, "decode", slow)
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(cache.get, data)
        assert entered.wait(5)
        others = [pool.submit(cache.get, data) for _ in range(3)]
        while cache.stats()["hits"] < 3:
            threading.Event().wait(0.001)
        release.set()
        assert all(other.result(5) is first.result(5) for other in others)
    assert len(calls) == 1
