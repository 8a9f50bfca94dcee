"""What `OPERATION` asks for: one operation or a group, and how its images are meant."""

from __future__ import annotations

import json
from typing import Literal

from pixelis.errors import LimitExceeded
from pixelis.schema import Operation, OperationGroup, parse_as
from python_backends.visual_ops.canonical import OVER_TIME

MOST_BYTES = 2**22
"""Of `OPERATION`; a mask of a million runs fits into it as COCO's text."""


def parsed(given: bytes) -> Operation | OperationGroup:
    """What the JSON says: a group has `operations`.

    Raises:
        LimitExceeded: more than `MOST_BYTES`.
        InvalidRequest: no JSON, or neither of the two.
    """
    if len(given) > MOST_BYTES:
        raise LimitExceeded(
            f"The operation has {len(given)} bytes; at most {MOST_BYTES} are allowed.",
            mend="Send a mask's `counts` as COCO's text.",
        )
    try:
        is_group = "operations" in json.loads(given)
    except (ValueError, TypeError, RecursionError):  # said below, with what is wrong
        is_group = False
    if is_group:
        return parse_as(OperationGroup, given, "OPERATION")
    return parse_as(Operation, given, "OPERATION")


def media(asked: Operation | OperationGroup) -> Literal["images", "video"]:
    """How the images are meant: as frames of one video where one of the operations is about time."""
    operations = [asked] if isinstance(asked, Operation) else asked.operations
    return "video" if any(one.operation in OVER_TIME for one in operations) else "images"
