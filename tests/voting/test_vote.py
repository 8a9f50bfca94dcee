"""The worked numbers of the vote, and what must hold for any ballot."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pixelis.schema import Ballot, Neighbour, Strategy, Verdict
from pixelis.settings import Retrieval
from python_backends.voting import vote

CONFIG = Retrieval(min_vote_similarity=0.9)


def neighbour(answer: str, confidence: float, **fields: float) -> Neighbour:
    values = {"similarity": 1.0, "priority": 1.0, **fields}
    return Neighbour(experience_id="e", answer=answer, confidence=confidence, **values)  # type: ignore[arg-type]


WORKED = [
    neighbour("cat", 0.9),
    neighbour("cat", 0.85),
    neighbour("dog", 0.6),
    neighbour("cat", 0.7),
    neighbour("bird", 0.5),
]


def cast(neighbours: Sequence[Neighbour], strategy: str = "weighted", answer: str = "cat", confidence: float = 0.8):
    ballot = Ballot(answer=answer, confidence=confidence, neighbours=list(neighbours), strategy=Strategy(strategy))
    return vote(ballot, CONFIG)


def test_weighted_worked_example() -> None:
    verdict = cast(WORKED)
    assert verdict.answer == "cat"
    assert verdict.share == pytest.approx(2.6375 / 3.4625)
    assert round(verdict.share, 4) == 0.7617
    assert round(verdict.agreement, 4) == 0.8667
    assert round(verdict.confidence, 4) == 0.6602
    assert (verdict.votes, verdict.reason) == (6, None)


def test_majority_worked_example() -> None:
    assert cast(WORKED, "majority").confidence == pytest.approx(4 / 6)


def test_confidence_worked_example() -> None:
    # weights x confidence: agent .64, cats .6075 .541875 .3675, dog .27, bird .1875 (0.5 reaches the threshold)
    verdict = cast(WORKED, "confidence")
    cats = 0.64 + 0.6075 + 0.541875 + 0.3675
    assert verdict.share == pytest.approx(cats / (cats + 0.27 + 0.1875))
    assert verdict.agreement == pytest.approx(0.6 + 0.4 * 4 / 6)


def test_ensemble_is_the_mean_raised_when_all_agree() -> None:
    three = [cast(WORKED, name).confidence for name in ("weighted", "majority", "confidence")]
    assert cast(WORKED, "ensemble").confidence == pytest.approx(min(1.2 * sum(three) / 3, 1.0))


def test_ensemble_without_agreement_is_not_raised() -> None:
    # two light dogs outnumber one heavy cat: majority says dog, the other two say cat
    crowd = [neighbour("dog", 0.5, similarity=0.91), neighbour("dog", 0.5, similarity=0.91)]
    kinds = {name: cast(crowd, name, confidence=0.95) for name in ("weighted", "majority", "confidence")}
    assert [kinds[name].answer for name in kinds] == ["cat", "dog", "cat"]
    verdict = cast(crowd, "ensemble", confidence=0.95)
    assert verdict.answer == "cat"
    assert verdict.confidence == pytest.approx((kinds["weighted"].confidence + kinds["confidence"].confidence) / 3)


@pytest.mark.parametrize("strategy", list(Strategy))
def test_no_neighbours_leaves_the_agent_alone(strategy: Strategy) -> None:
    for neighbours in ([], [neighbour("dog", 1.0, similarity=0.89)] * 4):
        verdict = cast(neighbours, strategy.value, answer="  Cat ", confidence=0.37)
        assert (verdict.answer, verdict.confidence, verdict.reason) == ("  Cat ", 0.37, "no_neighbours")


def test_too_few_votes_halve_the_confidence() -> None:
    verdict = cast([neighbour("dog", 1.0)])
    assert (verdict.answer, verdict.confidence, verdict.reason) == ("cat", 0.4, "insufficient_votes")


def test_what_was_learned_n_times_votes_as_n_do_up_to_five() -> None:
    once = [neighbour("dog", 0.9)]
    for n in (1, 2, 5):
        assert cast([neighbour("dog", 0.9, occurrences=n)]) == cast(once * n)
    assert cast([neighbour("dog", 0.9, occurrences=90)]) == cast(once * 5)


def test_similarity_decides_who_votes() -> None:
    assert cast([neighbour("dog", 1.0, similarity=0.9)] * 2, confidence=0.1).answer == "dog"
    assert cast([neighbour("dog", 1.0, similarity=0.899)] * 2, confidence=0.1).reason == "no_neighbours"


def test_no_confident_votes() -> None:
    verdict = cast([neighbour("dog", 0.45), neighbour("dog", 0.3)], "confidence", confidence=0.4)
    assert (verdict.answer, verdict.reason) == ("dog", "no_confident_votes")
    assert verdict.confidence == pytest.approx(0.225)


def test_neighbour_weight_factors() -> None:
    # one factor at a time against the agent's weight of 1: share = w / (2 w + 1) for two equal neighbours
    cases = {
        0.75 * math.exp(-1): {"age_hours": 24.0},
        0.75: {"age_hours": -5.0},
        0.5: {"priority": 0.0},
        1.0: {"priority": 7.0},
        0.75 * 0.95: {"similarity": 0.95},
        0.75 * 0.5: {"retrieval_count": 4},
        0.75 * 0.75: {"retrieval_count": 4, "success_count": 2},
        0.75 * 1.0: {"retrieval_count": 4, "success_count": 9},
    }
    for weight, fields in cases.items():
        verdict = cast([neighbour("dog", 1.0, **fields)] * 2, answer="cat", confidence=1.0)
        heavier = max(2 * weight, 1.0)
        assert verdict.share == pytest.approx(heavier / (2 * weight + 1)), fields


def test_answers_are_compared_normalised_and_spelt_by_the_agent() -> None:
    same = [neighbour("ﬁsh", 0.9), neighbour(" FISH", 0.95)]
    verdict = cast(same, answer="Fi sh")
    assert verdict.answer == " FISH"  # not the agent's group: the heaviest vote's spelling
    verdict = cast(same, answer="Fish", confidence=0.2)
    assert (verdict.answer, verdict.share) == ("Fish", 1.0)
    heavier = cast([neighbour("Dog", 0.7), neighbour("dog", 0.9)], confidence=0.1)
    assert heavier.answer == "dog"


def test_ties_go_to_weight_then_to_the_agent() -> None:
    pair = [neighbour("dog", 0.9), neighbour("dog", 0.9), neighbour("cat", 0.5)]
    assert cast(pair, "majority", confidence=0.5).answer == "dog"
    # 0.5 x 0.75 = 0.375 each: equal weight and count, the agent's own group wins
    even = [neighbour("ant", 0.5), neighbour("ant", 0.0), neighbour("cat", 0.0)]
    for strategy in ("weighted", "majority"):
        assert cast(even, strategy, confidence=0.375).answer == "cat"


def test_votes_without_any_weight() -> None:
    verdict = cast([neighbour("dog", 0.0)] * 3, confidence=0.0)
    assert (verdict.answer, verdict.confidence) == ("cat", 0.0)


neighbours = st.builds(
    neighbour,
    st.sampled_from(["cat", "Cat", "dog", "ＤＯＧ", "bird", ""]),
    st.floats(0, 1),
    similarity=st.floats(-1, 1),
    priority=st.floats(0, 5),
    age_hours=st.floats(-1, 1e6),
    retrieval_count=st.integers(0, 9),
    success_count=st.integers(0, 9),
)
ballots = st.builds(
    Ballot,
    answer=st.sampled_from(["cat", "DOG", "fish"]),
    confidence=st.floats(0, 1),
    neighbours=st.lists(neighbours, max_size=8),
    strategy=st.sampled_from(list(Strategy)),
)
LOOSE = Retrieval(min_vote_similarity=0.0)


def key(verdict: Verdict) -> tuple[object, ...]:
    return verdict.answer, verdict.confidence, verdict.reason, verdict.votes


@given(ballots)
def test_confidence_is_a_probability(ballot: Ballot) -> None:
    verdict = vote(ballot, LOOSE)
    assert 0 <= verdict.confidence <= 1
    assert verdict.confidence == pytest.approx(min(verdict.share * verdict.agreement, 1.0))


@given(ballots, st.randoms())
def test_the_order_of_neighbours_does_not_matter(ballot: Ballot, random) -> None:  # type: ignore[no-untyped-def]
    shuffled = list(ballot.neighbours)
    random.shuffle(shuffled)
    assert key(vote(ballot, LOOSE)) == key(vote(ballot.model_copy(update={"neighbours": shuffled}), LOOSE))


@given(ballots, st.floats(0, 1))
def test_an_agreeing_vote_never_lowers_the_weighted_share(ballot: Ballot, confidence: float) -> None:
    ballot.strategy = Strategy.WEIGHTED
    before = vote(ballot, LOOSE)
    if before.reason is not None:
        return
    ballot.neighbours.append(neighbour(before.answer, confidence))
    after = vote(ballot, LOOSE)
    assert after.share >= before.share - 1e-12
    assert after.agreement >= before.agreement - 1e-12


@given(ballots)
def test_the_answer_is_somebody_s(ballot: Ballot) -> None:
    assert vote(ballot, LOOSE).answer in {ballot.answer, *(n.answer for n in ballot.neighbours)}


@pytest.mark.parametrize("strategy", [s.value for s in Strategy])
def test_what_feedback_confirmed_decides_about_the_same_picture_and_question(strategy: str) -> None:
    config = Retrieval()
    said = neighbour("fox", 1.0, confirmed=True, similarity=0.99995, age_hours=900.0)
    ballot = Ballot(answer="cat", confidence=0.99, neighbours=[*WORKED, said], strategy=Strategy(strategy))
    verdict = vote(ballot, config)
    assert (verdict.answer, verdict.reason, verdict.decided_by) == ("fox", "confirmed_by_feedback", "e")
    assert verdict.confidence == pytest.approx(0.99995)
    alone = vote(ballot.model_copy(update={"neighbours": [said]}), config)
    assert alone.answer == "fox"
    similar = said.model_copy(update={"similarity": 0.9998})
    unsaid = said.model_copy(update={"confirmed": False})
    for other in (similar, unsaid):
        verdict = vote(ballot.model_copy(update={"neighbours": [*WORKED, other]}), config)
        assert (verdict.answer, verdict.decided_by) == ("cat", None)


def test_of_two_confirmed_the_newer_decides() -> None:
    old, new = (neighbour(a, 1.0, confirmed=True, age_hours=h) for a, h in (("fox", 9.0), ("owl", 1.0)))
    for both in ([old, new], [new, old]):
        assert cast(both).answer == "owl"


@pytest.mark.parametrize("strategy", list(Strategy))
def test_no_number_is_too_large(strategy: Strategy) -> None:
    """A count that no float holds, and weights whose sum is none, were an OverflowError."""
    crowd = [neighbour("dog", 0.9, similarity=1.7e308, occurrences=5, priority=1e308)] * 4
    assert 0 <= cast(crowd, strategy.value).confidence <= 1
    with pytest.raises(ValidationError, match="success_count"):
        neighbour("dog", 0.9, retrieval_count=3, success_count=10**400)
    with pytest.raises(ValidationError, match="success_count"):
        neighbour("dog", 0.9, retrieval_count=3, success_count=-9)
