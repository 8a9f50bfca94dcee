"""The spans of this process."""

from __future__ import annotations

import itertools
import json
import os
import secrets
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from pixelis.json_text import loads
from python_backends.tracing.switch import Switch
from python_backends.tracing.thread_time import thread_times

NOBODY = ""
"""No span."""
PARAMETER = "pixelis_span"
"""The parameter of a request that names the span which sent it."""


class Span:
    """Something that is going on. `end` writes it down; its time of the processor counts where one thread did it all.

    Args:
        recorder: writes it down.
        identity: its own.
        parent: the span within which it began.
        name: of the model for `execute`, `row`, `turn` and `call`, else of a part of it.
        kind: `execute` (a batch), `row` (one request), `turn` (one, in another thread), `call` (of a sibling), `step`
            (of all turns at once), or `part`.
        notes: more about it.
    """

    def __init__(
        self, recorder: Recorder, identity: str, parent: str, name: str, kind: str, notes: dict[str, Any]
    ) -> None:
        self._recorder, self.identity = recorder, identity
        self._said = {"id": identity, "parent": parent, "name": name, "kind": kind, **notes}
        self._thread = threading.get_native_id()
        self._cpu, self._queued = thread_times()
        self._start = time.monotonic_ns()

    def note(self, **notes: Any) -> None:
        """Say more about it."""
        self._said.update(notes)

    def end(self) -> None:
        """It is over."""
        end = time.monotonic_ns()
        if threading.get_native_id() == self._thread:
            cpu, queued = thread_times()
            self._said |= {"cpu": cpu - self._cpu, "queued": queued - self._queued}
        self._recorder.write({**self._said, "thread": self._thread, "start": self._start, "end": end})


class _Silent(Span):
    """What stands for a span where none is wanted."""

    def __init__(self) -> None:
        self.identity = NOBODY

    def note(self, **notes: Any) -> None:
        """Nothing."""

    def end(self) -> None:
        """Nothing."""


SILENT = _Silent()


class Recorder:
    """Makes spans while they are wanted. For any number of threads.

    Until `open` is called, none are.
    """

    def __init__(self) -> None:
        self._switch: Switch | None = None
        self._model = ""
        self._current: ContextVar[str] = ContextVar("span", default=NOBODY)
        self._prefix, self._numbers = secrets.token_hex(4), itertools.count()

    def open(self, folder: Path, model: str) -> None:
        """Look for the switch in `folder`; spans are `model`'s."""
        self._switch, self._model = Switch(folder), model

    @property
    def on(self) -> bool:
        """Whether spans are wanted now."""
        return bool(self._switch and self._switch.folder())

    @property
    def current(self) -> str:
        """The span within which this thread works."""
        return self._current.get()

    def begin(self, name: str, kind: str, parent: str | None = None, **notes: Any) -> Span:
        """A span that is ended by hand, and is nobody's parent unless it is named.

        Args:
            name: see `Span`.
            kind: see `Span`.
            parent: none = the current one.
            **notes: more about it.
        """
        if not self.on:
            return SILENT
        identity = f"{self._prefix}-{next(self._numbers)}"
        return Span(self, identity, self.current if parent is None else parent, name, kind, notes)

    @contextmanager
    def span(self, name: str, kind: str = "part", parent: str | None = None, **notes: Any) -> Iterator[Span]:
        """A span around what this thread does; spans within are its children. See `begin`."""
        span = self.begin(name, kind, parent, **notes)
        if span is SILENT:
            yield span
            return
        before = self._current.set(span.identity)
        try:
            yield span
        finally:
            self._current.reset(before)
            span.end()

    @contextmanager
    def within(self, span: Span) -> Iterator[None]:
        """What this thread does now is `span`'s, which somebody else ends."""
        before = self._current.set(span.identity)
        try:
            yield
        finally:
            self._current.reset(before)

    def sent(self, span: Span) -> dict[str, str]:
        """The parameters that a request carries for `span`."""
        return {PARAMETER: span.identity} if span.identity else {}

    def sender(self, parameters: str) -> str:
        """The span that sent a request with these parameters, as JSON."""
        try:
            found: object = loads(parameters or "{}").get(PARAMETER, NOBODY)
        except (ValueError, AttributeError):
            return NOBODY
        return found if isinstance(found, str) else NOBODY

    def write(self, said: Mapping[str, Any]) -> None:
        """One line in this process's file; a profile does without what cannot be written."""
        folder = self._switch.folder() if self._switch else ""
        if not folder:
            return
        line = json.dumps({"model": self._model, **said}, separators=(",", ":")) + "\n"
        try:
            with open(f"{folder}/{os.getpid()}.jsonl", "ab", buffering=0) as file:
                file.write(line.encode())
        except OSError:
            return


recorder = Recorder()
"""This process's."""
