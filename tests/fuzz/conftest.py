"""Counts of every parser, as one table at the end; processes of pytest-xdist hand theirs over with their reports."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.fuzz.run import SEED, Fuzz, cases, first_seed


def pytest_configure() -> None:
    """One seed for all of a run, whichever processes run it."""
    os.environ[SEED] = str(first_seed())


@pytest.fixture
def fuzz(request: pytest.FixtureRequest, record_property: Callable[[str, object], None]) -> Fuzz:
    """Runs the cases of a test."""
    return Fuzz(request.node.nodeid, lambda one: record_property("fuzz", [one.done, one.taken, one.seconds]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Parser, cases, share that was taken, seconds of a processor, failures."""
    reports = [one for kind in ("passed", "failed") for one in terminalreporter.stats.get(kind, [])]
    failed = {one.nodeid for one in reports if one.failed}
    rows = [(one.nodeid, *counts) for one in reports for name, counts in one.user_properties if name == "fuzz"]
    if not rows:
        return
    terminalreporter.section(f"fuzz: {cases()} cases a parser, {SEED}={first_seed()}")
    terminalreporter.write_line(f"{'parser':44}{'cases':>9}{'taken':>8}{'seconds':>9}{'failures':>10}")
    for name, done, taken, seconds in sorted(rows):
        said = name.rpartition("::")[2].removeprefix("test_").replace("_", " ")
        share = 100 * taken / max(done, 1)
        terminalreporter.write_line(f"{said:44}{done:>9}{share:>7.0f}%{seconds:>9.1f}{int(name in failed):>10}")
