"""People who ask a fleet whatever happens to it, and what became of each request."""

from __future__ import annotations

import base64
import contextlib
import functools
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import requests

from clients.client import PixelisClient
from perf.e2e.questions import Asked
from perf.meanwhile import meanwhile
from pixelis.errors import PixelisError, ServingError, code_of, from_wire
from pixelis.schema import PipelineResult

Way = Literal["plain", "retrying", "streamed"]
"""REST, asked once; our client over gRPC, which asks again; REST as server-sent events, asked once."""
PEOPLE: tuple[Way, ...] = ("plain", "plain", "plain", "retrying", "retrying", "streamed")
PACE_S = 1.0
"""Between two requests of one person: a fleet that is asked all that it can carry cannot start anything beside it."""
RETRIES = 8
TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Outcome:
    """One request.

    Attributes:
        question: its number.
        way: how it was asked.
        began: on the monotonic clock.
        seconds: how long it took.
        result: the answer; or
        error: what came instead, `code: message`; a code that is none of ours is untyped.
    """

    question: int
    way: Way
    began: float
    seconds: float
    result: PipelineResult | None = None
    error: str | None = None

    @property
    def ended(self) -> float:
        """On the monotonic clock."""
        return self.began + self.seconds

    @property
    def troubled(self) -> bool:
        """Whether it failed, or was answered without something."""
        return self.result is None or bool(self.result.provenance.reasons)

    @property
    def typed(self) -> bool:
        """Whether an error says what it is."""
        return self.error is not None and code_of(self.error) is not None


class Crowd:
    """Asks the same questions again and again; of two times, one may be answered by a cache.

    Args:
        rest: URL of REST.
        grpc: `host:port`.
        questions: which.
        pace_s: between two requests of one person.
    """

    def __init__(self, rest: str, grpc: str, questions: Sequence[Asked], pace_s: float = PACE_S) -> None:
        self._rest, self._questions, self._pace_s = rest, list(questions), pace_s
        self._client = PixelisClient(grpc, retries=RETRIES)
        self._bodies = [_body(one) for one in questions]
        self._sessions = threading.local()
        self.outcomes: list[Outcome] = []

    def once(self, question: int, way: Way = "plain", *, use_cache: bool = False) -> Outcome:
        """One request."""
        began = time.monotonic()
        try:
            found = self._way(way)(question, use_cache)
        except PixelisError as error:
            return Outcome(question, way, began, time.monotonic() - began, error=error.wire())
        except (requests.RequestException, ValueError, OSError) as error:
            kind = type(error).__name__
            return Outcome(question, way, began, time.monotonic() - began, error=f"{kind} {str(error)[:200]}")
        return Outcome(question, way, began, time.monotonic() - began, found)

    @contextlib.contextmanager
    def asking(self) -> Iterator[list[Outcome]]:
        """While it lasts, requests are under way; on leaving, every one of them has ended."""
        numbers, found = itertools.count(), list[Outcome]()

        def work(way: Way, over: threading.Event) -> None:
            while not over.is_set():
                number = next(numbers)
                found.append(self.once(number % len(self._questions), way, use_cache=bool(number % 2)))
                over.wait(self._pace_s)

        try:
            with meanwhile(*(functools.partial(work, way) for way in PEOPLE), name="crowd"):
                yield found
        finally:
            self.outcomes += found

    def close(self) -> None:
        """Lets connections go."""
        self._client.close()

    def _way(self, way: Way) -> Callable[[int, bool], PipelineResult]:
        return {"plain": self._plain, "retrying": self._retrying, "streamed": self._streamed}[way]

    def _plain(self, question: int, use_cache: bool) -> PipelineResult:
        body = {**self._bodies[question], "use_cache": use_cache}
        answer = self._session.post(f"{self._rest}/infer", json=body, timeout=TIMEOUT_S + 30)
        _require(answer)
        return PipelineResult.model_validate_json(answer.content)

    def _streamed(self, question: int, use_cache: bool) -> PipelineResult:
        body = {**self._bodies[question], "use_cache": use_cache, "stream": True}
        with self._session.post(f"{self._rest}/infer", json=body, timeout=TIMEOUT_S + 30, stream=True) as answer:
            _require(answer)
            last: dict[str, Any] = {}
            for line in answer.iter_lines():
                if line.startswith(b"data: {"):
                    last = json.loads(line.removeprefix(b"data: "))
        if isinstance(last.get("error"), dict):
            raise _error(last["error"])
        if not last.get("result"):
            raise ServingError("The stream ended without its last event.")
        return PipelineResult.model_validate(last["result"])

    def _retrying(self, question: int, use_cache: bool) -> PipelineResult:
        asked = self._questions[question]
        options = asked.options.model_copy(update={"use_cache": use_cache, "timeout_s": TIMEOUT_S})
        return self._client.ask(asked.images, asked.question.text, options)

    @property
    def _session(self) -> requests.Session:
        if not hasattr(self._sessions, "one"):
            self._sessions.one = requests.Session()
        session: requests.Session = self._sessions.one
        return session


def _body(asked: Asked) -> dict[str, Any]:
    said = asked.options.model_dump(mode="json", exclude_unset=True) | {"timeout_s": TIMEOUT_S}
    images = [base64.b64encode(image).decode() for image in asked.images]
    return {"question": asked.question.text, "images": images, **said}


def _require(answer: requests.Response) -> None:
    if answer.status_code == 200:
        return
    try:
        error = _error(answer.json()["error"])
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"HTTP {answer.status_code}: {answer.text[:100]!r}") from None
    raise error


def _error(said: dict[str, Any]) -> PixelisError:
    return from_wire(f"{said['code']}: {said['message']}")
