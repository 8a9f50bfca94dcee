"""SEGMENT_OBJECT_AT: the pixels of the object at a point.

A flat object (one colour, with a clear edge) is cut out by its colour; any other by features of the served image
encoder, and GrabCut.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pixelis.errors import InvalidOperation
from python_backends.images import Pixels
from python_backends.visual_ops import rle
from python_backends.visual_ops.arguments import Region, SegmentArguments, parse, point
from python_backends.visual_ops.effort import Effort
from python_backends.visual_ops.feature_region import find_by_features
from python_backends.visual_ops.features import Features
from python_backends.visual_ops.flat_region import find_flat_region
from python_backends.visual_ops.rle import Mask
from python_backends.visual_ops.shape import position_of

WHOLE = 0.97
"""Share of the image from which on a mask is no object."""


def segment_object_at(
    image: Pixels, arguments: dict[str, Any], features: Features, effort: Effort | None = None
) -> dict[str, Any]:
    """The object at a point.

    Args:
        image: `[height, width, 3]` RGB.
        arguments: `point`; `threshold` (0-1, 0.5 is neutral, a higher one keeps less).
        features: the image encoder; called only where the object is not flat.
        effort: how hard to look.

    Returns:
        `mask` (COCO RLE of the image's size), `bbox`, `area` in pixels, `centroid`, `confidence` (flat: share of the
        rim that is an edge; else how far the features inside differ from those outside), and `method`: `flat_region`,
        `features+grabcut`, or `features` where GrabCut found nothing to part.

    Raises:
        InvalidOperation: a point outside the image, a malformed argument, or an image that is all alike there.
        ServingError: the image encoder did not answer.
    """
    wanted = parse(SegmentArguments, arguments, "SEGMENT_OBJECT_AT")
    at = point(wanted.point, (image.shape[1], image.shape[0]), wanted.normalized)
    flat = find_flat_region(image, at, wanted.threshold)
    if flat is not None and _is_object(flat.mask, image):
        return _result(image, flat.mask, flat.window, flat.edge, "flat_region")
    found = find_by_features(image, at, wanted.threshold, features)
    if found is None or not _is_object(found.mask, image):
        raise InvalidOperation(
            f"Nothing stands out from the rest of the image at point ({at[0]:.15g}, {at[1]:.15g}).",
            mend="Choose a point on an object, or ZOOM_IN first.",
        )
    return _result(image, found.mask, found.window, found.confidence, found.method)


def _is_object(mask: Mask, image: Pixels) -> bool:
    """Whether `mask` is neither nothing nor everything."""
    return 0 < int(mask.sum()) <= WHOLE * image.shape[0] * image.shape[1]


def _result(image: Pixels, mask: Mask, window: Region, confidence: float, method: str) -> dict[str, Any]:
    whole = np.zeros(image.shape[:2], np.bool_)
    whole[window[1] : window[3], window[0] : window[2]] = mask
    place = position_of(mask, window[:2], (image.shape[1], image.shape[0]))
    return {
        "mask": rle.encode(whole),
        "bbox": place["bbox"],
        "area": int(mask.sum()),
        "centroid": place["centroid"],
        "confidence": round(confidence, 4),
        "method": method,
    }
