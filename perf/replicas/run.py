"""One replica and two, in turns behind the same balancer: answers a second, memory, and what they share."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from clients.client import PixelisClient
from perf.chaos.fleet import Running, running, until
from perf.chaos.learner import Learner
from perf.e2e.load import Block, closed_loop
from perf.e2e.questions import Asked, Supply, families, unseen_seed
from perf.machine import machine, versions
from perf.progress import bar
from perf.soak.taken import STORES, look
from pixelis.errors import ServingError
from pixelis.schema import Claim, Measurement

AT_ONCE = 16
FAMILIES = "label,colour,count,where"
WANTED = 1.6
MIB = 2**20
EXPERIENCES = 20


def measure(rounds: int, scenes: int, processors: int | None, command: str, *, quiet: bool) -> Measurement:
    """Rows and claims.

    Args:
        rounds: of both counts, in turns.
        scenes: of a round, four questions each.
        processors: that each replica is bound to; none = to all.
        command: as it was typed.
        quiet: no progress.
    """
    supply = Supply(families(FAMILIES), unseen_seed())
    with ExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pixelis-replicas-")))
        told = {"PIXELIS_FLEET__PROMETHEUS": "false"}
        if processors is not None:
            told["PIXELIS_FLEET__PROCESSORS"] = str(processors)
        fleet = stack.enter_context(running(state, told))
        client = stack.enter_context(PixelisClient(fleet.grpc))
        shared = _shared(fleet, supply(2))
        rows: list[dict[str, Any]] = []
        with bar("rounds", 2 * rounds, quiet=quiet) as advance:
            for number in range(rounds):
                for count in (1, 2) if number % 2 else (2, 1):
                    _have(fleet, count)
                    rows.append(_row(fleet, client, count, supply(scenes)))
                    advance()
    return Measurement(
        name="bench replicas",
        command=command,
        machine=machine(),
        versions=versions(),
        rows=[shared, *rows],
        claims=_claims(shared, rows),
    )


def _have(fleet: Running, count: int) -> None:
    """So many that get requests."""
    found = fleet.replicas()
    if len(found) > count:
        fleet.ordered("remove", found[-1]["replica"])
    elif len(found) < count:
        fleet.ordered("add")
    if not until(lambda: len(fleet.replicas()) == count and fleet.whole(), 120):
        raise ServingError(f"The fleet does not come to {count} replicas.", mend=f"See {fleet.log}.")


def _row(fleet: Running, client: PixelisClient, count: int, asked: Sequence[Asked]) -> dict[str, Any]:
    _ask(client, asked[:AT_ONCE])  # whoever has just started
    before = psutil.cpu_times()
    block = _ask(client, asked)
    spent = _busy(before, psutil.cpu_times())
    taken = look(fleet)
    return {
        "row": "replicas",
        "replicas": count,
        "answers_per_s": round(block.throughput, 2),
        "p50_ms": round(float(np.median(block.latencies)), 1),
        "failed": len(asked) - len(block.latencies),
        "processors_busy": round(spent, 2),
        "private_mib": round(sum(size for kind, size in taken.memory.items() if kind not in STORES) / MIB, 1),
    }


def _ask(client: PixelisClient, asked: Sequence[Asked]) -> Block:
    return closed_loop(lambda one: client.ask(one.images, one.question.text, one.options), asked, AT_ONCE)


def _busy(before: Any, after: Any) -> float:
    """Share of all processors that did something."""
    fields = before._fields
    spent = {name: getattr(after, name) - getattr(before, name) for name in fields}
    whole = sum(spent[name] for name in fields if not name.startswith("guest"))
    return float(1 - (spent["idle"] + spent["iowait"]) / whole)


def _shared(fleet: Running, asked: Sequence[Asked]) -> dict[str, Any]:
    """What one replica has answered and learned, asked of the other one."""
    first, second = (PixelisClient(one["grpc"]) for one in fleet.replicas())
    learner = Learner(fleet.grpc)
    try:
        cached = 0
        for one in asked:
            options = one.options.model_copy(update={"use_cache": True})
            first.ask(one.images, one.question.text, options)
            cached += second.ask(one.images, one.question.text, options).from_cache
        with learner.teaching():
            end = time.monotonic() + 60
            while len(learner.acknowledged) < EXPERIENCES and time.monotonic() < end:
                time.sleep(0.1)
        lost = learner.lost([one["grpc"] for one in fleet.replicas()])
    finally:
        first.close()
        second.close()
        learner.close()
    return {
        "row": "shared",
        "asked_of_one_then_of_the_other": len(asked),
        "answered_from_the_cache": cached,
        "learned": len(learner.acknowledged),
        "not_known_to_both": len(lost),
    }


def _claims(shared: dict[str, Any], rows: Sequence[dict[str, Any]]) -> list[Claim]:
    rates = {count: [row["answers_per_s"] for row in rows if row["replicas"] == count] for count in (1, 2)}
    ratios = [two / one for one, two in zip(rates[1], rates[2], strict=True)]
    ratio = float(np.median(ratios))
    busy = float(np.median([row["processors_busy"] for row in rows if row["replicas"] == 1]))
    known = shared["answered_from_the_cache"] == shared["asked_of_one_then_of_the_other"]
    said = f"answers a second, two replicas beside one ({min(ratios):.2f} to {max(ratios):.2f}); one keeps {busy:.0%} "
    return [
        Claim(claim=f"{said}of the processors busy", target=WANTED, measured=round(ratio, 2), unit="ratio",
              met=ratio >= WANTED),
        Claim(claim="answers of one replica that the other one has from the cache",
              target=shared["asked_of_one_then_of_the_other"], measured=shared["answered_from_the_cache"], unit="",
              met=known),
        Claim(claim=f"of {shared['learned']} experiences, those that one of both does not know", target=0,
              measured=shared["not_known_to_both"], unit="", met=shared["not_known_to_both"] == 0),
    ]  # fmt: skip
