"""Draws: what may come is what `transformers` leaves, a seed decides whatever else is in the batch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from transformers.generation import logits_process as reference

from pixelis.schema import Sampling
from python_backends.policy.sampling import greedy, guided, sample
from python_backends.policy.sampling_draw import draw, draw_wide
from python_backends.policy.sampling_filters import NARROW, floors, scaled
from python_backends.policy.sampling_plan import Plan
from tests.marked import long

WIDTHS = (248, 3 * NARROW + 5)
NO_PROMPT = np.zeros(0, np.int64)


def plan(prompt: NDArray[np.int64] = NO_PROMPT, **settings: Any) -> Plan:
    return Plan(Sampling(request_id="a", **settings), prompt)


def noise(seed: int, rows: int, width: int, spread: float = 3.0) -> NDArray[np.float32]:
    return (spread * np.random.default_rng(seed).standard_normal((rows, width))).astype(np.float32)


def kept(logits: NDArray[np.float32], plans: list[Plan]) -> NDArray[np.bool_]:
    scores = scaled(logits, plans)
    return scores >= floors(scores, plans)[:, None]


def warped(logits: NDArray[np.float32], chosen: dict[str, Any], prompt: NDArray[np.int64]) -> NDArray[np.float64]:
    """Scores `[vocabulary]` as `transformers` processes them, in double precision."""
    scores, ids = torch.from_numpy(logits.astype(np.float64))[None], torch.from_numpy(prompt)[None]
    steps: list[Any] = []
    if "repetition_penalty" in chosen:
        steps.append(reference.RepetitionPenaltyLogitsProcessor(chosen["repetition_penalty"]))
    steps.append(reference.TemperatureLogitsWarper(chosen["temperature"]))
    if chosen.get("top_k"):
        steps.append(reference.TopKLogitsWarper(chosen["top_k"]))
    if "top_p" in chosen:
        steps.append(reference.TopPLogitsWarper(chosen["top_p"]))
    if "min_p" in chosen:
        steps.append(reference.MinPLogitsWarper(chosen["min_p"]))
    for step in steps:
        scores = step(ids, scores)
    return scores[0].numpy()


SETTINGS = st.fixed_dictionaries(
    {"temperature": st.floats(0.05, 2.0)},
    optional={
        "top_k": st.integers(0, 400),
        "top_p": st.floats(0.01, 0.999),
        "min_p": st.floats(0.0005, 1.0),
        "repetition_penalty": st.floats(0.5, 2.0),
    },
)


@settings(max_examples=120)
@given(
    chosen=SETTINGS,
    seed=st.integers(0, 10_000),
    width=st.sampled_from(WIDTHS),
    spread=st.sampled_from([0.01, 1.0, 3.0, 12.0]),
)
def test_what_may_come_is_what_transformers_leaves(
    chosen: dict[str, Any], seed: int, width: int, spread: float
) -> None:
    """The same tokens with the same scores; at the edge of a filter the two may round differently."""
    logits = noise(seed, 1, width, spread)
    prompt = np.random.default_rng(seed).integers(0, width, 40)
    plans = [plan(prompt, **chosen)]
    wanted = warped(logits[0], chosen, prompt)
    scores = scaled(logits, plans)[0]
    ours, theirs = kept(logits, plans)[0], np.isfinite(wanted)
    lowest = scores[theirs].min()
    differ = ours != theirs
    assert differ.sum() <= 2
    # fp32 cumulative sums over a wide row err by some 1e-6 of the mass, about one token's share of a flat one
    np.testing.assert_allclose(scores[differ], lowest, rtol=0, atol=2e-3)
    both = ours & theirs
    assert both.any()
    np.testing.assert_allclose(scores[both], wanted[both] - wanted.max(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("width", WIDTHS)
def test_each_filter_alone_leaves_exactly_the_set_of_transformers(width: int) -> None:
    for seed in range(20):
        logits = noise(seed, 1, width)
        for alone in (
            {"top_k": 1},
            {"top_k": 7},
            {"top_k": width},
            {"top_k": 10 * width},
            {"top_p": 0.1},
            {"top_p": 0.7},
            {"min_p": 0.1},
            {"min_p": 1.0},
        ):
            chosen = {"temperature": 0.7, **alone}
            theirs = np.isfinite(warped(logits[0], {**chosen, "top_k": min(chosen.get("top_k", 0), width)}, NO_PROMPT))
            assert (kept(logits, [plan(**chosen)])[0] == theirs).all(), alone


def test_ties_at_the_floor_stay_together() -> None:
    logits = np.array([[2.0, 1.0, 1.0, 1.0, 0.0]], np.float32)
    assert kept(logits, [plan(temperature=1, top_k=2)]).tolist() == [[True, True, True, True, False]]
    assert kept(logits, [plan(temperature=1, top_p=0.6)]).tolist() == [[True, True, True, True, False]]


def test_the_sorted_and_the_unsorted_way_agree() -> None:
    """The same rows, once as they are and once among so many unlikely tokens that the other code takes them."""
    rng = np.random.default_rng(3)
    for seed in range(60):
        logits = noise(seed, 1, 2000)
        wide = np.full((1, 3 * NARROW), -1e4, np.float32)
        places = np.sort(rng.choice(wide.shape[1], 2000, replace=False))
        wide[0, places] = logits[0]
        one = plan(temperature=1.3, top_k=int(rng.integers(0, 500)), top_p=float(rng.uniform(0.05, 1)), seed=seed)
        narrow = np.flatnonzero(kept(logits, [one])[0])
        assert (np.flatnonzero(kept(wide, [one])[0]) == places[narrow]).all()
        short, long = logits.argmax(axis=1), wide.argmax(axis=1)
        sample(logits, [one], short, [0.0])
        sample(wide, [one], long, [0.0])
        assert long[0] == places[short[0]]


@pytest.mark.parametrize("width", WIDTHS)
def test_a_seed_decides_whatever_else_is_in_the_batch(width: int) -> None:
    """Sequences of several steps, alone and in random company; greedy rows among them are untouched."""
    rng = np.random.default_rng(width)
    steps, count = 6, 9
    logits = [noise(100 + step, count, width, 2.0) for step in range(steps)]
    asked: list[dict[str, Any] | None] = [
        None,
        {"temperature": 1.5, "seed": 1},
        {"temperature": 1.5, "seed": 2},
        {"temperature": 0.8, "seed": 1, "top_p": 0.9},
        {"temperature": 1.0, "seed": 3, "top_k": 40, "repetition_penalty": 1.3},
        {"temperature": 1.0, "seed": 4, "min_p": 0.02, "top_p": 0.8, "top_k": 200},
        {"repetition_penalty": 1.7},
        None,
        {"temperature": 2.0, "seed": 2**63 - 1},
    ]

    def plans() -> list[Plan | None]:
        return [None if one is None else plan(np.arange(5), **one) for one in asked]

    def step(number: int, rows: list[int], all_plans: list[Plan | None]) -> list[tuple[int, float]]:
        part = logits[number][rows]
        tokens, logprobs = greedy(part)
        chosen = [all_plans[row] for row in rows]
        sample(part, chosen, tokens, logprobs)
        for one, token in zip(chosen, tokens.tolist(), strict=True):
            if one is not None:
                one.took(token)
        return list(zip(tokens.tolist(), logprobs, strict=True))

    alone = []
    for row in range(count):
        own = plans()
        alone.append([step(number, [row], own)[0] for number in range(steps)])
    for _ in range(5):
        together, own = [[] for _ in range(count)], plans()
        at = [0] * count
        while min(at) < steps:
            number = min(at)
            ready = [row for row in range(count) if at[row] == number]
            rows = rng.permutation(ready)[: rng.integers(1, len(ready) + 1)].tolist()
            for row, got in zip(rows, step(number, rows, own), strict=True):
                together[row].append(got)
                at[row] += 1
        assert together == alone
    assert [row[0][0] for row in alone][:1] == [int(logits[0][0].argmax())]
    assert [token for token, _ in alone[1]] != [token for token, _ in alone[2]]


def test_a_plan_made_again_goes_on_where_the_other_stopped() -> None:
    logits = noise(5, 12, 248)

    def drawn(one: Plan, rows: range) -> list[int]:
        got = []
        for row in rows:
            token, logprobs = greedy(logits[row : row + 1])
            sample(logits[row : row + 1], [one], token, logprobs)
            one.took(int(token[0]))
            got.append(int(token[0]))
        return got

    chosen = {"temperature": 1.5, "seed": 9, "repetition_penalty": 1.2}
    whole = drawn(plan(**chosen), range(12))
    again = plan(**chosen)
    for token in whole[:7]:
        again.took(token)
    assert drawn(again, range(7, 12)) == whole[7:]


def test_numbers_are_philox_by_seed_and_index() -> None:
    one = plan(temperature=1, seed=123)
    for index in range(5):
        raw = np.random.Philox(key=123, counter=index).random_raw(2)
        assert [one.chance(), one.chance(again=1)] == [(int(word) >> 11) * 2.0**-53 for word in raw]
        one.took(0)
    assert plan(temperature=1).chance() != plan(temperature=1).chance()
    assert plan(repetition_penalty=1.5).chance() == 0.0


@pytest.mark.parametrize("width", WIDTHS)
def test_greedy_is_unchanged(width: int) -> None:
    logits = noise(1, 16, width)
    tokens, logprobs = greedy(logits)
    before = tokens.copy(), list(logprobs)
    sample(logits, [None] * 16, tokens, logprobs)
    assert (tokens == before[0]).all()
    assert logprobs == before[1]
    assert Plan.of(Sampling(request_id="a", seed=4, top_k=1, min_p=1), np.zeros(1, np.int64)) is None
    # a penalty at temperature 0 is the likeliest token of the penalised logits
    prompt = np.argsort(-logits[0])[:3]
    penalised = torch.from_numpy(logits[:1].copy())
    penalised = reference.RepetitionPenaltyLogitsProcessor(1.9)(torch.from_numpy(prompt)[None], penalised)
    sample(logits[:1], [plan(prompt, repetition_penalty=1.9)], tokens[:1], logprobs)
    assert int(tokens[0]) == int(penalised.argmax())
    assert int(tokens[0]) != before[0][0]


@pytest.mark.parametrize("width", WIDTHS)
def test_logprobs_are_of_the_logits_as_they_are(width: int) -> None:
    logits = noise(2, 4, width)
    tokens, logprobs = greedy(logits)
    plans = [plan(np.arange(width), temperature=t, seed=1, repetition_penalty=1.5) for t in (0.5, 1.0, 1.5, 2.0)]
    sample(logits, plans, tokens, logprobs)
    wanted = torch.from_numpy(logits.astype(np.float64)).log_softmax(1).numpy()
    np.testing.assert_allclose(logprobs, wanted[np.arange(4), tokens], atol=1e-4)


def test_rows_that_are_not_finite_stay_marked() -> None:
    logits = noise(3, 3, 248)
    logits[1, 7] = np.nan
    logits[2, 7] = np.inf
    tokens, logprobs = greedy(logits)
    sample(logits, [plan(temperature=1, seed=i) for i in range(3)], tokens, logprobs)
    assert math.isfinite(logprobs[0])
    assert not any(math.isfinite(value) for value in logprobs[1:])


@pytest.mark.parametrize("temperature", [5e-324, 1e-30, 1e-4, 2.0])
def test_any_temperature_is_finite(temperature: float) -> None:
    for width in WIDTHS:
        logits = noise(4, 2, width, 100.0)
        tokens, logprobs = greedy(logits)
        likeliest = tokens.copy()
        sample(logits, [plan(temperature=temperature, seed=1), plan(temperature=temperature)], tokens, logprobs)
        assert all(math.isfinite(value) for value in logprobs)
        if temperature < 1e-3:
            assert (tokens == likeliest).all()


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0 - 2.0**-53])
def test_a_token_without_weight_never_comes(chance: float) -> None:
    for seed in range(30):
        rng = np.random.default_rng(seed)
        for width in WIDTHS:
            scores = np.full((1, width), -np.inf, np.float32)
            may = rng.choice(width, rng.integers(1, 6), replace=False)
            scores[0, may] = -rng.exponential(4, len(may)).astype(np.float32)
            scores[0, may[0]] = 0
            for floor in (np.float32(-np.inf), scores[0, may].min()):
                assert draw(scores, np.array([floor], np.float32), np.array([chance]))[0] in may
                assert draw_wide(scores[0], float(floor), chance) in may


def chi_square(counts: NDArray[np.int64], shares: NDArray[np.float64]) -> float:
    """Pearson's statistic over the tokens that may come; nothing else may have been counted."""
    assert counts[shares == 0].sum() == 0
    expected = counts.sum() * shares[shares > 0]
    return float(((counts[shares > 0] - expected) ** 2 / expected).sum())


