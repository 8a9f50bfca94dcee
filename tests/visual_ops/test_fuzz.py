"""The cases of `pixelis bench fuzz` without a server: every one has a result or is refused by a typed error."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from perf.fuzz.case import Case, case
from pixelis.errors import RequestError
from pixelis.schema import Operation
from pixelis.settings import Limits
from python_backends.images import DecodedImages
from python_backends.pipeline.encoded import unwrap
from python_backends.visual_ops.asked import media, parsed
from python_backends.visual_ops.pictures import Pictures
from python_backends.visual_ops.planner import Planner

LIMITS = Limits()


class BlankOcr:
    """Text models that see nothing."""

    characters = ["", "a"]  # noqa: RUF012

    def detect(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.zeros(image.shape[:2], np.float32)

    def recognize(
        self, lines: NDArray[np.uint8], widths: NDArray[np.int32]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        return np.ones((len(lines), 9), np.int32), np.full((len(lines), 9), 0.9, np.float32)


def flat_features(views: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.full((len(views), 14, 14, 8), 8**-0.5, np.float32)


def answered(one: Case, planner: Planner, decoded: DecodedImages) -> str:
    """`result`, `error in the result`, or the class of the refusal."""
    try:
        asked = parsed(one.text)
        pictures = Pictures(unwrap(one.images, LIMITS, media(asked)), decoded, LIMITS)
        if isinstance(asked, Operation):
            results = [planner.one(pictures, asked)]
        else:
            results = planner.group(pictures, asked, time.time() + 60).results
    except RequestError as error:
        return type(error).__name__ if len(str(error)) < 1000 else "too much said"
    for result in results:
        result.model_dump_json().encode()
        assert not (result.error and result.result), one.about
        assert len(result.error or "") < 6000
    return "error in the result" if any(result.error for result in results) else "result"


def test_no_case_fails() -> None:
    decoded = DecodedImages(limits=LIMITS)
    planner = Planner(BlankOcr(), flat_features)
    found = Counter(
        answered(one, planner, decoded)
        for one in (case(3, number) for number in range(250))
        if one.model == "visual_ops"
    )
    assert set(found) == {"result", "error in the result", "InvalidImage", "InvalidRequest", "LimitExceeded"}
    assert found["result"] > 40
