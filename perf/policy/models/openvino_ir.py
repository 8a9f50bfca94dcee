"""The language model as a stateful OpenVINO graph, the form that `openvino-genai` reads.

Inputs `input_ids`, `attention_mask`, `position_ids` and `beam_idx` (which row a row goes on from), output `logits`; the
cache is inside. Converted from PyTorch with a mask and a cache of our own: those of transformers do not trace.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch
from openvino import opset13
from openvino._offline_transformations import apply_make_stateful_transformation


def write_openvino(text: Path, directory: Path, precision: str) -> None:
    """Write `openvino_model.xml` and what lies beside it.

    Args:
        text: see `models.text`.
        directory: where it goes.
        precision: fp32, or int8 for weights in 8 bits with a scale a row.
    """
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(text, dtype=torch.float32, attn_implementation="sdpa").eval()
    graph = _convert(model)
    _stateful(graph, model.config)
    if precision == "int8":
        import nncf

        graph = nncf.compress_weights(graph, mode=nncf.CompressWeightsMode.INT8_ASYM)
    directory.mkdir(parents=True, exist_ok=True)
    openvino.save_model(graph, directory / "openvino_model.xml", compress_to_fp16=False)
    for name in ("config.json", "generation_config.json"):
        shutil.copyfile(text / name, directory / name)


class _Cache:
    """Keys and values `[batch, heads, length, width]` by layer, as transformers asks for them."""

    is_compileable = False

    def __init__(self, past: Sequence[Any]) -> None:
        self.past = list(past)

    def update(self, key: Any, value: Any, layer: int, *_: Any, **__: Any) -> tuple[Any, Any]:
        """Append to a layer, and return all of it."""
        at = 2 * layer
        self.past[at : at + 2] = [torch.cat(pair, 2) for pair in ((self.past[at], key), (self.past[at + 1], value))]
        return self.past[at], self.past[at + 1]

    def get_seq_length(self, *_: Any) -> Any:
        """Tokens in the cache."""
        return self.past[0].shape[2]


class _Step(torch.nn.Module):  # type: ignore[misc]
    """Tokens, and the cache before them, to logits, and the cache after them."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Any, attention_mask: Any, position_ids: Any, past: Any) -> Any:
        """Row i of the new tokens sees all columns up to its own."""
        new, total = input_ids.shape[1], attention_mask.shape[1]
        causal = torch.arange(total)[None, :] <= (torch.arange(new) + (total - new))[:, None]
        mask = causal[None, None] & (attention_mask[:, None, None, :] > 0)
        cache = _Cache(past)
        out = self.model.model(
            input_ids=input_ids, attention_mask=mask, position_ids=position_ids, past_key_values=cache, use_cache=True
        )
        return (self.model.lm_head(out.last_hidden_state), *cache.past)


def _convert(model: Any) -> Any:
    """The graph with the cache as inputs and outputs, all of them named."""
    config = model.config
    heads, width = config.num_key_value_heads, config.hidden_size // config.num_attention_heads
    names = [f"{layer}.{part}" for layer in range(config.num_hidden_layers) for part in ("key", "value")]
    ids = torch.ones(2, 4, dtype=torch.long)
    mask, places = torch.ones(2, 7, dtype=torch.long), torch.arange(3, 7).repeat(2, 1)
    past = [torch.zeros(2, heads, 3, width) for _ in names]
    with torch.inference_mode():
        graph = openvino.convert_model(_Step(model), example_input=(ids, mask, places, past))
    inputs = ["input_ids", "attention_mask", "position_ids", *(f"past.{name}" for name in names)]
    for port, name in zip(graph.inputs, inputs, strict=True):
        port.get_tensor().set_names({name})
        port.get_node().set_friendly_name(name)
    for port, name in zip(graph.outputs, ["logits", *(f"present.{name}" for name in names)], strict=True):
        port.get_tensor().set_names({name})
    tokens, cells = openvino.PartialShape([-1, -1]), openvino.PartialShape([-1, heads, -1, width])
    graph.reshape({port: cells if port.any_name.startswith("past.") else tokens for port in graph.inputs})
    return graph


def _stateful(graph: Any, config: Any) -> None:
    """Move the cache inside: a state for each key and value, its rows picked by `beam_idx`, empty at first."""
    past = [port for port in graph.inputs if port.any_name.startswith("past.")]
    beam = opset13.parameter([-1], np.int32, name="beam_idx")
    beam.output(0).get_tensor().set_names({"beam_idx"})
    graph.add_parameters([beam])
    axis = opset13.constant(0, dtype=np.int64)
    for port in past:
        readers = list(port.get_target_inputs())
        picked = opset13.gather(port, beam, axis)
        for reader in readers:
            reader.replace_source_output(picked.output(0))
    graph.validate_nodes_and_infer_types()
    pairs = {port.any_name: port.any_name.replace("past.", "present.") for port in past}
    apply_make_stateful_transformation(graph, pairs)
    first = opset13.constant([0], dtype=np.int64)
    batch = opset13.gather(opset13.shape_of(graph.input("input_ids"), output_type="i64"), first, axis)
    width = config.hidden_size // config.num_attention_heads
    sizes = [opset13.constant([size], dtype=np.int64) for size in (config.num_key_value_heads, 0, width)]
    empty = opset13.broadcast(opset13.constant(0.0, dtype=np.float32), opset13.concat([batch, *sizes], 0))
    for node in graph.get_ops():
        if node.get_type_name() == "ReadValue":
            node.set_arguments([empty])
    graph.validate_nodes_and_infer_types()
