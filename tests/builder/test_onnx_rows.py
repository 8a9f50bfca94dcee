"""Scales by row: a request's answer is its own, and a large element spoils its row alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from builder.formats.onnx import MODEL_FILE
from builder.formats.onnx_rows import quantise_rows, quantise_weight
from builder.gating.bisect_onnx import first_wrong_node
from builder.optimization import OptimizationConfig
from pixelis.errors import BuildError
from python_backends.engine import load_engine
from tests.builder.tiny import WIDTH, Loud, write_linear

CONFIG = OptimizationConfig(activation_scales="row")


@pytest.fixture
def weights(tmp_path: Path) -> NDArray[np.float32]:
    made = np.random.default_rng(0).normal(size=(WIDTH, 4)).astype(np.float32)
    write_linear(tmp_path / "model.onnx", made)
    return made


def scores(directory: Path, x: NDArray[np.float32]) -> NDArray[np.float32]:
    with load_engine(directory, threads=1) as engine:
        return engine.run({"X": x})["SCORES"].astype(np.float32)


def test_the_product_is_near_and_a_row_is_the_same_alone(tmp_path: Path, weights: NDArray[np.float32]) -> None:
    assert "1 products on integers" in quantise_rows(tmp_path / "model.onnx", CONFIG)[0]
    x = np.random.default_rng(1).normal(size=(8, WIDTH)).astype(np.float32)
    x[3] *= 1000  # with one scale for the whole activation nothing of the other rows would be left
    x[5] = 0
    together = scores(tmp_path, x)
    bound = np.abs(x).max(axis=1, keepdims=True) * np.abs(weights).max() * WIDTH / 127
    assert (np.abs(together - x @ weights) <= bound).all()
    assert (together[5] == 0).all()
    for row in range(len(x)):
        np.testing.assert_array_equal(scores(tmp_path, x[row : row + 1])[0], together[row])


def test_weights_come_back_within_half_a_step() -> None:
    weight = np.random.default_rng(2).normal(size=(64, 16)).astype(np.float32)
    weight[:, 3] = 0
    integers, scale = quantise_weight(weight)
    assert integers.dtype == np.int8
    assert (np.abs(integers * scale - weight) <= scale * 0.5001).all()


def test_sums_of_large_products_are_whole_and_no_layer_is_blamed(tmp_path: Path) -> None:
    """Two products of 255 and 127 do not fit into 16 bits, in which some CPUs add them."""
    source = Loud()
    plain, rows = tmp_path / "plain", tmp_path / "rows"
    for folder in (plain, rows):
        source.export_onnx(folder)
    quantise_rows(rows / MODEL_FILE, CONFIG)
    sample = source.samples()[0]
    np.testing.assert_allclose(scores(rows, sample["X"]), source.reference(sample)["SCORES"], rtol=1e-3)
    found = first_wrong_node(plain / MODEL_FILE, rows / MODEL_FILE, sample, "int8")
    assert "none differs" in found.note, found


def test_the_same_graph_gives_the_same_bytes(tmp_path: Path, weights: NDArray[np.float32]) -> None:
    path = tmp_path / "model.onnx"
    fp32 = path.read_bytes()
    quantise_rows(path, CONFIG)
    once = path.read_bytes()
    path.write_bytes(fp32)
    quantise_rows(path, CONFIG)
    assert path.read_bytes() == once != fp32


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"exclude_nodes": ("nothing",)}, "no node nothing"),
        ({"weights": "QUInt8"}, "weights have no meaning"),
        ({"exclude_operators": ("MatMul",)}, "exclude_operators have no meaning"),
    ],
)
def test_what_it_cannot_do_is_said(
    tmp_path: Path, weights: NDArray[np.float32], changes: dict[str, object], said: str
) -> None:
    before = (tmp_path / "model.onnx").read_bytes()
    with pytest.raises(BuildError, match=said):
        quantise_rows(tmp_path / "model.onnx", OptimizationConfig.model_validate({**CONFIG.model_dump(), **changes}))
    assert (tmp_path / "model.onnx").read_bytes() == before
