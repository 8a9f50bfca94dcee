"""Fit what makes a probability of the policy's log-probabilities, on held-out questions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import BuildError
from python_backends.policy.profile import Calibration

Doubles = NDArray[np.float64]

LEAST = 100
"""Fewest episodes to fit on."""


@dataclass(frozen=True)
class Judged:
    """One answered question: the log-probabilities of answer and least likely call, and whether it was right."""

    answer_logprob: float
    call_logprob: float
    right: bool


def fit(judged: list[Judged]) -> Calibration:
    """Logistic regression with weights that are not negative and Platt's smoothed targets (Platt, 1999).

    Raises:
        BuildError: fewer than `LEAST` episodes.
    """
    from scipy.optimize import minimize

    if len(judged) < LEAST:
        raise BuildError(f"{len(judged)} episodes are too few to calibrate on.", mend=f"Play at least {LEAST}.")
    x = np.array([(1.0, j.answer_logprob, j.call_logprob) for j in judged])
    right = np.array([j.right for j in judged])
    high, low = (right.sum() + 1) / (right.sum() + 2), 1 / ((~right).sum() + 2)
    target = np.where(right, high, low)

    def loss(w: Doubles) -> tuple[float, Doubles]:
        odds = x @ w
        value = np.logaddexp(0, odds) - target * odds
        slope = x.T @ (1 / (1 + np.exp(-odds)) - target)
        return float(value.sum() + 1e-4 * (w[1:] ** 2).sum()), slope + np.array([0, *(2e-4 * w[1:])])

    found = minimize(loss, np.array([1.0, 1.0, 1.0]), jac=True, bounds=[(None, None), (0, None), (0, None)])
    bias, answer, call = (round(float(v), 6) for v in found.x)
    return Calibration(bias=bias, answer=max(answer, 0.0), call=max(call, 0.0))
