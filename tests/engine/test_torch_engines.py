"""The PyTorch executors: what they run, what they refuse, and when PyTorch is imported at all."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from pixelis.errors import InvalidRequest, ServingError, SetupError, Unavailable
from python_backends.engine import Engine, load_engine
from python_backends.engine.base import TensorDescription
from python_backends.engine.torch_settings import TorchSettings
from tests.engine.support import rows


class Scaled(torch.nn.Module):
    """A, B float `[B, 3]` -> 2 A + B, and the rows' sums."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        total = 2 * a + b
        return total, total.sum(dim=1)


class Broken(torch.nn.Module):
    """Fails while it runs."""

    def forward(self, a: torch.Tensor) -> torch.Tensor:
        return torch.linalg.inv(a)


def _tensor(name: str, *shape: int | str, dtype: type[np.generic] = np.float32) -> TensorDescription:
    return TensorDescription(name, np.dtype(dtype), shape)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    traced = torch.jit.trace(Scaled(), (torch.ones(2, 3), torch.ones(2, 3)))
    torch.jit.save(traced, str(tmp_path / "model.ts"))
    inputs = (_tensor("A", "batch", 3), _tensor("B", "batch", 3))
    TorchSettings(inputs, (_tensor("TOTAL", "batch", 3), _tensor("SUM", "batch"))).write(tmp_path)
    return tmp_path


@pytest.mark.parametrize("batch", [1, 2, 8])
def test_runs_any_batch_and_names_its_outputs(engine: Engine, batch: int) -> None:
    out = engine.run({"B": rows(batch), "A": rows(batch)})
    np.testing.assert_array_equal(out["TOTAL"], 3 * rows(batch))
    np.testing.assert_array_equal(out["SUM"], 3 * rows(batch).sum(1))


def test_describes_itself(engine: Engine) -> None:
    assert [str(d) for d in engine.inputs] == ["A float32[batch, 3]", "B float32[batch, 3]"]
    assert [str(d) for d in engine.outputs] == ["TOTAL float32[batch, 3]", "SUM float32[batch]"]


def test_keeps_to_its_threads_in_whatever_thread_it_is_called(directory: Path) -> None:
    torch.set_num_threads(2)
    try:
        with load_engine(directory, threads=1) as engine, ThreadPoolExecutor(2) as pool:
            asked = [pool.submit(engine.run, {"A": rows(4), "B": rows(4)}) for _ in range(8)]
            answers = [one.result()["TOTAL"] for one in asked]
            assert pool.submit(torch.get_num_threads).result() == 1
    finally:
        torch.set_num_threads(1)
    assert all((answer == 3 * rows(4)).all() for answer in answers)


def test_takes_arrays_that_are_not_contiguous_and_changes_none(engine: Engine) -> None:
    given = np.ascontiguousarray(rows(4).T).T
    engine.run({"A": given, "B": given})
    np.testing.assert_array_equal(given, rows(4))


def test_refuses_names_types_and_shapes_as_every_engine_does(engine: Engine) -> None:
    with pytest.raises(InvalidRequest, match=r"missing \['B'\]"):
        engine.run({"A": rows(1)})
    with pytest.raises(InvalidRequest, match="B is float64"):
        engine.run({"A": rows(1), "B": rows(1).astype(np.float64)})
    with pytest.raises(InvalidRequest, match=r"already \{'batch': 2\}"):
        engine.run({"A": rows(2), "B": rows(3)})


def test_bounds_of_values_and_axes_are_the_caller_s_business(directory: Path) -> None:
    settings = TorchSettings.read(directory)
    TorchSettings(settings.inputs, settings.outputs, limits={"A": 5}, longest={"batch": 2}).write(directory)
    with load_engine(directory, threads=1) as engine:
        assert engine.run({"A": np.ones((2, 3), np.float32), "B": rows(2)})
        with pytest.raises(InvalidRequest, match=r"A holds 0\.0 to 5\.0\. Its values are 0 to 4"):
            engine.run({"A": rows(2), "B": rows(2)})
        with pytest.raises(InvalidRequest, match=r"A has 3 along `batch`\. It takes 2 at most"):
            engine.run({"A": np.ones((3, 3), np.float32), "B": rows(3)})


def test_what_fails_inside_is_an_error_of_ours_without_a_native_stack(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.trace(Broken(), torch.eye(2)[None]), str(tmp_path / "model.ts"))
    TorchSettings((_tensor("A", "batch", 2, 2),), (_tensor("INVERSE", "batch", 2, 2),)).write(tmp_path)
    failed = pytest.raises(ServingError, match=r"TorchScript .* failed: .*singular")
    with load_engine(tmp_path, threads=1) as engine, failed as raised:
        engine.run({"A": np.zeros((1, 2, 2), np.float32)})
    assert "\n" not in str(raised.value)
    assert "Traceback" not in str(raised.value)


def test_a_closed_engine_says_so(engine: Engine) -> None:
    with engine:
        pass
    engine.close()
    with pytest.raises(Unavailable, match="closed"):
        engine.run({"A": rows(1), "B": rows(1)})


@pytest.mark.parametrize("file", ["model.ts", "model.pt2"])
def test_a_broken_artifact_names_the_file_and_the_mend(directory: Path, file: str) -> None:
    (directory / "model.ts").unlink()
    (directory / file).write_bytes(b"not an archive")
    with pytest.raises(SetupError, match=rf"cannot load {file}: .*pixelis build"):
        load_engine(directory, threads=1)


@pytest.mark.parametrize("text", ["", "[]", '{"inputs": []}', '{"inputs": [{"name": "A"}], "outputs": []}'])
def test_settings_that_are_missing_or_damaged_are_said_to_be(directory: Path, text: str) -> None:
    (directory / "engine.json").write_text(text)
    with pytest.raises(SetupError, match=r"engine\.json is damaged"):
        load_engine(directory, threads=1)
    (directory / "engine.json").unlink()
    with pytest.raises(SetupError, match=r"no engine\.json beside"):
        load_engine(directory, threads=1)


def test_settings_come_back_as_they_were_written(tmp_path: Path) -> None:
    written = TorchSettings(
        (_tensor("IDS", "batch", "sequence", dtype=np.int64),),
        (_tensor("OUT", "batch", 4),),
        features=frozenset({"avx2"}),
        limits={"IDS": 9},
        longest={"sequence": 64},
    )
    written.write(tmp_path)
    assert TorchSettings.read(tmp_path) == written
    assert json.loads((tmp_path / "engine.json").read_text())["inputs"][0]["shape"] == ["batch", "sequence"]


def test_pytorch_is_imported_by_these_executors_and_by_nothing_before_them(directory: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from python_backends.engine import load_engine;"
        "assert 'torch' not in sys.modules; load_engine(Path(sys.argv[1]), 1); assert 'torch' in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program, str(directory)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
