"""What feedback on a request changes, that it is durable, and that it can be taken back."""

from __future__ import annotations

import numpy as np
import pytest

from pixelis.errors import InvalidRequest, NotFound, Unavailable
from pixelis.schema import Ballot, Experience, KnnCommand, Neighbour
from pixelis.settings import Retrieval
from python_backends.experience import ExperienceStore, KnnReply, KnnRequest, execute
from python_backends.voting import vote
from tests.experience.conftest import Place, experience, key


def asked(
    store: ExperienceStore, request_id: str, seed: int, answer: str = "red", *, learn: bool = True, **fields: object
) -> str | None:
    """A request whose agent said `answer`; the caller was given it too, unless `given` says otherwise."""
    given, retrieved = str(fields.pop("given", answer)), list(fields.pop("retrieved", []))  # type: ignore[call-overload]
    return store.asked(request_id, experience(answer, **fields), key(seed), given, retrieved, learn)  # type: ignore[arg-type]


def nearest(store: ExperienceStore, seed: int, k: int = 5) -> list[Neighbour]:
    return store.search(key(seed)[None], k).neighbours[0]


def voted(store: ExperienceStore, seed: int, agent: str = "red") -> tuple[str, str | None]:
    """Answer and reason of the vote when the same is asked again."""
    verdict = vote(Ballot(answer=agent, confidence=0.95, neighbours=nearest(store, seed)), Retrieval())
    return verdict.answer, verdict.reason


def everything(store: ExperienceStore) -> list[tuple[object, ...]]:
    found = sorted(nearest(store, 0, 100), key=lambda n: n.experience_id)
    return [tuple(n.model_dump(exclude={"age_hours", "similarity"}).values()) for n in found]


def test_a_correction_changes_the_next_answer(place: Place) -> None:
    store = place.open()
    assert asked(store, "r", 1) == "r"
    assert voted(store, 1) == ("red", "insufficient_votes")
    judged = store.judge("r", None, " blue ")
    assert (judged.correct, judged.right_answer, judged.experience_id, judged.replaced) == (False, "blue", "r", [])
    found = store.get("r")
    assert (found.answer, found.confidence, found.confirmed, found.success_count) == ("blue", 1.0, True, 1)
    assert found.reward >= 1
    assert voted(store, 1) == ("blue", "confirmed_by_feedback")
    assert voted(store, 2) == ("red", "no_neighbours")


def test_an_answer_that_was_not_learned_can_be_corrected_too(place: Place) -> None:
    store = place.open()
    assert asked(store, "unsure", 1, learn=False, confidence=0.3) is None
    assert len(store) == 0
    judged = store.judge("unsure", None, "blue")
    assert judged.experience_id == "unsure"
    assert voted(store, 1) == ("blue", "confirmed_by_feedback")


def test_correct_confirms_what_was_given(place: Place) -> None:
    store = place.open()
    asked(store, "r", 1, confidence=0.8)
    judged = store.judge("r", True, None)
    assert (judged.correct, judged.right_answer) == (True, "red")
    found = store.get("r")
    assert (found.answer, found.confidence, found.success_count, found.confirmed) == ("red", 1.0, 1, True)
    assert voted(store, 1, agent="green") == ("red", "confirmed_by_feedback")
    assert store.judge("r", None, "RED") == judged


def test_correct_where_the_agent_was_outvoted_confirms_the_voted_answer(place: Place) -> None:
    store = place.open()
    asked(store, "r", 1, "red", given="blue")
    store.judge("r", True, None)
    assert store.get("r").answer == "blue"


def test_wrong_halves_the_weight_and_says_nothing_of_what_is_right(place: Place) -> None:
    store = place.open()
    asked(store, "r", 1)
    judged = store.judge("r", False, None)
    assert (judged.correct, judged.right_answer) == (False, None)
    found = store.get("r")
    assert (found.answer, found.success_count, found.retrieval_count, found.confirmed) == ("red", 0, 1, False)
    asked(store, "outvoted", 2, "red", given="blue")
    before = store.get("outvoted")
    store.judge("outvoted", False, None)
    assert store.get("outvoted") == before
    asked(store, "unsure", 3, learn=False)
    assert store.judge("unsure", False, None).experience_id is None


