"""A comparison, for people."""

from __future__ import annotations

from perf.tables import print_measurement, wide_console
from pixelis.schema import Measurement

BECAUSE = {
    "better": "B is better",
    "worse": "B is worse",
    "no difference shown": "No difference shown",
}


def show(measured: Measurement) -> None:
    """The sides, what is judged, and the verdict."""
    print_measurement(measured, {"side": "what each did", "judged": "B against A, per cent (latency: of A's time)"})
    last = next(row for row in measured.rows if row["row"] == "verdict")
    early = ", stopped early" if last["stopped_early"] else ""
    wide_console().print(
        f"{BECAUSE[last['b_is']]}: {last['pairs']} pairs of at most {last['of_at_most']}{early}; "
        f"{100 * last['same_answers']:.1f} % of answers are the same.",
        style="bold",
        highlight=False,
    )
