"""From logits to tokens.

Rows that take the likeliest token share one `argmax`. A row with a plan is drawn from what its filters leave (see
`sampling_filters`), and what the grammar refuses is drawn again from what it allows. Log-probabilities are always those
of the logits as they are, before penalty, temperature, filters and mask.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import ServingError
from python_backends.policy.grammar import CallGuide
from python_backends.policy.sampling_draw import draw, draw_wide
from python_backends.policy.sampling_filters import NARROW, Floats, floors, scaled
from python_backends.policy.sampling_plan import Plan

Ints = NDArray[np.int64]


def greedy(logits: Floats) -> tuple[Ints, list[float]]:
    """The likeliest token of each row, and its log-probability under the unmasked softmax.

    Args:
        logits: `[n, vocabulary]`.

    Returns:
        token ids `[n]`, and their log-probabilities; NaN for a row whose logits are not finite.
    """
    tokens = logits.argmax(axis=1)
    top = logits[np.arange(len(tokens)), tokens]
    # log softmax at the maximum: the shifted numerator is exp(0)
    with np.errstate(invalid="ignore"):  # infinity less infinity: that row is not finite
        shifted = logits - top[:, None]
    np.exp(shifted, out=shifted)
    return tokens, (-np.log(shifted.sum(axis=1))).tolist()


def sample(logits: Floats, plans: Sequence[Plan | None], tokens: Ints, logprobs: list[float]) -> None:
    """Draw the tokens of the rows that have a plan.

    A draw is a function of the row's logits, its plan and the number of tokens before it; the batch does not matter.

    Args:
        logits: `[n, vocabulary]`.
        plans: `[n]`; none: the likeliest token stays.
        tokens: from `greedy`; drawn ones are put in their place.
        logprobs: from `greedy`, likewise. Rows that are not finite stay as they are.
    """
    drawn = [(i, plan) for i, plan in enumerate(plans) if plan is not None and math.isfinite(logprobs[i])]
    if not drawn:
        return
    rows = np.array([i for i, _ in drawn])
    if logits.shape[1] <= NARROW:
        chosen = _drawn(logits[rows], [plan for _, plan in drawn])
    else:  # a long row is worth its own calls, and fits into the processor's cache where several would not
        chosen = np.concatenate([_drawn(logits[i : i + 1], [plan]) for i, plan in drawn])
    # log softmax differs between two tokens by the difference of their logits
    change = logits[rows, chosen] - logits[rows, tokens[rows]]
    tokens[rows] = chosen
    for i, by in zip(rows.tolist(), change.tolist(), strict=True):
        logprobs[i] += by


def guided(plan: Plan, guide: CallGuide, logits: Floats, token: int, logprob: float) -> tuple[int, float]:
    """`token` if the grammar takes it, else one that is drawn again from those that it allows; steps past it.

    With p the plan's distribution, A what is allowed and Z = p(A), a token t of A comes at the first draw with p(t), or
    at the second with (1 - Z) p(t) / Z: together p(t) / Z, which is the masked distribution. Where the filters leave
    nothing that is allowed (Z = 0), they are applied to the allowed tokens alone.

    Args:
        plan: of the row.
        guide: of the row.
        logits: `[vocabulary]`, as the policy gave them.
        token: drawn from them by `sample`.
        logprob: its log-probability.

    Returns:
        The token, and its log-probability before the mask.

    Raises:
        ServingError: the grammar's own limits were hit.
    """
    if guide.take(token):
        return token, logprob
    allowed = guide.mask()
    if not allowed.any():
        raise ServingError("The grammar of tool calls came to a dead end.")
    scores = scaled(logits[None], [plan])
    floor = floors(scores, [plan])
    scores[(scores < floor[:, None]) | ~allowed] = -np.inf
    most = scores.max()
    if most > -np.inf:
        scores -= most  # however unlikely all of it was, one weight is 1
        floor -= most
    else:
        scores = scaled(np.where(allowed, logits, np.float32(-np.inf))[None], [plan])
        floor = floors(scores, [plan])
    chosen = int(_draw(scores, floor, [plan], again=1)[0])
    if not guide.take(chosen):
        raise ServingError("The grammar of tool calls does not take what it allows.")
    return chosen, logprob + float(logits[chosen]) - float(logits[token])


def _drawn(logits: Floats, plans: Sequence[Plan]) -> Ints:
    scores = scaled(logits, plans)
    return _draw(scores, floors(scores, plans), plans)


def _draw(scores: Floats, floor: Floats, plans: Sequence[Plan], again: int = 0) -> Ints:
    chances = [plan.chance(again) for plan in plans]
    if scores.shape[1] <= NARROW:
        return draw(scores, floor, np.array(chances))
    return np.array([draw_wide(row, float(low), one) for row, low, one in zip(scores, floor, chances, strict=True)])
