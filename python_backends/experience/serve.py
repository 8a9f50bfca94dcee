"""Requests of the model `knn` to replies.

Consecutive searches share one pass over the index, consecutive changes one commit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import InvalidRequest, PixelisError
from pixelis.schema import Experience, KnnCommand, KnnResult, Neighbour
from pixelis.settings import Settings
from python_backends.experience.apart import SHARED
from python_backends.experience.search_cache import SearchCache
from python_backends.experience.store import ExperienceStore
from python_backends.text import normalise

DEFAULT_K = 5
MAX_K = 100
CHANGES = ("insert", "asked", "delete", "feedback")


@dataclass(frozen=True)
class KnnRequest:
    """One request: a key to search for, or a command (which may carry a key)."""

    key: NDArray[np.float32] | None = None
    k: int | None = None
    command: KnnCommand | None = None

    @property
    def searches(self) -> bool:
        """Whether it is a search."""
        return self.command is None or self.command.command == "search"

    @property
    def tenant(self) -> str:
        """Who asks."""
        return SHARED if self.command is None else self.command.tenant


@dataclass(frozen=True)
class KnnReply:
    """`IDS`, `SCORES` float32 `[k]` and `RESULT`."""

    result: KnnResult
    ids: list[str] = field(default_factory=list)
    scores: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))


def open_store(settings: Settings, seeds: Path | None) -> ExperienceStore:
    """The store of this machine, seeded from the version folder `seeds` at its first start."""
    return ExperienceStore(settings.state / "experiences", settings.retrieval, seeds, threads=settings.threads.intra_op)


def execute(
    store: ExperienceStore, requests: Sequence[KnnRequest], cache: SearchCache | None = None
) -> list[KnnReply | PixelisError]:
    """Answer `requests` in order; a bad one is an error in its place and leaves the others alone.

    The order matters: a search that follows an insert in the same batch finds it. With `cache`, which is of `store`,
    searches go through it.
    """
    replies: list[KnnReply | PixelisError] = []
    for (kind, tenant), group in groupby(requests, key=lambda request: (_kind(request), request.tenant)):
        if kind == "search":
            replies += _search(store, list(group), cache, tenant)
        elif kind == "change":
            replies += _change(store, list(group))
        else:
            replies += [_attempt(store, request) for request in group]
    return replies


def _kind(request: KnnRequest) -> str:
    if request.searches or request.command is None:
        return "search"
    return "change" if request.command.command in CHANGES else "other"


def _change(store: ExperienceStore, requests: list[KnnRequest]) -> list[KnnReply | PixelisError]:
    """Changes that are committed together, so that one sync of the disk acknowledges all of them."""
    replies: list[KnnReply | PixelisError] = []
    try:
        with store.together():
            replies += [_attempt(store, request) for request in requests]
    except PixelisError as error:
        return [reply if isinstance(reply, PixelisError) else error for reply in replies] or [error] * len(requests)
    return replies


def _search(
    store: ExperienceStore, requests: list[KnnRequest], cache: SearchCache | None, tenant: str
) -> list[KnnReply | PixelisError]:
    checked = [_checked(store, request) for request in requests]
    good = [pair for pair in checked if not isinstance(pair, PixelisError)]
    if not good:
        return [pair for pair in checked if isinstance(pair, PixelisError)]
    counts = [
        request.command is not None and request.command.count
        for request, pair in zip(requests, checked, strict=True)
        if not isinstance(pair, PixelisError)
    ]
    try:
        found = (cache or store).search(np.stack([key for key, _ in good]), [k for _, k in good], counts, tenant)
    except PixelisError as error:
        return [pair if isinstance(pair, PixelisError) else error for pair in checked]
    rows = iter(found.neighbours)
    return [
        pair
        if isinstance(pair, PixelisError)
        else _reply(next(rows), KnnResult(reason=found.reason, count=found.count, epoch=found.epoch))
        for pair in checked
    ]


def _checked(store: ExperienceStore, request: KnnRequest) -> tuple[NDArray[np.float32], int] | PixelisError:
    k = DEFAULT_K if request.k is None else request.k
    try:
        if request.key is None:
            raise InvalidRequest("A search needs a key.", mend="Send `KEY`, or a `COMMAND` that needs none.")
        if not 0 <= k <= MAX_K:
            raise InvalidRequest(f"`K` is {k}.", mend=f"It must be between 0 and {MAX_K}.")
        if k > len(store) and k > (capacity := store.stats()["capacity"]):
            raise InvalidRequest(f"`K` is {k}, and {capacity} experiences are kept at most.", mend="Ask for fewer.")
        return store.checked(request.key), k
    except PixelisError as error:
        return error


def _reply(neighbours: list[Neighbour], result: KnnResult) -> KnnReply:
    result.neighbours = neighbours
    ids = [neighbour.experience_id for neighbour in neighbours]
    return KnnReply(result, ids, np.array([neighbour.similarity for neighbour in neighbours], np.float32))


def _attempt(store: ExperienceStore, request: KnnRequest) -> KnnReply | PixelisError:
    command = request.command or KnnCommand(command="search")
    try:
        result = _COMMANDS[command.command](store, command, request.key)
    except PixelisError as error:
        return error
    result.count, result.epoch = store.visible(command.tenant), store.epoch
    return KnnReply(result)


Handler = Callable[[ExperienceStore, KnnCommand, "NDArray[np.float32] | None"], KnnResult]


def _insert(store: ExperienceStore, command: KnnCommand, key: NDArray[np.float32] | None) -> KnnResult:
    if command.experience is None or key is None:
        raise InvalidRequest("`insert` needs an `experience` and its key.", mend="Send the key as `KEY`.")
    return KnnResult(experience_id=store.insert(_own(command, command.experience), key))


def _asked(store: ExperienceStore, command: KnnCommand, key: NDArray[np.float32] | None) -> KnnResult:
    if command.experience is None or key is None or not command.request_id or command.answer is None:
        raise InvalidRequest(
            "`asked` needs `request_id`, `experience`, `answer` and a key.", mend="Send the key as `KEY`."
        )
    own = _own(command, command.experience)
    learned = store.asked(command.request_id, own, key, command.answer, command.retrieved, command.learn)
    return KnnResult(experience_id=learned)


def _own(command: KnnCommand, experience: Experience) -> Experience:
    """The experience as that of whoever asks."""
    if experience.tenant not in (SHARED, command.tenant):
        raise InvalidRequest("The experience is of another `tenant` than the command.", mend="Say the same in both.")
    return experience.model_copy(update={"tenant": command.tenant})


def _id(command: KnnCommand) -> str:
    if not command.experience_id:
        raise InvalidRequest(f"`{command.command}` needs an `experience_id`.", mend="A search returns them as `IDS`.")
    return command.experience_id


def _delete(store: ExperienceStore, command: KnnCommand, _: NDArray[np.float32] | None) -> KnnResult:
    store.delete(_id(command), command.tenant)
    return KnnResult(experience_id=command.experience_id)


def _feedback(store: ExperienceStore, command: KnnCommand, _: NDArray[np.float32] | None) -> KnnResult:
    if command.request_id:
        judged = store.judge(command.request_id, command.correct, command.answer, command.tenant)
        cold = store.stats_of(command.tenant)["cold"]
        return KnnResult(experience_id=judged.experience_id, judgement=judged, stats={"cold": cold})
    correct = command.correct
    if correct is None:
        if command.answer is None:
            raise InvalidRequest("`feedback` needs `correct` or the right `answer`.")
        correct = normalise(store.get(_id(command), command.tenant).answer) == normalise(command.answer)
    experience = store.feedback(_id(command), correct, command.tenant)
    counts = {"success_count": experience.success_count, "retrieval_count": experience.retrieval_count}
    return KnnResult(experience_id=experience.experience_id, stats={"correct": correct, **counts})


def _stats(store: ExperienceStore, command: KnnCommand, _: NDArray[np.float32] | None) -> KnnResult:
    return KnnResult(stats=store.stats_of(command.tenant) if command.tenant else store.stats())


def _snapshot(store: ExperienceStore, _: KnnCommand, __: NDArray[np.float32] | None) -> KnnResult:
    return KnnResult(stats={"snapshot": store.snapshot()})


def _verify(store: ExperienceStore, _: KnnCommand, __: NDArray[np.float32] | None) -> KnnResult:
    return KnnResult(stats=asdict(store.verify()))


def _tune(store: ExperienceStore, _: KnnCommand, __: NDArray[np.float32] | None) -> KnnResult:
    store.tune()
    return KnnResult(stats={"index": store.stats()["index"]})


_COMMANDS: dict[str, Handler] = {
    "insert": _insert,
    "asked": _asked,
    "delete": _delete,
    "feedback": _feedback,
    "stats": _stats,
    "snapshot": _snapshot,
    "tune": _tune,
    "verify": _verify,
}