def test_neighbours_that_had_said_it_count_a_success_once(place: Place) -> None:
    store = place.open()
    right, wrong = (store.insert(experience(answer), key(i)) for i, answer in ((10, "Blue"), (11, "red")))
    asked(store, "r", 1, retrieved=[right, wrong, "gone"])
    for _ in range(2):
        judged = store.judge("r", None, "blue")
    assert judged.credited == [right]
    assert (store.get(right).success_count, store.get(wrong).success_count) == (1, 0)


def test_the_last_feedback_counts_and_what_an_earlier_one_did_is_undone(place: Place) -> None:
    store = place.open()
    blue, red = (store.insert(experience(answer), key(i)) for i, answer in ((10, "blue"), (11, "red")))
    asked(store, "r", 1, confidence=0.8, retrieved=[blue, red])
    store.judge("r", None, "blue")
    store.judge("r", True, None)
    assert (store.get(blue).success_count, store.get(red).success_count) == (0, 1)
    assert store.get("r").answer == "red"
    store.judge("r", False, None)
    assert (store.get(red).success_count, store.get("r").success_count) == (0, 0)
    found = store.get("r")
    assert (found.answer, found.confidence, found.confirmed) == ("red", 0.8, False)


def test_a_confirmed_experience_takes_the_place_of_all_others_of_the_same_question(place: Place) -> None:
    """Six wrong ones of the same key would keep a seventh out of the five nearest."""
    store = place.open()
    for i in range(6):
        asked(store, f"r{i}", 1, f"red {i}")
    near = key(1) + 0.1 * key(2)
    other = store.insert(experience("red"), (near / np.linalg.norm(near)).astype(np.float32))
    judged = store.judge("r5", None, "blue")
    assert sorted(judged.replaced) == [f"r{i}" for i in range(5)]
    assert {n.experience_id for n in nearest(store, 1)} == {"r5", other}
    assert voted(store, 1) == ("blue", "confirmed_by_feedback")
    again = store.judge("r0", None, "green")
    assert again.replaced == ["r5"]
    assert voted(store, 1) == ("green", "confirmed_by_feedback")


def test_requests_that_say_the_same_share_an_experience_and_the_last_to_know_what_is_right_counts(
    place: Place,
) -> None:
    store = place.open()
    assert [asked(store, f"r{i}", 1) for i in range(3)] == ["r0"] * 3
    assert (len(store), store.get("r0").occurrences) == (1, 3)
    assert store.judge("r1", None, "blue").experience_id == "r0"
    store.judge("r2", False, None)
    found = store.get("r0")
    assert (found.answer, found.confirmed, found.occurrences) == ("blue", True, 3), "that red is wrong was known"
    store.judge("r1", False, None)
    found = store.get("r0")
    assert (found.answer, found.confirmed, found.success_count, found.retrieval_count) == ("red", False, 0, 1)
    assert store.judge("r0", True, None).replaced == []
    assert (store.get("r0").answer, store.get("r0").confirmed, len(store)) == ("red", True, 1)
    assert asked(store, "r3", 1, "green") == "r3", "another answer is another experience"


def test_it_survives_a_restart_and_a_snapshot(place: Place) -> None:
    store = place.open()
    asked(store, "early", 1)
    asked(store, "unsure", 2, learn=False)
    asked(store, "late", 3)
    store.judge("early", None, "blue")
    before = everything(store)
    again = place.open()
    assert everything(again) == before
    again.snapshot()
    last = place.open()
    assert everything(last) == before
    assert last.judge("early", None, "blue").right_answer == "blue"
    assert last.judge("unsure", None, "a\u2028b").experience_id == "unsure"
    assert last.judge("late", True, None).correct
    assert everything(place.open()) == everything(last)
    assert last.stats()["confirmed"] == 3


