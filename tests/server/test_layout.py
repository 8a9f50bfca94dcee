from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pixelis.errors import SetupError
from server import layout
from server.layout import lay_out

ROOT = Path(__file__).resolve().parents[2]


def test_lays_out_what_triton_wants_once(tmp_path: Path) -> None:
    laid = lay_out(tmp_path)
    assert laid.binary.resolve().name == "tritonserver"
    stub = (laid.backends / "python" / "triton_python_backend_stub").resolve()
    assert stub.parent.name == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert (laid.backends / "python" / "libtriton_python.so").exists()
    assert (laid.caches / "local" / "libtritoncache_local.so").exists()
    assert stat.S_IMODE(laid.backends.parent.stat().st_mode) == 0o700, "code lies there"
    before = laid.binary.lstat().st_ino
    assert lay_out(tmp_path) == laid
    assert laid.binary.lstat().st_ino == before


def test_several_processes_at_once_make_one_layout(tmp_path: Path) -> None:
    code = (
        f"from pathlib import Path; from server.layout import lay_out; print(lay_out(Path({str(tmp_path)!r})).binary)"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    printed = {process.communicate()[0].strip() for process in running}
    assert [process.returncode for process in running] == [0] * 4
    assert len(printed) == 1
    assert [path.name for path in (tmp_path / "triton").iterdir()] == [Path(printed.pop()).parent.parent.name]


def test_another_python_makes_another_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = lay_out(tmp_path)
    monkeypatch.setattr(layout, "python_version", lambda: "3.10")
    assert lay_out(tmp_path).binary != first.binary


def test_a_python_without_a_stub_is_an_error_that_lists_those_with_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "python_version", lambda: "3.99")
    with pytest.raises(SetupError, match=r"no stub for Python 3\.99") as caught:
        lay_out(tmp_path)
    assert "3.11" in str(caught.value.mend)


def test_a_state_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(SetupError, match="cannot be written") as caught:
        lay_out(tmp_path / "file")
    assert "PIXELIS_STATE" in str(caught.value.mend)


def test_the_interpreter_of_this_environment_comes_first(tmp_path: Path) -> None:
    environment = lay_out(tmp_path).environment()
    assert environment["PATH"].startswith(str(Path(sys.executable).parent))
    assert environment["LD_LIBRARY_PATH"].endswith("nvidia_pytriton.libs")
