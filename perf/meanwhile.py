"""Work that goes on beside something else, until that has ended."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Work = Callable[[threading.Event], None]
"""Goes on until its event is set, and waits on nothing else for long."""


@contextmanager
def meanwhile(*works: Work, name: str) -> Iterator[None]:
    """Each of `works` in a thread of its own while the block lasts; on leaving, all have ended.

    Args:
        works: called once each.
        name: of their threads.
    """
    over = threading.Event()
    threads = [
        threading.Thread(target=work, args=(over,), name=f"{name}-{number}", daemon=True)
        for number, work in enumerate(works)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
