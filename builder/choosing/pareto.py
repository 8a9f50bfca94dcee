"""Why a form was chosen, as a picture: time against memory, the front, and the original beside them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from builder.choosing.choose import Row, figure, pareto_front
from builder.costing.cost import Cost

MIB = 2**20
COLOURS = {
    "onnx": "#2f6fde",
    "openvino": "#8a4fd3",
    "torchscript": "#d9822b",
    "aotinductor": "#c23b5e",
    "tensorrt": "#4b8f29",
    "coreml": "#6b7280",
}
MARKERS = {"fp32": "o", "fp16": "s", "bf16": "D", "int8": "^", "int4": "v"}
INK, GRID = "#1f2937", "#d7dbe2"


@dataclass(frozen=True)
class Point:
    """A form in the picture.

    Attributes:
        memory: MiB that the model adds to a process; of the artifact where memory was not measured.
        time: latency at batch 1, in per cent of the original's.
    """

    label: str
    memory: float
    time: float
    low: float
    high: float
    front: bool
    chosen: bool


def points(rows: Sequence[Row], chosen: str | None) -> list[Point]:
    """Of one model's measured rows."""
    front = set(pareto_front([row for row in rows if row.state == "measured"]))
    found = []
    for row in rows:
        latency = figure(row.cost, "latency") if row.cost and row.state == "measured" else None
        if row.cost is None or latency is None:
            continue
        ones = [case for case in row.cost.cases if case.batch == 1]
        spread = [100 / case.speedup_high for case in ones], [100 / case.speedup_low for case in ones]
        found.append(
            Point(
                label=row.candidate,
                memory=_memory(row.cost) / MIB,
                time=100 * latency,
                low=min(*spread[0], 100 * latency),
                high=max(*spread[1], 100 * latency),
                front=row.candidate in front,
                chosen=row.candidate == chosen,
            )
        )
    return found


def draw(model: str, rows: Sequence[Row], chosen: str | None, kind: Literal["png", "svg"]) -> bytes:
    """The picture as a file's bytes; empty where nothing was measured.

    Raises:
        ModuleNotFoundError: matplotlib, of the extra `build`, is not installed.
    """
    import matplotlib
    from matplotlib.figure import Figure

    found = points(rows, chosen)
    if not found:
        return b""
    made = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": model, "font.family": "sans-serif"}):
        page = Figure(figsize=(9.6, 4.4), layout="constrained")
        left, right = page.subplots(1, 2, width_ratios=(1.25, 1))
        _scatter(left, found, _original(rows))
        _bars(right, found)
        page.suptitle(
            f"{model}: one thread, against the original in the same run", fontsize=11, color=INK, x=0.01, ha="left"
        )
        page.savefig(made, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
    return made.getvalue()


def save(model: str, rows: Sequence[Row], chosen: str | None, path: Path) -> bool:
    """Write the picture as PNG; whether there was something to draw."""
    made = draw(model, rows, chosen, "png")
    if made:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(made)
    return bool(made)


def _memory(cost: Cost) -> int:
    return cost.memory.model if cost.memory else cost.size_bytes


def _original(rows: Sequence[Row]) -> float | None:
    """MiB of the original's model."""
    costs = [row.cost for row in rows if row.cost and row.cost.reference_memory]
    known = [cost.reference_memory.model / MIB for cost in costs if cost.reference_memory]
    return known[0] if known else None


def _scatter(axes: Any, found: Sequence[Point], original: float | None) -> None:
    if original is not None:
        axes.plot([original], [100], marker="x", color=INK, markersize=9, markeredgewidth=2, linestyle="")
        axes.annotate("original", (original, 100), xytext=(8, -3), textcoords="offset points", fontsize=8, color=INK)
    front = _lower_left(found)
    axes.step([x for x, _ in front], [y for _, y in front], where="post", color="#9aa3af", linewidth=1.2, zorder=1)
    for point in found:
        form, precision = (*point.label.split("-"), "")[:2]
        style = {"color": COLOURS.get(form, INK), "marker": MARKERS.get(precision, "o"), "zorder": 3}
        if point.chosen:
            axes.plot([point.memory], [point.time], marker="o", markersize=16, mfc="none", mec="#d4a017", mew=2.2)
        face = style["color"] if point.front else "white"
        axes.plot([point.memory], [point.time], markersize=7, mfc=face, mec=style["color"], linestyle="", **style)
    axes.axhline(100, color=GRID, linewidth=1, zorder=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("resident memory of the model, MiB", fontsize=9)
    axes.set_ylabel("latency at batch 1, % of the original", fontsize=9)
    _plain_ticks(axes.xaxis)
    _plain_ticks(axes.yaxis)
    _dress(axes)
    axes.margins(x=0.28, y=0.14)
    _label(axes, found)


def _lower_left(found: Sequence[Point]) -> list[tuple[float, float]]:
    """Corners of the front in memory and time alone, accuracy aside: that is what the two axes can show."""
    corners: list[tuple[float, float]] = []
    for point in sorted(found, key=lambda one: (one.memory, one.time)):
        if not corners or point.time < corners[-1][1]:
            corners.append((point.memory, point.time))
    return corners


def _plain_ticks(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _label(axes: Any, found: Sequence[Point]) -> None:
    """Names beside the points, moved down where they would lie on each other."""
    axes.figure.draw_without_rendering()  # the layout decides where a point lies
    in_points = 72 / axes.figure.dpi
    taken: list[tuple[float, float]] = []
    for point in sorted(found, key=lambda one: -one.time):
        x, y = (in_points * value for value in axes.transData.transform((point.memory, point.time)))
        shift = 0.0
        while any(abs(x - other_x) < 88 and abs(y + shift - other_y) < 8 for other_x, other_y in taken):
            shift -= 1.0
        taken.append((x, y + shift))
        weight = "bold" if point.chosen else "normal"
        axes.annotate(
            point.label,
            (point.memory, point.time),
            xytext=(8, shift - 3),
            textcoords="offset points",
            fontsize=7,
            color=INK,
            fontweight=weight,
        )


def _bars(axes: Any, found: Sequence[Point]) -> None:
    """Speed-up at batch 1, the fastest on top, with the lowest and highest round."""
    ordered = sorted(found, key=lambda point: -point.time)
    values = [100 / point.time for point in ordered]
    lows = [value - 100 / point.high for value, point in zip(values, ordered, strict=True)]
    highs = [100 / point.low - value for value, point in zip(values, ordered, strict=True)]
    colours = [COLOURS.get(point.label.split("-")[0], INK) for point in ordered]
    places = range(len(ordered))
    axes.barh(places, values, color=colours, height=0.62, zorder=2)
    axes.errorbar(values, places, xerr=[lows, highs], fmt="none", ecolor=INK, elinewidth=1, capsize=2, zorder=3)
    axes.set_yticks(places, [point.label for point in ordered], fontsize=7.5)
    for tick, point in zip(axes.get_yticklabels(), ordered, strict=True):
        tick.set_fontweight("bold" if point.chosen else "normal")
    axes.axvline(1, color=INK, linewidth=1, linestyle=":", zorder=4)
    axes.set_xlabel("speed-up at batch 1, × (line: cases and rounds)", fontsize=9)
    _dress(axes)


def _dress(axes: Any) -> None:
    axes.grid(True, which="major", color=GRID, linewidth=0.6, zorder=0)
    axes.tick_params(labelsize=8, colors=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#9aa3af")
