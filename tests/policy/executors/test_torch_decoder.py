"""PyTorch's executor: what is its own beside what `tests/policy/test_graph.py` holds of all of them."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from builder.candidate import Candidate
from builder.sources.decoder import Decoder
from builder.tolerance import Precision
from pixelis.errors import SetupError
from python_backends.policy.executors import open_decoder
from python_backends.policy.executors.torch_decoder import TorchDecoder
from python_backends.policy.executors.torch_step import step_sizes


@pytest.fixture(scope="module")
def folders(random_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    precisions: tuple[Precision, ...] = ("fp32", "bf16")
    made = {precision: tmp_path_factory.mktemp(precision) for precision in precisions}
    for precision in precisions:
        Decoder(random_checkpoint).export_native(made[precision], Candidate(format="torchscript", precision=precision))
    return made


def _opened(folder: Path, slots: int = 8) -> TorchDecoder:
    graph = open_decoder(folder, slots=slots, max_len=100, threads=1)
    assert isinstance(graph, TorchDecoder)
    return graph


def _read(graph: TorchDecoder, rows: int, length: int = 12) -> None:
    rng = np.random.default_rng(5)
    embeds = [rng.standard_normal((length, graph.config.hidden)).astype(np.float32) for _ in range(rows)]
    graph.prefill(0, embeds, [np.tile(np.arange(length), (3, 1))] * rows)


def test_bf16_halves_the_cache_and_its_cells_come_back_bit_for_bit(folders: dict[str, Path]) -> None:
    graph, single = _opened(folders["bf16"]), _opened(folders["fp32"])
    assert 2 * graph.token_bytes == single.token_bytes
    _read(graph, 1)
    at = np.array([12])
    wanted = graph.decode(np.array([20]), at, at).copy()
    cells = graph.read(0, 0, 12)
    assert cells.dtype == np.int16
    graph.write(3, 0, cells)
    graph.move(3, 0, 12)
    np.testing.assert_array_equal(graph.decode(np.array([20]), at, at), wanted)
    np.testing.assert_array_equal(graph.read(3, 0, 12), cells)


def test_rows_that_nobody_asked_for_change_nothing(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A captured step has more rows and looks at more places than were asked for; here the CPU computes such a one."""
    graph = _opened(folders["fp32"])
    _read(graph, 5)
    tokens, at = np.array([20, 21, 22]), np.full(3, 12)
    wanted = graph.decode(tokens, at, at).copy()
    before = graph.read(3, 0, graph.max_len)
    monkeypatch.setattr(graph, "_device", SimpleNamespace(type="cuda"))
    assert graph._sizes(3, 13) == (4, 104)
    got = graph.decode(tokens, at, at)
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got, wanted, atol=2e-5)
    np.testing.assert_array_equal(graph.read(3, 0, graph.max_len), before)


def test_a_step_comes_in_few_sizes() -> None:
    assert step_sizes(1, 12) == [1, 2, 4, 8, 12]
    assert step_sizes(256, 2056) == [256, 512, 1024, 2048, 2056]
    assert step_sizes(256, 104) == [104]


def test_the_thread_budget_is_kept_and_the_executor_says_its_name(folders: dict[str, Path]) -> None:
    graph = _opened(folders["fp32"])
    torch.set_num_threads(2)
    _read(graph, 1)
    assert torch.get_num_threads() == 1
    assert graph.executor == f"TorchScript (PyTorch {torch.__version__}) on the CPU"


def test_a_file_that_is_no_script_of_a_decoder_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(folders["fp32"], broken)
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(broken / "model.ts"))
    with pytest.raises(SetupError, match=r"takes input, and is not a decoder's"):
        _opened(broken)
    (broken / "model.ts").write_bytes(b"no archive")
    with pytest.raises(SetupError, match=r"cannot load model\.ts.*pixelis build policy --formats torchscript"):
        _opened(broken)
