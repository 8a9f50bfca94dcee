"""What a user names on the command line: pictures, a folder of frames, or a video file, as encoded images.

A video is decoded here, on the user's machine: the server takes frames.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from clients import video, wire
from pixelis.errors import InvalidImage, InvalidRequest
from pixelis.settings import settings

Kind = Literal["images", "video"]

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp"})


@dataclass(frozen=True)
class Media:
    """Encoded images, what they are, and for a video at how many frames a second they are apart (none = not known)."""

    images: list[bytes]
    kind: Kind = "images"
    fps: float | None = None


def read(paths: Sequence[str], kind: Kind | None = None) -> Media:
    """The images that `paths` name: files (`-` is standard input), a folder, or one video.

    Of more frames than a request may carry, so many are taken, spread evenly.

    Args:
        paths: what was named.
        kind: what they are; default: a video for a video file or a folder, else images.

    Raises:
        InvalidImage: a file that cannot be read, or a folder without pictures.
        InvalidRequest: a video among other files.
    """
    most = settings().limits.frames
    videos = [path for path in paths if Path(path).suffix.lower() in video.SUFFIXES]
    if videos:
        if len(paths) > 1 or kind == "images":
            raise InvalidRequest(f"{videos[0]} is a video.", mend="Name it alone, and not as `images`.")
        clip = video.decode(Path(videos[0]), most)
        return Media(clip.frames, "video", clip.fps)
    folders = [path for path in paths if Path(path).is_dir()]
    if len(folders) == 1 and len(paths) == 1:
        kind = kind or "video"
        files = pictures_in(Path(folders[0]))
    else:
        files = list(paths)
    if kind == "video" and len(files) > most:
        files = [files[i] for i in video.spread(len(files), most)]
    images = [sys.stdin.buffer.read() if path == "-" else wire.encoded(path)[0] for path in files]
    return Media(images, kind or "images")


def pictures_in(folder: Path) -> list[str]:
    """The pictures in a folder; `frame2` comes before `frame10`.

    Raises:
        InvalidImage: there is none.
    """
    found = [path for path in folder.iterdir() if path.suffix.lower() in PICTURES]
    if not found:
        raise InvalidImage(f"{folder} holds no pictures.", mend=f"They end in {', '.join(sorted(PICTURES))}.")
    return [str(path) for path in sorted(found, key=lambda path: _natural(path.name))]


def _natural(name: str) -> list[tuple[bool, int, str]]:
    """A key under which numbers in names are compared as numbers."""
    parts = re.split(r"(\d+)", name.lower())
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]
