"""The text decoder as an OpenVINO graph over a ragged row of tokens, written operator by operator.

A file cannot hold OpenVINO's paged attention: it is no operator of a public set, so none is read back. The graph has
ordinary attention over the tokens of one prompt in its place, a valid model of its own; whoever serves it puts paged
attention there (`python_backends.policy.executors.openvino_paged`), which also knows where each sequence begins.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino import opset13 as ops

from python_backends.policy.executors.openvino_paged import ATTENDED, KEY, QUERY, VALUE


def decoder_model(model: Any) -> openvino.Model:
    """The decoder of a checkpoint.

    Inputs `inputs_embeds` f32 `[tokens, hidden]`, `position_ids` i64 `[3, tokens]`, `logits_at` i64 `[chosen]`; output
    `logits` f32 `[chosen, vocabulary]` at the chosen tokens.

    Args:
        model: transformers' Qwen2.5-VL in fp32.
    """
    text = model.model.language_model
    hidden = text.config.hidden_size
    embeds = _parameter([-1, hidden], np.float32, "inputs_embeds")
    positions = _parameter([3, -1], np.int64, "position_ids")
    at = _parameter([-1], np.int64, "logits_at")
    turn = _Rotary(text, positions)
    flow = embeds
    for number, layer in enumerate(text.layers):
        flow = ops.add(flow, _attention(_norm(flow, layer.input_layernorm), layer.self_attn, turn, f"layers.{number}"))
        flow = ops.add(flow, _feed_forward(_norm(flow, layer.post_attention_layernorm), layer.mlp))
    # Logits of every prompt position would be gigabytes for a real vocabulary.
    chosen = ops.gather(flow, at, _whole(0))
    logits = _linear(_norm(chosen, text.norm), _numbers(model.lm_head.weight))
    logits.output(0).get_tensor().set_names({"logits"})
    return openvino.Model([ops.result(logits, name="logits")], [embeds, positions, at], "decoder")


class _Rotary:
    """M-RoPE: every section of a head's frequencies turns by one of the three positions."""

    def __init__(self, text: Any, positions: Any) -> None:
        sections = text.rotary_emb.mrope_section
        frequencies = _numbers(text.rotary_emb.inv_freq)
        # One row a position axis, zero where a frequency belongs to another: the sum below has one term that counts.
        owned = np.zeros((1, 3, len(frequencies)), np.float32)
        owned[0, np.repeat(np.arange(len(sections)) % 3, sections), np.arange(len(frequencies))] = frequencies
        moved = ops.unsqueeze(ops.transpose(ops.convert(positions, "f32"), _whole(1, 0)), _whole(2))
        half = ops.reduce_sum(ops.multiply(moved, ops.constant(owned)), _whole(1))
        angles = ops.unsqueeze(ops.concat([half, half], -1), _whole(1, 2))
        scale = np.float32(text.rotary_emb.attention_scaling)
        self._cos, self._sin = (_scaled(wave(angles), scale) for wave in (ops.cos, ops.sin))

    def __call__(self, heads: Any, width: int) -> Any:
        """`heads` `[tokens, heads, 1, width]`, turned."""
        first, second = ops.variadic_split(heads, _scalar(3), _whole(width // 2, width // 2)).outputs()
        minus = ops.multiply(second, ops.constant(np.float32(-1)))
        crossed = ops.concat([minus, first], -1)
        return ops.add(ops.multiply(heads, self._cos), ops.multiply(crossed, self._sin))


def _attention(flow: Any, layer: Any, turn: _Rotary, name: str) -> Any:
    """Projections, M-RoPE, attention with as many query heads a key head as there are, projection."""
    width = layer.head_dim
    heads, kept = layer.num_heads, layer.num_key_value_heads
    parts = (layer.q_proj, layer.k_proj, layer.v_proj)
    # One matrix: a step of few tokens waits for memory, and three small products wait three times.
    weights = np.concatenate([_numbers(part.weight) for part in parts])
    bias = np.concatenate([_numbers(part.bias) for part in parts])
    together = ops.add(_linear(flow, weights), ops.constant(bias[None]))
    sizes = _whole(heads * width, kept * width, kept * width)
    query, key, value = ops.variadic_split(together, _scalar(1), sizes).outputs()
    query, key = (
        _named(_flat(turn(_shaped(part, count, 1, width), width), count * width), f"{name}.{what}")
        for part, count, what in ((query, heads, QUERY), (key, kept, KEY))
    )
    value = _named(_flat(value, kept * width), f"{name}.{VALUE}")
    attended = _named(_plain_attention(query, key, value, heads // kept, kept, width), f"{name}.{ATTENDED}")
    return _linear(attended, _numbers(layer.o_proj.weight))


def _plain_attention(query: Any, key: Any, value: Any, group: int, kept: int, width: int) -> Any:
    """Causal attention over the tokens of one prompt: `[tokens, heads * width]`."""
    order = _whole(1, 2, 0, 3)  # tokens behind the heads
    split = [
        ops.transpose(_shaped(part, kept, count, width), order)
        for part, count in ((query, group), (key, 1), (value, 1))
    ]
    found = ops.scaled_dot_product_attention(*split, causal=True)
    return _flat(ops.transpose(found, _whole(2, 0, 1, 3)), kept * group * width)


def _feed_forward(flow: Any, layer: Any) -> Any:
    # One matrix again; and between a product and its activation lies a split, for a product that has one fused into it
    # gets a kernel which takes half as long again for a few tokens.
    both = [_numbers(part.weight) for part in (layer.gate_proj, layer.up_proj)]
    together = _linear(flow, np.concatenate(both))
    gate, up = ops.variadic_split(together, _scalar(1), _whole(*(len(part) for part in both))).outputs()
    return _linear(ops.multiply(ops.swish(gate), up), _numbers(layer.down_proj.weight))


def _norm(flow: Any, layer: Any) -> Any:
    """Root mean square normalisation, as the operators that OpenVINO knows it by."""
    squares = ops.reduce_mean(ops.power(flow, ops.constant(np.float32(2))), _whole(-1), keep_dims=True)
    spread = ops.sqrt(ops.add(squares, ops.constant(np.float32(layer.variance_epsilon))))
    unit = ops.multiply(flow, ops.divide(ops.constant(np.float32(1)), spread))
    return ops.multiply(unit, ops.constant(_numbers(layer.weight)[None]))


def _linear(flow: Any, weights: NDArray[np.float32]) -> Any:
    return ops.matmul(flow, ops.constant(np.ascontiguousarray(weights)), False, True)


def _shaped(value: Any, *sizes: int) -> Any:
    return ops.reshape(value, _whole(-1, *sizes), special_zero=False)


def _flat(value: Any, width: int) -> Any:
    return ops.reshape(value, _whole(-1, width), special_zero=False)


def _scaled(value: Any, scale: np.float32) -> Any:
    return value if scale == 1 else ops.multiply(value, ops.constant(scale))


def _parameter(shape: list[int], dtype: type[np.generic], name: str) -> Any:
    made = ops.parameter(shape, dtype, name=name)
    made.output(0).get_tensor().set_names({name})
    return made


def _named(node: Any, name: str) -> Any:
    node.set_friendly_name(name)
    return node


def _whole(*values: int) -> Any:
    return ops.constant(np.array(values, np.int64))


def _scalar(value: int) -> Any:
    return ops.constant(np.int64(value))


def _numbers(tensor: Any) -> NDArray[np.float32]:
    """A parameter of the model as numbers."""
    found: NDArray[np.float32] = tensor.detach().float().cpu().numpy()
    return found
