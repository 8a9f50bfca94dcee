"""Pictures of every kind: right or refused; bombs; files that are cut."""

from __future__ import annotations

import resource
import struct
import time
import zlib
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from PIL import Image, ImageCms

from perf.fuzz.bombs import BOMBS, small
from perf.fuzz.files import chunk, directory, png, segment
from perf.fuzz.pictures import MOVING, REFUSED, STILL, encoded, scene, ycck
from pixelis.errors import InvalidImage, LimitExceeded, RequestError
from pixelis.settings import Limits
from python_backends.images import decode, size_of
from python_backends.imaging import load
from python_backends.imaging.animation import split
from python_backends.imaging.exif import orientation
from python_backends.imaging.jpeg import SCANS
from python_backends.imaging.load import still
from python_backends.imaging.read import header

LIMITS = Limits()
FIRST = {kind: make(Random(4)) for kind, make in (STILL | MOVING).items()}


@pytest.mark.parametrize("kind", STILL)
def test_every_kind_of_picture_is_taken(kind: str) -> None:
    for seed in range(6):
        data = STILL[kind](Random(seed))
        pixels = decode(data, LIMITS)
        assert pixels.dtype == np.uint8
        assert pixels.flags.c_contiguous
        assert (pixels.shape[1], pixels.shape[0]) == size_of(data, LIMITS)


@pytest.mark.parametrize("kind", REFUSED | MOVING)
def test_other_kinds_are_refused_as_pictures(kind: str) -> None:
    for seed in range(6):
        with pytest.raises(InvalidImage) as caught:
            decode((REFUSED | MOVING)[kind](Random(seed)), LIMITS)
        assert caught.value.mend


@pytest.mark.parametrize("colour", [0, 2, 4, 6])
def test_sixteen_bits_become_eight_in_equal_steps(colour: int) -> None:
    values = np.array([0, 1, 127, 129, 255, 256, 257, 32_767, 32_768, 65_279, 65_280, 65_534, 65_535])
    stored = np.repeat(values[:, None], {0: 1, 2: 3, 4: 2, 6: 4}[colour], axis=1).astype(">u2")
    if colour >= 4:
        stored[:, -1] = 65_535
    pixels = decode(png(len(values), 1, b"\0" + stored.tobytes(), depth=16, colour=colour), LIMITS)
    assert pixels[0, :, 0].tolist() == (values >> 8).tolist()
    assert np.abs(pixels[0, :, 0] - values / 257).max() <= 1


