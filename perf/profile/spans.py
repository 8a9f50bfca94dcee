"""Spans as the models' processes wrote them, and the switch that makes them write."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixelis.errors import SetupError
from pixelis.json_text import loads
from python_backends.tracing.switch import FOLDER, LOOK_SECONDS, WANTED

LONGEST_S = 900.0
"""For which spans are written where nobody says that it was enough: whoever asked for them may have died."""
SETTLE_S = 2 * LOOK_SECONDS + 0.1
"""Until every process has looked at the switch."""
ROOM_BYTES = 256 * 2**20
"""Free on the disk, at least."""


@dataclass(frozen=True)
class Span:
    """What one process did.

    Attributes:
        identity: its own.
        model: whose process it was.
        name: what it did.
        kind: see `python_backends.tracing.Span`.
        start: nanoseconds of the machine's monotonic clock.
        end: the same.
        thread: that it ran in.
        cpu: nanoseconds that its thread had a processor; none where another thread ended it.
        queued: nanoseconds that its thread waited for one.
        senders: spans that began it, each with its request's name; the latter may be empty.
        notes: whatever else was said.
    """

    identity: str
    model: str
    name: str
    kind: str
    start: int
    end: int
    thread: int
    cpu: int | None
    queued: int
    senders: tuple[tuple[str, str], ...]
    notes: dict[str, Any]


@contextmanager
def recorded(state: Path) -> Iterator[Path]:
    """The folder into which processes with this state folder write their spans, until the end.

    Raises:
        SetupError: there is no room for them.
    """
    folder = state / FOLDER / f"{time.time_ns()}"
    try:
        folder.mkdir(parents=True)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise SetupError(f"Spans cannot be written: {error}.", mend="Name another folder: PIXELIS_STATE.") from error
    if free < ROOM_BYTES:
        folder.rmdir()
        raise SetupError(
            f"{free / 2**20:.0f} MiB are free for spans in {folder.parent}, {ROOM_BYTES / 2**20:.0f} are wanted.",
            mend="Make room, or name another folder: PIXELIS_STATE.",
        )
    switch = state / FOLDER / WANTED
    partial = switch.with_suffix(".new")
    partial.write_text(json.dumps({"until": time.time() + LONGEST_S, "folder": str(folder)}), encoding="utf-8")
    partial.replace(switch)
    try:
        time.sleep(SETTLE_S)
        yield folder
    finally:
        switch.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)


def load(folder: Path) -> list[Span]:
    """All spans that were written there; a line that is not whole, or is none, is passed over."""
    found = []
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_text(errors="replace").splitlines():
            try:
                found.append(_span(loads(line)))
            except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
                continue
    return found


def _span(said: dict[str, Any]) -> Span:
    if not all(isinstance(said[name], str) for name in ("id", "model", "name", "kind")):
        raise TypeError("a name that is none")
    notes = {name: value for name, value in said.items() if name not in _FIELDS}
    of = said.get("of") or [{"span": said["parent"], "request": said.get("request", "")}]
    return Span(
        identity=said["id"],
        model=said["model"],
        name=said["name"],
        kind=said["kind"],
        start=int(said["start"]),
        end=int(said["end"]),
        thread=int(said["thread"]),
        cpu=said.get("cpu"),
        queued=int(said.get("queued", 0)),
        senders=tuple((str(one["span"]), str(one["request"])) for one in of),
        notes=notes,
    )


_FIELDS = frozenset(("id", "parent", "model", "name", "kind", "start", "end", "thread", "cpu", "queued", "of"))
