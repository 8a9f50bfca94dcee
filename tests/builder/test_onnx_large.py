"""A graph with more weights than fit into one file has them beside it, as they are multiplied by."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from builder.formats import onnx_large, onnx_store
from builder.formats.onnx import MODEL_FILE, SETTINGS_FILE, OnnxFormat, export_module, fold
from python_backends.engine import load_engine

WIDTH = 96


class Tower(nn.Module):
    """Two products with matrices that are turned, a table and a kernel that are not."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH, bias=False)
        self.table = nn.Parameter(torch.randn(50, WIDTH))
        self.kernel = nn.Conv1d(WIDTH, WIDTH, 3, padding=1)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """`[B, 50, width]` to the same."""
        hidden = self.second(torch.tanh(self.first(values + self.table)))
        out: torch.Tensor = self.kernel(hidden.transpose(1, 2)).transpose(1, 2)
        return out


def _exported(module: nn.Module, directory: Path) -> Path:
    directory.mkdir()
    path = directory / MODEL_FILE
    export_module(module, [torch.randn(2, 50, WIDTH)], ("X",), ("Y",), {"X": {0: "batch"}}, path)
    return path


@pytest.mark.slow
def test_weights_beside_the_graph_answer_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(3)
    module = Tower().eval()
    inside = _exported(module, tmp_path / "inside")
    assert not list((tmp_path / "inside").glob("*.bin"))
    monkeypatch.setattr(onnx_large, "OUTSIDE", 1000)
    monkeypatch.setattr(onnx_large, "MAPPED", 1000)
    monkeypatch.setattr(onnx_large, "SLICE", 5000)  # some columns at a time
    monkeypatch.setattr(onnx_store.ExternalStore.__init__, "__defaults__", (200_000,))
    outside = _exported(module, tmp_path / "outside")
    done = fold(outside)
    graph = onnx.load(str(outside), load_external_data=False).graph
    files = {path.name for path in outside.parent.glob("weights-*.bin")}
    assert len(files) > 1
    assert f"in {len(files)} files beside" in done[-1]
    assert outside.stat().st_size < 20_000
    turned = [
        node
        for node in graph.node
        if node.op_type == "Transpose" and node.input[0] in {i.name for i in graph.initializer}
    ]
    assert turned == []
    assert json.loads((outside.parent / SETTINGS_FILE).read_text()) == {"prepack": False}
    found = OnnxFormat().describe(outside.parent)
    assert found.weight_bytes > 4 * sum(one.numel() for one in module.parameters())
    values = np.random.default_rng(1).standard_normal((3, 50, WIDTH), np.float32)
    answers = []
    for path in (inside, outside):
        with load_engine(path.parent, threads=1) as engine:
            answers.append(engine.run({"X": values})["Y"])
    np.testing.assert_allclose(answers[1], answers[0], atol=1e-5)
    with torch.inference_mode():
        np.testing.assert_allclose(answers[1], module(torch.from_numpy(values)).numpy(), atol=1e-5)
