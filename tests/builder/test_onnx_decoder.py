"""The decoder in small precisions: near the fp32 one, in the runner that serves, with the same bytes wherever."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest

from builder.candidate import Candidate, Quantization
from builder.optimization import BlockScales, OptimizationConfig
from builder.sources.decoder import Decoder
from builder.sources.random_checkpoint import write_checkpoint
from builder.tolerance import Precision
from pixelis.errors import BuildError
from python_backends.policy.executors import open_decoder
from tests.builder.test_random_checkpoint import SMALL_TEXT, SMALL_VISION
from tests.marked import long

pytestmark = pytest.mark.slow
FORMS = (
    ("fp16", "none", 0.005),
    long("int8", "dynamic", 0.2),
    ("int8", "weights", 0.05),
    ("int4", "weights", 0.6),
)
"""With the root mean square error that is allowed, as a share of the logits' own spread."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = {**SMALL_TEXT, "vocab_size": 320}  # the model builder fails where it equals a layer's width
    return write_checkpoint(tmp_path_factory.mktemp("small") / "checkpoint", text, SMALL_VISION, 168, seed=5)


def _build(checkpoint: Path, directory: Path, precision: Precision, how: Quantization) -> list[str]:
    directory.mkdir(parents=True)
    config = OptimizationConfig(group_size=32)
    form = Candidate(format="onnx", precision=precision, quantization=how, optimization=config)
    return Decoder(checkpoint).export_native(directory, form)


@pytest.fixture(scope="module")
def single(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("single") / "artifact"
    _build(small, directory, "fp32", "none")
    return directory


@pytest.mark.parametrize(("precision", "how", "allowed"), FORMS, ids=lambda value: str(value))
def test_logits_are_near(
    precision: Precision, how: Quantization, allowed: float, small: Path, single: Path, tmp_path: Path
) -> None:
    done = _build(small, tmp_path / "one", precision, how)
    assert "embedding table" in done[-1]
    source = Decoder(small)
    sample = source.samples()[1]
    got, wanted = source.answer(tmp_path / "one", sample), source.answer(single, sample)
    for name, logits in wanted.items():
        assert got[name].dtype == np.float32
        error = float(np.sqrt(np.mean((got[name] - logits) ** 2))) / float(logits.std())
        assert 1e-6 < error < allowed, name
    sizes = [sum(path.stat().st_size for path in folder.glob("*.npy")) for folder in (tmp_path / "one", single)]
    assert sizes[0] < 0.6 * sizes[1]


@pytest.mark.parametrize(("precision", "scales"), [("int8", "asymmetric"), ("int4", "symmetric")])
def test_blocks_are_as_asked(precision: Precision, scales: BlockScales, small: Path, tmp_path: Path) -> None:
    config = OptimizationConfig(group_size=32, block_scales=scales)
    form = Candidate(format="onnx", precision=precision, quantization="weights", optimization=config)
    tmp_path.joinpath("one").mkdir()
    done = Decoder(small).export_native(tmp_path / "one", form)
    assert f"would not be {scales}" in done[0]
    graph = onnx.load(str(tmp_path / "one" / "model.onnx"), load_external_data=False).graph
    zeros = [one.name for one in graph.initializer if one.name.endswith("weight_zp")]
    assert bool(zeros) is (scales == "asymmetric")
    with Decoder(small).opened(tmp_path / "one") as ask:
        assert np.isfinite(ask(Decoder(small).samples()[0])["PREFILL_LOGITS"]).all()


def test_the_cache_is_of_the_graphs_type(small: Path, single: Path, tmp_path: Path) -> None:
    _build(small, tmp_path / "half", "fp16", "none")
    for folder, dtype in ((tmp_path / "half", np.float16), (single, np.float32)):
        graph = open_decoder(folder, slots=2, max_len=64, threads=1)
        assert {buffer.dtype for buffer in graph._cache.values()} == {np.dtype(dtype)}


@pytest.mark.long
def test_the_same_bytes_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = {**SMALL_TEXT, "vocab_size": 320, "intermediate_size": 128}  # an even number of blocks: k-quant
    wide = write_checkpoint(tmp_path / "wide", text, SMALL_VISION, 168, seed=6)
    digests = []
    for name in ("one", "two"):
        place = tmp_path / name
        place.mkdir()
        subprocess.run(["git", "init", "-q", "."], cwd=place, check=True)
        author = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
        subprocess.run(["git", *author, "commit", "-q", "--allow-empty", "-m", name], cwd=place, check=True)
        monkeypatch.chdir(place)
        _build(wide, place / "artifact", "int4", "weights")
        digests.append({p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (place / "artifact").iterdir()})
    assert digests[0] == digests[1]


def test_static_scales_are_refused(small: Path, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="static"):
        _build(small, tmp_path / "one", "int8", "static")
