"""What was measured, as one number for each thing that is shared."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from perf.scale.driven import SATURATING
from perf.scale.log_cost import FOLLOWERS
from perf.scale.log_model import LogCosts
from pixelis.errors import SetupError

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Asking:
    """A question of one kind, as it was answered by a replica.

    Attributes:
        per_second: answers of one replica.
        gateway: seconds of the gateway's processor time.
        reads, writes, scripts: commands of the cache in Redis.
        entries: of the log.
    """

    per_second: float
    gateway: float
    reads: float
    writes: float
    scripts: float
    entries: float


@dataclass(frozen=True)
class Costs:
    """All of it, in seconds of a processor where nothing else is said.

    Attributes:
        unique, repeated, learning: questions.
        read, write, script: a command of the cache in Redis, while it is kept busy.
        balancer: a request that nginx hands on; none where there is no nginx.
        log: of the log.
        sent_bytes: to each follower of the log, for a change.
        cache_connections, log_connections: of one replica.
    """

    unique: Asking
    repeated: Asking
    learning: Asking
    read: float
    write: float
    script: float
    balancer: float | None
    log: LogCosts
    sent_bytes: float
    cache_connections: int
    log_connections: int

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Costs:
        """From the rows of a measurement.

        Raises:
            SetupError: a part was not measured.
        """
        command = {kind: _one(rows, row="cache", command=kind, at_once=SATURATING) for kind in ("read", "write")}
        script = _one(rows, row="cache", command="script", at_once=SATURATING)
        unique = _one(rows, row="replica", questions="unique")
        balancers = _all(rows, row="balancer")
        return cls(
            unique=_asking(unique),
            repeated=_asking(_one(rows, row="replica", questions="repeated")),
            learning=_asking(_one(rows, row="replica", questions="learning")),
            read=1e-6 * command["read"]["redis_us"],
            write=1e-6 * command["write"]["redis_us"],
            script=1e-6 * script["redis_us"],
            balancer=1e-6 * balancers[0]["nginx_us"] if balancers else None,
            log=log_costs(rows),
            sent_bytes=sent(rows),
            cache_connections=int(unique["cache_connections"]),
            log_connections=int(unique["log_connections"]),
        )

    def answering(self, per_second: float) -> Costs:
        """The same with replicas that answer so many new questions a second, and so many more of those they learn."""
        faster = per_second / self.unique.per_second
        learning = replace(self.learning, per_second=faster * self.learning.per_second)
        return replace(self, unique=replace(self.unique, per_second=per_second), learning=learning)


def log_costs(rows: Sequence[Row]) -> LogCosts:
    """The log's, while its Redis is kept busy. A follower that is told of a change asks what is new and whether what it
    had is still there, and then once more both, which finds nothing. What a writer that is alone waits for besides is
    the disk.

    Raises:
        SetupError: the log was not measured.
    """
    names = ("told", "what is new", "nothing is new", "still there", "append")
    command = {name: 1e-6 * _one(rows, measured="commands", command=name)["redis_us"] for name in names}
    idle = _line(rows, "idle_us_per_s")[1]
    return LogCosts(
        append=command["append"] + command["still there"] + command["what is new"],
        fsync=rest(_one(rows, measured="writers", at_once=1)),
        told=command["told"] + command["nothing is new"] + 2 * command["still there"],
        entry=command["what is new"],
        idle=1e-6 * max(idle, 0.0),
        apply=1e-3 * _one(rows, row="log", measured="applying")["apply_ms"],
    )


def rest(alone: Row) -> float:
    """Seconds that an answer takes one client beside its own processor time and the server's, at the pace that other
    work on the machine leaves."""
    worked = 1e-6 * float(alone["client_us"] + alone["redis_us"])
    return max(0.0, 1 / float(alone["per_second"]) - slowed(alone) * worked)


def slowed(row: Row) -> float:
    """How much longer work takes because others have a part of the machine."""
    cores = len(os.sched_getaffinity(0))
    return cores / max(cores - float(row.get("others_cores", 0.0)), 0.1 * cores)


def sent(rows: Sequence[Row]) -> float:
    """Bytes that the log sends each follower for a change."""
    return max(0.0, _line(rows, "out_bytes")[1])


def followed(rows: Sequence[Row]) -> tuple[float, float]:
    """Seconds of Redis for a change, and for each follower of it, at leisure: least squares over few followers."""
    append, each = _line(rows, "redis_us")
    return 1e-6 * append, 1e-6 * each


def _line(rows: Iterable[Row], name: str) -> tuple[float, float]:
    """Without followers, and for each of them: least squares over few."""
    few = [row for row in _all(rows, row="log", measured="followers") if row["at_once"] in FOLLOWERS]
    if len(few) < 2:
        raise SetupError("The log was measured with too few followers.", mend="Measure the part `log`.")
    slope, none = np.polyfit([float(row["at_once"]) for row in few], [float(row[name]) for row in few], 1)
    return float(none), float(slope)


def _asking(row: Row) -> Asking:
    return Asking(
        per_second=row["per_second"],
        gateway=1e-3 * row["gateway_ms"],
        reads=row["reads"],
        writes=row["writes"],
        scripts=row["scripts"],
        entries=row["log_entries"],
    )


def _all(rows: Iterable[Row], **wanted: object) -> list[Row]:
    return [row for row in rows if all(row.get(name) == value for name, value in wanted.items())]


def _one(rows: Iterable[Row], **wanted: object) -> Row:
    found = _all(rows, **wanted)
    if not found:
        said = ", ".join(f"{name} {value}" for name, value in wanted.items())
        raise SetupError(
            f"There is no row of {said}.", mend="Measure that part, or name a run with it: --measured FILE."
        )
    return found[0]
