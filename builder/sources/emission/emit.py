"""A checkpoint's decoder as `model.onnx`, weights in files beside it, and its embedding table.

Peak memory does not grow with the checkpoint: a slice of one matrix is in memory at a time. Deepstack features
(Qwen3-VL, arXiv 2511.21631) come in as `deepstack.0`, `deepstack.1`, …: `[batch, tokens, hidden]`, zero where a token
is not visual; `[1, 1, hidden]` does for all tokens.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir

from builder.checkpoints.architecture import Architecture, read_architecture
from builder.checkpoints.expected import TOWER, expected
from builder.checkpoints.weights import Weights
from builder.formats.onnx_store import LIMIT, ExternalStore
from builder.sources.emission.form import Form
from builder.sources.emission.head import project, write_table
from builder.sources.emission.layers import ROWS, TOKENS, TOTAL, Layers
from builder.sources.emission.matrices import Matrices
from builder.sources.emission.nodes import Nodes
from pixelis.errors import BuildError

GRAPH = "model.onnx"


def emit(checkpoint: Path, directory: Path, form: Form, limit: int = LIMIT) -> list[str]:
    """Write the decoder of `checkpoint` into `directory`.

    Args:
        checkpoint: Hugging Face directory.
        directory: where the artifact goes.
        form: what weights become.
        limit: bytes of one file of weights; a larger tensor has one of its own.

    Returns:
        what was done, in words for the manifest.

    Raises:
        BuildError: an architecture that is not written, a weight that is missing or has another shape than config.json
            says, or an excluded node that does not exist.
    """
    architecture, weights, nodes = read_architecture(checkpoint), Weights(checkpoint), Nodes()
    text, deep = architecture.text, len(architecture.vision.deepstack)
    _check(architecture, weights)
    with ExternalStore(directory, limit) as store:
        matrices = Matrices(weights, store, nodes, form)
        table = write_table(directory, matrices, text, form)
        _write(directory, nodes, matrices, architecture, form)
        weights.release()
    missing = sorted(set(form.excluded) - nodes.names)
    if missing:
        raise BuildError(f"The decoder has no node {missing[0]}.", mend="Names are those of the graph in fp32.")
    nodes.save(directory / GRAPH)
    done = f"emitted layer by layer from mapped weights: {text.layers} layers, {form.words}"
    files = f"{store.written / (1 << 20):.0f} MiB of weights in {len(store.files)} files"
    features = [f"deepstack features after the first {deep} layers"] if deep else []
    return [done, *features, files, table]


def _write(directory: Path, nodes: Nodes, matrices: Matrices, architecture: Architecture, form: Form) -> None:
    text = architecture.text
    integer, single = ir.DataType.INT64, ir.DataType.FLOAT
    mask = nodes.input("attention_mask", integer, [ROWS, TOTAL])
    places = nodes.input("position_ids", integer, [3, ROWS, TOKENS])
    embeds = nodes.input("inputs_embeds", single, [ROWS, TOKENS, text.hidden])
    features = [
        nodes.input(f"deepstack.{i}", single, ["deepstack_rows", "deepstack_tokens", text.hidden])
        for i in range(len(architecture.vision.deepstack))
    ]
    layers = Layers(nodes, matrices, text, ir.DataType.FLOAT16 if form.bits == 16 else single)
    hidden = layers.write(layers.shared(mask, places), embeds, features)
    chosen = nodes.input("logits_at", integer, [ROWS, "chosen"])
    axis = nodes.weight(ir.tensor(np.array([2], np.int64), name="logits_at_axis"))
    column = nodes.node("Unsqueeze", "logits_at/column", [chosen, axis])
    asked = nodes.node("GatherND", "logits_at/gather", [hidden, column], batch_dims=1)
    logits = project(directory, nodes, matrices, text, form, asked)
    nodes.output(logits, "logits", single, [ROWS, "chosen", text.vocabulary])


def _check(architecture: Architecture, weights: Weights) -> None:
    """Compare the decoder's tensors with `config.json`, before anything is written.

    Raises:
        BuildError: one is missing or has another shape.
    """
    for name, size in expected(architecture).items():
        if name.startswith(TOWER):
            continue
        if name not in weights or weights.shape(name) != size:
            found = list(weights.shape(name)) if name in weights else "not there"
            raise BuildError(
                f"{name} is {found}, config.json wants {list(size)}.", mend="Take config.json and weights of one model."
            )
