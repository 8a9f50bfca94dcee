"""How many questions a caller has had today, in a file that outlives the gateway."""

from __future__ import annotations

import contextlib
import datetime
import math
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from clients.gateway.allowance import Left
from pixelis.errors import RateLimited, SetupError, Unavailable

BUSY_S = 1.0
"""Another gateway on the same file is waited for so long."""
MEND = "Check its folder, or remove it: today's questions are counted anew then."

_TABLE = """CREATE TABLE IF NOT EXISTS asked (
  day TEXT NOT NULL, caller TEXT NOT NULL, questions INTEGER NOT NULL, PRIMARY KEY (day, caller)
) WITHOUT ROWID"""
_COUNT = """INSERT INTO asked VALUES (:day, :caller, :count)
ON CONFLICT (day, caller) DO UPDATE SET questions = questions + :count WHERE questions + :count <= :most"""


class Quotas:
    """Counts of a UTC day. Several gateways may share a file: what is counted and what is left are one step.

    A count is in the file when its request goes on, so a process that is killed loses none; what a machine that loses
    its power had counted in its last moments may be lost.

    Args:
        path: the SQLite file, made when it is first needed; none = kept by this process alone.
        now: the time, UTC.
    """

    def __init__(self, path: Path | None = None, now: Callable[[], datetime.datetime] | None = None) -> None:
        self._path, self._now = path, now or _now
        self._file: sqlite3.Connection | None = None
        self._day = ""

    def open(self) -> None:
        """Make sure that it can be counted. Raises `SetupError`."""
        try:
            self._opened()
        except (sqlite3.Error, OSError) as error:
            raise SetupError(f"The counts of quotas {self._path} cannot be used: {error}.", mend=MEND) from None

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def take(self, caller: str, per_day: int | None, count: int) -> None:
        """Count `count` questions of `caller`, whose limit is `per_day` (none = no limit).

        Raises:
            RateLimited: it has had them; nothing is counted.
            Unavailable: it cannot be counted.
        """
        if per_day is None or not count:
            return
        with self._counting() as file:
            said = {"day": self._today(file), "caller": caller, "count": count, "most": per_day}
            if count <= per_day and file.execute(_COUNT, said).rowcount:
                return
        left = self.left(caller, per_day)
        assert left is not None
        beside = f"{count} more" if count > 1 else "One more"
        raise RateLimited(
            f"{beside} would exceed {per_day} questions of a day (UTC), of which {left.remaining} are left.",
            mend=f"Try again in {left.reset_s} s.",
        )

    def left(self, caller: str, per_day: int | None) -> Left | None:
        """What is left today; none without a limit. Raises `Unavailable`."""
        if per_day is None:
            return None
        with self._counting() as file:
            row = file.execute(
                "SELECT questions FROM asked WHERE day = ? AND caller = ?", (self._today(file), caller)
            ).fetchone()
        asked = 0 if row is None else int(row[0])
        return Left(per_day, max(0, per_day - asked), self._until_tomorrow())

    @contextlib.contextmanager
    def _counting(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._opened()
        except (sqlite3.Error, OSError) as error:
            raise Unavailable(f"Quotas cannot be counted: {error}.", mend="Try again in 5 s.") from None

    def _opened(self) -> sqlite3.Connection:
        if self._file is None:
            if self._path is not None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            file = sqlite3.connect(self._path or ":memory:", timeout=BUSY_S, isolation_level=None)
            try:
                file.execute("PRAGMA journal_mode = WAL")
                file.execute("PRAGMA synchronous = NORMAL")  # a step is in the log, not yet on the disk
                file.execute(_TABLE)
            except sqlite3.Error:
                file.close()
                raise
            self._file = file
        return self._file

    def _today(self, file: sqlite3.Connection) -> str:
        day = self._now().date().isoformat()
        if day != self._day:  # earlier days are no longer asked for
            file.execute("DELETE FROM asked WHERE day < ?", (day,))
            self._day = day
        return day

    def _until_tomorrow(self) -> int:
        now = self._now()
        tomorrow = datetime.datetime.combine(now.date() + datetime.timedelta(days=1), datetime.time(), now.tzinfo)
        return max(1, math.ceil((tomorrow - now).total_seconds()))


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)
