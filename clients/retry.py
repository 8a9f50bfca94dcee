"""When a request is worth sending again, and after how long."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from pixelis.errors import PixelisError, Unavailable

FIRST_S = 0.1
MOST_S = 2.0


@dataclass(frozen=True)
class Retry:
    """Pauses with full jitter: between nothing and a bound that doubles, so that clients do not come back together.

    After Marc Brooker, "Exponential Backoff and Jitter" (AWS Architecture Blog, 2015).

    Attributes:
        times: how often a request is sent again, at most.
        first_s: bound of the first pause.
        most_s: bound of any pause that the server has not asked for.
    """

    times: int = 0
    first_s: float = FIRST_S
    most_s: float = MOST_S

    def pauses(self) -> Iterator[float]:
        """Seconds before each further try."""
        for number in range(self.times):
            yield random.uniform(0, min(self.most_s, self.first_s * 2**number))


def after(error: PixelisError, safe: bool, pause_s: float, left_s: float) -> float | None:
    """Seconds after which a request may be sent again; none = it may not.

    Only what is not up or has too much to do: anything else would fail again. What changes something may have done so
    before its answer was lost.

    Args:
        error: what came of it.
        safe: whether asking twice is the same as asking once.
        pause_s: what `Retry` says.
        left_s: of the request's time.
    """
    if not safe or not isinstance(error, Unavailable):
        return None
    wait = max(pause_s, error.retry_after_s or 0.0)
    return wait if wait < left_s else None
