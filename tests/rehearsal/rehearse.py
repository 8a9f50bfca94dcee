"""A page of docs/runbook.md rehearsed: what it is about goes wrong, and its own commands show it and mend it."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

from tests.deploy.tools import program
from tests.rehearsal.acts import Act
from tests.rehearsal.crowd import answered
from tests.rehearsal.images import PROGRAMS
from tests.rehearsal.network import possible
from tests.rehearsal.page import pages
from tests.rehearsal.stack import STEADY_S, Stack, until


def able() -> None:
    """Skips where a rehearsal cannot be."""
    for needed in PROGRAMS:
        program(needed)
    reason = possible()
    if reason is not None:
        pytest.skip(reason)


def rehearsed(stack: Stack, act: Act) -> None:
    """It breaks, its pages show it, and their commands mend it."""
    book = pages()
    if "nginx" in stack.compose.containers:
        stack.compose.up([], {})  # what the page before set for once, or stopped, is as the file says
        healthy(stack)
    for alert in act.alerts:
        stack.await_none(alert, 60)
    began = time.monotonic()
    with act.fault(stack):
        for alert in act.alerts:
            stack.await_reason(alert, act.reason_s)
        reasoned = time.monotonic() - began
        for alert in [] if act.numbers else act.alerts:
            shown = stack.hand.types(book[alert].shows, looks=True)
            print(f"{alert}\n{shown}")
            for pattern in act.shows.get(alert, ()):
                assert re.search(pattern, shown), f"{alert}: no {pattern!r} in\n{shown}"
        put = act.before(stack)
        blocks = [] if act.numbers else list(dict.fromkeys(book[alert].mends for alert in act.mends or act.alerts))
        began = time.monotonic()
        for block in blocks:
            for there, here in put.items():
                block = block.replace(there, here)
            print(block, stack.hand.types(block))
            if act.both:
                stack.compose.until_healthy("triton-1", 120)
                stack.hand.types(block.replace("triton-1", "triton-2"))
        healthy(stack)  # what is away has no numbers, and so no alert
        for alert in act.alerts:
            stack.await_none(alert, act.within_s)
        mended = time.monotonic() - began - STEADY_S
        if "nginx" in stack.compose.containers:
            assert until(lambda: answered(stack.url), 60)
    note(act, reasoned, mended)
    healthy(stack)


def healthy(stack: Stack) -> None:
    """When all that runs is."""
    for name, one in stack.compose.containers.items():
        if not one.stopped:
            stack.compose.until_healthy(name, 120)


def note(act: Act, reasoned: float, mended: float) -> None:
    """A row of the runbook's table; PIXELIS_REHEARSAL names a file that takes it too."""
    what = (act.fault.__doc__ or "").partition("\n")[0].rstrip(".")
    line = f"| {', '.join(act.alerts)} | {what} | {reasoned:.0f} s | {mended:.0f} s |"
    print(line)
    if "PIXELIS_REHEARSAL" in os.environ:
        with Path(os.environ["PIXELIS_REHEARSAL"]).open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
