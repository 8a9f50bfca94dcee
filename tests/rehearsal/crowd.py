"""People who ask and teach a stack while something is wrong with it."""

from __future__ import annotations

import base64
import contextlib
import http.client
import itertools
import json
import secrets
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from clients.client import PixelisClient
from perf.meanwhile import meanwhile
from pixelis.errors import PixelisError
from pixelis.schema import Experience, KnnCommand
from python_backends.experience.key import WIDTH
from tests.rehearsal.stack import Stack
from tests.triton.built import asked

PATIENCE_S = 60.0
_QUESTIONS = [one for one in asked() if "point" not in one[2]]


def once(
    url: str, number: int = 0, *, source: str = "", fresh: bool = False, **options: Any
) -> tuple[int, dict[str, Any]]:
    """One of the documentation's questions, or a `fresh` one: status, and what came; status 0 = nobody answered."""
    picture, question, _ = _QUESTIONS[number % len(_QUESTIONS)]
    picture += secrets.token_bytes(16) if fresh else b""  # behind a picture's end may be anything
    body = {"image": base64.b64encode(picture).decode(), "question": question, "use_cache": False, **options}
    connection = http.client.HTTPConnection(url, timeout=PATIENCE_S, source_address=(source, 0) if source else None)
    try:
        connection.request("POST", "/infer", json.dumps(body).encode(), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    except (OSError, ValueError, http.client.HTTPException) as error:
        return 0, {"error": repr(error)}
    finally:
        connection.close()


def answered(url: str, number: int = 0) -> bool:
    """Whether a question gets its right answer, from models that all work."""
    status, found = once(url, number)
    return status == 200 and found["answer"] == _QUESTIONS[number][2] and not found["provenance"]["reasons"]


@contextlib.contextmanager
def asking(people: int, url: str, *, pace_s: float = 0.3, source: str = "", **options: Any) -> Iterator[list[int]]:
    """Statuses, as they come, while so many people ask one question after the other."""
    numbers, found = itertools.count(), list[int]()

    def one() -> None:
        found.append(once(url, next(numbers), source=source, **options)[0])

    with _doing(people, one, pace_s):
        yield found


@contextlib.contextmanager
def teaching(stack: Stack, service: str, people: int = 2, pace_s: float = 0.01) -> Iterator[list[str]]:
    """Ids of what a replica was told, while so many people tell it something."""
    learned: list[str] = []
    client = PixelisClient(f"{stack.compose.network.addresses[service]}:8001")
    drawn = np.random.default_rng()

    def one() -> None:
        key = drawn.standard_normal(WIDTH).astype(np.float32)
        name = uuid.uuid4().hex
        made = Experience(experience_id=name, question=name, answer=name, confidence=0.9, created_at=time.time())
        with contextlib.suppress(PixelisError):
            client.knn(KnnCommand(command="insert", experience=made), key / np.linalg.norm(key))
            learned.append(name)

    with _doing(people, one, pace_s):
        yield learned
    client.close()


@contextlib.contextmanager
def _doing(people: int, one: Callable[[], None], pace_s: float) -> Iterator[None]:
    def work(over: threading.Event) -> None:
        while not over.is_set():
            one()
            over.wait(pace_s)

    with meanwhile(*[work] * people, name="crowd"):
        yield
