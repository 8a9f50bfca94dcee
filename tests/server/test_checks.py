from __future__ import annotations

import shutil
import socket
from collections import namedtuple
from importlib import metadata
from pathlib import Path

import pytest

from pixelis.errors import SetupError
from server import checks, layout

Usage = namedtuple("Usage", "total used free")


def test_this_environment_fits() -> None:
    for finding in (checks.wheel(), checks.numpy(), checks.libraries()):
        assert finding.level == "ok", finding
        finding.raise_if_missing()


def test_numpy_2_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "2.1.0")
    finding = checks.numpy()
    assert finding.level == "missing"
    assert "numpy 2.1.0" in finding.detail
    with pytest.raises(SetupError, match=r"numpy<2"):
        finding.raise_if_missing()


def test_a_library_that_the_loader_does_not_find_is_named(tmp_path: Path) -> None:
    # Away from its place the stub's relative run path leads nowhere.
    stub = Path(shutil.copy2(layout.find_wheel().stub, tmp_path / "stub"))
    absent = checks._absent(stub, (tmp_path,))
    assert any(name.startswith("libcudart") for name in absent)


@pytest.mark.parametrize(
    ("absent", "mend"),
    [
        (["libpython3.11.so.1.0"], "apt-get install libpython3.11"),
        (["libz.so.1"], "zlib1g"),
        (["libcudart-09529672.so.12.6.77"], "--force-reinstall"),
    ],
)
def test_each_library_has_its_mend(absent: list[str], mend: str) -> None:
    assert mend in checks._library_mend(absent)


@pytest.mark.parametrize(("free_mib", "level"), [(40, "missing"), (128, "warning"), (4096, "ok")])
def test_shared_memory(monkeypatch: pytest.MonkeyPatch, free_mib: int, level: str) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, free_mib * 2**20))
    finding = checks.shared_memory(17)
    assert finding.level == level
    assert (finding.mend is None) == (level == "ok")


def test_a_free_and_a_busy_port() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        finding = checks.port("grpc", "127.0.0.1", number)
        assert finding.level == "missing"
        assert str(number) in finding.detail
        assert "--grpc-port" in str(finding.mend)
    assert checks.port("grpc", "127.0.0.1", number).level == "ok"


@pytest.mark.parametrize(
    ("host", "level"),
    [
        ("127.0.0.1", "ok"),
        ("127.1.2.3", "ok"),
        ("::1", "ok"),
        ("localhost", "ok"),
        ("0.0.0.0", "warning"),
        ("::", "warning"),
        ("10.0.0.1", "warning"),
        ("triton.example.org", "warning"),
    ],
)
def test_who_may_reach_triton(host: str, level: str) -> None:
    finding = checks.exposure(host)
    assert finding.level == level
    assert (finding.mend is None) == (level == "ok")
