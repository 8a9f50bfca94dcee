"""Teaches a fleet whatever happens to it, and looks afterwards whether every replica knows what was acknowledged."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clients.client import PixelisClient
from perf.chaos.fleet import until
from pixelis.errors import PixelisError
from pixelis.schema import Experience, KnnCommand
from python_backends.experience.key import WIDTH

EVERY_S = 0.2
LAG_S = 20.0
"""A replica that was down reads what the others learned meanwhile."""


@dataclass(frozen=True)
class Acknowledged:
    """An experience that somebody was told is kept.

    Attributes:
        experience_id: its name.
        key: `[1664]`, of length 1; nobody else has one like it.
    """

    experience_id: str
    key: NDArray[np.float32]


class Learner:
    """Inserts one experience after the other through the balancer.

    Args:
        grpc: `host:port` of it.
    """

    def __init__(self, grpc: str) -> None:
        self._client = PixelisClient(grpc)
        self._drawn = np.random.default_rng()
        self.acknowledged: list[Acknowledged] = []
        self.refused: list[str] = []

    @contextlib.contextmanager
    def teaching(self) -> Iterator[None]:
        """While it lasts; on leaving, the last one is acknowledged or refused."""
        over = threading.Event()

        def work() -> None:
            while not over.wait(EVERY_S):
                self._one()

        thread = threading.Thread(target=work, name="learner")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

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
                        found.append(f"{one.experience_id} at {url}: {_instead(client, one)}")
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
            self.acknowledged.append(Acknowledged(found.experience_id, key))


def _instead(client: PixelisClient, one: Acknowledged) -> str | None:
    """What is found in place of an experience; none = itself."""
    try:
        found = client.search(one.key, 1)
    except PixelisError as error:
        return error.wire()
    if not found.neighbours:
        return f"nothing ({found.reason})"
    first = found.neighbours[0]
    return None if first.experience_id == one.experience_id else f"{first.experience_id}, {first.similarity:.3f} alike"