def bound(shares: NDArray[np.float64]) -> float:
    """What the statistic exceeds once in about 1e5 runs (Wilson and Hilferty, 1931)."""
    free = int((shares > 0).sum()) - 1
    return free * (1 - 2 / (9 * free) + 4.27 * math.sqrt(2 / (9 * free))) ** 3


DRAWS = 20_000


class Narrow:
    """A grammar of one step: what `CallGuide` is to `guided`."""

    def __init__(self, allowed: NDArray[np.bool_]) -> None:
        self.allowed, self.taken = allowed, -1

    def take(self, token: int) -> bool:
        if self.allowed[token]:
            self.taken = token
        return bool(self.allowed[token])

    def mask(self) -> NDArray[np.bool_]:
        return self.allowed


def cases() -> Iterator[tuple[dict[str, Any], NDArray[np.bool_]]]:
    allowed = np.zeros(12, np.bool_)
    allowed[[0, 3, 4, 7, 11]] = True
    yield {"temperature": 1.0}, allowed
    yield {"temperature": 1.5, "top_p": 0.9}, allowed
    yield {"temperature": 1.2, "top_k": 9, "repetition_penalty": 1.3}, allowed
    yield {"temperature": 1.0, "top_k": 2}, allowed  # neither of the two is allowed


@pytest.mark.parametrize("case", [0, long(1), long(2), long(3)])
def test_what_the_grammar_refuses_is_redrawn_from_the_masked_distribution(case: int) -> None:
    chosen, allowed = list(cases())[case]
    logits = noise(11, 1, 12, 1.5)
    if case == 3:
        logits[0, ~allowed] += 9
    prompt = np.array([3, 5])
    shares = np.exp(warped(logits[0], chosen, prompt))
    if (shares[allowed] == 0).all():
        shares = np.exp(warped(np.where(allowed, logits[0], np.float32(-np.inf)), chosen, prompt))
    shares[~allowed] = 0
    assert (shares > 0).sum() >= 2
    counts, first = np.zeros(12, np.int64), np.zeros(12, np.int64)
    token, logprobs = greedy(logits)
    for seed in range(DRAWS):
        one = plan(prompt, **chosen, seed=seed)
        tokens, own = token.copy(), list(logprobs)
        sample(logits, [one], tokens, own)
        first[tokens[0]] += 1
        guide: Any = Narrow(allowed)
        got, logprob = guided(one, guide, logits[0], int(tokens[0]), own[0])
        assert guide.taken == got
        counts[got] += 1
    wanted = torch.from_numpy(logits[0]).log_softmax(0)[got]
    assert logprob == pytest.approx(float(wanted), abs=1e-4)
    assert chi_square(counts, shares / shares.sum()) < bound(shares)
    free = np.exp(warped(logits[0], chosen, prompt))
    assert chi_square(first, free / free.sum()) < bound(free)
    assert first[~allowed].sum() > DRAWS / 20  # so that there was something to redraw


