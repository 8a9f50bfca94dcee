"""What an entry means: the same when it is written, when it is replayed and when another replica reads it.

Whatever an entry does follows from the entry and from what is there when its turn comes, never from a setting or a
clock of the process that applies it. So all who apply the same entries in the same order hold the same experiences;
and an entry that cannot be applied (the experience that it is about is gone) is refused by all of them alike.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from pydantic import ValidationError

from pixelis.errors import InvalidRequest, NotFound, SetupError
from pixelis.schema import MAX_COUNT, Experience
from python_backends.experience.entry import Effects, Entry, Key
from python_backends.experience.forms import About, Again, Form, Insert, Judged, Noted, Retrieved
from python_backends.experience.memory import Memory


def plan(memory: Memory, entry: Entry) -> Effects:
    """What `entry` does where `memory` is what is there; nothing is changed yet.

    Raises:
        NotFound: it is about an experience that is not there.
        InvalidRequest: it brings an experience under an id that is taken.
        SetupError: it is of a kind that is not known, lacks a part, or has one that is none.
    """
    kind = entry.record.get("op") if isinstance(entry.record, dict) else None
    if not isinstance(kind, str) or kind not in _PLANS:
        raise _none(f"an unknown entry ({kind!r:.40})")
    form, effects = _PLANS[kind]
    try:
        made = effects(memory, form.model_validate(entry.record))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part)[:80] for part in first["loc"][:8])
        raise _none(f"an entry `{kind}` that is wrong at `{where}` ({first['msg']})") from None
    if made.added is not None or made.noted is not None:
        _require_key(memory, entry, kind)
    return made


def _none(what: str) -> SetupError:
    return SetupError(f"The log holds {what}.", mend="It was written by a newer version.")


def _require_key(memory: Memory, entry: Entry, kind: str) -> None:
    """Raises `SetupError` where what is to be kept has no key, or one that cannot be compared with the others."""
    key = entry.key
    if key is None or key.shape != (memory.population.width,) or not 0 < _square(key) < np.inf:
        raise _none(f"an entry `{kind}` without a key of {memory.population.width} numbers")


def _square(key: Key) -> float:
    """Of a key's length, as an index takes it; what is no number makes none."""
    with np.errstate(over="ignore"):
        return float(key @ key)


def _insert(memory: Memory, said: Insert) -> Effects:
    return Effects(added=said.experience, removed=_room(memory, said.experience, said.capacity))


def _asked(memory: Memory, said: Noted) -> Effects:
    request = said.asked
    noted = request if memory.asked.most else None
    forgotten = memory.asked.forgotten_by(request.name)
    if request.experience_id is None:
        return Effects(noted=noted, forgotten=forgotten)
    if said.again:
        changed = _occurred(memory, request.experience_id, request.experience.created_at)
        return Effects(noted=noted, forgotten=forgotten, changed=[changed])
    added = request.experience.model_copy()
    return Effects(noted=noted, forgotten=forgotten, added=added, removed=_room(memory, added, said.capacity))


def _again(memory: Memory, said: Again) -> Effects:
    return Effects(changed=[_occurred(memory, said.id, said.created_at)])


def _judged(memory: Memory, said: Judged) -> Effects:
    steps = dict.fromkeys(said.credited, 1) | dict.fromkeys(said.uncredited, -1)
    living = filter(None, map(memory.population.get, steps))
    changed = [_counted(one, success_count=_more(one.success_count, steps[one.experience_id])) for one in living]
    removed = [one for one in dict.fromkeys(said.removed) if one in memory.population]
    added = said.experience
    if added is not None:
        before = memory.population.get(added.experience_id)
        if before is not None and before.tenant != added.tenant:
            raise _taken(added)
        removed += [added.experience_id] if before is not None and added.experience_id not in removed else []
        removed += _crowded_out(memory, said.capacity, removed)
    return Effects(changed=changed, removed=removed, added=added, judged=said.asked)


def _delete(memory: Memory, said: About) -> Effects:
    return Effects(removed=[_known(memory, said.id).experience_id])


def _success(memory: Memory, said: About) -> Effects:
    experience = _known(memory, said.id)
    return Effects(changed=[_counted(experience, success_count=_more(experience.success_count))])


def _retrieved(memory: Memory, said: Retrieved) -> Effects:
    times = Counter(said.ids)
    living = filter(None, map(memory.population.get, times))  # one that went meanwhile needs no count
    return Effects(
        changed=[_counted(one, retrieval_count=_more(one.retrieval_count, times[one.experience_id])) for one in living]
    )


_PLANS: dict[str, tuple[type[Form], Callable[[Memory, Any], Effects]]] = {
    "insert": (Insert, _insert),
    "asked": (Noted, _asked),
    "again": (Again, _again),
    "judged": (Judged, _judged),
    "delete": (About, _delete),
    "success": (About, _success),
    "retrieved": (Retrieved, _retrieved),
}


def _room(memory: Memory, added: Experience, capacity: int) -> list[str]:
    """Who goes for a new experience."""
    if added.experience_id in memory.population:
        raise _taken(added)
    return _crowded_out(memory, capacity, [])


def _taken(added: Experience) -> InvalidRequest:
    return InvalidRequest(f"Experience {added.experience_id} exists.", mend="Leave the id empty to get one.")


def _crowded_out(memory: Memory, capacity: int, removed: Iterable[str]) -> list[str]:
    """The lowest priorities that go so that one more stays within the capacity of whoever wrote the record."""
    going = frozenset(removed)
    over = len(memory.population) - len(going) + 1 - capacity
    return [one.experience_id for one in memory.population.lowest(over, going)] if over > 0 else []


def _occurred(memory: Memory, experience_id: str, created_at: float) -> Experience:
    """An experience that has come about once more: it counts one more, and is as young as the last."""
    experience = _known(memory, experience_id)
    return _counted(
        experience, occurrences=_more(experience.occurrences), created_at=max(experience.created_at, created_at)
    )


def _more(count: int, by: int = 1) -> int:
    """A count that stays one: see `schema.Count`."""
    return min(max(count + by, 0), MAX_COUNT)


def _counted(experience: Experience, **fields: float) -> Experience:
    return experience.model_copy(update=fields)


def _known(memory: Memory, experience_id: str) -> Experience:
    found = memory.population.get(experience_id)
    if found is None:
        raise NotFound(f"There is no experience {experience_id!r}.", mend="It was deleted, evicted or never there.")
    return found
