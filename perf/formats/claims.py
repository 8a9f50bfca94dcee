"""What the project set out for, against what was measured of the forms that were chosen."""

from __future__ import annotations

from collections.abc import Iterator

from builder.choosing.choose import Row, choose
from builder.choosing.optimise import OptimiseReport
from builder.costing.cost import Cost
from perf.formats.checkpoints import RANDOM, Checkpoint
from pixelis.schema import Claim

VISION, PREFILL, DECODE = 0.6, 0.6, 0.5
WEIGHTS, RESIDENT = 0.7, 0.4
POINTS = 1.0
SMALL = ("int8", "int4")
UNIT = "share less"


def claims(checkpoint: Checkpoint, report: OptimiseReport) -> Iterator[Claim]:
    """Claims on the checkpoint's vision encoder and policy; none on what was not measured.

    Latency is the chosen form's; weights and memory are the best choice for them within the same accuracy.
    """
    picked = {choice.model: choice.chosen for choice in report.choices}
    for model, wanted in (
        ("vision_encoder", (("batch 1", VISION, "vision"),)),
        ("policy", (("prefill", PREFILL, "prefill"), ("decode batch 1", DECODE, "decode"))),
    ):
        rows = [row for row in report.rows if row.model == model]
        chosen = next((row for row in rows if row.candidate == picked.get(model)), None)
        if chosen is None or chosen.cost is None:
            continue
        where = f"{checkpoint.name} {model} as {chosen.candidate}"
        for case, target, word in wanted:
            yield from latency(chosen.cost, case, target, f"{where}: {word} latency under {chosen.cost.reference}")
        if checkpoint.trained and chosen.accuracy_drop is not None:
            points = round(100 * chosen.accuracy_drop, 3)
            what = f"{where}: task accuracy lost against fp32 PyTorch"
            yield Claim(claim=what, target=POINTS, measured=points, unit="points", met=points <= POINTS)
        yield from _smaller(checkpoint, rows, report.max_accuracy_drop)


def latency(cost: Cost, case: str, target: float, what: str) -> Iterator[Claim]:
    """A claim for each case that begins with `case`: the share of its reference's latency that is saved."""
    for one in cost.cases:
        if one.case.startswith(case):
            spread = f"{_less(one.speedup_low):.2f}-{_less(one.speedup_high):.2f} over rounds"
            yield _claim(f"{what}, {one.case} ({spread})", target, _less(one.speedup))


def _smaller(checkpoint: Checkpoint, rows: list[Row], drop: float) -> Iterator[Claim]:
    small = [row for row in rows if any(precision in row.candidate for precision in SMALL)]
    best = _chosen(small, "size", drop)
    if best is not None and best.cost is not None and best.cost.weights_saved is not None:
        what = f"{checkpoint.name} {best.model} as {best.candidate}: weights under fp32 PyTorch"
        yield _claim(what, WEIGHTS, best.cost.weights_saved)
    least = _chosen(rows, "memory", drop)
    if (
        checkpoint.name == RANDOM
        and least is not None
        and least.cost is not None
        and least.cost.memory_saved is not None
    ):
        what = f"{checkpoint.name} {least.model} as {least.candidate}: resident memory of the model under fp32 PyTorch"
        yield _claim(what, RESIDENT, least.cost.memory_saved)


def _chosen(rows: list[Row], goal: str, drop: float) -> Row | None:
    if not rows:
        return None
    label = choose(rows, "size" if goal == "size" else "memory", drop).chosen
    return next((row for row in rows if row.candidate == label), None)


def _less(speedup: float) -> float:
    return 1 - 1 / speedup


def _claim(claim: str, target: float, measured: float) -> Claim:
    measured = round(measured, 4)
    return Claim(claim=claim, target=target, measured=measured, unit=UNIT, met=measured >= target)
