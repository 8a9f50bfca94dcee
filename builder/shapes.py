"""Shapes that an engine is built for: smallest, usual and largest of every input, one set for each bucket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from builder.model_spec import ModelSpec

Shapes = dict[str, tuple[int, ...]]
"""Input -> its shape, batch axis first where there is one."""


@dataclass(frozen=True)
class Profile:
    """What one set of kernels takes.

    Attributes:
        bucket: what it is for, for instance `64`; `batch` where nothing but the batch varies.
    """

    bucket: str
    minimum: Shapes
    usual: Shapes
    maximum: Shapes

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            name: {tensor: list(shape) for tensor, shape in shapes.items()}
            for name, shapes in (("min", self.minimum), ("opt", self.usual), ("max", self.maximum))
        } | {"bucket": self.bucket}


def profiles(spec: ModelSpec) -> tuple[Profile, ...]:
    """One profile for each bucket of `spec`, from one row to a full batch, half a batch being usual.

    A single axis that varies has the bucket's size, as callers pad it. Of two (height and width of a page) each goes up
    to it: a request belongs to the bucket of its longest side.
    """
    steps = max((len(sizes) for sizes in spec.buckets.values()), default=0)
    if not steps:
        return (_profile(spec, "batch", {}, {}),)
    found = []
    for step in range(steps):
        size = {name: sizes[min(step, len(sizes) - 1)] for name, sizes in spec.buckets.items()}
        smallest = {name: sizes[0] for name, sizes in spec.buckets.items()}
        found.append(_profile(spec, "-".join(str(s) for s in dict.fromkeys(size.values())), size, smallest))
    return tuple(found)


def _profile(spec: ModelSpec, bucket: str, size: dict[str, int], smallest: dict[str, int]) -> Profile:
    batch = max(spec.max_batch_size, 1)

    def shapes(rows: int, sizes: dict[str, int], most: bool = False) -> Shapes:
        batched = (rows,) if spec.max_batch_size else ()
        return {t.name: (*batched, *spec.shape(t, sizes.get(t.name, 1), most=most)) for t in spec.inputs}

    least = {t.name: size.get(t.name, 1) if t.dims.count(-1) == 1 else smallest.get(t.name, 1) for t in spec.inputs}
    return Profile(bucket, shapes(1, least), shapes(max(batch // 2, 1), size), shapes(batch, size, most=True))
