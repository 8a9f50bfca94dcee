"""The threshold of a vote, from plays of which it is known what it must be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from builder.nano.questions import ask
from perf.adversaries import FAMILIES, KINDS, adversaries
from perf.nano_evaluation import Answered
from perf.vote_tuning import THRESHOLDS, Play, choose, claims, curve, plays
from pixelis.errors import ServingError
from pixelis.schema import Neighbour, PipelineResult, Provenance
from pixelis.settings import Retrieval

QUESTION = ask("colour", "held_out", 1)


def play(right: bool, *votes: tuple[float, bool], family: str = "colour") -> Play:
    answers = {True: QUESTION.answer, False: "mauve"}
    found = [
        Neighbour(experience_id=str(i), answer=answers[ok], similarity=s, confidence=1.0)
        for i, (s, ok) in enumerate(votes)
    ]
    return Play(family, QUESTION, answers[right], 0.6, tuple(found))


WRONGED = play(True, *[(0.93, False)] * 3, family="label")
SAVED = play(False, *[(0.97, True)] * 3)


def test_the_lowest_threshold_above_which_the_vote_never_loses() -> None:
    rows = curve([WRONGED, SAVED], Retrieval())
    chosen = choose(rows)
    assert chosen == 0.94
    at = {(row["threshold"], row["family"]): row for row in rows}
    kept, saved = at[chosen, "label"], at[chosen, "colour"]
    assert (kept["voted_accuracy"], kept["lost"], kept["votes_cast"]) == (1.0, 0, 0.0)
    assert (saved["agent_accuracy"], saved["voted_accuracy"], saved["gained"], saved["votes_cast"]) == (0, 1, 1, 3.0)
    assert (at[0.9, "label"]["voted_accuracy"], at[0.9, "label"]["lost"]) == (0.0, 1)
    assert choose(curve([SAVED], Retrieval())) == min(THRESHOLDS)


def test_every_family_counts_by_itself() -> None:
    """A loss in one family is not made good by a gain in another."""
    late = play(True, *[(0.992, False)] * 4, family="label")
    rows = curve([SAVED, SAVED, late], Retrieval())
    assert choose(rows) == 0.993
    assert {row["family"] for row in rows} == {"colour", "label"}


def test_a_vote_that_always_loses_has_no_threshold() -> None:
    with pytest.raises(ServingError, match="even at 1"):
        choose(curve([play(True, *[(1.0, False)] * 4)], Retrieval()))


def test_claims_are_about_the_chosen_and_the_configured_threshold() -> None:
    rows = curve([WRONGED, SAVED], Retrieval())
    made = claims(rows, 0.94, 0.9)
    assert [claim.met for claim in made] == [True, True, False]
    assert (made[2].target, made[2].measured) == (0.94, 0.9)


def test_plays_are_what_was_answered() -> None:
    source = Provenance(agent_answer="red", agent_confidence=0.7, neighbours=list(SAVED.neighbours))
    result = PipelineResult(
        request_id="r", answer="blue", confidence=0.5, trajectory=[], reward=None, provenance=source, timings_ms={},
        versions={},
    )  # fmt: skip
    (made,) = plays([Answered(QUESTION, result, 0.1), Answered(QUESTION, None, 0.1, "late")])
    assert (made.answer, made.confidence, len(made.neighbours)) == ("red", 0.7, 3)
    with pytest.raises(ServingError, match="late"):
        plays([Answered(QUESTION, None, 0.1, "late")])


@pytest.mark.parametrize("family", FAMILIES)
def test_adversaries_are_near_and_wrong(family: str) -> None:
    question = next(q for q in (ask(family, "held_out", s) for s in range(50)) if len(_alike(q)) > 1)  # type: ignore[arg-type]
    found = adversaries(question)
    assert {one.kind for one in found} == set(KINDS)
    assert all(not question.right(one.answer) for one in found)
    assert all(one.question == question.text for one in found if one.kind != "sibling")
    assert all(one.question != question.text for one in found if one.kind == "sibling")
    assert adversaries(question) == found, "not by chance"
    assert replace(found[0], kind="stranger") != found[0]


def _alike(question):  # type: ignore[no-untyped-def]
    return question.scene.labels if question.family == "label" else {t.colour for t in question.scene.shapes}
