"""The thread budget that both sides share: a number of cores, which their processes inherit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from pixelis.errors import InvalidRequest


@contextmanager
def bounded(threads: int | None) -> Iterator[int]:
    """Keep this process, and those that it starts meanwhile, on `threads` of its cores; none = all of them.

    Yields:
        how many cores there are.

    Raises:
        InvalidRequest: more than this process may use.
    """
    usable = sorted(os.sched_getaffinity(0))
    if threads is not None and threads > len(usable):
        raise InvalidRequest(f"--threads {threads} is more than the {len(usable)} cores that may be used here.")
    try:
        if threads is not None:
            os.sched_setaffinity(0, usable[:threads])
        yield threads or len(usable)
    finally:
        os.sched_setaffinity(0, usable)