@pytest.mark.parametrize(("colour", "clear"), [(0, b"\x12\x34"), (2, b"\x12\x34" * 3)])
def test_a_clear_colour_of_sixteen_bits_lies_on_white(colour: int, clear: bytes) -> None:
    stored = np.repeat(np.array([0x1234, 0x4412]), len(clear) // 2).astype(">u2")
    made = png(2, 1, b"\0" + stored.tobytes(), depth=16, colour=colour, more=chunk(b"tRNS", clear))
    assert decode(made, LIMITS)[0].tolist() == [[255] * 3, [0x44] * 3]


def test_ycck_has_the_colours_that_were_meant() -> None:
    meant = np.asarray(scene(Random(4))).astype(int)
    assert np.abs(decode(ycck(Random(4)), LIMITS).astype(int) - meant).mean() < 8


def test_a_large_picture_is_the_same_strip_by_strip(monkeypatch: pytest.MonkeyPatch) -> None:
    made = encoded(scene(Random(4), "RGBA"), "PNG")
    whole = decode(made, LIMITS)
    monkeypatch.setattr("python_backends.imaging.rgb.STRIP", 1000)
    np.testing.assert_array_equal(decode(made, LIMITS), whole)


@pytest.mark.parametrize("kind", FIRST)
def test_a_file_that_is_cut_is_whole_or_refused(kind: str) -> None:
    whole = FIRST[kind]
    frames = [decode(frame, LIMITS) for frame in split(whole, LIMITS)]
    refused = 0
    for part in range(16):
        try:
            found = [decode(frame, LIMITS) for frame in split(whole[: len(whole) * part // 16], LIMITS)]
        except RequestError:
            refused += 1
            continue
        assert all(np.array_equal(a, b) for a, b in zip(found, frames, strict=True))  # only its end mark was cut
    assert refused >= 11


@pytest.mark.parametrize("kind", BOMBS)
@pytest.mark.parametrize("seed", range(6))
def test_a_bomb_costs_little(kind: str, seed: int) -> None:
    data = BOMBS[kind](Random(seed))
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    for take in (decode, split):
        try:
            taken = take(data, LIMITS)
        except RequestError:
            continue
        assert len(taken) in (1, 16)  # the small picture that it also is
    assert time.process_time() - started < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


def test_a_picture_of_many_scans_is_taken_up_to_a_bound() -> None:
    data = encoded(Image.new("L", (16, 16)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    present = data.count(b"\xff\xda")
    assert decode(data[:last] + data[last:-2] * (SCANS - present + 1) + b"\xff\xd9", LIMITS).shape == (16, 16, 3)
    with pytest.raises(InvalidImage, match="more than 64 scans"):
        decode(data[:last] + data[last:-2] * (SCANS - present + 2) + b"\xff\xd9", LIMITS)


@pytest.mark.parametrize(
    ("block", "turn"),
    [
        (directory([(0x0112, 3, 1, 6)]), 6),
        (directory([(0x0112, 3, 1, 6 << 16)], order=">"), 6),
        (directory([(0x0100, 4, 1, 9), (0x0112, 4, 1, 8)]), 8),
        (b"Exif\0\0" + directory([(0x0112, 1, 1, 3)]), 3),
        (directory([(0x0112, 2, 1, 6)]), 1),
        (directory([(0x0112, 5, 1, 8)]), 1),
        (directory([(0x0112, 3, 2, 6)]), 1),
        (directory([(0x0112, 3, 1, 9)]), 1),
        (directory([(0x0112, 77, 1, 6)]), 1),
        (directory([(0x8769, 4, 1, 8)], after=8), 1),
        (directory([(tag, 3, 1, 0) for tag in range(0x1000, 0x1000 + 600)] + [(0x0112, 3, 1, 6)]), 1),
        (b"II*\0" + struct.pack("<I", 2**32 - 1), 1),
        (b"II*\0", 1),
        (b"", 1),
    ],
)
def test_the_orientation_of_exif(block: bytes, turn: int) -> None:
    assert orientation(block) == turn


def test_megabytes_of_metadata_change_nothing() -> None:
    jpeg, grey = small("JPEG"), decode(small("JPEG"), LIMITS)
    turn = segment(0xE1, b"Exif\0\0" + directory([(0x0112, 3, 1, 3)]))
    for kind in (0xE1, 0xE2, 0xED, 0xFE):
        more = segment(kind, b"\0" * 65_000) * 160
        np.testing.assert_array_equal(decode(jpeg[:2] + turn + more + jpeg[2:], LIMITS), grey[::-1, ::-1])
    colours = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert decode(small("PNG", icc_profile=colours), LIMITS).shape == (16, 16, 3)
    two = encoded(scene(Random(4)), "MPO", save_all=True, append_images=[scene(Random(5))])
    np.testing.assert_array_equal(decode(two, LIMITS), decode(encoded(scene(Random(4)), "JPEG"), LIMITS))


def test_animations_are_split_as_they_are_seen() -> None:
    def disc(i: int) -> Image.Image:
        image = Image.new("RGBA", (60, 40), (0, 0, 0, 0))
        image.paste((255, 0, 0, 255), (10 * i, 5, 10 * i + 10, 20))
        return image

    more = {"save_all": True, "append_images": [disc(i) for i in range(1, 4)]}
    ways = [("WEBP", {"lossless": True}), ("PNG", {"disposal": 1}), ("GIF", {"disposal": 2}), ("GIF", {"disposal": 1})]
    for kind, options in ways:
        data = encoded(disc(0), kind, **more, **options)
        seen = [(decode(frame, LIMITS)[10] == [255, 0, 0]).all(axis=1) for frame in split(data, LIMITS)]
        left = 0 if options.get("disposal") == 1 and kind == "GIF" else 10
        assert [np.flatnonzero(row).tolist() for row in seen] == [list(range(i * left, 10 * i + 10)) for i in range(4)]


def test_the_picture_beside_an_animation_is_no_frame() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    data = encoded(frames[0], "PNG", save_all=True, append_images=frames[1:], default_image=True)
    assert [decode(frame, LIMITS)[0, 0].tolist() for frame in split(data, LIMITS)] == [[0, 128, 0], [0, 0, 255]]


def test_a_still_picture_is_left_alone_and_a_gif_becomes_one_frame() -> None:
    made = small("JPEG")
    assert split(made, LIMITS) == [made]
    (frame,) = split(small("GIF"), LIMITS)
    assert decode(frame, LIMITS).shape == (16, 16, 3)


@pytest.mark.parametrize("kind", MOVING)
def test_limits_of_an_animation(kind: str) -> None:
    data = FIRST[kind]
    frames = split(data, LIMITS)
    width, height = size_of(data, LIMITS)
    whole = width * height * len(frames)
    assert split(data, Limits(frames=len(frames), image_pixels=whole)) == frames
    with pytest.raises(LimitExceeded, match=f"{len(frames)} frames; at most {len(frames) - 1} are allowed"):
        split(data, Limits(frames=len(frames) - 1))
    with pytest.raises(LimitExceeded, match=f"{whole} pixels in all"):
        split(data, Limits(image_pixels=whole - 1))
    with pytest.raises(LimitExceeded, match="pixels; at most"):
        split(data, Limits(image_pixels=width * height - 1))
    with pytest.raises(LimitExceeded, match="bytes as a PNG"):
        split(encoded(_noise(), "GIF"), Limits(image_bytes=50_000))


def _noise() -> Image.Image:
    """Two colours: small as a GIF, three times as large as a PNG of RGB."""
    colours = np.random.default_rng(0).integers(0, 2, (400, 400), np.uint8)
    image = Image.fromarray(colours, "P")
    image.putpalette([10, 200, 30, 90, 7, 210])
    return image


def test_png_parts_that_are_no_picture() -> None:
    for data in (small("PNG")[:30], png(0, 5, b""), png(5, 0, b""), b"\x89PNG\r\n\x1a\n" + chunk(b"IDAT", b"") * 9):
        with pytest.raises(InvalidImage, match="not a picture"):
            decode(data, LIMITS)
    good = small("PNG")
    assert decode(good[:33] + chunk(b"prIv", zlib.compress(b"x")) + good[33:] + b"more", LIMITS).shape == (16, 16, 3)


JPEGS = ["jpeg", "jpeg progressive", "jpeg grey", "jpeg turned"]


@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_without_a_flaw_is_decoded_to_the_pixels_that_pillow_sees(kind: str) -> None:
    for seed in range(12):
        known = header(STILL[kind](Random(seed)), LIMITS)
        found = load._straight(known)
        assert found is not None
        np.testing.assert_array_equal(found, still(replace(known, components=0)))


def test_what_is_flawed_is_left_to_pillow() -> None:
    known = header(STILL["jpeg"](Random(3)), LIMITS)
    assert load._straight(replace(known, data=known.data[:-40])) is None
    with pytest.raises(InvalidImage, match="truncated"):
        still(replace(known, data=known.data[:-40]))
    assert header(STILL["jpeg cmyk"](Random(3)), LIMITS).components == 4
