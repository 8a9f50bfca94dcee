"""Part `decoders`: a decoder of full depth reads a prompt and writes, beside transformers' own text model.

Ours is the script that `pixelis build policy --formats torchscript` makes, run by the executor that serves it: on a GPU
its steps are captured CUDA graphs. Weights are random, so what is written means nothing; how long it takes is the same.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLTextModel

from builder.formats.torch_module import quiet
from builder.sources.checkpoint import NANO
from builder.sources.decoder_module import DecoderModule
from builder.sources.decoder_script import read_shape as decoder_shape
from perf.gpu.device import Ceilings, in_turns
from perf.gpu.part import Asked, Row
from perf.gpu.shapes import read_shape
from python_backends.policy.executors.torch_decoder import TorchDecoder

PAST = 512
"""Tokens behind which is written."""
REFERENCE = "transformers, eager fp32"
BF16 = "transformers, eager bf16"
OURS = "TorchScript bf16"
Step = Callable[[], object]


def decoders(asked: Asked, ceilings: Ceilings) -> Iterator[Row]:
    """Rows of the first token by length of the prompt, and of a step by requests at once."""
    config = read_shape(asked.shape)
    with tempfile.TemporaryDirectory(prefix="pixelis-gpu-") as scratch:
        asked.watch("decoders", "make the script")
        artifact = Path(scratch)
        numbers = _write(config, artifact, asked.device)
        longest = max(*asked.prompts, PAST) + 64
        asked.watch("decoders", "load it, capture its steps")
        ours = TorchDecoder(artifact, max(asked.rows), longest, 1)
        systems: dict[str, Any] = {REFERENCE: _Original(config, asked.device, torch.float32)}
        systems[BF16] = _Original(config, asked.device, torch.bfloat16)
        systems[f"{OURS}{asked.graphs}"] = _Ours(ours)
        for length in asked.prompts:
            asked.watch("decoders", f"prompt of {length}")
            timed = in_turns({name: system.first(length) for name, system in systems.items()}, asked.turns)
            for name, timing in timed.items():
                faster = round(timed[REFERENCE]["p50_ms"] / timing["p50_ms"], 2)
                tflops = 2 * numbers * length / timing["p50_ms"] * 1e3
                asked.watch("decoders", f"{name}: {timing['p50_ms']} ms")
                yield {"row": "first token", "shape": asked.shape, "prompt": length, "system": name, **timing,
                       "speedup": faster, "tflops": round(tflops / 1e12, 2),
                       "of_ceiling": round(tflops / ceilings.flops, 3)}  # fmt: skip
        for rows in asked.rows:
            asked.watch("decoders", f"{rows} at once")
            timed = in_turns({name: system.step(rows) for name, system in systems.items()}, asked.turns)
            for name, timing in timed.items():
                moved = numbers * (4 if name == REFERENCE else 2) / timing["p50_ms"] * 1e3
                asked.watch("decoders", f"{name}: {timing['p50_ms']} ms")
                yield {"row": "step", "shape": asked.shape, "at_once": rows, "system": name, **timing,
                       "tokens_per_s": round(rows / timing["p50_ms"] * 1e3, 1),
                       "speedup": round(timed[REFERENCE]["p50_ms"] / timing["p50_ms"], 2),
                       "weights_gb_per_s": round(moved / 1e9, 1),
                       "of_ceiling": round(moved / ceilings.bandwidth, 3)}  # fmt: skip


def _write(config: Any, artifact: Path, device: str) -> int:
    """A version folder of `policy`; how many numbers a token is multiplied by."""
    text = {**config.text_config.to_dict(), "model_type": "qwen2_5_vl_text", "hidden_act": "silu"}
    vision = {**config.vision_config.to_dict(), "spatial_merge_size": 2}
    said = {"text_config": text, "vision_config": vision, "image_token_id": 0, "eos_token_id": 1}
    (artifact / "config.json").write_text(json.dumps(said), encoding="utf-8")
    shutil.copy(NANO / "tokenizer.json", artifact)
    torch.manual_seed(0)
    with torch.device(device):
        module = DecoderModule(decoder_shape(artifact))
    for name, weight in module.named_parameters():
        torch.nn.init.ones_(weight) if "norm" in name or weight.ndim == 1 else torch.nn.init.normal_(weight, std=0.02)
        if weight.ndim > 1 or name.endswith("bias"):
            weight.data = weight.data.to(torch.bfloat16)
    numbers = sum(int(weight.numel()) for weight in module.parameters() if weight.ndim > 1)
    with quiet():
        torch.jit.save(torch.jit.script(module.eval().requires_grad_(False)), str(artifact / "model.ts"))
    shape = (text["vocab_size"], text["hidden_size"])
    table = np.random.default_rng(0).standard_normal(shape, np.float32).astype(np.float16)
    np.save(artifact / "embed_tokens.npy", table)
    return numbers


class _Ours:
    def __init__(self, graph: TorchDecoder) -> None:
        self._graph = graph

    def first(self, length: int) -> Step:
        """Read a prompt of `length`."""
        ids = np.arange(length) % 1000 + 2
        places = np.tile(np.arange(length), (3, 1))
        return lambda: self._graph.prefill(0, [self._graph.embeddings[ids]], [places])

    def step(self, rows: int) -> Step:
        """One more token for each of the first `rows`, behind `PAST`."""
        ids, places = np.arange(PAST) % 1000 + 2, np.tile(np.arange(PAST), (3, 1))
        for row in range(rows):
            self._graph.prefill(row, [self._graph.embeddings[ids]], [places])
        tokens, lengths = np.arange(rows) + 2, np.full(rows, PAST)
        return lambda: self._graph.decode(tokens, lengths, lengths)


class _Original:
    def __init__(self, config: Any, device: str, kind: torch.dtype) -> None:
        text = config.text_config
        text._attn_implementation = "sdpa"
        before = torch.get_default_dtype()
        torch.set_default_dtype(kind)
        try:
            with torch.device(device):
                self._text = Qwen2_5_VLTextModel(text).eval()
                self._head = torch.nn.Linear(text.hidden_size, text.vocab_size, bias=False)
        finally:
            torch.set_default_dtype(before)
        self._device = device

    def _run(self, ids: torch.Tensor, cache: DynamicCache, start: int) -> torch.Tensor:
        places = torch.arange(start, start + ids.shape[1], device=self._device).expand(3, len(ids), -1)
        with torch.inference_mode():
            made = self._text(
                input_ids=ids.to(self._device), position_ids=places, past_key_values=cache, use_cache=True
            )
            logits: torch.Tensor = self._head(made.last_hidden_state[:, -1]).float().cpu()
        return logits

    def first(self, length: int) -> Step:
        """Read a prompt of `length`."""
        ids = (torch.arange(length) % 1000 + 2)[None]
        return lambda: self._run(ids, DynamicCache(), 0)

    def step(self, rows: int) -> Step:
        """One more token for each of `rows`, behind `PAST`."""
        cache = DynamicCache()
        self._run((torch.arange(PAST) % 1000 + 2).expand(rows, -1), cache, 0)
        tokens = torch.arange(rows)[:, None] + 2

        def run() -> object:
            made = self._run(tokens, cache, PAST)
            cache.crop(-1)
            return made

        return run
