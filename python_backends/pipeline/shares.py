"""How a request's time is shared out, so that a stage that hangs leaves time to answer without it."""

from __future__ import annotations

import time

from pixelis.schema import PreparedRequest

RECALL = 0.5
STATES = 0.3
REWARD = 0.4
VOTE = 0.5
LEARN = 0.5


_AFTERWARDS = 0.1
_MOST_AFTERWARDS_S = 1.0


def reasoning(request: PreparedRequest) -> float:
    """When the agent loop must end, so that there is time to make a result of what it has; seconds since the epoch."""
    return request.deadline - min(_MOST_AFTERWARDS_S, _AFTERWARDS * request.options.timeout_s)


def share(deadline: float, fraction: float) -> float:
    """When `fraction` of the time that is left until `deadline` will have gone; both in seconds since the epoch."""
    now = time.time()
    return now + fraction * max(0.0, deadline - now)


class Stopwatch:
    """Milliseconds per named stage; a stage that runs twice is summed."""

    def __init__(self) -> None:
        self.ms: dict[str, float] = {}
        self._started = time.perf_counter()

    def add(self, stage: str, started: float) -> None:
        """Add the time since `started` (a `time.perf_counter` reading) to `stage`."""
        self.ms[stage] = round(self.ms.get(stage, 0.0) + 1000 * (time.perf_counter() - started), 3)

    @property
    def elapsed_ms(self) -> float:
        """Since this stopwatch was made."""
        return round(1000 * (time.perf_counter() - self._started), 3)
