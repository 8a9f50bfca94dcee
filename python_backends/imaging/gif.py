"""GIF: size and frames, and the file without its comments and application data. Taken as frames of a video only."""

from __future__ import annotations

from python_backends.imaging.header import Header, damaged, no_picture

PIECES = 262_144
"""A file has at most so many pieces of up to 255 bytes; 20 MiB are 82 242 full ones."""

_EXTENSION, _PICTURE, _END = 0x21, 0x2C, 0x3B
_CONTROL = 0xF9


class _Reader:
    """Walks over the blocks of a file."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at, self.pieces = data, 0, 0

    def skip(self, count: int) -> bytes:
        """The next `count` bytes."""
        self.at += count
        if self.at > len(self.data):
            raise damaged("it ends within a block")
        return self.data[self.at - count : self.at]

    def palette(self, flags: int) -> None:
        """Over a palette, where there is one."""
        if flags & 0x80:
            self.skip(3 << (flags & 7) + 1)

    def run(self) -> None:
        """Over pieces of data up to the empty one."""
        while length := self.skip(1)[0]:
            self.skip(length)
            self.pieces += 1
            if self.pieces > PIECES:
                raise damaged(f"more than {PIECES} pieces")


def read(data: bytes) -> Header:
    """The header of a GIF; its canvas takes in every frame.

    Raises:
        InvalidImage: it ends before its end mark, has no frame, or more pieces than a picture needs.
    """
    if len(data) < 13:
        raise no_picture()
    reader = _Reader(data)
    head = reader.skip(13)
    width, height = (int.from_bytes(head[i : i + 2], "little") for i in (6, 8))
    reader.palette(head[10])
    kept, frames = [data[: reader.at]], 0
    while True:
        begin, kind, label = reader.at, reader.skip(1)[0], 0
        if kind == _END:
            kept.append(b";")
            break
        if kind == _EXTENSION:
            label = reader.skip(1)[0]
        elif kind == _PICTURE:
            place = reader.skip(9)
            left, top, wide, high = (int.from_bytes(place[i : i + 2], "little") for i in (0, 2, 4, 6))
            width, height, frames = max(width, left + wide), max(height, top + high), frames + 1
            reader.palette(place[8])
            reader.skip(1)
        else:
            raise damaged("an unknown block")
        reader.run()
        if kind == _PICTURE or label == _CONTROL:
            kept.append(data[begin : reader.at])
    if not (frames and width and height):
        raise no_picture()
    return Header("GIF", width, height, b"".join(kept), frames=frames)
