"""What a process has used, and what a Redis has done."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import psutil


@dataclass(frozen=True)
class Redis:
    """A reading of a Redis, or the difference of two.

    Attributes:
        at: monotonic seconds.
        cpu_s: processor time, by its own account, in microseconds' steps.
        out_bytes: sent to clients.
        calls: commands by name, those of scripts among them.
    """

    at: float
    cpu_s: float
    out_bytes: int
    calls: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, client: Any) -> Redis:
        """Now."""
        used, done, sent = client.info("cpu"), client.info("commandstats"), client.info("stats")
        calls = {name.removeprefix("cmdstat_"): int(said["calls"]) for name, said in done.items()}
        seconds = used["used_cpu_sys"] + used["used_cpu_user"]
        return cls(time.monotonic(), seconds, int(sent["total_net_output_bytes"]), calls)

    def since(self, before: Redis) -> Redis:
        """What came about between the two."""
        calls = {name: count - before.calls.get(name, 0) for name, count in self.calls.items()}
        made = {name: count for name, count in calls.items() if count}
        return Redis(self.at - before.at, self.cpu_s - before.cpu_s, self.out_bytes - before.out_bytes, made)


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and of those that it started, in steps of 10 ms."""
    process = psutil.Process(pid)
    return sum(float(sum(one.cpu_times()[:2])) for one in [process, *process.children(recursive=True)])


def machine_seconds() -> float:
    """Processor time that everything on the machine has used."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0))
