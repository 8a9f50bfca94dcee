"""Does the nano answer right, through the pipeline as it is served? Held-out scenes, both answers (agent, voted)."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from builder.nano.pictures import encoded, media
from builder.nano.questions import FAMILIES as FAMILIES
from builder.nano.questions import Question, ask, inside
from builder.nano.words import Split
from pixelis.schema import PipelineResult

if TYPE_CHECKING:
    from clients.aio import AsyncPixelisClient

TARGET = 0.90
CALIBRATION_TARGET = 0.05


@dataclass(frozen=True)
class Answered:
    """One question with what came back, or the reason why nothing did."""

    question: Question
    result: PipelineResult | None
    seconds: float
    error: str | None = None


async def answer(
    client: AsyncPixelisClient,
    questions: list[Question],
    concurrency: int,
    done: Callable[[], None],
    **options: Any,
) -> list[Answered]:
    """Ask every question, `concurrency` at once; a failed one is kept with its reason and counts as wrong."""
    gate = asyncio.Semaphore(concurrency)

    async def one(question: Question) -> Answered:
        async with gate:
            pictures = await asyncio.to_thread(encoded, question)
            began = time.perf_counter()
            try:
                result = await client.ask(pictures, question.text, **media(question), **options)
            except Exception as error:  # counted and reported, whatever it was
                return Answered(question, None, time.perf_counter() - began, f"{type(error).__name__}: {error}")
            finally:
                done()
            return Answered(question, result, time.perf_counter() - began)

    return list(await asyncio.gather(*(one(q) for q in questions)))


def questions(split: Split, scenes: int, first_seed: int, family: str) -> list[Question]:
    """One question of a family on each of `scenes` scenes."""
    return [ask(f, split, first_seed + i) for i in range(scenes) for f in FAMILIES if f == family]


def looked(result: PipelineResult, question: Question) -> bool | None:
    """Whether the first operation was about the asked thing; none where there is no thing or no operation.

    A box has to cover nine tenths of the thing's, a point has to lie on the thing.
    """
    if question.thing is None or not result.trajectory or result.trajectory[0].operation is None:
        return None
    arguments = result.trajectory[0].arguments
    if "point" in arguments:
        return inside(question.thing, tuple(arguments["point"]))
    box = next((arguments[name] for name in ("region", "bbox", "init_bbox") if name in arguments), None)
    if not isinstance(box, list | tuple) or len(box) != 4:
        return False
    x1, y1, x2, y2 = question.thing.box
    width = max(0.0, min(x2, box[2]) - max(x1, box[0]))
    height = max(0.0, min(y2, box[3]) - max(y1, box[1]))
    return bool(width * height >= 0.9 * (x2 - x1) * (y2 - y1))


def calibration_error(pairs: list[tuple[float, bool]], bins: int = 10) -> float:
    """Expected calibration error over equal-width bins of confidence (Guo et al., 2017)."""
    total = 0.0
    for b in range(bins):
        inside = [(c, ok) for c, ok in pairs if b / bins < c <= (b + 1) / bins or (b == 0 and c == 0)]
        if inside:
            confidence = sum(c for c, _ in inside) / len(inside)
            accuracy = sum(ok for _, ok in inside) / len(inside)
            total += len(inside) / len(pairs) * abs(confidence - accuracy)
    return total


def interval(right: int, n: int) -> tuple[float, float]:
    """95 % Wilson score interval of a share."""
    z, p = 1.96, right / n
    middle, spread = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n)


def row(family: str, answered: list[Answered]) -> dict[str, Any]:
    """Accuracy of a family with its interval, calibration, coverage of the asked thing, and time."""
    n = len(answered)
    results = [(a.question, a.result) for a in answered if a.result is not None]
    agent = [q.right(r.provenance.agent_answer) for q, r in results]
    voted = [q.right(r.answer) for q, r in results]
    low, high = interval(sum(agent), n)
    covered = [found for found in (looked(r, q) for q, r in results) if found is not None]
    return {
        "family": family,
        "scenes": n,
        "agent_accuracy": sum(agent) / n,
        "agent_interval_95": [round(low, 4), round(high, 4)],
        "voted_accuracy": sum(voted) / n,
        "failed": n - len(results),
        "errors": sorted({a.error for a in answered if a.error is not None})[:3],
        "covered": sum(covered) / max(len(covered), 1),
        "mean_confidence": sum(r.provenance.agent_confidence for _, r in results) / max(len(results), 1),
        "calibration_error": calibration_error(
            [(r.provenance.agent_confidence, ok) for (_, r), ok in zip(results, agent, strict=True)]
        ),
        "seconds_median": median(a.seconds for a in answered),
    }


def failures(answered: list[Answered]) -> list[dict[str, Any]]:
    """What was answered wrong: seed, question, both answers, first region."""
    out = []
    for a in answered:
        if a.result is not None and a.question.right(a.result.provenance.agent_answer):
            continue
        first = a.result.trajectory[0].arguments if a.result and a.result.trajectory else {}
        out.append(
            {
                "family": a.question.family,
                "seed": a.question.scene.seed,
                "question": a.question.text,
                "right": a.question.answer,
                "agent": a.result.provenance.agent_answer if a.result else a.error,
                "boxes": [thing.box for thing in a.question.things],
                "first": first,
            }
        )
    return out