def test_only_the_newest_requests_are_remembered(place: Place) -> None:
    store = ExperienceStore(place.path, Retrieval(cold_start_threshold=0, feedback_requests=3), width=8)
    place.stores.append(store)
    for i in range(5):
        asked(store, f"r{i}", i)
    with pytest.raises(NotFound, match="takes feedback"):
        store.judge("r1", True, None)
    assert store.judge("r2", True, None).correct
    assert store.stats()["feedback_requests"] == 3
    assert len(store) == 5


def test_a_request_id_that_comes_again_means_the_newer_request(place: Place) -> None:
    store = place.open()
    first, second = asked(store, "r", 1, "red"), asked(store, "r", 2, "green")
    assert first == "r"
    assert second not in (None, "r")
    store.judge("r", None, "blue")
    assert (store.get("r").answer, store.get(str(second)).answer) == ("red", "blue")


def test_feedback_on_what_was_evicted_brings_it_back_and_keeps_the_capacity(place: Place) -> None:
    store = place.open(capacity=2)
    asked(store, "dull", 1, confidence=0.99)
    for i in range(2):
        store.insert(experience(str(i), confidence=0.1), key(10 + i))
    with pytest.raises(NotFound):
        store.get("dull")
    store.judge("dull", None, "blue")
    assert store.get("dull").answer == "blue"
    assert len(store) == store.stats()["indexed"] == 2
    store.insert(experience("new", confidence=0.5), key(20))
    assert store.get("dull").confirmed, "what a human said goes last"


def test_what_was_deleted_meanwhile_holds_nothing(place: Place) -> None:
    store = place.open()
    asked(store, "r", 1)
    assert store.judge("r", True, None).experience_id == "r"
    store.delete("r")
    assert store.judge("r", True, None).experience_id is None
    assert store.judge("r", False, None).experience_id is None
    assert len(store) == 0
    assert store.judge("r", None, "blue").experience_id == "r"
    assert voted(store, 1) == ("blue", "confirmed_by_feedback")


def test_what_is_no_feedback(place: Place) -> None:
    store = place.open()
    asked(store, "r", 1)
    with pytest.raises(NotFound, match="read_only: false"):
        store.judge("never", True, None)
    for correct, answer in ((None, None), (True, "x"), (None, "  ")):
        with pytest.raises(InvalidRequest):
            store.judge("r", correct, answer)
    with pytest.raises(InvalidRequest, match="length 1"):
        store.asked("half", experience(), 0.5 * key(1), "red", [], True)
    store.close()
    with pytest.raises(Unavailable):
        store.judge("r", True, None)


def test_the_commands(place: Place) -> None:
    store = place.open(cold=50)
    made = Experience.model_validate(experience("red").model_dump())
    note = KnnCommand(command="asked", request_id="r", experience=made, answer="red", learn=True)
    fed = KnnCommand(command="feedback", request_id="r", answer="blue")
    bare = KnnCommand(command="asked", request_id="r")
    unknown = KnnCommand(command="feedback", request_id="x", correct=True)
    replies = execute(
        store,
        [
            KnnRequest(key=key(1), command=note),
            KnnRequest(command=fed),
            KnnRequest(key=key(1), command=bare),
            KnnRequest(command=unknown),
        ],
    )
    noted, judged, missing, nobody = replies
    assert isinstance(noted, KnnReply)
    assert noted.result.experience_id == "r"
    assert isinstance(judged, KnnReply)
    assert judged.result.judgement is not None
    assert judged.result.judgement.right_answer == "blue"
    assert judged.result.stats == {"cold": True}
    assert isinstance(missing, InvalidRequest)
    assert isinstance(nobody, NotFound)
    assert nobody.status == 404
