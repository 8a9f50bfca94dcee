from __future__ import annotations

from pathlib import Path

import pytest

from pixelis.errors import SetupError
from server.mirror import mirror


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    version = tmp_path / "models" / "echo" / "1"
    (version / "__pycache__").mkdir(parents=True)
    for name, text in (("model.py", "pass"), ("model.onnx", "weights"), ("__pycache__/model.pyc", "old")):
        (version / name).write_text(text, encoding="utf-8")
    (version.parent / "config.pbtxt").write_text('name: "echo"', encoding="utf-8")
    return tmp_path / "models"


def test_what_triton_touches_is_copied_and_the_rest_is_linked(repository: Path, tmp_path: Path) -> None:
    there = mirror(repository, tmp_path / "state" / "8000")
    version = there / "echo" / "1"
    assert sorted(path.name for path in version.iterdir()) == ["model.onnx", "model.py"]
    assert (version / "model.onnx").readlink() == repository / "echo" / "1" / "model.onnx"
    assert not (version / "model.py").is_symlink()
    assert not (there / "echo" / "config.pbtxt").is_symlink()


def test_the_next_start_takes_up_what_is_new_and_forgets_what_has_gone(repository: Path, tmp_path: Path) -> None:
    there = mirror(repository, tmp_path / "state")
    (repository / "echo" / "1").rename(repository / "echo" / "2")
    mirror(repository, there)
    assert sorted(path.name for path in (there / "echo").iterdir()) == ["2", "config.pbtxt"]
    assert (repository / "echo" / "2" / "model.onnx").read_text(encoding="utf-8") == "weights"


def test_no_repository_and_no_room(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no model repository"):
        mirror(tmp_path / "nowhere", tmp_path / "state")
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    with pytest.raises(SetupError, match="cannot be linked") as caught:
        mirror(repository, tmp_path / "file" / "8000")
    assert "PIXELIS_STATE" in str(caught.value.mend)
