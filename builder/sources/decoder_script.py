"""The decoder as TorchScript: `decoder_module.py` with a checkpoint's weights, as a script that carries its code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from builder.candidate import Candidate
from builder.sources.decoder_graph import write_table
from builder.sources.decoder_module import DecoderModule, Shape, rotary_axes, rotary_frequencies
from pixelis.errors import BuildError

SCRIPT = "model.ts"
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
_ROPES = ("default", "mrope")


def write_script(checkpoint: Path, directory: Path, candidate: Candidate) -> list[str]:
    """Write `model.ts` and the embedding table in the candidate's precision into `directory`.

    Returns:
        what was done, in words for the manifest.

    Raises:
        BuildError: `decoder_module.py` does not compute such a checkpoint, or the candidate has options.
    """
    if options := candidate.optimization.changed():
        what = f"{', '.join(options)} has no meaning for the decoder's {candidate.label}."
        raise BuildError(what, mend="Leave it out.")
    from builder.formats.torch_archive import without_sources
    from builder.formats.torch_module import quiet

    module, path = load_decoder(checkpoint, TYPES[candidate.precision]), directory / SCRIPT
    with quiet():
        torch.jit.save(torch.jit.script(module), str(path))
    without_sources(path)
    done = f"torch.jit.script: {candidate.precision}, projections of one input joined, cache written in place"
    return [done, write_table(checkpoint, directory, candidate.precision)]


def load_decoder(checkpoint: Path, dtype: torch.dtype) -> DecoderModule:
    """The module with the weights in `checkpoint` in type `dtype`; its rotary frequencies stay in single precision.

    Raises:
        BuildError: see `write_script`; or a weight is missing.
    """
    shape = read_shape(checkpoint)
    with torch.device("meta"):  # no weights that the checkpoint's would replace
        module: DecoderModule = DecoderModule(shape)
    with _opened(checkpoint) as weights:
        found = {name: tensor.to(_type(name, dtype)) for name, tensor in _weights(weights, shape)}
    fixed = {"axis": rotary_axes(shape), "frequency": rotary_frequencies(shape)}
    module.load_state_dict({**found, **fixed}, assign=True)
    module.eval().requires_grad_(False)
    return module


def _type(name: str, dtype: torch.dtype) -> torch.dtype:
    """Norms of what is kept between layers are in single precision, as that is."""
    return torch.float32 if name.rpartition(".")[2] in ("norm", "before", "between") else dtype


def read_shape(checkpoint: Path) -> Shape:
    """What `config.json` says of the text decoder, as transformers 4 or 5 writes it.

    Raises:
        BuildError: a rotary embedding, an activation or an attention that the module does not compute.
    """
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    text: dict[str, Any] = {**config, **config.get("text_config", {})}
    rope: dict[str, Any] = {"rope_theta": text.get("rope_theta"), **(text.get("rope_scaling") or {})}
    rope |= text.get("rope_parameters") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    sliding = text.get("use_sliding_window") and text.get("sliding_window")
    if kind not in _ROPES or text["hidden_act"] != "silu" or sliding:
        raise BuildError(
            f"The decoder of {checkpoint.name} has rotary type {kind}, activation {text['hidden_act']}"
            f"{', a sliding window' if sliding else ''}: TorchScript's has plain rotary positions, silu, no window.",
            mend="Build the policy as onnx.",
        )
    heads, newer = text["num_attention_heads"], text["model_type"].startswith("qwen3")
    time, row, column = rope["mrope_section"]
    return Shape(
        vocabulary=text["vocab_size"],
        hidden=text["hidden_size"],
        inner=text["intermediate_size"],
        layers=text["num_hidden_layers"],
        heads=heads,
        kv_heads=text["num_key_value_heads"],
        head_dim=text.get("head_dim") or text["hidden_size"] // heads,
        epsilon=text["rms_norm_eps"],
        theta=float(rope["rope_theta"]),
        sections=(time, row, column),
        interleaved=newer,
        bias=not newer,
        normed=newer,
    )


class _Opened:
    """Tensors by name over the files of a checkpoint, read when they are asked for."""

    def __init__(self, files: list[Any]) -> None:
        self._where: dict[str, Any] = {name: file for file in files for name in file.keys()}  # noqa: SIM118 - not a dict

    def root(self) -> str:
        """What the names of the text model begin with."""
        name = next((name for name in self._where if name.endswith("embed_tokens.weight")), None)
        if name is None:
            raise BuildError("The checkpoint has no embed_tokens.weight.", mend="Save the checkpoint whole.")
        return name.removesuffix("embed_tokens.weight")

    def __contains__(self, name: str) -> bool:
        return name in self._where

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._where:
            raise BuildError(f"The checkpoint has no {name}.", mend="Save the checkpoint whole.")
        return self._where[name].get_tensor(name)


@contextmanager
def _opened(checkpoint: Path) -> Iterator[_Opened]:
    from safetensors import safe_open

    with ExitStack() as stack:
        files = [safe_open(str(path), framework="pt") for path in sorted(checkpoint.glob("*.safetensors"))]
        yield _Opened([stack.enter_context(file) for file in files])


def _weights(weights: _Opened, shape: Shape) -> Iterator[tuple[str, Tensor]]:
    """The module's weights by its names."""
    root = weights.root()
    yield "norm", weights[f"{root}norm.weight"]
    # Tied checkpoints have no table of their own for the logits.
    yield "head.weight", weights["lm_head.weight" if "lm_head.weight" in weights else f"{root}embed_tokens.weight"]
    for i in range(shape.layers):
        theirs, mine = f"{root}layers.{i}", f"layers.{i}"
        yield f"{mine}.before", weights[f"{theirs}.input_layernorm.weight"]
        yield f"{mine}.between", weights[f"{theirs}.post_attention_layernorm.weight"]
        for kind in ("weight", "bias") if shape.bias else ("weight",):
            parts = [weights[f"{theirs}.self_attn.{name}_proj.{kind}"] for name in "qkv"]
            yield f"{mine}.qkv.{kind}", torch.cat(parts)
        if shape.normed:
            yield f"{mine}.query_norm", weights[f"{theirs}.self_attn.q_norm.weight"]
            yield f"{mine}.key_norm", weights[f"{theirs}.self_attn.k_norm.weight"]
        yield f"{mine}.out.weight", weights[f"{theirs}.self_attn.o_proj.weight"]
        yield f"{mine}.gate_up.weight", torch.cat([weights[f"{theirs}.mlp.{n}_proj.weight"] for n in ("gate", "up")])
        yield f"{mine}.down.weight", weights[f"{theirs}.mlp.down_proj.weight"]
