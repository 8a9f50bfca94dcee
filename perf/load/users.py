"""What each kind of user does. For locust, in whose process everything that waits lets others go on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import requests
from locust import User, between, task

from clients import wire
from clients.client import PixelisClient
from perf.e2e.questions import Asked
from perf.load.questions import Questions
from perf.load.scenario import Kind, Scenario, Users
from pixelis.errors import InvalidImage, PixelisError, ServingError
from pixelis.schema import Options

BROKEN = b"\xff\xd8\xff\xe0 no picture"
FIRST = "first event"


class Answering(User):
    """One user; `share` says of which kind.

    Attributes:
        share: of the scenario.
        questions: that all users of this kind in this process ask.
        grpc: `host:port` of Triton.
        gateway: of the gateway.
    """

    abstract = True
    share: Users
    questions: Questions
    grpc: str | None
    gateway: str

    def on_start(self) -> None:
        """Connect."""
        self._client = PixelisClient(self.grpc)
        self._session = requests.Session()

    def on_stop(self) -> None:
        """Close the connections."""
        self._client.close()
        self._session.close()

    @task
    def once(self) -> None:
        """One request, told to locust with its time and what went wrong."""
        asked = self.questions.next()
        options = asked.options.model_copy(update={"use_cache": True, **self.share.options})
        begun = time.perf_counter()
        try:
            size = DONE[self.share.kind](self, asked, options, begun)
        except (PixelisError, requests.RequestException) as error:
            self._told(self.share.name, begun, 0, error)
        else:
            self._told(self.share.name, begun, size, None)

    def ask(self, asked: Asked, options: Options, _: float) -> int:
        """A whole answer over gRPC."""
        return len(self._client.ask(asked.images, asked.question.text, options).answer)

    def stream(self, asked: Asked, options: Options, begun: float) -> int:
        """Events; the first one has a time of its own."""
        size = 0
        for event in self._client.stream(asked.images, asked.question.text, options):
            if not size:
                self._told(f"{self.share.name}, {FIRST}", begun, 0, None)
            size += 1 + len(event.text or "")
        return size

    def leave(self, asked: Asked, options: Options, _: float) -> int:
        """Goes at the first event."""
        events = self._client.stream(asked.images, asked.question.text, options)
        next(iter(events))
        events.close()  # type: ignore[attr-defined]
        return 0

    def broken(self, asked: Asked, options: Options, _: float) -> int:
        """Sends what is no picture; anything but that answer is a failure."""
        try:
            self._client.ask([BROKEN], asked.question.text, options)
        except InvalidImage:
            return 0
        raise ServingError("What is no picture was answered.")

    def rest(self, asked: Asked, options: Options, _: float) -> int:
        """Through the gateway."""
        said = options.model_dump(mode="json", exclude_unset=True)
        body = {**said, "question": asked.question.text, "images": [wire.data_url(one) for one in asked.images]}
        answer = self._session.post(f"http://{self.gateway}/infer", json=body, timeout=options.timeout_s + 5)
        answer.raise_for_status()
        return len(answer.content)

    def _told(self, name: str, begun: float, size: int, error: Exception | None) -> None:
        self.environment.events.request.fire(
            request_type=self.share.kind,
            name=name,
            response_time=1e3 * (time.perf_counter() - begun),
            response_length=size,
            exception=error,
            context={},
        )


DONE: dict[Kind, Callable[[Answering, Asked, Options, float], int]] = {
    "ask": Answering.ask,
    "stream": Answering.stream,
    "leave": Answering.leave,
    "broken": Answering.broken,
    "rest": Answering.rest,
}


def classes(scenario: Scenario, grpc: str | None, gateway: str) -> dict[str, type[Answering]]:
    """A class for each kind of users, as locust wants them."""
    found: dict[str, type[Answering]] = {}
    for number, share in enumerate(scenario.users):
        fields: dict[str, Any] = {
            "abstract": False,
            "weight": share.weight,
            "wait_time": between(*scenario.wait_s),
            "share": share,
            "questions": Questions(share),
            "grpc": grpc,
            "gateway": gateway,
        }
        found[f"Users{number}"] = type(f"Users{number}", (Answering,), fields)
    return found
