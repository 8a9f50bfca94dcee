"""One profile."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from builder.nano.questions import FAMILIES
from clients.client import PixelisClient
from perf.e2e.questions import Supply, families, unseen_seed
from perf.machine import machine, versions
from perf.profile.asked import ask_all
from perf.profile.bottlenecks import bottlenecks
from perf.profile.ceilings import ceilings
from perf.profile.changes import changes
from perf.profile.components import components, percentiles
from perf.profile.forms import Quicker, quicker_forms
from perf.profile.layers import layers, shapes_of
from perf.profile.memory import Memory, watched
from perf.profile.spans import load, recorded
from perf.profile.tree import Forest, Node
from perf.progress import bar, started
from pixelis.errors import ServingError
from pixelis.schema import Measurement
from pixelis.settings import settings

WARM = 4
"""Questions of each family before spans are written: caches of code and of the heap are warm for all."""


@dataclass(frozen=True)
class Plan:
    """What `pixelis profile` was asked for.

    Attributes:
        url: of a server on this machine with the same state folder; none = one is started.
        requests: to be asked.
        at_once: how many are in flight.
        families: of questions; none = all.
        older: a profile to compare with.
        command: as it was typed.
    """

    url: str | None
    requests: int
    at_once: int
    families: str | None
    older: Measurement | None
    command: str


@dataclass(frozen=True)
class Profile:
    """What was found.

    Attributes:
        measured: its rows, told apart by `row`: request, bottleneck, component, layers, memory, ceilings, change.
        trees: of the requests, in their order.
        memory: of the server's processes, where they are known.
    """

    measured: Measurement
    trees: list[Node]
    memory: Memory


def profile(plan: Plan, *, quiet: bool) -> Profile:
    """The profile.

    Raises:
        PixelisError: no server answers, or it writes no spans here.
    """
    supply = Supply(families(plan.families or ",".join(FAMILIES)), unseen_seed())
    with ExitStack() as stack:
        triton = None if plan.url else stack.enter_context(started(quiet=quiet))
        client = stack.enter_context(PixelisClient(plan.url if triton is None else triton.grpc_url))
        ask_all(client, supply(WARM), plan.at_once)
        advance = stack.enter_context(bar("asking", plan.requests, quiet=quiet))
        memory = stack.enter_context(watched(triton.server_id if triton else None))
        trees = traced(client, supply, plan.requests, plan.at_once, settings().state, advance)
    forms = quicker_forms(settings().repository, settings().state)
    limits = ceilings()
    found = [*rows(trees, forms), *layers(settings().repository, shapes_of(trees), limits), *memory.rows()]
    found.append(
        {"row": "ceilings", "gflop_per_s": round(limits.flops / 1e9, 1), "gb_per_s": round(limits.bytes / 1e9, 1)}
    )
    if plan.older is not None:
        found += changes(plan.older, found)
    measured = Measurement(name="profile", command=plan.command, machine=machine(), versions=versions(), rows=found)
    return Profile(measured, trees, memory)


def traced(
    client: PixelisClient,
    supply: Supply,
    requests: int,
    at_once: int,
    state: Path,
    advance: Callable[[], None] = lambda: None,
) -> list[Node]:
    """The trees of so many new questions, of those that were answered.

    Raises:
        ServingError: the server wrote no spans into `state`.
    """
    with recorded(state) as folder:
        questions = supply(-(-requests // supply.families))[:requests]
        asked = ask_all(client, questions, at_once, advance)
        forest = Forest(load(folder))
    trees = [forest.tree(one.name, one.start, one.end) for one in asked if not one.error]
    if not any(tree.children for tree in trees):
        raise ServingError(
            f"The server answered, but wrote no spans into {state}.",
            mend="It must run on this machine, with the same PIXELIS_STATE; or leave --url out.",
        )
    return trees


def rows(trees: Sequence[Node], forms: Mapping[str, Quicker] = MappingProxyType({})) -> list[dict[str, Any]]:
    """What the trees show: rows request, bottleneck and component."""
    took = [(tree.end - tree.start) / 1e6 for tree in trees]
    return [
        {"row": "request", "requests": len(trees), **percentiles(took)},
        *bottlenecks(trees, forms),
        *components(trees),
    ]
