"""Videos and folders as encoded frames."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from clients import media, video
from pixelis.errors import InvalidImage, InvalidRequest


def write_video(path: Path, count: int, fps: float = 20.0) -> Path:
    """Frames whose brightness says which they are: 2 grey values a frame."""
    codec = cv2.VideoWriter_fourcc(*("MJPG" if path.suffix == ".avi" else "mp4v"))  # type: ignore[attr-defined]
    writer = cv2.VideoWriter(str(path), codec, fps, (64, 48))
    for i in range(count):
        writer.write(np.full((48, 64, 3), 20 + 2 * i, np.uint8))
    writer.release()
    return path


def brightness(frame: bytes) -> float:
    return float(np.array(Image.open(io.BytesIO(frame))).mean())


def numbers(frames: list[bytes]) -> list[int]:
    return [round((brightness(frame) - 20) / 2) for frame in frames]


@pytest.mark.parametrize("name", ["a.avi", "a.mp4"])
def test_a_video_is_decoded_evenly(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name, 41)
    few = video.decode(path, 5)
    assert numbers(few.frames) == pytest.approx([0, 10, 20, 30, 40], abs=2)
    assert few.fps == pytest.approx(2.0)
    whole = video.decode(path, 64)
    assert len(whole.frames) == 41
    assert whole.fps == pytest.approx(20.0)
    assert all(frame.startswith(b"\xff\xd8") for frame in few.frames)
    one = video.decode(path, 1)
    assert len(one.frames) == 1
    assert one.fps == pytest.approx(20.0)


def test_a_long_video_is_jumped_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "SEEK_FROM", 10)
    found = video.decode(write_video(tmp_path / "a.avi", 41), 5)
    assert numbers(found.frames) == pytest.approx([0, 10, 20, 30, 40], abs=1)


def test_a_video_that_is_cut_short(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", 41)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found = video.decode(path, 64)
    assert 1 <= len(found.frames) < 41


@pytest.mark.parametrize("content", [None, b"", b"no video at all", b"\x00\x00\x00\x18ftypmp42" + b"\x00" * 500])
def test_what_is_no_video_is_an_error_that_names_it(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidImage, match=r"a\.mp4"):
        media.read([str(path)])


def test_what_is_named_says_what_it_is(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", 8, fps=4)
    read = media.read([str(path)])
    assert (read.kind, len(read.images), read.fps) == ("video", 8, pytest.approx(4))
    for words, kind in (([str(path), str(path)], None), ([str(path)], "images")):
        with pytest.raises(InvalidRequest, match="is a video"):
            media.read(words, kind)  # type: ignore[arg-type]


def test_a_folder_is_a_video_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    for i in (10, 2, 1):
        Image.new("RGB", (8, 8), (i * 20,) * 3).save(tmp_path / f"frame{i}.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    read = media.read([str(tmp_path)])
    assert [round(brightness(image) / 20) for image in read.images] == [1, 2, 10]
    assert (read.kind, read.fps) == ("video", None)
    Image.new("RGB", (8, 8)).save(tmp_path / "\N{SUPERSCRIPT TWO}3.png")  # begins with a digit that is no number
    assert len(media.read([str(tmp_path)]).images) == 4
    files = [str(tmp_path / f"frame{i}.png") for i in (1, 2)]
    assert media.read(files).kind == "images"
    assert media.read(files, "video").kind == "video"
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InvalidImage, match="holds no pictures"):
        media.read([str(empty)])


def test_more_frames_than_a_request_may_carry(tmp_path: Path) -> None:
    for i in range(70):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{i}.png")
    files = media.pictures_in(tmp_path)
    assert len(media.read([str(tmp_path)]).images) == 64
    assert len(media.read(files, "video").images) == 64
    assert len(media.read(files, "images").images) == 70  # the server says that it is too many
    assert video.spread(70, 64)[0] == 0
    assert video.spread(70, 64)[-1] == 69
