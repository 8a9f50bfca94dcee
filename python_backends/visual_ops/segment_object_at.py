"""SEGMENT_OBJECT_AT: the pixels of the object at a point.

A flat object is cut out by its colour, any other by features of the served image encoder, and GrabCut. What looks most
like an object is taken; the encoder is not asked where colours leave no doubt. A segmenter of the SAM kind answers
instead of all that where one is configured (`pixelis build --segmenter`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pixelis.errors import InvalidOperation
from python_backends.images import Pixels
from python_backends.visual_ops import rle
from python_backends.visual_ops.arguments import Region, SegmentArguments, parse, point
from python_backends.visual_ops.effort import Effort
from python_backends.visual_ops.feature_region import SHARES, find_by_features
from python_backends.visual_ops.features import Features
from python_backends.visual_ops.flat_region import SURE, find_flat_region
from python_backends.visual_ops.region_score import Cut
from python_backends.visual_ops.segmenter import Segmenter, segment
from python_backends.visual_ops.shape import position_of
from python_backends.visual_ops.views import Memory, Views

WHOLE = 0.97
"""Share of the image from which on a mask is no object."""
FIRST = 2
"""Views of the encoder's first look, where it may take several."""


def segment_object_at(
    image: Pixels,
    arguments: dict[str, Any],
    features: Features,
    effort: Effort | None = None,
    memory: Memory | None = None,
    segmenter: Segmenter | None = None,
) -> dict[str, Any]:
    """The object at a point.

    Args:
        image: `[height, width, 3]` RGB.
        arguments: `point`; `threshold` (0-1, 0.5 is neutral, a higher one keeps less).
        features: the image encoder; not called where the object is flat for certain.
        effort: how hard to look.
        memory: features of views, and embeddings, of this image or others that were looked at before.
        segmenter: answers instead of all else, where one is configured. Where it does not answer nothing else does.

    Returns:
        `mask` (COCO RLE of the image's size), `bbox`, `area` in pixels, `centroid`, `confidence` (an estimate of the
        mask's intersection over union with the object), and `method`: `segmenter`, `flat_region`, `features+grabcut`,
        or `features` where GrabCut found nothing to part.

    Raises:
        InvalidOperation: a point outside the image, a malformed argument, or an image that is all alike there.
        ServingError: the image encoder, or the segmenter, did not answer.
    """
    wanted = parse(SegmentArguments, arguments, "SEGMENT_OBJECT_AT")
    at = point(wanted.point, (image.shape[1], image.shape[0]), wanted.normalized)
    if segmenter is not None:
        cut = segment(image, at, wanted.threshold, segmenter, memory)
        if not _is_object(cut, image):
            raise _nothing(at)
        return _result(image, cut)
    effort = effort or Effort()
    search = Search(image, at, wanted.threshold, Views(image, features, memory), effort)
    found: Cut | None = None
    for step in effort.steps():
        found = search.look(step)
        if found is not None and effort.enough(found.score):
            break
    if found is None:
        raise _nothing(at)
    return _result(image, found)


def _nothing(at: tuple[float, float]) -> InvalidOperation:
    return InvalidOperation(
        f"Nothing stands out from the rest of the image at point ({at[0]:.15g}, {at[1]:.15g}).",
        mend="Choose a point on an object, or ZOOM_IN first.",
    )


@dataclass(frozen=True)
class Search:
    """Looks for the object at a point: cheap ways first.

    Attributes:
        image: `[height, width, 3]` RGB.
        at: the point in pixels.
        threshold: 0-1.
        views: what the encoder sees.
        effort: when what was found is enough.
        known: what features found, by window.
    """

    image: Pixels
    at: tuple[float, float]
    threshold: float
    views: Views
    effort: Effort
    known: dict[Region, Cut] = field(default_factory=dict)

    def look(self, resolution: float) -> Cut | None:
        """The best region at a resolution, whatever finds it; the encoder is asked where colours leave a doubt."""
        flat = find_flat_region(self.image, self.at, self.threshold, resolution)
        best = flat if flat is not None and _is_object(flat, self.image) else None
        if best is not None and best.score >= SURE:
            return best
        if best is not None and self.effort.enough(best.score) and self.effort.skip("image encoder"):
            return best
        if self.effort.ladder.stop_early:
            best = self._better(best, self._by_features(SHARES[:FIRST]))
            if best is not None and self.effort.enough(best.score) and self.effort.skip(f"{len(SHARES) - FIRST} views"):
                return best
        return self._better(best, self._by_features(SHARES))

    def _by_features(self, shares: Sequence[float]) -> Cut | None:
        return find_by_features(self.image, self.at, self.threshold, self.views, shares, self.known)

    def _better(self, one: Cut | None, other: Cut | None) -> Cut | None:
        if other is None or not _is_object(other, self.image):
            return one
        return other if one is None or other.score > one.score else one


def _is_object(cut: Cut, image: Pixels) -> bool:
    """Whether a region is neither nothing nor everything."""
    return 0 < int(cut.mask.sum()) <= WHOLE * image.shape[0] * image.shape[1]


def _result(image: Pixels, cut: Cut) -> dict[str, Any]:
    whole = np.zeros(image.shape[:2], np.bool_)
    x1, y1, x2, y2 = cut.window
    whole[y1:y2, x1:x2] = cut.mask
    place = position_of(cut.mask, cut.window[:2], (image.shape[1], image.shape[0]))
    return {
        "mask": rle.encode(whole),
        "bbox": place["bbox"],
        "area": int(cut.mask.sum()),
        "centroid": place["centroid"],
        "confidence": round(cut.score, 4),
        "method": cut.method,
    }
