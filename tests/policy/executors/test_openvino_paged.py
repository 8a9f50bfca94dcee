"""A graph that is no decoder of its checkpoint is told so; weights that were copied do not stay in memory twice."""

from __future__ import annotations

import mmap
import shutil
import sys
from pathlib import Path

import pytest

from pixelis.errors import SetupError
from python_backends.policy.executors import open_decoder
from python_backends.policy.executors.mapped_file import let_go
from tests.policy.support import write_artifact

pytest.importorskip("openvino")


@pytest.fixture(scope="module")
def artifact(random_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_artifact("openvino", tmp_path_factory.mktemp("paged"), random_checkpoint)


def test_a_graph_without_the_names_is_refused(artifact: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(artifact, tmp_path / "broken"))
    text = (broken / "model.xml").read_text()
    (broken / "model.xml").write_text(text.replace('"layers.1.key"', '"layers.1.other"'))
    with pytest.raises(SetupError, match=r"no 'layers\.1\.key'.*Build it again"):
        open_decoder(broken, slots=1, max_len=64, threads=1)


def test_a_file_that_is_no_graph_is_refused(artifact: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(artifact, tmp_path / "broken"))
    (broken / "model.xml").write_text("<net/>")
    with pytest.raises(SetupError, match=r"cannot load model\.xml"):
        open_decoder(broken, slots=1, max_len=64, threads=1)


def test_the_same_checkpoint_gives_the_same_bytes(artifact: Path, random_checkpoint: Path, tmp_path: Path) -> None:
    again = write_artifact("openvino", tmp_path, random_checkpoint)
    for name in ("model.xml", "model.bin"):
        assert (again / name).read_bytes() == (artifact / name).read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is dropped")
def test_pages_of_a_file_are_dropped_and_come_back_unless_they_may_have_been_written(tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(b"abcd" * mmap.PAGESIZE)
    with path.open("r+b") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            assert mapped[:4] == b"abcd"
            assert let_go(path) == 4 * mmap.PAGESIZE
            assert mapped[-4:] == b"abcd"
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as mapped:
            mapped[:4] = b"wxyz"
            assert let_go(path) == 0
            assert mapped[:4] == b"wxyz"
    assert let_go(tmp_path / "other.bin") == 0
