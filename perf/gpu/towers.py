"""Part `towers`: pictures to visual tokens, by batch, beside transformers' own tower in eager fp32.

Every system gets uint8 pixels, or patches, in the memory of the CPU and gives tokens back there. What is ours is the
module that the builder exports, traced and frozen as it is built for `--device cuda`, and run by the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VisionTransformerPretrainedModel

from builder.candidate import Candidate
from builder.formats import torch_attention
from builder.formats.torch_module import in_precision, quiet
from builder.optimization import OptimizationConfig
from builder.sources.vision_tower import FixedGridTower
from perf.gpu.device import Ceilings, in_turns
from perf.gpu.part import Asked, Row
from perf.gpu.shapes import read_shape
from python_backends.engine.torch_device import CapturedCalls
from python_backends.engine.torchscript_engine import plain

SIDE = 448
"""Pixels of a view's side: 256 visual tokens."""
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
REFERENCE = "transformers, eager fp32"
Call = Callable[[], NDArray[np.float32]]
System = Callable[[NDArray[np.uint8]], Call]
"""Views to what is timed."""


def towers(asked: Asked, ceilings: Ceilings) -> Iterator[Row]:
    """A row for each system and batch, and one for each kernel of attention."""
    config = read_shape(asked.shape).vision_config
    torch.manual_seed(0)
    config._attn_implementation = "sdpa"
    with torch.device(asked.device):
        original = Qwen2_5_VisionTransformerPretrainedModel(config).eval()
    side = SIDE if asked.shape != "tiny" else 112
    ours = FixedGridTower(original.cpu(), side, side, MEAN, STD).eval()
    original = original.to(asked.device)
    rng = np.random.default_rng(0)
    views = rng.integers(0, 256, (max(asked.batches), side, side, 3)).astype(np.uint8)
    operations = _operations(ours.to(asked.device), views[:1], asked.device)
    systems: dict[str, System] = {
        REFERENCE: _Original(original, asked.device, None),
        "transformers, eager bf16": _Original(original, asked.device, torch.bfloat16),
    }
    for precision in ("fp32", "fp16", "bf16"):
        systems[f"TorchScript {precision}{asked.graphs}"] = _scripted(ours, precision, views[:2], asked.device)
    yield from _kernels(ours, views[:1], asked.device)
    for batch in asked.batches:
        asked.watch("towers", f"batch {batch}")
        given = views[:batch]
        calls = {name: system(given) for name, system in systems.items()}
        truth = calls[REFERENCE]()
        errors = {name: _error(call(), truth) for name, call in calls.items()}
        timed = in_turns(calls, asked.turns)
        for name, timing in timed.items():
            seconds = timing["p50_ms"] / 1000
            asked.watch("towers", f"{name}: {timing['p50_ms']} ms")
            yield {
                "row": "tower",
                "shape": asked.shape,
                "batch": batch,
                "system": name,
                **timing,
                "pictures_per_s": round(batch / seconds, 1),
                "speedup": round(timed[REFERENCE]["p50_ms"] / timing["p50_ms"], 2),
                "tflops": round(operations * batch / seconds / 1e12, 2),
                "of_ceiling": round(operations * batch / seconds / ceilings.flops, 3),
                "relative_error": round(errors[name], 5),
            }


class _Original:
    """transformers' tower on patches; `kind` is the type that it computes in."""

    def __init__(self, tower: Any, device: str, kind: torch.dtype | None) -> None:
        import copy

        self._tower = tower if kind is None else copy.deepcopy(tower).to(kind)
        self._device, self._kind = device, kind or torch.float32

    def __call__(self, views: NDArray[np.uint8]) -> Call:
        """Patches are made beforehand, which the processor does on the CPU; ours cuts them itself."""
        config = self._tower.config
        patches, grids = _patches(views, config.patch_size, config.spatial_merge_size, config.temporal_patch_size)

        def run() -> NDArray[np.float32]:
            with torch.inference_mode():
                seen = self._tower(patches.to(self._device, self._kind), grid_thw=grids.to(self._device))
                tokens: NDArray[np.float32] = seen.pooler_output.float().cpu().numpy()
            return tokens.reshape(len(views), -1, tokens.shape[-1])

        return run


def _patches(views: NDArray[np.uint8], patch: int, merge: int, frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    """As the processor cuts them: those of one visual token side by side, a still picture in every frame."""
    count, side = len(views), views.shape[1] // patch
    mean, std = np.array(MEAN, np.float32), np.array(STD, np.float32)
    pixels = (views.astype(np.float32) / 255 - mean) / std
    blocks = pixels.reshape(count, side // merge, merge, patch, side // merge, merge, patch, 3)
    cut = blocks.transpose(0, 1, 4, 2, 5, 7, 3, 6).reshape(count * side * side, 3, 1, patch * patch)
    whole = np.repeat(cut, frames, axis=2).reshape(len(cut), -1)
    return torch.from_numpy(np.ascontiguousarray(whole)), torch.tensor([[1, side, side]] * count)


def _scripted(module: torch.nn.Module, precision: str, views: NDArray[np.uint8], device: str) -> System:
    """As `builder.formats.torchscript` makes it and the engine runs it."""
    options = OptimizationConfig.model_validate({"device": device})
    candidate = Candidate.model_validate({"format": "torchscript", "precision": precision, "optimization": options})
    with quiet(), torch.inference_mode():
        made = in_precision(module, candidate, "vision_encoder")
        given = torch.from_numpy(views).to(device)
        graph = torch.jit.freeze(torch.jit.trace(made, (given,), check_trace=False).eval())
    if device == "cuda":
        captured = CapturedCalls(plain(graph))
        return lambda arrays: lambda: captured([arrays])[0]  # type: ignore[return-value]
    return lambda arrays: lambda: graph(torch.from_numpy(arrays))[0].numpy()


def _operations(module: torch.nn.Module, view: NDArray[np.uint8], device: str) -> int:
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        module(torch.from_numpy(view).to(device))
    return int(counter.get_total_flops())


def _error(answer: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    """Norm of the difference over the norm."""
    return float(np.linalg.norm(answer - truth) / np.linalg.norm(truth))


def _kernels(module: torch.nn.Module, view: NDArray[np.uint8], device: str) -> Iterator[Row]:
    """Which kernel of attention PyTorch takes in half precision by itself, and what each of the others takes."""
    candidate = Candidate.model_validate(
        {"format": "torchscript", "precision": "bf16", "optimization": {"device": device}}
    )
    made, given = in_precision(module, candidate, "vision_encoder"), torch.from_numpy(view).to(device)
    with quiet():
        yield {"row": "attention", "kernel": "auto", "took": torch_attention.kernels(made, [given])}
        for name in ("FLASH_ATTENTION", "EFFICIENT_ATTENTION", "MATH"):
            calls = {}
            with torch.inference_mode(), sdpa_kernel(getattr(SDPBackend, name)):
                try:
                    made(given)
                    calls = in_turns({name: lambda: made(given)[0].cpu()}, Asked.quick_turns())
                except RuntimeError as error:
                    yield {"row": "attention", "kernel": name, "took": f"refused: {str(error).splitlines()[0][:80]}"}
            for timing in calls.values():
                yield {"row": "attention", "kernel": name, "took": name.lower(), **timing}
