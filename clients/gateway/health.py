"""Whether the gateway and what is behind it work, as found out a moment ago."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from pydantic import BaseModel, Field

ESSENTIAL = ("pixelis", "agent", "prepare", "reason", "finish", "policy", "vision_encoder", "visual_ops")
"""Without one of these there are no answers."""
OPTIONAL = ("recall", "knn", "reward", "vote", "dynamics", "embed_image", "embed_text", "ocr_detect", "ocr_recognize")
"""Without one of these there are answers, which say what was done without."""
FRESH_S = 1.0


class Probe(Protocol):
    """What says whether a model takes requests."""

    async def is_ready(self, model: str | None = None) -> bool:
        """Whether the server, or one of its models, takes requests."""
        ...


class Health(BaseModel):
    """Body of `GET /health`."""

    live: bool = Field(description="Triton answers")
    ready: bool = Field(description="questions are answered")
    degraded: list[str] = Field(description="models that do not take requests")


class Doctor:
    """Asks Triton, at most once a second however many ask.

    Args:
        probe: of Triton.
    """

    def __init__(self, probe: Probe) -> None:
        self._probe, self._lock = probe, asyncio.Lock()
        self._found: tuple[float, Health] | None = None

    async def health(self) -> Health:
        """What is the case."""
        async with self._lock:
            if self._found is None or time.monotonic() - self._found[0] > FRESH_S:
                found = await self._look()
                self._found = (time.monotonic(), found)
            return self._found[1]

    async def _look(self) -> Health:
        live = await self._probe.is_ready(None)
        if not live:
            return Health(live=False, ready=False, degraded=[*ESSENTIAL, *OPTIONAL])
        names = (*ESSENTIAL, *OPTIONAL)
        ready = await asyncio.gather(*(self._probe.is_ready(name) for name in names))
        degraded = [name for name, up in zip(names, ready, strict=True) if not up]
        return Health(live=True, ready=not set(degraded) & set(ESSENTIAL), degraded=degraded)
