"""A graph that is no decoder of its checkpoint is told so; weights that were copied do not stay in memory twice."""

from __future__ import annotations

import mmap
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from builder.candidate import Candidate
from builder.formats import open_format
from builder.optimization import OptimizationConfig
from builder.sources.decoder import Decoder
from pixelis.errors import SetupError
from pixelis.machine import this_machine, without_instructions
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


@pytest.mark.skipif("bf16" in without_instructions(this_machine()), reason="the CPU has no bf16 arithmetic")
@pytest.mark.parametrize(
    "form",
    [
        {"precision": "bf16"},
        {"precision": "int8", "quantization": "weights", "optimization": OptimizationConfig(autocast="bf16")},
    ],
)
def test_bf16_halves_the_cache_and_its_cells_come_back_bit_for_bit(
    form: dict[str, object], artifact: Path, random_checkpoint: Path, tmp_path: Path
) -> None:
    candidate = Candidate.model_validate({"format": "openvino", **form})
    open_format("openvino").export(Decoder(random_checkpoint), tmp_path, candidate)
    single, graph = (open_decoder(folder, slots=4, max_len=100, threads=1) for folder in (artifact, tmp_path))
    assert 2 * graph.token_bytes == single.token_bytes
    rng = np.random.default_rng(5)
    embeds, positions = (
        rng.standard_normal((40, graph.config.hidden)).astype(np.float32),
        np.tile(np.arange(40), (3, 1)),
    )
    full, half = (one.prefill(0, [embeds], [positions]) for one in (single, graph))
    assert np.corrcoef(full.ravel(), half.ravel())[0, 1] > 0.99
    assert (full != half).any()
    at = np.array([40])
    wanted = graph.decode(np.array([20]), at, at).copy()
    cells = graph.read(0, 0, 40)
    assert cells.nbytes == 40 * graph.token_bytes
    graph.write(3, 0, cells)
    graph.swap(3, 0, 40)
    np.testing.assert_array_equal(graph.decode(np.array([20]), at, at), wanted)
    np.testing.assert_array_equal(graph.read(0, 0, 40), cells)


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
