"""One fault after the other, under load, with a verdict each."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import Any

from perf.chaos.alarms import listening
from perf.chaos.crowd import Crowd
from perf.chaos.fault import CannotBreak, Fault, Unexpected
from perf.chaos.fleet import Running, running, until
from perf.chaos.judge import Right, Seen, told
from perf.chaos.learner import Learner
from perf.chaos.surroundings import Kind, around
from perf.e2e.questions import Supply, families, unseen_seed
from perf.machine import machine, versions
from perf.progress import bar
from pixelis.errors import PixelisError, ServingError, SetupError
from pixelis.schema import Claim, Measurement

log = logging.getLogger(__name__)

BEFORE_S, AFTER_S = 2.0, 3.0
"""Of load before it breaks and after all is well."""
FAMILIES = "label,colour,count,where"


class Trial:
    """A fleet and whoever uses it.

    Args:
        fleet: which runs.
    """

    def __init__(self, fleet: Running) -> None:
        self.fleet = fleet
        self._supply = Supply(families(FAMILIES), unseen_seed())
        self.crowd = Crowd(fleet.rest, fleet.grpc, self._supply(3))
        self.learner = Learner(fleet.grpc)
        self.right: Right = {}

    def learn_right(self) -> None:
        """What each question is answered while nothing is broken. Raises `ServingError` where that fails already."""
        for number in range(3 * self._supply.families):
            found = self.crowd.once(number)
            if found.result is None or found.result.provenance.reasons:
                raise ServingError(f"A fleet that is well does not answer: {found.error or found.result}")
            self.right[number] = told(found.result)

    def suffer(self, fault: Fault) -> Seen:
        """One fault, from before it until all is well again."""
        refused = len(self.learner.refused)
        with self.crowd.asking() as outcomes, self.learner.teaching(), listening(self.fleet) as alarms:
            time.sleep(BEFORE_S)
            began = time.monotonic()
            with fault.wound(self.fleet) as well:
                time.sleep(fault.lasts_s)
            over = time.monotonic()
            recovery_s = _recovered(well, over, fault.within_s + 30.0)
        after = [one for one in outcomes if one.ended > began]
        if recovery_s is not None:  # what was lost on the way out may be heard of later
            recovery_s = max([recovery_s, *(one.ended - over for one in after if one.troubled)])
        urls = [one["grpc"] for one in self.fleet.replicas()]
        lost = self.learner.lost(urls) if recovery_s is not None else []
        return Seen(fault, after, recovery_s, lost, len(self.learner.refused) - refused, sorted(alarms))

    def close(self) -> None:
        """Lets go of connections."""
        self.crowd.close()
        self.learner.close()


def _recovered(well: Callable[[], bool], over: float, within_s: float) -> float | None:
    """Seconds from `over` until all is well and stays so for a while; none = not in time."""
    while time.monotonic() < over + within_s:
        if not until(well, over + within_s - time.monotonic()):
            return None
        at = time.monotonic()
        time.sleep(AFTER_S)
        if well():
            return at - over
    return None


def measure(faults: Sequence[Fault], command: str, *, quiet: bool) -> Measurement:
    """A row for each fault, and claims over all.

    Args:
        faults: in order.
        command: as it was typed.
        quiet: no progress.

    Raises:
        SetupError: the fleet does not start.
    """
    rows: list[dict[str, Any]] = []
    with bar("breaking things", len(faults), quiet=quiet) as advance:
        for kind, some in groupby(faults, lambda fault: fault.around):
            rows += _suffered(kind, list(some), advance)
    return Measurement(
        name="bench chaos", command=command, machine=machine(), versions=versions(), rows=rows, claims=_claims(rows)
    )


def _suffered(kind: Kind, faults: Sequence[Fault], advance: Callable[[], None]) -> list[dict[str, Any]]:
    """Rows of faults that share surroundings, and so a fleet."""
    rows = []
    with ExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pixelis-chaos-")))
        try:
            made = stack.enter_context(around(kind, state))
            fleet = stack.enter_context(running(state, made.environment, before=made.before))
        except SetupError as error:
            return [_not_run(fault, str(error)) for fault in faults]
        trial = Trial(fleet)
        stack.callback(trial.close)
        trial.learn_right()
        for fault in faults:
            rows.append(_row(trial, fault))
            log.info("%s: %s", fault.name, "; ".join(rows[-1].get("broken", [])) or "as expected")
            advance()
    return rows


def _row(trial: Trial, fault: Fault) -> dict[str, Any]:
    try:
        return trial.suffer(fault).row(trial.right)
    except CannotBreak as error:
        return _not_run(fault, str(error))
    except (Unexpected, PixelisError) as error:
        until(trial.fleet.whole, fault.within_s)
        return {"row": "fault", "fault": fault.name, "expected": fault.expected, "held": False, "broken": [str(error)]}


def _not_run(fault: Fault, why: str) -> dict[str, Any]:
    return {"row": "not run", "fault": fault.name, "expected": fault.expected, "why": why}


def _claims(rows: Sequence[dict[str, Any]]) -> list[Claim]:
    run = [row for row in rows if row["row"] == "fault"]
    held, lost = sum(bool(row["held"]) for row in run), sum(int(row.get("lost", 0)) for row in run)
    return [
        Claim(claim="faults that ended as expected", target=len(run), measured=held, unit="", met=held == len(run)),
        Claim(claim="acknowledged experiences lost", target=0, measured=lost, unit="", met=lost == 0),
    ]
