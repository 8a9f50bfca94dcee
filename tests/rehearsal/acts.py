"""What goes wrong for each alert, what its page must show then, and what is set before its page mends it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from tests.rehearsal import faults
from tests.rehearsal.stack import Stack

Fault = Callable[[Stack], AbstractContextManager[None]]
"""Breaks it on entry. On exit it takes away what no command of a page can, as people who ask."""


def _nothing(_: Stack) -> dict[str, str]:
    return {}


def more_memory(stack: Stack) -> dict[str, str]:
    """As the page of ModelRepairedOften says."""
    stack.set("PIXELIS_TRITON_MEMORY", "9g")
    return {}


def fewer_threads(stack: Stack) -> dict[str, str]:
    """As the page of LatencyHigh says."""
    stack.set("PIXELIS_THREADS", "1")
    return {}


@dataclass(frozen=True)
class Act:
    """One fault.

    Attributes:
        alerts: that have a reason then; each page's commands are run.
        fault: breaks it.
        shows: by alert, patterns that what shows it must print.
        before: what a page says to do first; words to put in the place of others in what mends it.
        mends: pages whose commands mend it; none = those of the alerts.
        reason_s: until Prometheus has a reason, at most.
        both: what restarts a replica restarts the other one too, when the first is healthy.
        numbers: numbers alone, and no command of the page is run.
        within_s: from the first command that mends until there is none, at most.
    """

    alerts: tuple[str, ...]
    fault: Fault
    shows: dict[str, tuple[str, ...]]
    before: Callable[[Stack], dict[str, str]] = _nothing
    mends: tuple[str, ...] = ()
    reason_s: float = 60.0
    within_s: float = 120.0
    numbers: bool = False
    both: bool = False

    def __str__(self) -> str:
        return f"{'+'.join(self.alerts)}-{self.fault.__name__}"


EXPORTERS = [
    Act(("TargetDown",), faults.exporter_hangs, {"TargetDown": (r'up\{instance="redis-log-metrics:9121".*=> 0',)}),
    Act(("TargetDown",), faults.exporter_is_refused, {"TargetDown": (r"Couldn't connect to redis",)}),
]
"""Of a stack without replicas: nobody is asked."""

MACHINE = [
    Act(("GpuMemoryHigh",), faults.gpu_fills, {}, before=faults.given_back, numbers=True),
    Act(("DiskFull",), faults.disk_fills, {"DiskFull": (r"<none> +\d+MiB", r'mountpoint="[^"]*/disk"')}),
    Act(("CacheTierBroken",), faults.cache_hangs, {"CacheTierBroken": (r"no answer", r"The cache in Redis fails")}),
    Act(("MemoryLow",), faults.memory_runs_out, {"MemoryLow": (r"triton-2 +\d+\.\dMiB / 8192MiB",)}),
]

EXPERIENCES = [
    Act(("ExperienceLogBehind",), faults.one_lags, {"ExperienceLogBehind": (r'"position": "',)}, reason_s=120),
    Act(("SearchRecallLow",), faults.index_is_poor, {"SearchRecallLow": (r'"ivf_flat"', r'"recall"')}, reason_s=90),
    Act(("ExperienceLogUnreached",), faults.log_hangs, {"ExperienceLogUnreached": (r'"fault": "',)}, within_s=150),
    Act(
        ("ExperienceLogFull",),
        faults.log_fills,
        {"ExperienceLogFull": (r"used_memory:\d+", r"maxmemory:\d+", r"(?m)^\d+$")},
        before=faults.lower_position,
    ),
]

REPLICAS = [
    Act(
        ("NoReplicaLeft",),
        faults.version_does_not_load,
        {"NoReplicaLeft": (r"triton-1 +(Restarting|Up \d seconds)", r"error: Version 3 of embed_image")},
        within_s=150,
    ),
    Act(
        ("ReplicaDown", "RequestsFail"),
        faults.triton_hangs,
        {"ReplicaDown": (r"triton-1 +Up .*unhealthy",), "RequestsFail": (r"gateway-1:8080.*deadline_exceeded",)},
    ),
    Act(
        ("ModelRepairedOften",),
        faults.model_dies,
        {"ModelRepairedOften": (r"a process of it has died", r"=> \d")},
        before=more_memory,
        reason_s=120,
        within_s=200,
    ),
    Act(("ModelDead",), faults.version_is_gone, {"ModelDead": (r'"state": "dead"', r"could not be repaired")}),
]

REQUESTS = [
    Act(("TokensStalled",), faults.policy_hangs, {"TokensStalled": (r"policy.*(silent|dead|answer)",)}),
    Act(("QueueTimeHigh",), faults.queue, {"QueueTimeHigh": (r'model="reason"',)}, both=True),
    Act(("GatewayQueueHigh",), faults.crowd, {"GatewayQueueHigh": (r"/infer", r"172\.28\.77\.2\b")}),
    Act(
        ("RequestsRefused",),
        faults.larger_crowd,
        {"RequestsRefused": (r'class="ordinary".*=> 2\d\d\b',)},
        mends=("GatewayQueueHigh",),
    ),
    Act(("LatencyHigh",), faults.policy_is_slow, {"LatencyHigh": (r"reason",)}, before=fewer_threads, reason_s=120),
    Act(("CacheHitsCollapsed",), faults.strangers, {"CacheHitsCollapsed": (r"request", r"maxmemory:")}, within_s=200),
]
