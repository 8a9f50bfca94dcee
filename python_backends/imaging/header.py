"""What a picture file says about itself, and the file without what is no picture.

What metadata costs a decoder is not bounded by the size of the file: a directory may have 65 000 entries that all name
the same megabyte, a comment of 64 kilobytes may be 64 megabytes when decompressed, or come in a million pieces that are
put together one by one. So sizes and EXIF orientation are read here, and the decoder gets a file without metadata.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pixelis.errors import InvalidImage

Format = Literal["JPEG", "PNG", "WEBP", "GIF"]

ACCEPTED = "JPEG, PNG or WebP"


@dataclass(frozen=True)
class Header:
    """What is known of a picture before it is decoded.

    Attributes:
        format: of the file.
        width: pixels as stored, before it is turned upright; of an animation: of its canvas.
        height: likewise.
        data: the file without metadata.
        orientation: of EXIF, 1-8; 1 is upright.
        frames: how many an animation has; 1 = a still picture.
        bits: of a component, where it is a PNG's; 8 elsewhere.
        components: of a JPEG: 1 is grey, 3 are colours, 4 are inks; 0 elsewhere.
    """

    format: Format
    width: int
    height: int
    data: bytes
    orientation: int = 1
    frames: int = 1
    bits: int = 8
    components: int = 0

    @property
    def upright(self) -> tuple[int, int]:
        """(width, height) as it is to be seen."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


def no_picture() -> InvalidImage:
    """The bytes are something else, or end before they say how large the picture is."""
    return InvalidImage("The bytes are not a picture that can be read.", mend=f"Send {ACCEPTED}.")


def damaged(why: str) -> InvalidImage:
    """It begins like a picture and does not go on like one."""
    return InvalidImage(f"The image is damaged or cut short ({why}).", mend="Send the whole file.")
