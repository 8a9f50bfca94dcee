"""What the operations over frames have in common."""

from __future__ import annotations

from collections.abc import Sequence

from pixelis.errors import InvalidOperation
from python_backends.images import Pixels
from python_backends.visual_ops.arguments import Size


def same_size(frames: Sequence[Pixels], operation: str) -> Size:
    """(width, height) of every frame.

    Raises:
        InvalidOperation: they differ.
    """
    sizes = [(frame.shape[1], frame.shape[0]) for frame in frames]
    other = next((i for i, size in enumerate(sizes) if size != sizes[0]), None)
    if other is not None:
        raise InvalidOperation(
            f"Frame {other} is {sizes[other][0]}x{sizes[other][1]}, frame 0 is {sizes[0][0]}x{sizes[0][1]}.",
            mend=f"{operation} takes frames of one size.",
        )
    return sizes[0]


def listed(numbers: Sequence[int]) -> str:
    """Rising numbers as spans: `3-5, 9`."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)
