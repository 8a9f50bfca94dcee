"""Which tokens may be drawn: repetition penalty, temperature, top-k, top-p, min-p, in this order.

The order, and what each one does, are those of `transformers` (`GenerationMixin._get_logits_processor`); vLLM has the
same but for min-p, which it applies before top-k and top-p.

- repetition penalty: Keskar et al., "CTRL", arXiv 1909.05858, section 4.1
- top-k: Fan et al., "Hierarchical Neural Story Generation", ACL 2018
- top-p: Holtzman et al., "The Curious Case of Neural Text Degeneration", ICLR 2020
- min-p: Nguyen et al., "Turning Up the Heat", arXiv 2407.01082

Each of the last three keeps the likeliest tokens down to some score, so together they are one lowest score, the floor.
Tokens of equal score stay or go together: with ties at the floor more than `top_k` may stay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from python_backends.policy.sampling_plan import Plan

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

NARROW = 4096
"""Up to this many scores sorting is the quickest way to the likeliest of them."""
_BLOCKS = 8
"""Blocks for each of the `k` largest: so many more than `k` that few scores reach the k-th largest block."""
_LEAST_BLOCK = 8
_BINS = 4096


def scaled(logits: Floats, plans: Sequence[Plan]) -> Floats:
    """Scores: penalised, divided by the temperature, shifted so that the likeliest has 0.

    Args:
        logits: `[n, vocabulary]`.
        plans: `[n]`.

    Returns:
        `[n, vocabulary]`, of its own memory.
    """
    if any(plan.penalty != 1.0 for plan in plans):
        logits = logits.copy()
        for row, plan in zip(logits, plans, strict=True):
            was, penalty = row[plan.seen], np.float32(plan.penalty)
            row[plan.seen] = np.where(was < 0, was * penalty, was / penalty)
    scores: Floats = logits - logits.max(axis=1, keepdims=True)
    if any(plan.scale != 1.0 for plan in plans):
        scores *= np.array([[plan.scale] for plan in plans], np.float32)
    return scores


def floors(scores: Floats, plans: Sequence[Plan]) -> Floats:
    """The lowest score that each row keeps `[n]`; the likeliest token is always kept.

    Args:
        scores: from `scaled`, `[n, vocabulary]`.
        plans: `[n]`.
    """
    floor = np.array([plan.floor for plan in plans], np.float32)
    if all(plan.top_k == 0 and plan.top_p == 1.0 for plan in plans):
        return floor
    if scores.shape[1] <= NARROW:
        return np.maximum(floor, _narrow(scores, plans))
    wide = [_wide(row, plan) for row, plan in zip(scores, plans, strict=True)]
    return np.maximum(floor, np.array(wide, np.float32))


def _narrow(scores: Floats, plans: Sequence[Plan]) -> Floats:
    """Floors of top-k and top-p, all rows at once, by sorting."""
    width = scores.shape[1]
    rows = np.arange(len(scores))
    ordered = np.sort(scores, axis=1)[:, ::-1]
    kept = np.array([plan.top_k or width for plan in plans]).clip(max=width)
    floor: Floats = ordered[rows, kept - 1]
    wanted = np.array([plan.top_p for plan in plans])
    if (wanted < 1).any():
        mass = np.exp(ordered, dtype=np.float64)
        mass[ordered < floor[:, None]] = 0.0
        reached = mass.cumsum(axis=1)
        last = (reached < (wanted * reached[:, -1])[:, None]).sum(axis=1).clip(max=width - 1)
        floor = np.where(wanted < 1, np.maximum(floor, ordered[rows, last]), floor)
    return floor


def _wide(scores: Floats, plan: Plan) -> float:
    """Floor of top-k and top-p of one row, `[vocabulary]`, without sorting it."""
    floor = -np.inf
    if 0 < plan.top_k < len(scores):
        floor = _kth_largest(scores, plan.top_k)
    if plan.top_p < 1:
        if floor > -np.inf:
            scores = scores[scores >= floor]
            total = float(np.exp(scores, dtype=np.float64).sum())
        else:
            total = float(np.exp(scores).sum(dtype=np.float64))
            # Scores below this one have less than 1 - top_p together.
            scores = scores[scores >= np.log((1 - plan.top_p) * total / len(scores))]
        floor = max(floor, _reaching(scores, np.exp, plan.top_p * total))
    return floor


def _kth_largest(scores: Floats, k: int) -> float:
    """Exactly; the k-th largest of the blocks' largest is a lower bound that leaves little to look through."""
    width = len(scores) // (_BLOCKS * k)
    if width >= _LEAST_BLOCK:
        blocks = scores[: len(scores) // width * width].reshape(-1, width).max(axis=1)
        scores = scores[scores >= np.partition(blocks, len(blocks) - k)[len(blocks) - k]]
    return _reaching(scores, np.ones_like, k)


def _reaching(scores: Floats, weigh: Callable[[Floats], Floats], wanted: float) -> float:
    """The largest floor with a weight of `wanted` at it and above: in bins, until sorting is cheap.

    Args:
        scores: `[n]`.
        weigh: weight of each score.
        wanted: positive, at most the weight of all.
    """
    while len(scores) > NARROW:
        high, low = float(scores.max()), float(scores.min())
        if low == -np.inf < high:  # masked
            scores = scores[scores > low]
            if float(weigh(scores).sum()) < wanted:
                return low
            continue
        if high == low:
            return low
        bins = (np.subtract(high, scores, dtype=np.float64) * ((_BINS - 1) / (high - low))).astype(np.intp)
        reached = np.bincount(bins, weigh(scores)).cumsum()
        at = min(int(np.searchsorted(reached, wanted)), len(reached) - 1)
        wanted -= reached[at - 1] if at else 0.0
        scores = scores[bins == at]
    ordered = np.sort(scores)[::-1]
    reached = weigh(ordered).cumsum(dtype=np.float64)
    return float(ordered[min(int((reached < wanted).sum()), len(ordered) - 1)])
