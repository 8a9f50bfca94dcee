"""Reports in a real browser: drawn, and without a word on its console."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from perf.sweep.page import page as sweep_page
from perf.tuning.report import page as tuning_page
from pixelis.schema import Measurement
from tests.report_page import needs_browser, opened

SWEPT = [
    {"row": "sweep", "model": "knn", "protocol": "grpc", "concurrency": level, "requests": 100, "stable": level < 8,
     "throughput_per_s": 100.0 * level, "p50_ms": 1.0 * level, "p99_ms": 2.0 * level}
    for level in (1, 4, 8)
]  # fmt: skip
RATIO = {"ratio": 0.9, "ratio_low": 0.85, "ratio_high": 0.95}
TUNED: list[dict[str, Any]] = [
    {"row": "trial", "trial": 1, "run": "this", "is": "asked", "changes": "decoding.slots=4", "pairs": 12, **RATIO},
    {"row": "trial", "trial": 2, "run": "this", "is": "not served", "changes": "threads.intra_op=2", "reason": "<no>"},
    {"row": "knob", "knob": "decoding.slots", "served": "16", "tried": "1 of 4", "best": "4", **RATIO},
    {"row": "knob", "knob": "cache.image.bytes", "served": "0", "tried": "0 of 2"},
    {"row": "side", "side": "A", "p50_ms": 10.0},
    {"row": "judged", "respect": "latency", "b_is": "better"},
    {"row": "verdict", "changes": "decoding.slots=4", "better": True, "less_time_%": 9.0, "at_least_%": 5.0,
     "at_most_%": 12.0, "pairs": 40, "limits_kept": True},
]  # fmt: skip


def measured(rows: list[dict[str, Any]]) -> Measurement:
    return Measurement(name="x", command="pixelis <x>", machine={"cpu": "one"}, versions={}, rows=rows)


@needs_browser
@pytest.mark.parametrize(
    ("html", "says"),
    [
        (sweep_page(measured(SWEPT)), "1 of 3 levels had not settled"),
        (tuning_page(measured(TUNED)), "decoding.slots 16 -> 4: alone +10.0 % (+5.0 to +15.0)"),
    ],
    ids=["sweep", "tuning"],
)
def test_a_report_is_drawn_and_says_nothing_on_the_console(html: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(html, encoding="utf-8")
    with opened(path) as page:
        assert says in page.locator("body").inner_text()
        assert page.locator("svg path").count() > 5
