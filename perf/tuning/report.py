"""What was tried and why the best is the best: rows, and a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import TrialState

from perf import pages
from perf.compare.latency import Latency
from perf.pages import card, figure, svg, table
from perf.tuning.knobs import Choice, Knob, label
from perf.tuning.study import REASON, Ended
from pixelis.schema import Measurement

WORDS = {TrialState.COMPLETE: "asked", TrialState.PRUNED: "broken off", TrialState.FAIL: "not served"}


def rows_of(known: Sequence[Ended], turned: Sequence[Knob], before: int) -> list[dict[str, Any]]:
    """A row a trial, and a row a knob.

    Args:
        known: what ended, in order.
        turned: what may be turned.
        before: how many of them an earlier run had.
    """
    rows: list[dict[str, Any]] = []
    for number, (state, choice, facts) in enumerate(known, 1):
        row = {"row": "trial", "trial": number, "run": "earlier" if number <= before else "this", "is": WORDS[state]}
        rows.append({**row, "changes": choice.words, **facts})
    return [*rows, *(_knob(one, known) for one in turned)]


def _knob(knob: Knob, known: Sequence[Ended]) -> dict[str, Any]:
    """What each value was worth alone."""
    alone = {
        label(choice.turned[knob.name]): facts
        for state, choice, facts in known
        if list(choice.turned) == [knob.name] and state is not TrialState.FAIL
    }
    row: dict[str, Any] = {"row": "knob", "knob": knob.name, "served": knob.labels[0]}
    if not alone:
        return {**row, "tried": f"0 of {len(knob.values) - 1}"}
    best = min(alone, key=lambda name: float(alone[name]["ratio"]))
    worth = alone[best]
    return {
        **row,
        "tried": f"{len(alone)} of {len(knob.values) - 1}",
        "best": best,
        **{name: worth[name] for name in ("ratio", "ratio_low", "ratio_high")},
    }


def verdict_row(choice: Choice, facts: Mapping[str, Any], latency: Latency, kept: bool, better: bool) -> dict[str, Any]:
    """What is chosen, and by how much it is better on new questions."""
    return {
        "row": "verdict",
        "changes": choice.words,
        "better": better,
        "less_time_%": round(-100 * latency.change, 2),
        "at_least_%": round(-100 * latency.high, 2),
        "at_most_%": round(-100 * latency.low, 2),
        "pairs": latency.pairs,
        "limits_kept": kept,
        "in_its_trial_%": round(100 * (1 - facts["ratio"]), 2),
    }


def explained(measured: Measurement) -> list[str]:
    """The verdict in sentences: what it is, what each of its changes is worth alone, what was not tried."""
    last = next((row for row in measured.rows if row["row"] == "verdict"), None)
    if last is None:
        return ["Nothing that was tried could be served within the limits."]
    told = f"{last['less_time_%']:+.1f} % (95 %: {last['at_least_%']:+.1f} to {last['at_most_%']:+.1f})"
    said = [
        f"Better: {last['changes']}: less time by {told}, on {last['pairs']} pairs of new questions."
        if last["better"]
        else f"What is served stays: the best of what was tried, {last['changes']}, takes less time by {told}, on "
        f"{last['pairs']} pairs of new questions{'' if last['limits_kept'] else ', and oversteps a limit'}."
    ]
    knobs = [row for row in measured.rows if row["row"] == "knob"]
    for row in knobs:
        if "ratio" in row and f"{row['knob']}={row['best']}" in last["changes"]:
            less, least, most = (100 * (1 - row[name]) for name in ("ratio", "ratio_high", "ratio_low"))
            worth = f"{less:+.1f} % ({least:+.1f} to {most:+.1f})"
            said.append(f"  {row['knob']} {row['served']} -> {row['best']}: alone {worth}")
    left = [row["knob"] for row in knobs if "ratio" not in row]
    if left:
        said.append(f"Not tried yet: {', '.join(left)}. Run it again: it goes on.")
    return said


def page(measured: Measurement) -> str:
    """The whole page."""
    rows = measured.rows
    of = {kind: [row for row in rows if row["row"] == kind] for kind in ("trial", "knob", "side", "judged")}
    asked = [row for row in of["trial"] if "ratio" in row]
    picture = figure(drawing(asked), "Dots are medians of pairs, lines their intervals of 95 %; 1 is what is served.")
    cards = (
        card("Trials", picture if asked else ""),
        card("What each knob is worth alone", table(of["knob"])),
        card("Every trial", table([{k: v for k, v in row.items() if k != REASON} for row in of["trial"]])),
        card("The best against what is served", table(of["side"]) + table(of["judged"])),
    )
    return pages.page("Tuning of the pipeline", measured, " ".join(explained(measured)), cards)


def drawing(rows: Sequence[Mapping[str, Any]]) -> str:
    """Time against what is served, trial by trial, as SVG."""
    from matplotlib.figure import Figure

    plotted = Figure(figsize=(9, 4.5), layout="constrained")
    axes = plotted.subplots()
    for row in rows:
        colour = "#2257c4" if row["is"] == "asked" else "#8a93a3"
        axes.plot([row["trial"]] * 2, [row["ratio_low"], row["ratio_high"]], color=colour, linewidth=1.5)
        axes.plot(row["trial"], row["ratio"], "o", color=colour, markersize=4)
    axes.axhline(1.0, color="#a3202c", linewidth=1)
    axes.set_xlabel("trial")
    axes.set_ylabel("time, as a multiple of what is served")
    axes.grid(alpha=0.3)
    return svg(plotted)
