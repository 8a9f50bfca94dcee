"""Checkpoints of one server: another one than the default, or several that vote."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import fsum

from perf.compare.pairs import Asks
from perf.e2e.questions import Asked
from pixelis.errors import PixelisError
from pixelis.schema import PipelineResult
from python_backends.text import normalise

DEFAULT = "default"
"""The checkpoint that has no name."""


@dataclass(frozen=True)
class Jury:
    """Asks each of them at the same time; the answer of which all who gave it are surest together is the answer.

    Attributes:
        server: that has them.
        checkpoints: their names.
    """

    server: Asks
    checkpoints: tuple[str, ...]

    def ask(self, asked: Asked) -> PipelineResult:
        """The answer of the jury; raises `PixelisError` where none of them answered."""
        with ThreadPoolExecutor(len(self.checkpoints)) as pool:
            said = list(pool.map(lambda name: self._one(name, asked), self.checkpoints))
        found = [one for one in said if isinstance(one, PipelineResult)]
        if not found:
            raise next(one for one in said if isinstance(one, PixelisError))
        return elected(found)

    def _one(self, name: str, asked: Asked) -> PipelineResult | PixelisError:
        options = asked.options.model_copy(update={"model": None if name == DEFAULT else name})
        try:
            return self.server.ask(replace(asked, options=options))
        except PixelisError as error:
            return error


def elected(found: Sequence[PipelineResult]) -> PipelineResult:
    """The surest result of the answer whose confidences add up to most; of equals, the first one's."""
    answers = dict.fromkeys(normalise(one.answer) for one in found)
    weights = {text: fsum(one.confidence for one in found if normalise(one.answer) == text) for text in answers}
    winner = max(weights, key=lambda text: weights[text])
    return max((one for one in found if normalise(one.answer) == winner), key=lambda one: one.confidence)
