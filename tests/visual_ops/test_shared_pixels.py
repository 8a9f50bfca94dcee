"""Decoded pictures that several processes share."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pixelis.loading import MARK
from pixelis.settings import settings
from python_backends import images
from python_backends.images import DecodedImages, digest
from python_backends.imaging import shared
from python_backends.imaging.rgb import Pixels
from python_backends.imaging.shared import SharedPixels

_ROOM = SharedPixels._room


@pytest.fixture(autouse=True)
def _roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    """However full the disk is that tests write to."""
    monkeypatch.setattr(SharedPixels, "_room", lambda self, size: True)
    monkeypatch.setattr(shared, "LEAST", 1)


def picture(seed: int = 0, side: int = 32) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (side, side + 1, 3), dtype=np.uint8)


def encoded(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture(seed)).save(buffer, "PNG")
    return buffer.getvalue()


def test_what_one_leaves_another_finds(tmp_path: Path) -> None:
    one, other = (SharedPixels(tmp_path, "server-", 10_000) for _ in range(2))
    assert other.find("a") is None
    left = one.put("a", picture())
    found = other.find("a")
    assert found is not None
    np.testing.assert_array_equal(found, picture())
    np.testing.assert_array_equal(left, picture())
    assert not found.flags.writeable
    assert not left.flags.owndata  # the very pages of shared memory
    assert SharedPixels(tmp_path, "another-", 10_000).find("a") is None


def test_the_oldest_goes_and_stays_with_who_looks_at_it(tmp_path: Path) -> None:
    one = SharedPixels(tmp_path, "server-", 7_000)  # two of 3168 bytes and their heads
    first = one.put("a", picture(0))
    for seed, key in enumerate("bc", 1):
        one.put(key, picture(seed))
    assert one.find("a") is None
    assert one.find("b") is not None
    np.testing.assert_array_equal(first, picture(0))
    large = picture(side=64)
    assert one.put("d", large) is large


def test_what_is_no_picture_is_not_taken(tmp_path: Path) -> None:
    one = SharedPixels(tmp_path, "server-", 10_000)
    one.put("a", picture())
    path = tmp_path / "server-pixels-a"
    whole = path.read_bytes()
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    for wrong in (b"", whole[:8], whole[:-1], whole + b"0", b"XXXX" + whole[4:]):
        path.write_bytes(wrong)
        assert one.find("a") is None


def test_a_process_that_begins_removes_what_was_left(tmp_path: Path) -> None:
    SharedPixels(tmp_path, "server-", 10_000).put("a", picture())
    (tmp_path / "other-pixels-a").touch()
    SharedPixels(tmp_path, "server-", 10_000)
    assert [path.name for path in tmp_path.iterdir()] == ["other-pixels-a"]


def test_half_of_shared_memory_stays_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SharedPixels, "_room", _ROOM)
    one, found, pixels = SharedPixels(tmp_path, "server-", 10_000), os.statvfs(tmp_path), picture()
    for free, left in ((found.f_blocks // 2, 0), (found.f_blocks, 1)):
        said = os.statvfs_result((*found[:4], free, *found[5:]))
        with monkeypatch.context() as patch:
            patch.setattr(shared.os, "statvfs", lambda folder, said=said: said)
            one.put("a", pixels)
        assert len(list(tmp_path.iterdir())) == left


def test_small_ones_stay_at_home_and_many_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = SharedPixels(tmp_path, "server-", 100_000)
    monkeypatch.setattr(shared, "MOST_MAPPED", 2)
    held = [one.put(name, picture(seed)) for seed, name in enumerate("abc")]
    assert [pixels.flags.owndata for pixels in held] == [False, False, True]
    np.testing.assert_array_equal(held[2], picture(2))
    del held[0]
    assert not one.put("d", picture(3)).flags.owndata
    monkeypatch.setattr(shared, "LEAST", 10**6)
    pixels = picture(4)
    assert one.put("e", pixels) is pixels


def test_a_folder_that_takes_nothing_costs_nothing_but_time(tmp_path: Path) -> None:
    one = SharedPixels(tmp_path / "gone", "server-", 10_000)
    pixels = picture()
    assert one.put("a", pixels) is pixels


def test_each_is_decoded_once_in_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bytes] = []
    plain = images.decode
    monkeypatch.setattr(images, "decode", lambda data, limits: decoded.append(data) or plain(data, limits))
    one, other = (DecodedImages(shared=SharedPixels(tmp_path, "server-", 10_000)) for _ in range(2))
    np.testing.assert_array_equal(one.get(encoded(1)), other.get(encoded(1)))
    assert len(decoded) == 1
    assert {path.name for path in tmp_path.iterdir()} == {f"server-pixels-{digest(encoded(1))}"}


@pytest.fixture
def marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(shared, "SHM", tmp_path)
    monkeypatch.setenv(MARK, "pixelis-8000-ab-")
    SharedPixels.of_server.cache_clear()
    yield tmp_path
    SharedPixels.of_server.cache_clear()
    settings.cache_clear()


def test_processes_of_a_server_share_and_others_do_not(marked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    DecodedImages().get(encoded(2))
    assert [path.name[:24] for path in marked.iterdir()] == ["pixelis-8000-ab-pixels-" + digest(encoded(2))[:1]]
    SharedPixels.of_server.cache_clear()
    monkeypatch.delenv(MARK)
    assert SharedPixels.of_server() is None


def test_it_can_be_switched_off(marked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIXELIS_CACHE__SHARED_BYTES", "0")
    settings.cache_clear()
    DecodedImages().get(encoded(2))
    assert not list(marked.iterdir())
