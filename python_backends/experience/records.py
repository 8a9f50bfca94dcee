"""What a journal record means: the same at the moment it is written and when it is replayed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import NotFound, SetupError
from pixelis.schema import Experience
from python_backends.experience.asked import Asked, AskedRequests
from python_backends.experience.journal import Record
from python_backends.experience.population import Population

Key = NDArray[np.float32]


def apply(population: Population, asked: AskedRequests, record: Record, key: Key | None) -> None:
    """Change `population` and `asked` as `record` says.

    Raises:
        NotFound: it is about an experience that is not there.
        SetupError: it is of a kind that is not known.
    """
    op = record["op"]
    if op == "insert" and key is not None:
        _insert(population, Experience.model_validate(record["experience"]), key, record["evicted"])
    elif op == "asked" and key is not None:
        request = Asked.model_validate(record["asked"])
        asked.note(request, key)
        if record.get("again") and request.experience_id is not None:
            _again(population, request.experience_id, request.experience.created_at)
        elif request.experience_id is not None:
            _insert(population, request.experience.model_copy(), key, record["evicted"])
    elif op == "again":
        _again(population, record["id"], record["created_at"])
    elif op == "judged":
        _judged(population, record, key)
        asked.judged(Asked.model_validate(record["asked"]))
    elif op == "delete":
        population.remove(record["id"])
    elif op == "success":
        _known(population, record["id"]).success_count += 1
    elif op == "retrieved":
        for experience_id in record["ids"]:
            _known(population, experience_id).retrieval_count += 1
    else:
        raise SetupError(f"The journal holds an unknown record {op!r}.", mend="It was written by a newer version.")


def _again(population: Population, experience_id: str, created_at: float) -> None:
    _known(population, experience_id)
    population.again(experience_id, created_at)


def _insert(population: Population, experience: Experience, key: Key, evicted: str | None) -> None:
    if evicted is not None:
        population.remove(evicted)
    population.add([experience], key[np.newaxis])


def _judged(population: Population, record: Record, key: Key | None) -> None:
    for ids, step in ((record["credited"], 1), (record["uncredited"], -1)):
        for living in filter(None, map(population.get, ids)):
            living.success_count = max(living.success_count + step, 0)
    for experience_id in record["removed"]:
        population.remove(experience_id)
    if record["experience"] is not None and key is not None:
        made = Experience.model_validate(record["experience"])
        population.remove(made.experience_id)
        population.add([made], key[np.newaxis])


def _known(population: Population, experience_id: str) -> Experience:
    found = population.get(experience_id)
    if found is None:
        raise NotFound(f"There is no experience {experience_id!r}.")
    return found
