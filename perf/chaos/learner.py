"""Teaches a fleet whatever happens to it, and looks afterwards whether every replica knows what was acknowledged."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Iterator

import numpy as np

from clients.client import PixelisClient
from perf.chaos.fleet import until
from perf.meanwhile import meanwhile
from pixelis.errors import PixelisError
from pixelis.schema import Experience, KnnCommand
from python_backends.experience.key import WIDTH

EVERY_S = 0.2
LAG_S = 90.0
"""A replica that was down reads what the others learned meanwhile; one may still be on its way up."""


class Learner:
    """Inserts one experience after the other through the balancer.

    Args:
        grpc: `host:port` of it.
    """

    def __init__(self, grpc: str) -> None:
        self._client = PixelisClient(grpc)
        self._drawn = np.random.default_rng()
        self.acknowledged: list[str] = []
        self.refused: list[str] = []

    @contextlib.contextmanager
    def teaching(self) -> Iterator[None]:
        """While it lasts; on leaving, the last one is acknowledged or refused."""

        def work(over: threading.Event) -> None:
            while not over.wait(EVERY_S):
                self._one()

        with meanwhile(work, name="learner"):
            yield

    def lost(self, replicas: list[str]) -> list[str]:
        """Names of those that were acknowledged and that one of the replicas does not find, after some patience.

        Args:
            replicas: `host:port` of each one's gRPC.
        """
        found: list[str] = []
        for url in replicas:
            with PixelisClient(url) as client:
                for one in self.acknowledged:
                    if not until(lambda one=one: _instead(client, one) is None, LAG_S, 0.5):
                        found.append(f"{one} at {url}: {_instead(client, one)}")
        return found

    def close(self) -> None:
        """Lets the connection go."""
        self._client.close()

    def _one(self) -> None:
        key = self._drawn.standard_normal(WIDTH).astype(np.float32)
        key /= np.linalg.norm(key)
        name = uuid.uuid4().hex
        experience = Experience(experience_id=name, question=name, answer=name, confidence=0.9, created_at=time.time())
        try:
            found = self._client.knn(KnnCommand(command="insert", experience=experience), key)
        except PixelisError as error:
            self.refused.append(error.wire())
            return
        if found.experience_id is not None:
            self.acknowledged.append(found.experience_id)


def _instead(client: PixelisClient, name: str) -> str | None:
    """Why an experience is not there, by its name: an index of approximate neighbours may pass over its key."""
    try:
        client.knn(KnnCommand(command="feedback", experience_id=name, correct=True))
    except PixelisError as error:
        return error.wire()
    return None
