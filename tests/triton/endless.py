"""A policy that never ends a turn: turns as long as a test wants them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from perf.repositories import republished
from python_backends.artifacts import artifact


def make_endless(repository: Path) -> None:
    """Put a policy into a linked repository that gives its end tokens no chance, and is the same otherwise."""
    folder = artifact(repository, "policy")
    ends = [token["id"] for token in json.loads((folder / "tokenizer.json").read_text())["added_tokens"]][:4]
    file = folder / "model.onnx"
    model = onnx.load(file.resolve())
    (logits,) = (output for output in model.graph.output if output.name == "logits")
    vocabulary = logits.type.tensor_type.shape.dim[-1].dim_value
    against = np.zeros(vocabulary, np.float32)
    against[ends] = -1e4
    for node in model.graph.node:
        node.output[:] = ["all_logits" if name == "logits" else name for name in node.output]
    model.graph.initializer.append(numpy_helper.from_array(against, "against_ends"))
    model.graph.node.append(helper.make_node("Add", ["all_logits", "against_ends"], ["logits"]))
    file.unlink()
    onnx.save(model, file)
    republished(folder)
