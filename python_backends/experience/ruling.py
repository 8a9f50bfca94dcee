"""What feedback on a request means: pure functions from what is known to the one entry that is written.

    --correct       the answer that was given is right
    --answer TEXT   TEXT is right (the same as --correct where it is what was given)
    --wrong         the answer that was given is wrong; what is right stays unknown

Where the right answer is known, the request's experience holds it, whether or not it had been learned: confidence 1 (a
human's word), `confirmed`, and a reward of at least 1, the task term of a right answer. It takes the place of every
other experience of the same picture and question (similarity >= `confirmed_similarity`), so that it is always among the
nearest; and the neighbours that had said the same count a success. Where the answer was wrong, an experience that says
so counts as retrieved without success: `s` is 0.5 and its vote weighs half. The last feedback on a request counts,
what an earlier one did is undone, and the same feedback twice is one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pixelis.errors import InvalidRequest
from pixelis.schema import Experience, Judgement
from python_backends.experience.asked import Asked
from python_backends.experience.priority import priority
from python_backends.text import normalise

KNOWN_RIGHT = 1.0
"""The task term of a right answer's reward."""

Living = Callable[[str], "Experience | None"]


@dataclass(frozen=True)
class Ruling:
    """What is to change.

    Attributes:
        asked: the request with the feedback in it.
        experience: to be put in under its id, in the place of what is there; none = nothing.
        credited: experiences whose successes grow by one.
        uncredited: those whose successes an earlier feedback had counted.
    """

    asked: Asked
    experience: Experience | None
    credited: list[str]
    uncredited: list[str]


def verdict(asked: Asked, correct: bool | None, answer: str | None) -> tuple[bool, str | None]:
    """Whether the answer that was given is correct, and the right one where it is known.

    Raises:
        InvalidRequest: neither is said, both, or an empty answer.
    """
    if (correct is None) == (answer is None):
        raise InvalidRequest("Feedback says `correct`, or the right `answer`.", mend="Send one of the two.")
    if answer is None:
        return bool(correct), asked.answer if correct else None
    if not normalise(answer):
        raise InvalidRequest("The right answer is empty.", mend="Say what it is, or `correct: false`.")
    same = normalise(answer) == normalise(asked.answer)
    return same, asked.answer if same else answer.strip()


def rule(asked: Asked, correct: bool, right: str | None, living: Living, new_id: str) -> Ruling:
    """The changes that a verdict asks for.

    Args:
        asked: the request.
        correct: whether the answer that was given is right.
        right: the right answer; none = not known.
        living: the living experience of an id, of the same tenant.
        new_id: for an experience that has none yet.
    """
    own = living(asked.experience_id) if asked.experience_id else None
    said = [] if right is None else [i for i in asked.retrieved if _says(living(i), right) and i != asked.experience_id]
    made = _right(asked, own, right, new_id) if right is not None else _wrong(asked, own)
    judged = asked.model_copy(
        update={
            "correct": correct,
            "right": right,
            "credited": said,
            "experience_id": made.experience_id if made else asked.experience_id,
        }
    )
    return Ruling(
        judged, made, [i for i in said if i not in asked.credited], [i for i in asked.credited if i not in said]
    )


def judgement(asked: Asked, replaced: list[str], living: Living) -> Judgement:
    """What the caller is told; an experience that was removed meanwhile holds nothing."""
    held = asked.experience_id is not None and living(asked.experience_id) is not None
    return Judgement(
        request_id=asked.request_id,
        question=asked.experience.question,
        answer=asked.answer,
        correct=bool(asked.correct),
        right_answer=asked.right,
        experience_id=asked.experience_id if held else None,
        credited=asked.credited,
        replaced=replaced,
    )


def _says(experience: Experience | None, answer: str) -> bool:
    return experience is not None and normalise(experience.answer) == normalise(answer)


def _right(asked: Asked, own: Experience | None, right: str, new_id: str) -> Experience:
    first = asked.experience
    reward = max(first.reward, KNOWN_RIGHT)
    return first.model_copy(
        update={
            "experience_id": asked.experience_id or new_id,
            "answer": right,
            "confidence": 1.0,
            "confirmed": True,
            "reward": reward,
            "priority": priority(1.0, reward),
            "retrieval_count": own.retrieval_count if own else 0,
            "success_count": (own.success_count if own and not own.confirmed else 0) + 1,
            "occurrences": own.occurrences if own else 1,
        }
    )


def _wrong(asked: Asked, own: Experience | None) -> Experience | None:
    if own is None or (own.confirmed and not (asked.right is not None and _says(own, asked.right))):
        return None  # gone, or another request of the same experience has said what is right
    if not _says(asked.experience, asked.answer):  # the agent was outvoted: what it said is not what was wrong
        return asked.experience.model_copy(update=_counts(own, own.success_count)) if own.confirmed else None
    return asked.experience.model_copy(update={**_counts(own, 0), "retrieval_count": max(own.retrieval_count, 1)})


def _counts(own: Experience, successes: int) -> dict[str, object]:
    return {
        "experience_id": own.experience_id,
        "retrieval_count": own.retrieval_count,
        "success_count": successes,
        "occurrences": own.occurrences,
    }
