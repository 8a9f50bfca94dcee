"""What a thread has had of the processors, and what it waited for them."""

from __future__ import annotations

import time

_SCHEDSTAT = "/proc/thread-self/schedstat"


def thread_times() -> tuple[int, int]:
    """Nanoseconds on a processor, and ready but waiting for one; of the calling thread, since it began.

    Linux says both in `schedstat` (proc(5), `kernel/sched/stats.h`); the second one is zero where it does not.
    """
    try:
        with open(_SCHEDSTAT, "rb") as file:
            waited = int(file.read().split()[1])
    except (OSError, IndexError, ValueError):
        waited = 0
    return time.thread_time_ns(), waited
