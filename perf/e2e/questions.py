"""The questions of a benchmark: generated held-out scenes, the same for both sides."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from builder.nano.pictures import encoded, media
from builder.nano.questions import FAMILIES, Family, Question, ask
from pixelis.errors import InvalidRequest
from pixelis.schema import Options

FIRST_SEED = 900_000
"""Away from the seeds that `nano evaluate` and its thresholds were looked at with."""
TIMEOUT_S = 300.0
SCENES = 100_000
"""That one command, or one user, asks about at most."""


@dataclass(frozen=True)
class Asked:
    """One question with its picture or frames, ready to send.

    Attributes:
        question: with its right answer.
        images: encoded.
        options: of the request; the result cache is off.
    """

    question: Question
    images: tuple[bytes, ...]
    options: Options


def families(text: str) -> list[Family]:
    """A comma-separated list of families.

    Raises:
        InvalidRequest: one that is not known, or none.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in FAMILIES]
    if unknown or not names:
        found = ", ".join(unknown) or "nothing"
        raise InvalidRequest(f"--families names {found}.", mend=f"Known: {', '.join(FAMILIES)}.")
    return cast("list[Family]", names)


def unseen_seed() -> int:
    """A seed whose scenes nobody asked about before: servers keep what they cache over their restarts."""
    return FIRST_SEED + secrets.randbelow(10**9) * SCENES


class Supply:
    """Questions that were never asked before, so that no cache of any process knows them.

    Args:
        chosen: families, which come in turn.
        first: seed of the first scene.

    Attributes:
        families: how many they are.
    """

    def __init__(self, chosen: Sequence[Family], first: int = FIRST_SEED) -> None:
        self._chosen = chosen
        self.families = len(chosen)
        self._seeds = itertools.count(first)

    def __call__(self, scenes: int) -> list[Asked]:
        """A question of each family on `scenes` new scenes."""
        seeds = itertools.islice(self._seeds, scenes)
        return [_asked(ask(family, "held_out", seed)) for seed in seeds for family in self._chosen]


def _asked(question: Question) -> Asked:
    options = Options.model_validate({"use_cache": False, "timeout_s": TIMEOUT_S, **media(question)})
    return Asked(question, tuple(encoded(question)), options)
