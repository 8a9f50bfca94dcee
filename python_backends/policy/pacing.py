"""How many prompt tokens are read between two decode steps, and how much of the time is whose.

Sarathi-Serve (arXiv 2403.02310): prompts are read in chunks between the steps of those that decode. A chunk takes about
as long as the step beside it, so that a token comes at most about twice as late as without it; where an inter-token
latency is stated, the chunk takes what the step leaves of it, and where the step alone is longer, fewer sequences
decode together.
"""

from __future__ import annotations

IDLE_CHUNK = 512
"""Prompt tokens read in one go at most."""
IDLE_S = 0.15
"""Seconds of reading in one go while nobody decodes: an arrival waits for no more than this, or a stated latency."""
IDLE_SMALLEST = 64
"""Below, the same: a slow machine is not to be slower still."""
SMALLEST_CHUNK = 16
"""Below, a chunk takes nearly as long: every one of them reads all weights from memory."""
CHUNK_SHARE = 0.7
"""Time of a chunk, of the decode step beside it, while all rows decode."""
MOST_SHARE = 8.0
"""The same where few rows decode: another one is worth more to all than an early token to some."""
LOW_SHARE = 0.1
"""Share of the time that ordinary requests keep while urgent ones run, so that they are never starved."""
_SMOOTHING = 0.2


class Pacing:
    """Estimates from what was measured: seconds of a chunk by its length, and of a step by its number of rows.

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
        self._largest_s = 0.0
        self._chunks = _Line()
        self._step_s: dict[int, float] = {}

    def read(self, tokens: int, seconds: float) -> None:
        """`tokens` of prompts were read in `seconds`."""
        self._chunks.add(tokens, seconds)

    def stepped(self, rows: int, seconds: float) -> None:
        """A decode step of `rows` took `seconds`."""
        self._step_s[rows] = _smooth(self._step_s.get(rows), seconds)
        if self.target_s is None:
            return
        if seconds > self.target_s and rows <= self.rows:
            self.rows = max(1, rows - 1)
        elif seconds < 0.8 * self.target_s and rows >= self.rows:
            self.rows = min(self.slots, self.rows + 1)

    def chunk(self, decoding: int) -> int:
        """Prompt tokens to read before the next step of `decoding` rows."""
        if not decoding:
            seconds = max(IDLE_S, self.target_s or 0.0)
            return int(min(IDLE_CHUNK, max(IDLE_SMALLEST, self._chunks.within(seconds) if self._chunks.known else 0)))
        step = self.step_s(decoding)
        if step is None:
            return SMALLEST_CHUNK
        share = min(MOST_SHARE, CHUNK_SHARE * (self.slots / decoding) ** 2)
        room = share * step if self.target_s is None else self.target_s - step
        return int(min(IDLE_CHUNK, max(SMALLEST_CHUNK, self._chunks.within(room))))

    def step_s(self, rows: int) -> float | None:
        """Seconds of a step of `rows`, or of the nearest number that was measured; none before the first."""
        if not self._step_s:
            return None
        return self._step_s[min(self._step_s, key=lambda known: abs(known - rows))]

    def read_s(self, tokens: int) -> float:
        """Seconds to read `tokens` of a prompt; 0 before the first."""
        return self._chunks.at(tokens)

    def earn(self, seconds: float) -> None:
        """Urgent requests had the processor for `seconds`."""
        # Saved up is no more than what the two largest pieces of work need: a pause is not made up for in one go.
        self.credit_s = min(self.credit_s + LOW_SHARE * seconds, 2 * self._largest_s)

    def spend(self, seconds: float) -> bool:
        """Whether ordinary requests may have `seconds` beside urgent ones now; if so they are charged."""
        self._largest_s = max(self._largest_s, seconds)
        if self.credit_s < seconds:
            return False
        self.credit_s -= seconds
        return True


def _smooth(known: float | None, seconds: float) -> float:
    return seconds if known is None else known + _SMOOTHING * (seconds - known)


class _Line:
    """Seconds as `fixed + slope * tokens`, by least squares over what was measured lately."""

    def __init__(self) -> None:
        self._weight = self._x = self._y = self._xx = self._xy = 0.0

    @property
    def known(self) -> bool:
        """Whether anything was measured."""
        return self._weight > 0

    def add(self, tokens: float, seconds: float) -> None:
        """One more measurement; older ones count less and less."""
        keep = 1 - _SMOOTHING / 4
        self._weight = keep * self._weight + 1
        self._x = keep * self._x + tokens
        self._y = keep * self._y + seconds
        self._xx = keep * self._xx + tokens * tokens
        self._xy = keep * self._xy + tokens * seconds

    def at(self, tokens: float) -> float:
        """Seconds of `tokens`; 0 before the first measurement."""
        fixed, slope = self._fit()
        return fixed + slope * tokens

    def within(self, seconds: float) -> float:
        """Tokens that take `seconds`."""
        fixed, slope = self._fit()
        return (seconds - fixed) / slope if slope > 0 else SMALLEST_CHUNK

    def _fit(self) -> tuple[float, float]:
        if not self.known:
            return 0.0, 0.0
        spread = self._weight * self._xx - self._x**2
        # Chunks of one length alone say nothing about the fixed part.
        if spread < 0.01 * self._x**2:
            return 0.0, self._y / self._x
        slope = (self._weight * self._xy - self._x * self._y) / spread
        fixed = (self._y - slope * self._x) / self._weight
        return (fixed, slope) if fixed >= 0 and slope > 0 else (0.0, self._y / self._x)
