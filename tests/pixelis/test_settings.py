"""Settings: the documented defaults, the environment, a TOML file, and which wins."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from pixelis.settings import Settings


def test_documented_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIXELIS_REPOSITORY", "PIXELIS_STATE", "PIXELIS_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    got = Settings()
    assert (got.batching.max_batch_size, got.batching.max_wait_time_ms) == (8, 50)
    assert (got.cache.cache_size, got.cache.enable_redis) == (1000, False)
    assert (got.server.http_port, got.server.grpc_port, got.server.metrics_port) == (8000, 8001, 8002)
    assert got.server.host == "127.0.0.1"


def test_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pixelis.toml"
    path.write_text("[server]\nhttp_port = 9000\ngrpc_port = 9001\n[retrieval]\ncapacity = 5\n")
    monkeypatch.setenv("PIXELIS_CONFIG", str(path))
    monkeypatch.setenv("PIXELIS_SERVER__HTTP_PORT", "9100")
    got = Settings()
    assert (got.server.http_port, got.server.grpc_port, got.retrieval.capacity) == (9100, 9001, 5)


def test_a_value_out_of_bounds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIXELIS_BATCHING__MAX_BATCH_SIZE", "0")
    with pytest.raises(ValidationError, match="max_batch_size"):
        Settings()


def test_a_misspelt_field_of_a_section_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIXELIS_BATCHING__MAX_BATCHSIZE", "4")
    with pytest.raises(ValidationError, match="max_batchsize"):
        Settings()
