"""A video file as frames, by OpenCV."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixelis.errors import InvalidImage, SetupError

if TYPE_CHECKING:
    import cv2

SUFFIXES = frozenset({".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".ts", ".webm", ".wmv"})
"""Files that are videos."""
QUALITY = 92
UNKNOWN_FPS = 25.0
"""Frames a second of a file that does not say, or says nonsense."""
SEEK_FROM = 2000
"""Frames from which on it is quicker to jump than to decode all."""


@dataclass(frozen=True)
class Frames:
    """JPEG frames in order, and how many of them a second."""

    frames: list[bytes]
    fps: float


def decode(path: Path, most: int) -> Frames:
    """At most `most` frames of a video, spread evenly, the first among them.

    Raises:
        InvalidImage: a file that is not there or that holds no video that can be decoded.
        SetupError: OpenCV is not installed.
    """
    if not path.is_file():
        raise InvalidImage(f"{path} cannot be read: there is no such file.", mend="Give the path of a video.")
    capture = _open(path)
    try:
        reported = max(0, int(capture.get(_cv2().CAP_PROP_FRAME_COUNT)))
        count = reported if reported > SEEK_FROM else _count(capture, path)
        wanted = spread(count, most)
        capture = _rewound(capture, path)
        frames = [(i, _jpeg(frame)) for i, frame in _at(capture, wanted, seek=reported > SEEK_FROM)]
        source = float(capture.get(_cv2().CAP_PROP_FPS))
    finally:
        capture.release()
    if not frames:
        raise InvalidImage(f"{path} holds no frames that can be decoded.", mend="Is it a whole video file?")
    source = source if 0 < source <= 240 else UNKNOWN_FPS
    apart = (frames[-1][0] - frames[0][0]) / (len(frames) - 1) if len(frames) > 1 else 1.0
    return Frames([frame for _, frame in frames], round(source / apart, 4))


def spread(count: int, most: int) -> list[int]:
    """`most` of `count` indexes, evenly, first and last included; all where there are no more."""
    if count <= most:
        return list(range(count))
    return [round(i * (count - 1) / max(1, most - 1)) for i in range(most)]


def _cv2() -> Any:
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # its complaints come back as our errors
    try:
        import cv2
    except ImportError:
        raise SetupError(
            "OpenCV is not installed, which decodes videos.",
            mend="pip install 'pixelis-serving[embedded]', or name the frames as pictures.",
        ) from None
    return cv2


def _open(path: Path) -> cv2.VideoCapture:
    library = _cv2()
    library.setLogLevel(0)
    capture: cv2.VideoCapture = library.VideoCapture(str(path.absolute()))
    if not capture.isOpened():
        capture.release()
        raise InvalidImage(f"{path} is not a video that can be decoded.", mend="Is it a whole video file?")
    return capture


def _count(capture: cv2.VideoCapture, path: Path) -> int:
    """Frames that can really be decoded: what a file says of itself is often wrong."""
    count = 0
    while capture.grab():
        count += 1
    if not count:
        raise InvalidImage(f"{path} holds no frames that can be decoded.", mend="Is it a whole video file?")
    return count


def _rewound(capture: cv2.VideoCapture, path: Path) -> cv2.VideoCapture:
    """The capture at its first frame; opening again is exact, and seeking to 0 is not in every format."""
    capture.release()
    return _open(path)


def _at(capture: cv2.VideoCapture, wanted: Sequence[int], seek: bool) -> Iterator[tuple[int, Any]]:
    """The wanted frames, as far as they can be decoded."""
    place = -1
    for index in wanted:
        if seek:
            capture.set(_cv2().CAP_PROP_POS_FRAMES, index)
            place = index - 1
        while place < index:
            if not capture.grab():
                return
            place += 1
        found, frame = capture.retrieve()
        if found:
            yield index, frame


def _jpeg(frame: Any) -> bytes:
    library = _cv2()
    done, data = library.imencode(".jpg", frame, [library.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise InvalidImage("A frame of the video cannot be encoded.")
    return bytes(data)
