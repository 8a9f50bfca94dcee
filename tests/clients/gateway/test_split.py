"""A canary has its share of callers, and does no harm. Before the echoing Triton, and one that is down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clients.aio import AsyncPixelisClient
from clients.gateway.split import Split, place, read_share, write_share
from pixelis.errors import SetupError
from server.embedded import EmbeddedTriton
from tests.clients.gateway.conftest import Served
from tests.clients.gateway.test_gateway import DEAD, ask, body, metric, stream

CALLERS = [f"key {number}" for number in range(2000)]


def split(file: Path | None = None, share: float = 0.25) -> Split:
    return Split(AsyncPixelisClient(DEAD), AsyncPixelisClient(DEAD), share, file)


def test_a_share_of_callers_and_each_stays() -> None:
    found = split()
    mine = {caller for caller in CALLERS if found.of(caller).name == "canary"}
    assert len(mine) / len(CALLERS) == pytest.approx(0.25, abs=0.03)
    assert mine == {caller for caller in CALLERS if split().of(caller).name == "canary"}
    assert mine < {caller for caller in CALLERS if split(share=0.5).of(caller).name == "canary"}
    assert {split(share=share).of("key 1").name for share in (0.0, 1.0)} == {"stable", "canary"}
    assert place("key 1") == place("key 1") != place("key 2")


def test_without_a_canary_all_are_the_stable_ones(tmp_path: Path) -> None:
    write_share(tmp_path / "share.json", 1.0)
    alone = Split(AsyncPixelisClient(DEAD), None, 1.0, tmp_path / "share.json")
    assert (alone.share, alone.of("key 1").name) == (0.0, "stable")


def test_the_share_changes_while_it_serves_and_damage_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "gateway" / "canary.json"
    found = split(file, 0.0)
    assert found.share == 0.0
    write_share(file, 0.5)
    assert found.share == read_share(file, 0.0) == 0.5
    for damage in ("", "{", '{"share": 2}', '{"share": 0.1, "more": 1}', "[0.1]"):
        file.write_text(damage)
        assert found.share == 0.5
        with pytest.raises(SetupError, match=r"canary\.json cannot be read"):
            read_share(file, 0.0)
    file.unlink()
    assert found.share == 0.5
    file.touch()
    with pytest.raises(SetupError, match="cannot be written"):
        write_share(file / "below", 0.1)


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pixelis.cli import app
    from pixelis.settings import settings

    monkeypatch.setenv("PIXELIS_STATE", str(tmp_path))
    settings.cache_clear()
    try:
        runner = CliRunner()
        assert "0.05" in runner.invoke(app, ["canary"]).output
        assert runner.invoke(app, ["canary", "0.2"]).exit_code == 0
        assert json.loads(runner.invoke(app, ["canary", "--json"]).output) == {"share": 0.2}
        assert read_share(tmp_path / "gateway" / "canary.json", 0.0) == 0.2
        assert runner.invoke(app, ["canary", "2"]).exit_code == 2
    finally:
        settings.cache_clear()


@pytest.mark.triton
def test_questions_go_to_the_canary_until_it_has_no_share(
    gateways: Served, served: EmbeddedTriton, tmp_path: Path
) -> None:
    file = tmp_path / "canary.json"
    with gateways(triton=DEAD, canary=served.grpc_url, canary_share=1.0, canary_file=str(file)):
        assert ask("/infer", body())[0] == 200
        assert stream(body())[-1][0] == "answer"
        assert metric('pixelis_gateway_side_seconds_count{outcome="ok",side="canary"}') == 2
        write_share(file, 0.0)
        assert ask("/infer", body())[0] == 503


@pytest.mark.triton
def test_a_canary_that_is_down_costs_no_answer(gateways: Served) -> None:
    with gateways(canary=DEAD, canary_share=1.0):
        status, _, found = ask("/infer", body())
        assert (status, found["from_cache"]) == (200, False)
        batch = ask("/batch_infer", {"requests": [body(), body()]})[2]["answers"]
        assert [one["status"] for one in batch] == [200, 200]
        assert metric('pixelis_gateway_side_seconds_count{outcome="unavailable",side="canary"}') == 3
        assert metric('pixelis_gateway_side_seconds_count{outcome="ok",side="stable"}') == 3
        assert ask("/infer", {**body(), "read_only": False})[0] == 503  # it may have been begun there
