"""What an entry means: the same when it is written, when it is replayed and when another replica reads it.

Whatever an entry does follows from the entry and from what is there when its turn comes, never from a setting or a
clock of the process that applies it. So all who apply the same entries in the same order hold the same experiences;
and an entry that cannot be applied (the experience that it is about is gone) is refused by all of them alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pixelis.errors import InvalidRequest, NotFound, SetupError
from pixelis.schema import Experience
from python_backends.experience.asked import Asked
from python_backends.experience.entry import Effects, Entry, Record
from python_backends.experience.memory import Memory


def plan(memory: Memory, entry: Entry) -> Effects:
    """What `entry` does where `memory` is what is there; nothing is changed yet.

    Raises:
        NotFound: it is about an experience that is not there.
        InvalidRequest: it brings an experience under an id that is taken.
        SetupError: it is of a kind that is not known, or lacks a part.
    """
    try:
        return _PLANS[entry.record["op"]](memory, entry.record)
    except KeyError as error:
        raise SetupError(f"The log holds an unknown entry ({error}).", mend="It was written by a newer version.") from (
            error
        )


def _insert(memory: Memory, record: Record) -> Effects:
    experience = Experience.model_validate(record["experience"])
    return Effects(added=experience, removed=_room(memory, experience, record))


def _asked(memory: Memory, record: Record) -> Effects:
    request = Asked.model_validate(record["asked"])
    noted = request if memory.asked.most else None
    forgotten = memory.asked.forgotten_by(request.name)
    if request.experience_id is None:
        return Effects(noted=noted, forgotten=forgotten)
    if record["again"]:
        changed = _occurred(memory, request.experience_id, request.experience.created_at)
        return Effects(noted=noted, forgotten=forgotten, changed=[changed])
    added = request.experience.model_copy()
    return Effects(noted=noted, forgotten=forgotten, added=added, removed=_room(memory, added, record))


def _again(memory: Memory, record: Record) -> Effects:
    return Effects(changed=[_occurred(memory, record["id"], record["created_at"])])


def _judged(memory: Memory, record: Record) -> Effects:
    steps = dict.fromkeys(record["credited"], 1) | dict.fromkeys(record["uncredited"], -1)
    living = filter(None, map(memory.population.get, steps))
    changed = [_counted(one, success_count=max(one.success_count + steps[one.experience_id], 0)) for one in living]
    removed = [one for one in record["removed"] if one in memory.population]
    added = None
    if record["experience"] is not None:
        added = Experience.model_validate(record["experience"])
        before = memory.population.get(added.experience_id)
        if before is not None and before.tenant != added.tenant:
            raise _taken(added)
        removed += [added.experience_id] if before is not None and added.experience_id not in removed else []
        removed += _crowded_out(memory, record, removed)
    return Effects(changed=changed, removed=removed, added=added, judged=Asked.model_validate(record["asked"]))


def _delete(memory: Memory, record: Record) -> Effects:
    return Effects(removed=[_known(memory, record["id"]).experience_id])


def _success(memory: Memory, record: Record) -> Effects:
    experience = _known(memory, record["id"])
    return Effects(changed=[_counted(experience, success_count=experience.success_count + 1)])


def _retrieved(memory: Memory, record: Record) -> Effects:
    times: dict[str, int] = {}
    for experience_id in record["ids"]:
        times[experience_id] = times.get(experience_id, 0) + 1
    living = filter(None, map(memory.population.get, times))  # one that went meanwhile needs no count
    return Effects(
        changed=[_counted(one, retrieval_count=one.retrieval_count + times[one.experience_id]) for one in living]
    )


_PLANS: dict[str, Callable[[Memory, Record], Effects]] = {
    "insert": _insert,
    "asked": _asked,
    "again": _again,
    "judged": _judged,
    "delete": _delete,
    "success": _success,
    "retrieved": _retrieved,
}


def _room(memory: Memory, added: Experience, record: Record) -> list[str]:
    """Who goes for a new experience."""
    if added.experience_id in memory.population:
        raise _taken(added)
    return _crowded_out(memory, record, [])


def _taken(added: Experience) -> InvalidRequest:
    return InvalidRequest(f"Experience {added.experience_id} exists.", mend="Leave the id empty to get one.")


def _crowded_out(memory: Memory, record: Record, removed: Iterable[str]) -> list[str]:
    """The lowest priorities that go so that one more stays within the capacity of whoever wrote the record."""
    going = frozenset(removed)
    over = len(memory.population) - len(going) + 1 - record["capacity"]
    return [one.experience_id for one in memory.population.lowest(over, going)] if over > 0 else []


def _occurred(memory: Memory, experience_id: str, created_at: float) -> Experience:
    """An experience that has come about once more: it counts one more, and is as young as the last."""
    experience = _known(memory, experience_id)
    return _counted(
        experience, occurrences=experience.occurrences + 1, created_at=max(experience.created_at, created_at)
    )


def _counted(experience: Experience, **fields: float) -> Experience:
    return experience.model_copy(update=fields)


def _known(memory: Memory, experience_id: str) -> Experience:
    found = memory.population.get(experience_id)
    if found is None:
        raise NotFound(f"There is no experience {experience_id!r}.", mend="It was deleted, evicted or never there.")
    return found
