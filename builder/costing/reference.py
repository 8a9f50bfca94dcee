"""The original beside which a candidate is timed: eager fp32 PyTorch on one thread, where there is a PyTorch module."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from builder.costing.runner import Inputs, Opened
from builder.costing.timing import Timed
from builder.model_spec import ModelSpec
from builder.sources.base import Source, TorchSource
from builder.sources.vision_encoder import VisionEncoder

EAGER = "eager fp32 PyTorch"
OWN = "the source itself (it has no PyTorch module)"
QWEN = "transformers.models.qwen2_5_vl.modeling_qwen2_5_vl"
MODULES: dict[str, tuple[str, ...]] = {
    "policy": ("torch", QWEN),
    "vision_encoder": ("torch", QWEN),
    "embed_text": ("torch", "transformers.models.bert.modeling_bert"),
    "embed_image": ("torch", "efficientnet_lite_pytorch"),
    "dynamics": ("torch", "safetensors.torch"),
}
"""What the original needs imported before it is loaded."""


@dataclass(frozen=True)
class Reference:
    """Loaded, in eval mode.

    Attributes:
        name: what it is, in words.
        timed: inputs of a case to what is timed.
        weight_bytes: bytes of its weights in memory; 0 = not told.
    """

    name: str
    timed: Opened
    weight_bytes: int


def import_reference(spec: ModelSpec) -> None:
    """Import the packages that the original runs on, those that prepare its inputs among them."""
    for module in MODULES.get(spec.name, ("onnxruntime",)):
        import_module(module)
    source = spec.open_source()
    if isinstance(source, VisionEncoder):
        source.pixels(np.zeros((1, 56, 56, 3), np.uint8))


def open_reference(spec: ModelSpec, threads: int, device: str = "cpu") -> Reference:
    """The original of `spec`, on a GPU where `device` is `cuda`; inputs come from numpy and outputs go there."""
    from builder.sources.checkpoint import load_model

    source = spec.open_source()
    if spec.kind == "policy":
        return _decoder(source, threads, device)
    if isinstance(source, VisionEncoder):
        return _tower(source, threads, device)
    if isinstance(source, TorchSource):
        found = _module(source, threads, device)
        load_model.cache_clear()  # of a checkpoint, the half that is not asked
        return found
    return Reference(OWN, lambda inputs: Timed(lambda: source.reference(inputs)), _graph_bytes(source))


def _module(source: TorchSource, threads: int, device: str) -> Reference:
    import torch

    torch.set_num_threads(threads)
    module = source.loaded.to(device)

    def timed(inputs: Inputs) -> Timed:
        arrays = [torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in source.inputs]
        return Timed(_inference(lambda: _back(module(*(array.to(device) for array in arrays)))))

    return Reference(f"{EAGER}{_where(device)}", timed, _parameter_bytes(module))


def _tower(source: VisionEncoder, threads: int, device: str) -> Reference:
    """transformers' own tower; its patches are made beforehand, while a candidate's graph makes them itself."""
    import torch

    from builder.sources.checkpoint import load_model

    torch.set_num_threads(threads)
    tower = load_model(source.checkpoint).model.visual.to(device)
    load_model.cache_clear()

    def timed(inputs: Inputs) -> Timed:
        pixels, grids = source.pixels(inputs["VIEW"].astype(np.uint8))
        return Timed(_inference(lambda: _back(tower(pixels.to(device), grid_thw=grids.to(device)).pooler_output)))

    return Reference(f"{EAGER} (transformers' own tower){_where(device)}", timed, _parameter_bytes(tower))


def _decoder(source: Source, threads: int, device: str) -> Reference:
    """The text model as transformers runs it, with its own key-value cache; the vision tower is let go."""
    import torch
    from transformers import DynamicCache

    from builder.sources.checkpoint import checkpoint_directory, load_model

    torch.set_num_threads(threads)
    model = load_model(getattr(source, "checkpoint", checkpoint_directory()))
    text, head = model.model.language_model.to(device), model.lm_head.to(device)
    load_model.cache_clear()
    del model

    def run(ids: torch.Tensor, cache: object, start: int) -> object:
        places = torch.arange(start, start + ids.shape[1], device=device).expand(3, len(ids), -1)
        hidden = text(
            input_ids=ids.to(device), position_ids=places, past_key_values=cache, use_cache=True
        ).last_hidden_state
        return head(hidden[:, -1]).cpu()

    def timed(inputs: Inputs) -> Timed:
        if "PROMPT" in inputs:
            prompt = torch.from_numpy(inputs["PROMPT"].astype(np.int64))
            return Timed(_inference(lambda: run(prompt, DynamicCache(), 0)))
        tokens, past = torch.from_numpy(inputs["TOKENS"].astype(np.int64))[:, None], int(inputs["PAST"][0])
        cache = DynamicCache()
        _inference(lambda: run(tokens.expand(-1, past), cache, 0))()

        def reset() -> None:
            if cache.get_seq_length() > past:
                cache.crop(past - cache.get_seq_length())

        return Timed(_inference(lambda: run(tokens, cache, past)), reset)

    weights = {id(weight): weight for part in (text, head) for weight in part.parameters()}
    name = f"{EAGER} (transformers, with its KV cache){_where(device)}"
    return Reference(name, timed, sum(weight.nbytes for weight in weights.values()))


def _where(device: str) -> str:
    import torch

    return "" if device == "cpu" else f" on {torch.cuda.get_device_name()}"


def _back(answer: Any) -> list[Any]:
    """Outputs in the memory of the CPU, as a served model must give them: a GPU is waited for."""
    return [tensor.cpu() for tensor in (answer if isinstance(answer, tuple | list) else (answer,))]


def _inference(call: Callable[[], object]) -> Callable[[], object]:
    import torch

    def run() -> object:
        with torch.inference_mode():
            return call()

    return run


def _parameter_bytes(module: Any) -> int:
    weights = {id(weight): weight for weight in module.parameters()}
    return sum(weight.nbytes for weight in weights.values())


def _graph_bytes(source: Source) -> int:
    """Bytes of the initializers of the package's own ONNX file."""
    import onnx

    paths = [path for path in source.files() if path.suffix == ".onnx"]
    return sum(weight.ByteSize() for path in paths for weight in onnx.load(str(path)).graph.initializer)
