"""Starts both sides, lets them take turns, stops them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal

from builder.choosing.choose import Goal
from builder.commands.options import progress
from builder.costing.cost import Cost
from builder.nano.questions import FAMILIES
from clients.client import PixelisClient
from perf.e2e import alone, parts, report
from perf.e2e.cores import bounded
from perf.e2e.counters import Samples
from perf.e2e.questions import Asked, Supply, families
from perf.e2e.run import Bench, Found
from perf.e2e.sides import Plain, Served
from perf.e2e.subject import Subject, subject
from perf.machine import machine, versions
from perf.plain.process import PlainProcess
from perf.progress import started, stepping
from pixelis.errors import InvalidRequest, PixelisError
from pixelis.schema import Claim, Measurement
from pixelis.settings import Settings, settings


@dataclass(frozen=True)
class Plan:
    """What `pixelis bench e2e` was asked for."""

    scenes: int
    rounds: int
    levels: list[int]
    families: str | None
    threads: int | None
    protocol: Literal["grpc", "http"]
    url: str | None
    alone: bool
    parts: bool
    command: str
    checkpoint: str | None = None
    best: Goal | None = None


def measure(plan: Plan) -> Measurement:
    """The measurement. Progress is shown on stderr; whatever was started is stopped, on Ctrl-C too.

    Raises:
        PixelisError: a side does not start, or answers nothing.
    """
    chosen, quiet = families(plan.families or ",".join(FAMILIES)), not sys.stderr.isatty()
    with ExitStack() as stack:
        what = _subject(stack, plan)
        config = _config(settings().model_copy(update={"repository": what.served}))
        threads = stack.enter_context(bounded(plan.threads))
        on = machine()
        served = _served(stack, plan, config, quiet)
        plain = Plain(stack.enter_context(PlainProcess(_own(config, "plain"))))
        step = stack.enter_context(stepping(_steps(plan, threads), quiet=quiet))
        bench = Bench(plain, served, Supply(chosen), plan.scenes, plan.levels, threads, _metrics(served), step)
        found = bench.run(plan.rounds)
        apart = _alone(plan, what, bench, found, plain, step) if plan.alone else []
        forms, costs = ([], {}) if plan.url else (what.rows(), what.costs())
    part_rows, part_claims = _parts(plan, config, costs, threads) if plan.parts else ([], [])
    return Measurement(
        name="bench e2e",
        command=plan.command,
        machine={**on, "threads": threads},
        versions=versions(),
        rows=[*report.rows(found, plan.levels), *apart, *forms, *part_rows],
        claims=[
            *report.claims(found, plan.levels),
            *report.model_memory(forms),
            *report.batched(apart, max(plan.levels)),
            *part_claims,
        ],
    )


def _subject(stack: ExitStack, plan: Plan) -> Subject:
    if plan.url is not None and (plan.checkpoint or plan.best):
        raise InvalidRequest(
            "--url names a server that has its models already.", mend="Leave --checkpoint and --best out."
        )
    with progress(quiet=False) as watch:
        return stack.enter_context(subject(plan.checkpoint, plan.best, watch))


def _alone(
    plan: Plan, what: Subject, bench: Bench, found: Found, plain: Plain, step: Callable[[str], None]
) -> list[dict[str, Any]]:
    def ask(level: int) -> list[Asked]:
        bench.use(found.single if level == 1 else found.crowded)
        return bench.questions(level)

    rows = []
    for server in alone.servers(forms=what.differs):
        step(f"alone: {server.name}")
        levels = sorted({min(plan.levels), max(plan.levels)})
        repository = what.served if server.forms else what.plain_forms
        rows += alone.measured(plain, server, repository, levels, plan.rounds, ask)
    return rows


def _parts(
    plan: Plan, config: Settings, costs: Mapping[str, Cost], threads: int
) -> tuple[list[dict[str, Any]], list[Claim]]:
    here = config.model_copy(update={"state": settings().state.absolute()})  # where `bench knn` keeps its keys
    with progress(quiet=False) as watch:
        asked = parts.Asked(costs, threads, plan.command, rounds=plan.rounds)
        return parts.parts(asked, here, lambda said: watch("bench e2e", said))


def _config(config: Settings) -> Settings:
    """A state folder of the benchmark's own, so that both sides begin with the seeds; no watchdog.

    The watchdog asks idle models whether they live, which would be load while the plain side is measured.
    """
    server = config.server.model_copy(update={"watchdog": False})
    return _own(config.model_copy(update={"server": server}), "bench")


def _steps(plan: Plan, threads: int) -> int:
    return Bench.steps(plan.levels, plan.rounds, threads) + (len(alone.servers(forms=True)) if plan.alone else 0)


def _own(config: Settings, name: str) -> Settings:
    state = config.state.absolute() / name
    shutil.rmtree(state / "experiences", ignore_errors=True)
    return config.model_copy(update={"state": state})


def _served(stack: ExitStack, plan: Plan, config: Settings, quiet: bool) -> Served:
    if plan.url is not None:
        return Served(stack.enter_context(PixelisClient(plan.url, plan.protocol)), None)
    triton = stack.enter_context(started(quiet=quiet, config=config))
    address = triton.grpc_url if plan.protocol == "grpc" else triton.http_url
    metrics = f"{triton.ports.host}:{triton.ports.metrics}"
    client = stack.enter_context(PixelisClient(address, plan.protocol, metrics_url=metrics))
    return Served(client, triton.server_id)


def _metrics(served: Served) -> Callable[[], Samples]:
    """Reads Triton's counters; of a server that does not show them to us there are none, which the rows then lack."""
    try:
        served.client.metrics()
    except PixelisError as error:
        sys.stderr.write(f"note: no counters of Triton in the report: {error}\n")
        return lambda: {}
    return served.client.metrics
