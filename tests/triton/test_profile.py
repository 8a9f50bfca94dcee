"""`pixelis profile` on real servers: what it finds, its report in a real browser, and what it says where it cannot."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pixelis.schema import Measurement
from tests.report_page import needs_browser, opened
from tests.triton.test_compare import run

pytestmark = pytest.mark.triton
MODELS = ("prepare", "recall", "reason", "finish", "knn", "policy", "vision_encoder", "visual_ops", "reward", "vote")


def rows(found: Measurement, kind: str) -> list[dict[str, Any]]:
    return [row for row in found.rows if row["row"] == kind]


def measured(done: subprocess.CompletedProcess[str]) -> Measurement:
    assert done.returncode == 0, done.stderr[-2000:]
    return Measurement.model_validate_json(done.stdout)


@pytest.fixture(scope="module")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Measurement, Path]:
    """A profile of a few questions, two at a time, and the folder of its report."""
    folder = tmp_path_factory.mktemp("profile")
    asked = ("--requests", "8", "--at-once", "2", "--html", str(folder / "profile.html"), "--json")
    found = measured(run(folder / "state", "profile", *asked))
    (folder / "profile.json").write_text(found.model_dump_json())
    return found, folder


def test_every_model_of_the_way_is_seen(profiled: tuple[Measurement, Path]) -> None:
    found, folder = profiled
    (whole,) = rows(found, "request")
    assert whole["requests"] == 8
    components = {row["component"]: row for row in rows(found, "component")}
    assert set(MODELS) <= set(components)
    assert {"→ policy", "→ knn", "knn: search", "policy: step", "vision_encoder: run"} <= set(components)
    assert components["policy: step"]["cpu_ms"] > 0
    assert sum(row["own_ms"] for row in components.values()) >= sum(row["critical_ms"] for row in components.values())
    assert all(row["pss_mib"] > 0 for row in rows(found, "memory"))
    assert {row["process"] for row in rows(found, "memory")} >= {"tritonserver", "policy"}
    layers = rows(found, "layers")
    assert {row["model"] for row in layers} >= {"vision_encoder", "embed_text"}
    assert sum(row["share"] for row in layers if row["model"] == "vision_encoder") == pytest.approx(1, abs=0.01)
    assert all(row["p50_after_ms"] <= row["p50_ms"] for row in rows(found, "bottleneck"))
    traces = folder / "state" / "traces"
    assert list(traces.iterdir()) == []  # the switch is off, and nothing is left


@pytest.mark.long
def test_an_older_profile_beside_it(profiled: tuple[Measurement, Path]) -> None:
    found, folder = profiled
    older = found.model_copy(deep=True)
    for row in older.rows:
        if row.get("component") == "finish" and row["row"] == "component":
            row["critical_ms"] -= 1000
    (folder / "older.json").write_text(older.model_dump_json())
    asked = ("--requests", "4", "--compare", str(folder / "older.json"), "--json")
    first = rows(measured(run(folder / "state", "profile", *asked)), "change")[0]
    assert first["component"] == "finish"
    assert first["grown_ms"] > 500


@needs_browser
def test_the_report_in_a_browser(profiled: tuple[Measurement, Path]) -> None:
    with opened(profiled[1] / "profile.html") as page:
        assert page.locator("svg[aria-label='waterfall of one request'] rect").count() > 20
        assert page.locator("svg[aria-label='flame chart of all requests'] rect").count() > 20
        assert page.locator("svg[aria-label='memory of the processes over time'] polygon").count() > 5
        page.get_by_text("vision_encoder", exact=True).last.click()


def test_a_sleep_is_found(tmp_path: Path) -> None:
    (row,) = rows(measured(run(tmp_path, "bench", "profile", "--models", "knn", "--pairs", "6", "--json")), "slept")
    assert row["found"], row
    assert row["said_ms"] == pytest.approx(30, abs=3)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("--url", "127.0.0.1:9"), "unavailable"),
        (("--families", "nonsense"), "--families names nonsense"),
        (("--compare", "{file}"), "is no profile"),
    ],
)
def test_what_cannot_be_profiled(tmp_path: Path, asked: Sequence[str], said: str) -> None:
    file = tmp_path / "other.json"
    file.write_text(json.dumps({"name": "bench"}))
    done = run(tmp_path, "profile", *(one.format(file=file) for one in asked), "--json")
    assert done.returncode == 1
    assert said in json.loads(done.stdout)["error"] + json.loads(done.stdout)["code"]
