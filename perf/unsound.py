"""What is often claimed of PyTorch and does not hold: `python -m perf.unsound` tries each."""

from __future__ import annotations

import multiprocessing
import resource
import warnings
from collections.abc import Callable

LAYERS, WIDTH, TOKENS = 8, 512, 1024
"""Of the model that is tried: large enough that activations are most of its peak."""


def peak_mib(checkpointing: bool) -> float:
    """MiB of resident memory at most, of a fresh process that ran one forward pass without gradients."""
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    process = context.Process(target=_forward, args=(checkpointing, queue))
    process.start()
    process.join()
    return float(queue.get())


def _forward(checkpointing: bool, queue: multiprocessing.SimpleQueue[float]) -> None:
    import torch
    from transformers import LlamaConfig, LlamaModel

    torch.set_num_threads(1)
    config = LlamaConfig(
        vocab_size=256,
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=8,
        num_key_value_heads=8,
    )
    model = LlamaModel(config).eval()
    if checkpointing:
        model.gradient_checkpointing_enable()
    with torch.no_grad():
        model(input_ids=torch.zeros(1, TOKENS, dtype=torch.long), use_cache=False)
    queue.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def gradient_checkpointing() -> str:
    """Does it save memory in inference?"""
    without, with_it = peak_mib(False), peak_mib(True)
    return f"peak {without:.0f} MiB without, {with_it:.0f} MiB with it: it keeps fewer activations for a backward pass"


def onnxrt_backend() -> str:
    """Is there `torch.compile(backend="onnxrt")`?"""
    import torch

    known = torch._dynamo.list_backends(exclude_tags=())
    return "there is" if "onnxrt" in known else f"there is none; PyTorch {torch.__version__} has {', '.join(known)}"


def quint8_linear() -> str:
    """Does dynamic quantisation of linear layers take quint8?"""
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.ao.quantization.quantize_dynamic(
                torch.nn.Sequential(torch.nn.Linear(8, 8)), {torch.nn.Linear}, dtype=torch.quint8
            )
    except Exception as error:  # whatever it says is what is wanted
        return f"refused: {type(error).__name__}: {str(error).splitlines()[0]}"
    return "taken"


def mode_with_cudagraphs() -> str:
    """Does `torch.compile(backend="cudagraphs", mode=...)` do anything with the mode?"""
    import torch

    try:
        with warnings.catch_warnings(record=True) as said, torch.no_grad():
            warnings.simplefilter("always")
            compiled = torch.compile(torch.nn.Linear(8, 8), backend="cudagraphs", mode="max-autotune")
            compiled(torch.zeros(1, 8))
        about = [str(one.message).splitlines()[0] for one in said if "mode" in str(one.message)]
        return f"taken, and runs; said of the mode: {about or 'nothing'}"
    except Exception as error:  # whatever it says is what is wanted
        return f"refused: {type(error).__name__}: {str(error).splitlines()[0]}"


TRIED: dict[str, Callable[[], str]] = {
    "gradient checkpointing saves memory in inference": gradient_checkpointing,
    'torch.compile(backend="onnxrt")': onnxrt_backend,
    "quantize_dynamic(..., dtype=torch.quint8) of linear layers": quint8_linear,
    'torch.compile(backend="cudagraphs", mode="max-autotune")': mode_with_cudagraphs,
}


def main() -> None:
    """A line each."""
    for claim, tried in TRIED.items():
        print(f"{claim}: {tried()}")


if __name__ == "__main__":
    main()