@pytest.mark.parametrize("width", WIDTHS)
def test_a_grammar_that_allows_only_what_the_policy_would_never_write(width: int) -> None:
    logits = noise(6, 1, width)
    logits[0, 5] = 5000.0
    allowed = np.ones(width, np.bool_)
    allowed[5] = False
    few = np.zeros(width, np.bool_)
    few[[7, 9, 11]] = True
    for chosen in (
        {"temperature": 0.05},
        {"repetition_penalty": 1.1},
        {"temperature": 1.0, "min_p": 0.5},
        {"temperature": 1.0, "top_k": 3},
        {"temperature": 1.0, "top_k": 3 * NARROW},
        {"temperature": 1.0, "top_p": 0.5},
    ):
        for may in (allowed, few):
            guide: Any = Narrow(may)
            got, logprob = guided(plan(**chosen, seed=1), guide, logits[0], 5, 0.0)
            assert may[got]
            assert math.isfinite(logprob)


def test_a_wide_row_of_scores_that_lie_close_together() -> None:
    """Where bins are narrower than what fp32 can tell apart."""
    rng = np.random.default_rng(8)
    for spread in (1e-44, 1e-6, 1.0):
        scores = -(spread * rng.random((1, 3 * NARROW))).astype(np.float32)
        scores[0, 17] = 0.0
        for k in (1, 5000, 3 * NARROW - 1):
            floor = floors(scores, [plan(temperature=1.0, top_k=k)])[0]
            assert floor == np.sort(scores[0])[-k]
        floor = floors(scores, [plan(temperature=1.0, top_p=0.25)])[0]
        mass = np.exp(scores.astype(np.float64)) / np.exp(scores.astype(np.float64)).sum()
        assert mass[scores > floor].sum() < 0.25 + 1e-5
        assert mass[scores >= floor].sum() > 0.25 - 1e-5
