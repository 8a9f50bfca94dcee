"""How one sequence's tokens are drawn: its settings, its random numbers, and the ids that its penalty counts.

Random numbers are counter-based (Philox 4x64; Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011):
the key is the seed, the counter the index of the token in the sequence. So a token's numbers depend on nothing else:
not on the batch, not on a preemption, not on what this process has drawn before.
"""

from __future__ import annotations

import math
import secrets
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelis.schema import MAX_SEED, Sampling

_STEEPEST = 1e30
"""Largest factor on logits: a temperature that is next to nothing stays finite in fp32."""


class Plan:
    """Not greedy, or not with the logits as they are. For one thread at a time.

    Args:
        sampling: as it was asked for.
        prompt: ids of the prompt `[S]`.

    Attributes:
        scale: factor on the logits, 1 / temperature.
        top_k: likeliest tokens that may come; 0 = all.
        top_p: probability that the likeliest tokens that may come reach together.
        floor: lowest logarithm of a probability relative to the likeliest token's; `ln(min_p)`, or -inf.
        penalty: of ids that were there already; 1 = none.
        count: tokens that were taken.
    """

    def __init__(self, sampling: Sampling, prompt: NDArray[np.int64]) -> None:
        self.penalty = sampling.repetition_penalty
        self.top_k, self.top_p, self.count = sampling.top_k, sampling.top_p, 0
        self.floor = math.log(sampling.min_p) if sampling.min_p else -math.inf
        self._chance: _Chance | None = None
        if sampling.temperature > 0:
            self.scale = min(1.0 / max(sampling.temperature, 1.0 / _STEEPEST), _STEEPEST)
            self._chance = _Chance(secrets.randbelow(MAX_SEED + 1) if sampling.seed is None else sampling.seed)
        else:  # the likeliest token after the penalty: nothing below it may come, and no number is drawn
            self.scale, self.floor = 1.0, 0.0
        self._seen = set(prompt.tolist()) if self.penalty != 1.0 else set()
        self._ids = np.array(sorted(self._seen), np.int64)

    @classmethod
    def of(cls, sampling: Sampling, prompt: NDArray[np.int64]) -> Plan | None:
        """The plan of `sampling`; none where it takes the likeliest token of the logits as they are."""
        greedy = sampling.temperature == 0 and sampling.repetition_penalty == 1.0
        return None if greedy else cls(sampling, prompt)

    @property
    def seen(self) -> NDArray[np.int64]:
        """Each id once that the penalty is for: the prompt's and what was taken."""
        return self._ids

    def took(self, token: int) -> None:
        """`token` is the next of the sequence."""
        self.count += 1
        if self.penalty != 1.0 and token not in self._seen:
            self._seen.add(token)
            self._ids = np.append(self._ids, token)

    def chance(self, again: int = 0) -> float:
        """A number in [0, 1) for the next token; `again` 1: for its redraw. 0 where nothing is drawn."""
        return 0.0 if self._chance is None else self._chance(self.count, again)


class _Chance:
    """Numbers of one seed."""

    def __init__(self, seed: int) -> None:
        self._philox = np.random.Philox(key=seed)
        self._state: Any = self._philox.state

    def __call__(self, index: int, which: int) -> float:
        """The `which`-th of four numbers at `index`, uniform in [0, 1), with 53 bits."""
        # As `Philox(key=seed, counter=index)`, at a sixth of its time.
        self._state["state"]["counter"][0] = index
        self._philox.state = self._state
        return int(self._philox.random_raw(which + 1)[which] >> np.uint64(11)) * 2.0**-53
