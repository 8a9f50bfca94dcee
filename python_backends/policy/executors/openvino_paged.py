"""Paged attention in the place of a policy graph's ordinary one.

The builder marks what belongs to the attention of a layer by name: `layers.N.query`, `.key` and `.value`, each
`[tokens, heads * head_dim]` and turned already, and `.attended`, what comes out. Paged attention takes those of all
sequences of a pass at once, one behind the other, whatever is read or decoded; it appends keys and values to blocks of
the cache and looks at the blocks of each sequence alone (Kwon et al., SOSP 2023).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from openvino import opset13 as ops
from openvino.op import _PagedAttentionExtension

from pixelis.errors import SetupError
from python_backends.engine.openvino_core import openvino_core
from python_backends.engine.openvino_engine import SETTINGS_FILE, engine_settings, reason
from python_backends.policy.checkpoint import CheckpointConfig
from python_backends.policy.executors.mapped_file import let_go

QUERY, KEY, VALUE, ATTENDED = "query", "key", "value", "attended"
BLOCK = 32
"""Tokens of a block: the only size that OpenVINO's CPU plugin knows."""
STEP_INPUTS = ("past_lens", "subsequence_begins", "block_indices", "block_indices_begins", "max_context_len")
PROPERTIES = {
    "NUM_STREAMS": 1,
    "ENABLE_CPU_PINNING": False,  # several processes share few cores
}
GROUPS = (256, 128, 64)
"""Of a token's activations, which share a scale behind int8 weights. Where the arithmetic is f32 the largest that
divides a state: of 768, 256 take an eighth less for a prompt than 64, and a fifth less for a token; 512 take more."""
VERSION = openvino.__version__.split("-")[0]


@dataclass(frozen=True)
class Paged:
    """A paged decoder.

    Attributes:
        compiled: of OpenVINO.
        cell: element type of its cache, which is the one of its arithmetic: OpenVINO takes no other.
    """

    compiled: Any
    cell: Any


def open_paged(path: Path, config: CheckpointConfig, threads: int) -> Paged:
    """The decoder at `path`, paged and compiled for `threads` threads.

    Raises:
        SetupError: OpenVINO cannot read, page or compile it.
    """
    arithmetic = str(engine_settings(path.with_name(SETTINGS_FILE)).get("inference_precision", "f32"))
    changed = {
        "INFERENCE_PRECISION_HINT": arithmetic,
        "KV_CACHE_PRECISION": arithmetic,
        "INFERENCE_NUM_THREADS": threads,
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": group(config.hidden, arithmetic),
    }
    cell = getattr(openvino.Type, arithmetic)
    core = openvino_core()
    try:
        model = core.read_model(str(path))
        page(model, config, cell)
        compiled = core.compile_model(model, "CPU", {**PROPERTIES, **changed})
    except RuntimeError as error:
        raise SetupError(
            f"OpenVINO {VERSION} cannot load {path.name}: {reason(error)}.",
            mend="Build it again with `pixelis build policy`, in the environment that serves it.",
        ) from error
    let_go(path.with_suffix(".bin"))  # the weights were copied into the layout of their kernels
    return Paged(compiled, cell)


def group(hidden: int, arithmetic: str) -> int:
    """How many activations of a token share a scale, in states of this width."""
    return next((size for size in GROUPS if arithmetic == "f32" and hidden % size == 0), GROUPS[-1])


def page(model: Any, config: CheckpointConfig, cell: Any) -> None:
    """Replace the attention of every layer in `model`; it gets the inputs `key_cache.N` and `value_cache.N`, of type
    `cell`, and `STEP_INPUTS`.

    Raises:
        SetupError: the graph is no decoder of `config`, or this OpenVINO's paged attention takes other inputs.
    """
    whole = openvino.Type.i32
    shared = {name: _parameter([] if name == "max_context_len" else [-1], whole, name) for name in STEP_INPUTS}
    nodes = {node.get_friendly_name(): node for node in model.get_ops()}
    cells = [-1, config.kv_heads, BLOCK, config.head_dim]
    caches = []
    try:
        for layer in range(config.layers):
            parts = [nodes[f"layers.{layer}.{part}"] for part in (QUERY, KEY, VALUE)]
            attended = nodes[f"layers.{layer}.{ATTENDED}"]
            pair = [_parameter(cells, cell, f"{part}_cache.{layer}") for part in (KEY, VALUE)]
            made = _attention(parts, pair, shared, config)
            for reader in attended.output(0).get_target_inputs():
                reader.replace_source_output(made.output(0))
            caches += pair
        model.add_parameters([*caches, *shared.values()])
        model.validate_nodes_and_infer_types()
    except (KeyError, TypeError, RuntimeError) as error:
        what = f"there is no {error}" if isinstance(error, KeyError) else str(error).splitlines()[-1]
        raise SetupError(
            f"OpenVINO {VERSION} cannot put paged attention into this decoder: {what}.",
            mend="Build it again with `pixelis build policy`, in the environment that serves it.",
        ) from error


def _attention(parts: list[Any], caches: list[Any], shared: dict[str, Any], config: CheckpointConfig) -> Any:
    scale, whole, no_slopes = ops.constant(np.float32(config.head_dim**-0.5)), _zero(), _empty(np.float32)
    given = [*parts, *caches, *(shared[name] for name in STEP_INPUTS[:-1]), scale, whole, no_slopes]
    made = _PagedAttentionExtension([node.output(0) for node in [*given, shared["max_context_len"], *_unused()]])
    info = made.get_rt_info()
    for part in "kv":
        info[f"num_{part}_heads"], info[f"{part}_head_size"] = config.kv_heads, config.head_dim
    return made


def _unused() -> list[Any]:
    """Inputs of what is not used: scores, rotation of evicted blocks, sparse attention, sinks, trees of drafts."""
    return [
        *(_empty(np.int32) for _ in range(3)),
        *(_empty(np.float32) for _ in range(2)),
        *(_zero() for _ in range(2)),
        ops.constant(np.zeros((0, 0, 0, 0), np.float32)),
        _zero(),
        *(_empty(np.int32) for _ in range(4)),
        _empty(np.uint8),
        _empty(np.int32),
    ]


def _zero() -> Any:
    return ops.constant(np.int32(0))


def _empty(dtype: type[np.generic]) -> Any:
    return ops.constant(np.zeros(0, dtype))


def _parameter(shape: list[int], kind: Any, name: str) -> Any:
    made = ops.parameter(shape, kind, name=name)
    made.output(0).get_tensor().set_names({name})
    return made
