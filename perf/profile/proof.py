"""Whether `pixelis profile` can be believed: a sleep in a model is found, and taking it away gives what was said."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from perf.e2e.questions import Asked, Supply, families, unseen_seed
from perf.e2e.sides import Served
from perf.machine import machine, versions
from perf.profile.asked import ask_all
from perf.profile.bottlenecks import bottlenecks
from perf.profile.replay import replayed
from perf.profile.slowed import slowed
from perf.profile.spans import load, recorded
from perf.profile.tree import Forest, Node
from perf.progress import bar
from perf.sides import HERE, serve, side
from perf.signed_rank import shift
from pixelis.schema import Claim, Measurement
from pixelis.settings import settings

FAMILY = {"ocr_detect": "label", "ocr_recognize": "label"}
"""Of questions whose critical path leads through a model; that of `USUAL` leads through every other one."""
USUAL = "colour"
BESIDE = ("recall", "knn", "embed_image")
"""Beside the agent loop, which takes longer: they are on the path where the agent's answer is cached."""
SETTINGS = ("cache.image.bytes=0",)
"""Of both servers: where the agent's answer is cached, the embedding of its picture would be too."""
MODELS = (
    "prepare", "recall", "knn", "reason", "vision_encoder", "policy", "visual_ops", "embed_image", "embed_text",
    "ocr_detect", "ocr_recognize", "finish", "reward", "dynamics", "vote",
)  # fmt: skip
MOST_OFF = 10.0
"""Per cent between what was said and what came out, at most."""
WARM = 4
Z = 1.96


@dataclass(frozen=True)
class Pair:
    """The same question, asked of both servers.

    Attributes:
        plain_ms: of the one without the sleep.
        tree: of the other one.
    """

    plain_ms: float
    tree: Node

    @property
    def gained_ms(self) -> float:
        """What taking the sleep away gave."""
        return (self.tree.end - self.tree.start) / 1e6 - self.plain_ms


def measure(models: Sequence[str], pairs: int, seconds: float, command: str, *, quiet: bool) -> Measurement:
    """Rows and claims.

    Args:
        models: that sleep, one after the other.
        pairs: questions for each.
        seconds: of the sleep.
        command: as it was typed.
        quiet: no progress.
    """
    rows, first = [], unseen_seed()
    with ExitStack() as stack:
        plain = serve(stack, side("A", HERE, SETTINGS), quiet=quiet)
        for number, model in enumerate(models):
            supply = Supply(families(FAMILY.get(model, USUAL)), first + number * (pairs + WARM))
            with ExitStack() as once, tempfile.TemporaryDirectory(prefix="pixelis-slowed-") as folder:
                repository = slowed(settings().repository.absolute(), model, seconds, Path(folder) / "repository")
                late = serve(once, side("B", str(repository), SETTINGS), quiet=quiet)
                advance = once.enter_context(bar(f"{model} sleeps", pairs, quiet=quiet))
                rows.append(_row(model, _pairs(plain, late, supply(pairs + WARM), model in BESIDE, advance)))
    found = 100 * sum(row["found"] for row in rows) / len(rows)
    off = max(abs(row["off_%"]) for row in rows)
    claims = [
        Claim(
            claim=f"models in which a sleep of {1e3 * seconds:.0f} ms is the top bottleneck",
            target=100.0,
            measured=round(found, 1),
            unit="%",
            met=found >= 100.0,
        ),
        Claim(
            claim="what mending gives, as it is said and as it is, apart at most",
            target=MOST_OFF,
            measured=round(off, 1),
            unit="%",
            met=off <= MOST_OFF,
        ),
    ]
    return Measurement(
        name="bench profile", command=command, machine=machine(), versions=versions(), rows=rows, claims=claims
    )


def _pairs(
    plain: Served, late: Served, questions: list[Asked], cached: bool, advance: Callable[[], None]
) -> list[Pair]:
    if cached:
        options = questions[0].options.model_copy(update={"use_cache": True})
        questions = [replace(one, options=options) for one in questions]
        for served in (plain, late):
            ask_all(served.client, questions, 1)
    found: list[tuple[float, Any]] = []
    states = [settings().state.absolute() / "compare" / name for name in ("A", "B")]
    with recorded(states[0]), recorded(states[1]) as folder:  # both write, as both do the same but for the sleep
        for number, one in enumerate(questions):
            ways = (plain, late) if number % 2 else (late, plain)
            asked = {way.name: ask_all(way.client, [one], 1)[0] for way in ways}
            if number >= WARM:
                found.append((asked[plain.name].ms, asked[late.name]))
                advance()
        forest = Forest(load(folder))
    return [Pair(ms, forest.tree(asked.name, asked.start, asked.end)) for ms, asked in found]


def _row(model: str, pairs: Sequence[Pair]) -> dict[str, Any]:
    trees = [pair.tree for pair in pairs]
    top = bottlenecks(trees)[0]
    found = top["component"].partition(":")[0] == model and top["kind"] == "stalled"

    def stalled(node: Node) -> float:
        return node.stalled if node.component == top["component"] else 0.0

    said = [(tree.end - tree.start - replayed(tree, stalled)) / 1e6 for tree in trees]
    gained = shift(np.array([pair.gained_ms for pair in pairs]), Z)
    return {
        "row": "slept",
        "model": model,
        "questions": len(pairs),
        "top": f"{top['component']}, {top['kind']}",
        "found": found,
        "said_ms": round(median(said), 3),
        "gained_ms": round(gained.difference, 3),
        "low_ms": round(gained.low, 3),
        "high_ms": round(gained.high, 3),
        "off_%": round(100 * (median(said) / gained.difference - 1), 2),
    }
