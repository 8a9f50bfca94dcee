"""What the tuner measured, as a picture: recall against time, the front, what was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from perf.knn.picture import FLOOR, INK, LINES
from python_backends.experience.tuning import Limits, Trial, pareto

KINDS = {"flat": "#1f2937", "hnsw": "#2f6fde", "ivf_flat": "#4b8f29", "ivf_pq": "#8a4fd3", "lsh": "#d9822b"}


def save(trials: Sequence[Trial], chosen: Trial | None, limits: Limits, path: Path) -> None:
    """Write the picture as PNG.

    Raises:
        ModuleNotFoundError: matplotlib, of the extra `build`, is not installed.
    """
    from matplotlib.figure import Figure

    page = Figure(figsize=(9.0, 5.4), layout="constrained")
    axes = page.subplots()
    for kind, colour in KINDS.items():
        own = [one for one in trials if one.config.index.kind == kind and one.recall >= FLOOR]
        axes.scatter(
            [one.recall for one in own], [one.p50_ms for one in own], s=14, color=colour, alpha=0.5, label=kind
        )
    front = [one for one in pareto(trials) if one.recall >= FLOOR]
    steps = _steps(front)
    axes.step([x for x, _ in steps], [y for _, y in steps], where="post", color="#9aa3af", linewidth=1.2, zorder=0)
    if chosen is not None:
        axes.scatter([chosen.recall], [chosen.p50_ms], marker="*", s=180, color="#c23b5e", zorder=3, label="chosen")
        axes.annotate(chosen.config.label, (chosen.recall, chosen.p50_ms), xytext=(-8, -14), ha="right",
                      textcoords="offset points", fontsize=8, color=INK)  # fmt: skip
    axes.axvline(limits.recall, color=INK, linewidth=0.8, linestyle=":")
    if limits.latency_ms is not None:
        axes.axhline(limits.latency_ms, color=INK, linewidth=0.8, linestyle=":")
    axes.set_yscale("log")
    axes.set_xlim(FLOOR, 1.005)
    axes.set_xlabel("recall on held-out queries", color=INK)
    axes.set_ylabel("median ms of a query, one thread", color=INK)
    axes.grid(color=LINES, linewidth=0.6)
    axes.legend(fontsize=8, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    page.savefig(path, dpi=130)


def _steps(front: Sequence[Trial]) -> list[tuple[float, float]]:
    """Recall and time of those that nothing is better than in these two."""
    best: list[tuple[float, float]] = []
    for one in sorted(front, key=lambda trial: (-trial.recall, trial.p50_ms)):
        if not best or one.p50_ms < best[-1][1]:
            best.append((one.recall, one.p50_ms))
    return best[::-1]
