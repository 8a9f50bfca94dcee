"""How many prompt tokens are read between two decode steps, and how much of the time is whose.

Sarathi-Serve (arXiv 2403.02310): prompts are read in chunks between the steps of those that decode. A chunk takes about
as long as the step beside it, so that a token comes at most about twice as late as without it; where an inter-token
latency is stated, the chunk takes what the step leaves of it, and where the step alone is longer, fewer sequences
decode together.
"""

from __future__ import annotations

IDLE_CHUNK = 512
"""Prompt tokens read in one go while nobody decodes: an arrival waits for no more than this."""
SMALLEST_CHUNK = 16
CHUNK_SHARE = 0.8
"""Time of a chunk, of the decode step beside it."""
LOW_SHARE = 0.1
"""Share of the time that ordinary requests keep while urgent ones run, so that they are never starved."""
_SMOOTHING = 0.2


class Pacing:
    """Estimates from what was measured: seconds of a prompt token, and of a step by its number of rows.

    Args:
        slots: rows of the cache.
        target_s: inter-token latency to hold, in seconds; none = whatever comes.

    Attributes:
        rows: sequences that may decode together now.
        credit_s: seconds that ordinary requests have saved up beside urgent ones.
    """

    def __init__(self, slots: int, target_s: float | None = None) -> None:
        self.slots, self.target_s = slots, target_s
        self.rows = slots
        self.credit_s = 0.0
        self._token_s: float | None = None
        self._step_s: dict[int, float] = {}

    def read(self, tokens: int, seconds: float) -> None:
        """`tokens` of prompts were read in `seconds`."""
        self._token_s = _smooth(self._token_s, seconds / tokens)

    def stepped(self, rows: int, seconds: float) -> None:
        """A decode step of `rows` took `seconds`."""
        self._step_s[rows] = _smooth(self._step_s.get(rows), seconds)
        if self.target_s is None:
            return
        if seconds > self.target_s and rows == self.rows:
            self.rows = max(1, self.rows - 1)
        elif seconds < 0.8 * self.target_s and rows >= self.rows:
            self.rows = min(self.slots, self.rows + 1)

    def chunk(self, decoding: int) -> int:
        """Prompt tokens to read before the next step of `decoding` rows."""
        if not decoding:
            return IDLE_CHUNK
        step, token = self.step_s(decoding), self._token_s
        if step is None or not token:
            return SMALLEST_CHUNK
        room = CHUNK_SHARE * step if self.target_s is None else self.target_s - step
        return max(SMALLEST_CHUNK, min(IDLE_CHUNK, int(room / token)))

    def step_s(self, rows: int) -> float | None:
        """Seconds of a step of `rows`, or of the nearest number that was measured; none before the first."""
        if not self._step_s:
            return None
        return self._step_s[min(self._step_s, key=lambda known: abs(known - rows))]

    def read_s(self, tokens: int) -> float:
        """Seconds to read `tokens` of a prompt; 0 before the first."""
        return tokens * (self._token_s or 0.0)

    def earn(self, seconds: float) -> None:
        """Urgent requests had the processor for `seconds`."""
        most = 2 * max(self._step_s.values(), default=1.0)  # a pause of theirs is not to be made up for in one go
        self.credit_s = min(self.credit_s + LOW_SHARE * seconds, most)

    def spend(self, seconds: float) -> bool:
        """Whether ordinary requests may have `seconds` beside urgent ones now; if so they are charged."""
        if self.credit_s < seconds:
            return False
        self.credit_s -= seconds
        return True


def _smooth(known: float | None, seconds: float) -> float:
    return seconds if known is None else known + _SMOOTHING * (seconds - known)
