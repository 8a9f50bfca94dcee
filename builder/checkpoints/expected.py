"""Which tensors an architecture consists of, by canonical name: held against transformers' own modules in the tests."""

from __future__ import annotations

from collections.abc import Iterator

from builder.checkpoints.architecture import Architecture, Text, Vision

EMBEDDING = "model.language_model.embed_tokens.weight"
HEAD = "lm_head.weight"
TEXT, TOWER = "model.language_model.", "model.visual."
Shape = tuple[int, ...]


def expected(architecture: Architecture) -> dict[str, Shape]:
    """Name and shape of every tensor, in the order in which they are used. Tied logits have no table of their own."""
    text = architecture.text
    found = {**dict(_tower(architecture)), EMBEDDING: (text.vocabulary, text.hidden)}
    for layer in range(text.layers):
        found |= {f"{TEXT}layers.{layer}.{name}": shape for name, shape in layer_tensors(text)}
    found[f"{TEXT}norm.weight"] = (text.hidden,)
    if not text.tied:
        found[HEAD] = (text.vocabulary, text.hidden)
    return found


def layer_tensors(text: Text) -> Iterator[tuple[str, Shape]]:
    """Name (within its layer) and shape of every tensor of a text layer."""
    queries, keys = text.heads * text.head_dim, text.kv_heads * text.head_dim
    yield "input_layernorm.weight", (text.hidden,)
    for name, width in (("q", queries), ("k", keys), ("v", keys)):
        yield f"self_attn.{name}_proj.weight", (width, text.hidden)
        if text.qkv_bias:
            yield f"self_attn.{name}_proj.bias", (width,)
    if text.qk_norm:
        yield "self_attn.q_norm.weight", (text.head_dim,)
        yield "self_attn.k_norm.weight", (text.head_dim,)
    yield "self_attn.o_proj.weight", (text.hidden, queries)
    yield "post_attention_layernorm.weight", (text.hidden,)
    yield "mlp.gate_proj.weight", (text.intermediate, text.hidden)
    yield "mlp.up_proj.weight", (text.intermediate, text.hidden)
    yield "mlp.down_proj.weight", (text.hidden, text.intermediate)


def _tower(architecture: Architecture) -> Iterator[tuple[str, Shape]]:
    vision, newer = architecture.vision, architecture.family == "qwen3_vl"
    patch = (vision.hidden, vision.channels, vision.temporal_patch, vision.patch, vision.patch)
    yield f"{TOWER}patch_embed.proj.weight", patch
    if newer:
        yield f"{TOWER}patch_embed.proj.bias", (vision.hidden,)
        assert vision.positions is not None
        yield f"{TOWER}pos_embed.weight", (vision.positions, vision.hidden)
    for block in range(vision.depth):
        for name, shape in _block(vision, newer):
            yield f"{TOWER}blocks.{block}.{name}", shape
    wide = vision.hidden * vision.merge**2
    if not newer:
        yield f"{TOWER}merger.ln_q.weight", (vision.hidden,)
        yield from _linear(f"{TOWER}merger.mlp.0", wide, wide)
        yield from _linear(f"{TOWER}merger.mlp.2", vision.out_hidden, wide)
        return
    # The last merger normalises patches before they are joined, those of deepstack the joined ones.
    mergers = [("merger", vision.hidden), *((f"deepstack_merger_list.{i}", wide) for i in range(len(vision.deepstack)))]
    for name, normalised in mergers:
        yield f"{TOWER}{name}.norm.weight", (normalised,)
        yield f"{TOWER}{name}.norm.bias", (normalised,)
        yield from _linear(f"{TOWER}{name}.linear_fc1", wide, wide)
        yield from _linear(f"{TOWER}{name}.linear_fc2", vision.out_hidden, wide)


def _block(vision: Vision, newer: bool) -> Iterator[tuple[str, Shape]]:
    for norm in ("norm1", "norm2"):
        yield f"{norm}.weight", (vision.hidden,)
        if newer:
            yield f"{norm}.bias", (vision.hidden,)
    yield from _linear("attn.qkv", 3 * vision.hidden, vision.hidden)
    yield from _linear("attn.proj", vision.hidden, vision.hidden)
    up, down = (("mlp.linear_fc1",), "mlp.linear_fc2") if newer else (("mlp.gate_proj", "mlp.up_proj"), "mlp.down_proj")
    for name in up:
        yield from _linear(name, vision.intermediate, vision.hidden)
    yield from _linear(down, vision.hidden, vision.intermediate)


def _linear(name: str, outputs: int, inputs: int) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (outputs, inputs)
    yield f"{name}.bias", (outputs,)
