"""Settings: the documented defaults, the environment, a TOML file, and which wins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from pixelis.errors import SetupError
from pixelis.settings import Settings, settings


@pytest.fixture(autouse=True)
def _read_afresh() -> Iterator[None]:
    settings.cache_clear()
    yield
    settings.cache_clear()


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


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("PIXELIS_SERVER__HTTP_PORT", "abc", "server.http_port is wrong.*PIXELIS_SERVER__HTTP_PORT"),
        ("PIXELIS_BATCHING__MAX_BATCHSIZE", "4", "batching.max_batchsize"),
        ("PIXELIS_SERVER", "{", "cannot be read.*PIXELIS_<SECTION>__<FIELD>"),
        ("PIXELIS_SERVER", "[" * 20_000, "cannot be read.*PIXELIS_<SECTION>__<FIELD>"),
        ("PIXELIS_BATCHING__" + "X" * 5000, "4", "batching.x{80} is wrong"),
    ],
)
def test_a_wrong_setting_is_named_with_its_variable(
    name: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SetupError, match=says):
        settings()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "no such file"),
        (b"[server", "cannot be read"),
        (b"\xff", "cannot be read"),
        (b"a = " + b"[" * 20_000, "cannot be read"),
        (b"state = 7", "state is wrong"),
        (b"state = [1]", "state is wrong"),
        (b"[server]\nport = 1\n", "server.port is wrong"),
    ],
)
def test_a_file_that_is_not_there_or_not_right_is_never_passed_over(
    content: bytes | None, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "pixelis.toml"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.delenv("PIXELIS_STATE", raising=False)  # which goes before the file
    monkeypatch.setenv("PIXELIS_CONFIG", str(path))
    with pytest.raises(SetupError, match=says):
        settings()


@pytest.mark.parametrize("name", ["PIXELIS_CONFIG", "PIXELIS_STATE"])
def test_a_path_that_is_none_is_said(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "x" * 40_000)
    with pytest.raises(SetupError, match="File name too long") as caught:
        settings()
    assert len(str(caught.value)) < 800


def test_what_was_tuned_is_below_the_environment_and_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "pixelis.toml"
    path.write_text("[decoding]\nslots = 3\n")
    tuned = tmp_path / "tuned.toml"
    tuned.write_text("[decoding]\nslots = 4\nspeculation = false\n[scheduling.reason]\ninstances = 3\n")
    monkeypatch.setenv("PIXELIS_CONFIG", str(path))
    monkeypatch.setenv("PIXELIS_STATE", str(tmp_path))
    got = Settings()
    assert (got.decoding.slots, got.decoding.speculation, got.scheduling["reason"].instances) == (3, False, 3)
    assert Settings(state=tmp_path / "elsewhere").scheduling == {}
    for broken in ("[decoding\n", "a = " + "[" * 20_000):
        tuned.write_text(broken)
        with pytest.raises(SetupError, match=r"tuned\.toml cannot be read"):
            Settings()
