"""What `pixelis bench e2e --parts` says of parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.costing.cost import CaseCost, Cost
from perf.e2e import report
from perf.e2e.parts import Asked, parts, searched
from tests.perf.test_plain import built


def test_batching_alone_is_held_against_a_server_without() -> None:
    def row(on: str, level: int, ratio: float) -> dict[str, object]:
        return {"row": "alone", "on": on, "concurrency": level, "throughput_ratio": ratio}

    alone = [row("none", 1, 1.0), row("batching", 1, 1.1), row("none", 16, 1.2), row("batching", 16, 2.4)]
    (claim,) = report.batched(alone, 16)
    assert (claim.measured, claim.target, claim.met) == (2.0, 3.0, False)
    assert report.batched([], 16) == []


def test_a_search_is_held_against_the_exact_one() -> None:
    exact = {"library": "exact", "index": "exact (flat)", "recall": 1.0, "p50_ms": 5.0}
    graph = {"library": "pixelis", "index": "pca128,hnsw16+float32", "recall": 0.96, "p50_ms": 0.25}
    less, times = searched([exact, graph], 1000)
    assert (less.measured, less.met) == (0.95, True)
    assert (times.measured, times.met) == (20.0, True)
    assert searched([exact], 1000) == []


@pytest.mark.long
def test_every_part_is_measured(tmp_path: Path) -> None:
    said: list[str] = []
    config = built().model_copy(update={"state": tmp_path})
    case = CaseCost.model_construct(case="batch 1", speedup=2.0, speedup_low=1.9, speedup_high=2.1)
    cost = Cost.model_construct(candidate="onnx-int8", reference="fp32 PyTorch", cases=[case])
    asked = Asked({"vision_encoder": cost}, 1, "test", "glove", 1500, "hnsw16", scale=0.02, rounds=1)
    rows, claims = parts(asked, config, said.append)
    assert {row["part"] for row in rows} == {"search", "visual operations", "reward"}
    assert [one for one in said if one.startswith("parts: ")] == [
        "parts: search", "parts: visual operations", "parts: reward",
    ]  # fmt: skip
    assert len(claims) == 6
    assert claims[0].measured == 0.5
    assert all(claim.met == (claim.measured >= claim.target) for claim in claims)
