"""Progress of what takes long, on stderr; nothing when quiet."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from pixelis.settings import Settings
    from server.embedded import EmbeddedTriton


@contextmanager
def bar(title: str, total: int, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """A progress bar; the value is to be called once for each thing done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=sys.stderr), disable=quiet) as progress:
        task = progress.add_task(title, total=total)
        yield lambda: progress.advance(task)


@contextmanager
def stepping(total: int, *, quiet: bool) -> Iterator[Callable[[str], None]]:
    """A progress bar whose title says what is being done; the value is to be called when each thing begins."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(file=sys.stderr), disable=quiet) as progress:
        task, begun = progress.add_task("", total=total), iter(range(total + 1))
        yield lambda title: progress.update(task, description=title, completed=next(begun, total))


@contextmanager
def timing(title: str, seconds: float, *, quiet: bool) -> Iterator[Callable[[float], None]]:
    """A bar that fills in `seconds`; the value is to be called with those that have gone."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=sys.stderr), disable=quiet) as progress:
        task = progress.add_task(title, total=seconds)
        yield lambda gone: progress.update(task, completed=min(gone, seconds))


@contextmanager
def started(*, quiet: bool, config: Settings | None = None) -> Iterator[EmbeddedTriton]:
    """An embedded Triton with every model, started with a progress bar and stopped at the end."""
    from server.embedded import EmbeddedTriton
    from server.embedded import Progress as Start

    triton = EmbeddedTriton(config=config)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=sys.stderr), disable=quiet) as progress:
        task = progress.add_task("starting Triton", total=None)

        def show(state: Start) -> None:
            progress.update(task, total=state.total, completed=len(state.loaded))

        triton.start(progress=show)
    try:
        yield triton
    finally:
        triton.stop()
