"""`pixelis bench scale`, on real processes where there is a Redis."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from perf.bench_scale import app
from perf.scale.bench import Asked, measure
from perf.scale.costs import log_costs, sent
from perf.scale.crowd import crowd, together
from perf.scale.show import show
from pixelis.errors import InvalidRequest, SetupError
from pixelis.schema import Measurement
from tests.redis_server import needs_redis

REPLICA: dict[str, Any] = {"row": "replica", "at_once": 4, "count": 60, "gateway_ms": 2.0, "log_entries": 0.0}
ASKED = {"reads": 18.0, "writes": 19.0, "scripts": 8.0}
LOG = ("told", "what is new", "nothing is new", "still there", "append")


def replica() -> list[dict[str, Any]]:
    """As a run on a real server has them."""
    connections = {"cache_connections": 18, "log_connections": 2}
    return [
        {**REPLICA, **ASKED, **connections, "questions": "unique", "per_second": 5.0},
        {**REPLICA, **ASKED, "questions": "learning", "per_second": 5.0, "log_entries": 1.9},
        {**REPLICA, "questions": "repeated", "per_second": 40.0, "reads": 3.6, "writes": 0.0, "scripts": 0.0},
    ]


def log() -> list[dict[str, Any]]:
    """The same of the log."""
    commands = [
        {"row": "log", "measured": "commands", "command": name, "at_once": 64, "redis_us": 10.0} for name in LOG
    ]
    followed = [
        {"at_once": n, "redis_us": 400.0 + 60 * n, "idle_us_per_s": 1500.0 + 200 * n, "out_bytes": 7500 + 29_500 * n}
        for n in (0, 1, 2, 4, 8, 16)
    ]
    alone = {"at_once": 1, "per_second": 300.0, "client_us": 400.0, "redis_us": 200.0}
    return [
        *commands,
        *({"row": "log", "measured": "followers", **row} for row in followed),
        {"row": "log", "measured": "writers", **alone},
        {"row": "log", "measured": "applying", "apply_ms": 2.0},
    ]


def asked(parts: tuple[str, ...], measured: Path | None = None) -> Asked:
    return Asked(
        parts=parts,
        seconds=0.3,
        rounds=1,
        scenes=1,
        measured=measured,
        learning=[0.2],
        answers=None,
        busy=0.7,
        network_gbit=10,
        command="pixelis bench scale",
    )


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the cache's Redis and of nginx, and rows of the others beside it."""
    needs_redis()
    found = measure(asked(("cache", "balancer")), lambda said: None)
    path = tmp_path_factory.mktemp("scale") / "scale.json"
    whole = found.model_copy(update={"rows": [*found.rows, *log(), *replica()]})
    path.write_text(whole.model_dump_json(), encoding="utf-8")
    return path


@pytest.mark.slow
def test_commands_are_measured_on_a_real_redis(measured: Path) -> None:
    rows = Measurement.model_validate_json(measured.read_text(encoding="utf-8")).rows
    busy = {row["command"]: row for row in rows if row["row"] == "cache" and row["at_once"] == 64}
    assert set(busy) == {"read", "write", "lock", "script"}
    assert all(0.5 < row["redis_us"] < 500 for row in busy.values())
    assert [row["at_once"] for row in rows if row.get("client") == "our caches"] == [1, 2, 3]
    for row in rows:
        if row["row"] == "balancer":
            assert 5 < row["nginx_us"] < 5000


@pytest.mark.slow
def test_an_earlier_run_is_enough_to_simulate(measured: Path) -> None:
    line = ["--parts", "simulation", "--measured", str(measured), "--learning", "0.2"]
    result = CliRunner().invoke(app, [*line, "--json"])
    assert result.exit_code == 0, result.output
    found = Measurement.model_validate(json.loads(result.stdout))
    ends = {(row["mix"], row["part"]): row["full_at"] for row in found.rows if row["row"] == "saturation"}
    learned = "new, 20 % of the new learned"
    assert ends[learned, "log: a Redis"] < ends[learned, "cache: a Redis"]
    assert ends[learned, "log: network"] > ends[learned, "log: a Redis"] > 10
    assert {row["replicas"] for row in found.rows if row["row"] == "grid"} >= {1, 1000}
    assert any("Pollaczek" in claim.claim and claim.met for claim in found.claims)
    faster = CliRunner().invoke(app, [*line, "--answers", "50", "--json"])
    ten_times = {
        (row["mix"], row["part"]): row["full_at"] for row in json.loads(faster.stdout)["rows"] if "full_at" in row
    }
    # Whole replicas, so one more or less.
    assert ten_times["new", "cache: a Redis"] == pytest.approx(ends["new", "cache: a Redis"] / 10, rel=0.02, abs=1)
    shown = show_of(found)
    assert "full at" in shown
    assert learned in shown


def show_of(found: Measurement) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        show(found)
    return printed.getvalue()


@pytest.mark.long
def test_the_log_is_measured_with_real_followers() -> None:
    needs_redis()
    rows = measure(asked(("log",)), lambda said: None).rows
    followers = {row["at_once"]: row for row in rows if row.get("measured") == "followers"}
    for count, row in followers.items():
        assert row["read"] == count * row["changes"]  # each of them got every change
    (entry,) = [row["bytes"] for row in rows if row.get("measured") == "catching up"]
    assert sent(rows) == pytest.approx(4 * entry, rel=0.1)
    (applied,) = [row for row in rows if row.get("measured") == "applying"]
    assert applied["changes"] > 0
    costs = log_costs(rows)
    assert costs.told > 2 * costs.entry > 0
    assert {row["what"] for row in rows if row["row"] == "validation"} == {
        "log: writers, answers a second",
        "log: Redis' time for a change, µs",
    }


@pytest.mark.long
@pytest.mark.triton
def test_a_replica_is_measured_on_a_real_server() -> None:
    needs_redis()
    kinds = {row["questions"]: row for row in measure(asked(("replica",)), lambda said: None).rows}
    assert kinds["repeated"]["writes"] < 1 < kinds["unique"]["writes"]
    assert kinds["repeated"]["reads"] > 0
    assert kinds["learning"]["log_entries"] >= 1 > kinds["unique"]["log_entries"]
    assert kinds["repeated"]["per_second"] > kinds["unique"]["per_second"]


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no row of"):
        log_costs([])
    with pytest.raises(InvalidRequest, match="no measurement"):
        measure(asked(("simulation",), tmp_path / "none.json"), lambda said: None)


@pytest.mark.parametrize("shares", ["0", "2", "x"])
def test_wrong_shares(shares: str) -> None:
    result = CliRunner().invoke(app, ["--parts", "simulation", "--learning", shares])
    assert result.exit_code == 2


def test_a_client_that_cannot_start_says_why(tmp_path: Path) -> None:
    needs_redis()
    with (
        pytest.raises(SetupError, match="did not start"),
        crowd("append", "redis://127.0.0.1:1/0", 1, 1, tmp_path) as none,
    ):
        together(none)
