"""The two sides, asked in the same way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from clients.client import PixelisClient
from perf.e2e.processes import Usage, usage
from perf.e2e.questions import Asked
from perf.plain.process import PlainProcess
from pixelis.schema import PipelineResult
from server import remains


class Side(Protocol):
    """What is measured."""

    @property
    def name(self) -> str:
        """`plain` or `served`."""

    def ask(self, asked: Asked) -> PipelineResult:
        """The answer to a question; raises `PixelisError`."""

    def usage(self) -> list[Usage]:
        """What its processes have used; empty where they are not on this machine, or not known."""


@dataclass(frozen=True)
class Plain:
    """The baseline, in its own process."""

    process: PlainProcess
    name: str = "plain"

    def ask(self, asked: Asked) -> PipelineResult:
        """See `Side`."""
        return self.process.ask(asked.images, asked.question.text, asked.options)

    def usage(self) -> list[Usage]:
        """See `Side`."""
        return usage([self.process.pid])


@dataclass(frozen=True)
class Served:
    """A running server.

    Attributes:
        client: connected to it.
        server_id: the mark of its processes; none = it was started by somebody else.
    """

    client: PixelisClient
    server_id: str | None
    name: str = "served"

    def ask(self, asked: Asked) -> PipelineResult:
        """See `Side`."""
        return self.client.ask(asked.images, asked.question.text, asked.options)

    def usage(self) -> list[Usage]:
        """`tritonserver` and all its stubs."""
        return [] if self.server_id is None else usage(remains.of(self.server_id).processes)
