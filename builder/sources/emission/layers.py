"""The decoder's layers as nodes, the same that onnxruntime-genai's builder makes, with the same names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from builder.checkpoints.architecture import Text
from builder.checkpoints.expected import TEXT
from builder.sources.emission.matrices import Matrices
from builder.sources.emission.nodes import FUSED, Nodes
from builder.sources.emission.rotary import cosines, sines

ROWS, TOKENS, PAST, TOTAL = "batch_size", "sequence_length", "past_sequence_length", "total_sequence_length"


@dataclass(frozen=True, eq=False)
class Shared:
    """What all layers read.

    Attributes:
        places: positions `[3, batch, tokens]`.
        cos: `[positions, head_dim / 2]`.
        sin: the same.
        lengths: INT32 `[batch]`, the last token's index.
        total: INT32, tokens of the longest row.
    """

    places: ir.Value
    cos: ir.Value
    sin: ir.Value
    lengths: ir.Value
    total: ir.Value


class Layers:
    """Writes one layer after the other.

    Args:
        nodes: the graph.
        matrices: puts weights into it.
        text: its numbers.
        cache: type of keys and values.
    """

    def __init__(self, nodes: Nodes, matrices: Matrices, text: Text, cache: ir.DataType) -> None:
        self._nodes, self._matrices, self._text, self._cache = nodes, matrices, text, cache

    def shared(self, mask: ir.Value, places: ir.Value) -> Shared:
        """Lengths from the mask, and rotary tables."""
        nodes, text = self._nodes, self._text
        stem, one = "/model/attn_mask_reformat/attn_mask_subgraph", nodes.integers(1)
        summed = nodes.node("ReduceSum", f"{stem}/ReduceSum", [mask, one], keepdims=0)
        last = nodes.node("Sub", f"{stem}/Sub", [summed, one])
        lengths = nodes.node("Cast", f"{stem}/Sub/Cast", [last], to=int(ir.DataType.INT32))
        axes = nodes.node("Shape", f"{stem}/Shape", [mask])
        axis = nodes.weight(ir.tensor(np.array(1, np.int64), name="/model/constants/INT64/1"))
        total = nodes.node("Gather", f"{stem}/Gather", [axes, axis], axis=0)
        total = nodes.node("Cast", f"{stem}/Gather/Cast", [total], to=int(ir.DataType.INT32))
        size = (text.max_positions, text.head_dim // 2)
        cos = self._matrices.blocks("cos_cache", size, cosines(text))
        sin = self._matrices.blocks("sin_cache", size, sines(text))
        return Shared(places, cos, sin, lengths, total)

    def write(self, shared: Shared, embeds: ir.Value, features: Sequence[ir.Value]) -> ir.Value:
        """All layers and the last normalisation.

        Args:
            shared: see there.
            embeds: `[batch, tokens, hidden]`.
            features: added to what the first layers give, one each.
        """
        stem = "/model/layers.0/input_layernorm"
        weight = self._matrices.vector(f"{TEXT}layers.0.input_layernorm.weight", f"{stem[1:].replace('/', '.')}.weight")
        normal = self._normalised(f"{stem}/LayerNorm", f"{stem}/output_0", embeds, weight)
        whole = embeds
        for layer in range(self._text.layers):
            stem, tensors = f"/model/layers.{layer}", f"{TEXT}layers.{layer}"
            mixed = self._attention(layer, shared, normal)
            after = f"{tensors}.post_attention_layernorm.weight"
            normal, whole = self._skip(f"{stem}/post_attention_layernorm", after, whole, mixed)
            grown = self._feed_forward(layer, normal)
            if layer < len(features):
                grown = self._nodes.node("Add", f"{stem}/deepstack/Add", [grown, features[layer]])
            if layer + 1 < self._text.layers:
                place, before = f"/model/layers.{layer + 1}/input_layernorm", f"{TEXT}layers.{layer + 1}"
                normal, whole = self._skip(place, f"{before}.input_layernorm.weight", whole, grown)
            else:
                place = f"/model/layers.{layer + 1}/final_norm_layernorm"
                normal, _ = self._skip(place, f"{TEXT}norm.weight", whole, grown, last=True)
        return normal

    def _attention(self, layer: int, shared: Shared, normal: ir.Value) -> ir.Value:
        text = self._text
        stem, tensors = f"/model/layers.{layer}/attn", f"{TEXT}layers.{layer}.self_attn"
        query, key, value = (
            self._matrices.project(f"{tensors}.{part}.weight", f"{stem}/{part}", normal, f"{tensors}.{part}.bias")
            for part in ("q_proj", "k_proj", "v_proj")
        )
        if text.qk_norm:
            query = self._by_head(f"{stem}/q_norm", f"{tensors}.q_norm.weight", query, text.heads)
            key = self._by_head(f"{stem}/k_norm", f"{tensors}.k_norm.weight", key, text.kv_heads)
        query = self._rotated(f"{stem}/q_rotary", shared, query, text.heads)
        key = self._rotated(f"{stem}/k_rotary", shared, key, text.kv_heads)
        mixed = self._attended(layer, shared, query, key, value)
        return self._matrices.project(f"{tensors}.o_proj.weight", f"{stem}/o_proj", mixed, f"{tensors}.o_proj.bias")

    def _attended(self, layer: int, shared: Shared, query: ir.Value, key: ir.Value, value: ir.Value) -> ir.Value:
        nodes, text, half = self._nodes, self._text, self._cache != ir.DataType.FLOAT
        name = f"/model/layers.{layer}/attn/GroupQueryAttention"
        past = [
            nodes.input(f"past_key_values.{layer}.{part}", self._cache, [ROWS, text.kv_heads, PAST, text.head_dim])
            for part in ("key", "value")
        ]
        if half:
            query, key, value = (
                nodes.node("Cast", f"{name}/{part}/Cast", [whole], to=int(self._cache))
                for part, whole in (("query", query), ("key", key), ("value", value))
            )
        mixed, *present = nodes.several(
            "GroupQueryAttention",
            name,
            [query, key, value, *past, shared.lengths, shared.total],
            (f"{name}/output_0", f"present.{layer}.key", f"present.{layer}.value"),
            domain=FUSED,
            num_heads=text.heads,
            kv_num_heads=text.kv_heads,
            scale=text.head_dim**-0.5,
            local_window_size=-1,
            softcap=0.0,
            do_rotary=0,
            rotary_interleaved=0,
        )
        for value_ in present:
            nodes.output(value_, value_.name or "", self._cache, [ROWS, text.kv_heads, TOTAL, text.head_dim])
        return nodes.node("Cast", f"{name}/output/Cast", [mixed], to=int(ir.DataType.FLOAT)) if half else mixed

    def _by_head(self, stem: str, tensor: str, values: ir.Value, heads: int) -> ir.Value:
        """`values [batch, tokens, heads * head_dim]`, each head normalised for itself."""
        nodes, width = self._nodes, self._text.head_dim
        split = nodes.node("Reshape", f"{stem}/Reshape_1", [values, nodes.integers(0, -1, width)])
        weight = self._matrices.vector(tensor, f"{stem[1:].replace('/', '.')}.layernorm.weight")
        name = f"{stem}/SimplifiedLayerNormalization"
        normal = self._normalised(name, f"{name}/output_0", split, weight)
        return nodes.node("Reshape", f"{stem}/Reshape_2", [normal, nodes.integers(0, -1, heads * width)])

    def _rotated(self, stem: str, shared: Shared, values: ir.Value, heads: int) -> ir.Value:
        return self._nodes.node(
            "MRotaryEmbedding",
            f"{stem}/MRotaryEmbedding",
            [values, shared.places, shared.cos, shared.sin],
            domain=FUSED,
            interleaved=0,
            rotary_embedding_dim=0,
            num_heads=heads,
            mrope_section=list(self._text.mrope_section),
            mrope_layout=int(self._text.interleaved),
            is_packed_batching=0,
        )

    def _feed_forward(self, layer: int, normal: ir.Value) -> ir.Value:
        nodes, stem, tensors = self._nodes, f"/model/layers.{layer}/mlp", f"{TEXT}layers.{layer}.mlp"
        gate = self._matrices.project(f"{tensors}.gate_proj.weight", f"{stem}/gate_proj", normal)
        up = self._matrices.project(f"{tensors}.up_proj.weight", f"{stem}/up_proj", normal)
        share = nodes.node("Sigmoid", f"{stem}/act_fn/Sigmoid", [gate])
        opened = nodes.node("Mul", f"{stem}/act_fn/Mul", [gate, share])
        inner = nodes.node("Mul", f"{stem}/Mul", [opened, up])
        return self._matrices.project(f"{tensors}.down_proj.weight", f"{stem}/down_proj", inner)

    def _normalised(self, name: str, output: str, values: ir.Value, weight: ir.Value) -> ir.Value:
        return self._nodes.several(
            "SimplifiedLayerNormalization",
            name,
            [values, weight],
            (output,),
            epsilon=self._text.rms_eps,
            axis=-1,
            stash_type=1,
        )[0]

    def _skip(
        self, stem: str, tensor: str, whole: ir.Value, more: ir.Value, last: bool = False
    ) -> tuple[ir.Value, ir.Value]:
        """`whole + more`, normalised and as it is; of the last one, only what is normalised is made."""
        weight = self._matrices.vector(tensor, f"{stem[1:].replace('/', '.')}.weight")
        outputs = (f"{stem}/output_0",) if last else (f"{stem}/output_0", "", "", f"{stem}/output_3")
        made = self._nodes.several(
            "SkipSimplifiedLayerNormalization",
            f"{stem}/SkipLayerNorm",
            [whole, more, weight],
            outputs,
            domain=FUSED,
            epsilon=self._text.rms_eps,
        )
        return made[0], made[-1]
