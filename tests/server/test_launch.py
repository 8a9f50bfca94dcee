"""What a server's processes are told."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from pixelis.settings import Settings, settings
from server import launch
from server.layout import Layout

PORTS = launch.Ports("127.0.0.1", 1, 2, 3)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "tritonserver", tmp_path, tmp_path, (tmp_path,))


def told(layout: Layout, config: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings that a process of the server reads."""
    variables = launch.environment(layout, Path("models"), config, "id", PORTS, "key")
    with monkeypatch.context() as patch:
        for name in variables:
            patch.setenv(name, variables[name])
        for name in ("PIXELIS_THREADS__TOTAL", "PIXELIS_LIMITS__FRAMES"):
            if name not in variables:
                patch.delenv(name, raising=False)
        return Settings()


def test_settings_that_are_not_this_processes_own_reach_the_server(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIXELIS_THREADS__TOTAL", "7")
    monkeypatch.setenv("PIXELIS_LIMITS__FRAMES", "9")
    settings.cache_clear()
    try:
        own = settings()
        cache = own.cache.model_copy(update={"redis_url": SecretStr("redis://:word@there:1/0")})
        limits = own.limits.model_copy(update={"frames": 3})
        found = told(layout, own.model_copy(update={"limits": limits, "cache": cache}), monkeypatch)
    finally:
        settings.cache_clear()
    assert (found.limits.frames, found.threads.total) == (3, 7)
    assert found.limits == limits
    assert found.cache.redis_url.get_secret_value() == "redis://:word@there:1/0"
    assert found.cache == cache


def test_of_settings_that_are_its_own_nothing_is_added(layout: Layout) -> None:
    variables = launch.environment(layout, Path("models"), settings(), "id", PORTS, "key")
    assert not {name for name in variables if name.startswith("PIXELIS_") and name.count("_") == 1} - {
        "PIXELIS_REPOSITORY",
        "PIXELIS_STATE",
    }


def test_a_server_with_a_state_of_its_own_is_told_what_was_tuned_here(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tuned.toml").write_text("[decoding]\nslots = 3\n", encoding="utf-8")
    monkeypatch.setenv("PIXELIS_STATE", str(tmp_path))
    settings.cache_clear()
    try:
        own = settings()
        found = told(layout, own.model_copy(update={"state": tmp_path / "compare" / "A"}), monkeypatch)
    finally:
        settings.cache_clear()
    assert own.decoding.slots == found.decoding.slots == 3


def test_the_command_line_is_that_of_the_guide(layout: Layout) -> None:
    """Triton's "Secure Deployment Considerations", as docs/security.md goes through it."""
    line = launch.command(layout, Path("models"), ["a"], PORTS, "id", 5, "key")
    for flag in (
        "--model-control-mode=explicit",
        "--disable-auto-complete-config",
        "--allow-sagemaker=false",
        "--allow-vertex-ai=false",
        "--http-restricted-api=model-repository,trace,logging:pixelis-repository-key=key",
        "--grpc-restricted-protocol=model-repository,trace,logging:pixelis-repository-key=key",
        "--http-address=127.0.0.1",
        "--grpc-address=127.0.0.1",
        "--metrics-address=127.0.0.1",
    ):
        assert flag in line
    for default in ("--exit-on-error", "--trace-config", "--strict-readiness"):
        assert not any(flag.startswith(default) for flag in line)
    folders = {name: value for name, _, value in (flag.partition("=") for flag in line) if "directory" in name}
    assert set(folders) == {"--backend-directory", "--cache-directory", "--repoagent-directory"}
    assert all(Path(folder).is_relative_to(layout.binary.parent.parent) for folder in folders.values())
    assert not layout.agents.exists()
    closed = launch.command(layout, Path("models"), ["a"], PORTS, "id", 5, "key", shared_memory=False)
    assert "--http-restricted-api=model-repository,trace,logging,shared-memory:pixelis-repository-key=key" in closed


@pytest.mark.parametrize(("said", "told_it"), [(None, launch.MALLOC_ARENAS), ("5", "5")])
def test_memory_comes_from_few_arenas_unless_said_otherwise(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, said: str | None, told_it: str
) -> None:
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    if said is not None:
        monkeypatch.setenv("MALLOC_ARENA_MAX", said)
    assert launch.environment(layout, Path("models"), settings(), "id", PORTS, "key")["MALLOC_ARENA_MAX"] == told_it
