"""Text detection and recognition as the operations call them, wherever the models run."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import ServingError
from pixelis.json_text import loads, reason
from python_backends.engine import Engine, load_engine

LINE_HEIGHT = 48
MAX_LINES = 8
"""Lines of one call at most: the models' `max_batch_size`."""

Maps = NDArray[np.float32]
Lines = NDArray[np.uint8]


class Ocr(Protocol):
    """The two OCR models and the characters that class indexes stand for.

    Methods raise `ServingError` (or a class under it) when a model does not answer.
    """

    @property
    def characters(self) -> list[str]:
        """What each class index stands for; index 0 is the CTC blank."""

    def detect(self, image: NDArray[np.uint8]) -> Maps:
        """One picture `[H, W, 3]` RGB, sides multiples of 32 -> probability of text `[H, W]`."""

    def recognize(self, lines: Lines, widths: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Lines of letters -> class indexes and probabilities, column by column.

        Args:
            lines: `[n, 48, W, 3]` RGB, n <= `MAX_LINES`, padded on the right with anything.
            widths: `[n]` true width of each line.

        Returns:
            Indexes `[n, T]` and probabilities `[n, T]`.
        """


class EngineOcr:
    """Both models in this process.

    Args:
        detector: version folder of `ocr_detect`.
        recognizer: version folder of `ocr_recognize`, `characters.json` beside the graph.
        threads: threads of one run.
    """

    def __init__(self, detector: Path, recognizer: Path, threads: int = 1) -> None:
        self._detector: Engine = load_engine(detector, threads)
        self._recognizer: Engine = load_engine(recognizer, threads)
        self._characters = load_characters(recognizer)

    @property
    def characters(self) -> list[str]:
        """See `Ocr`."""
        return self._characters

    def detect(self, image: NDArray[np.uint8]) -> Maps:
        """See `Ocr`."""
        return np.asarray(self._detector.run({"IMAGE": image[None]})["MAP"][0], np.float32)

    def recognize(self, lines: Lines, widths: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """See `Ocr`."""
        found = self._recognizer.run({"LINE": lines, "WIDTH": widths[:, None].astype(np.int32)})
        return np.asarray(found["INDEX"], np.int32), np.asarray(found["PROBABILITY"], np.float32)


def load_characters(recognizer: Path) -> list[str]:
    """The character list beside a recogniser.

    Raises:
        ServingError: it is missing or not a list of texts.
    """
    path = recognizer / "characters.json"
    try:
        characters = loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ServingError(
            f"The recogniser has no readable {path.name}: {reason(error)}.", mend="Run `pixelis build`."
        ) from None
    if not isinstance(characters, list) or not all(isinstance(entry, str) for entry in characters):
        raise ServingError(f"{path.name} is not a list of texts.", mend="Run `pixelis build`.")
    return characters
