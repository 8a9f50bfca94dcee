"""vLLM's arguments for a checkpoint: what was asked for, held against what the architecture can be cut into."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from builder.checkpoints.architecture import Architecture
from builder.vllm.options import VllmOptions
from pixelis.errors import BuildError
from pixelis.settings import settings
from python_backends.policy.profile import Profile
from python_backends.policy.vllm.engine import MODEL, EngineArgs, EngineFile

LONGEST = 32_768
"""Tokens of a context that nobody has asked to be longer or shorter."""
_OPERATIONS = 50
"""The most that a request may ask for, each of which may show a crop."""
_TEXT = 256
"""Tokens of question and answer that must find room beside one picture."""
Dtype = Literal["auto", "bfloat16", "float16", "float32"]
_DTYPES: dict[str, Dtype] = {"BF16": "bfloat16", "F16": "float16"}


def engine_file(checkpoint: Path, architecture: Architecture, dtypes: Iterable[str], asked: VllmOptions) -> EngineFile:
    """What vLLM is started with.

    Args:
        checkpoint: its directory, checked already.
        architecture: its numbers.
        dtypes: of its weights, as safetensors spells them.
        asked: the command line's.

    Raises:
        BuildError: the checkpoint cannot be cut so, or its context cannot be so long.
    """
    check_parallel(architecture, asked.tensor_parallel, asked.pipeline_parallel)
    profile, unit = Profile.load(checkpoint), architecture.vision.unit
    pixels = [width * height for width, height in profile.sizes]
    length = _length(architecture, asked.max_model_len, max(pixels) // unit**2)
    images = min(settings().limits.frames + _OPERATIONS, (length - _TEXT) // (min(pixels) // unit**2))
    found = sorted(set(dtypes))
    arguments = EngineArgs(
        model=asked.checkpoint_at or str(checkpoint),
        served_model_name=MODEL,
        dtype=_DTYPES.get(found[0], "auto") if len(found) == 1 else "auto",
        tensor_parallel_size=asked.tensor_parallel,
        pipeline_parallel_size=asked.pipeline_parallel,
        gpu_memory_utilization=asked.gpu_memory_utilization,
        max_model_len=length,
        limit_mm_per_prompt={"image": images, "video": 0},
        mm_encoder_tp_mode=tower_mode(architecture, asked.tensor_parallel),
        mm_processor_kwargs={"min_pixels": min(pixels), "max_pixels": max(pixels)},
    )
    return EngineFile(arguments=arguments, patch=architecture.vision.patch, checkpoint=str(checkpoint))


def check_parallel(architecture: Architecture, tensor: int, pipeline: int) -> None:
    """Hold the numbers of GPUs against the architecture, as vLLM will.

    Raises:
        BuildError: heads, key-value heads, or the layers' width cannot be shared by so many; or there are more groups
            than layers.
    """
    text = architecture.text
    fits = [count for count in range(1, text.heads + 1) if not _uneven(architecture, count)]
    faults = _uneven(architecture, tensor)
    if faults:
        raise BuildError(
            f"{tensor} GPUs cannot share the layers of this checkpoint: {'; '.join(faults)}.",
            mend=f"`--tensor-parallel` may be {', '.join(map(str, fits))}.",
        )
    if pipeline > text.layers:
        raise BuildError(
            f"{pipeline} groups of GPUs cannot have layers each: there are {text.layers}.",
            mend=f"`--pipeline-parallel` may be 1 to {text.layers}.",
        )


def _uneven(architecture: Architecture, tensor: int) -> list[str]:
    """What of the text model so many GPUs cannot have equal shares of."""
    text = architecture.text
    faults = [f"{text.heads} heads are not a multiple of {tensor}"] if text.heads % tensor else []
    if text.kv_heads % tensor and tensor % text.kv_heads:  # fewer of them than GPUs are repeated
        faults.append(f"{text.kv_heads} key-value heads are neither a multiple nor a divisor of it")
    if text.intermediate % tensor:
        faults.append(f"layers are {text.intermediate} wide inside, which is no multiple of it")
    return faults


def tower_mode(architecture: Architecture, tensor: int) -> Literal["weights", "data"]:
    """`weights` where the vision tower can be shared as the text model is; else every GPU has all of it."""
    vision = architecture.vision
    return "data" if vision.heads % tensor or vision.intermediate % tensor else "weights"


def _length(architecture: Architecture, asked: int | None, picture: int) -> int:
    """Tokens of the context; `picture` is what the largest view takes of it."""
    most, least = architecture.text.max_positions, picture + _TEXT
    length = min(most, LONGEST) if asked is None else asked
    if not least <= length <= most:
        raise BuildError(
            f"A context of {length} tokens does not fit this checkpoint: a picture and a question take {least}, and "
            f"its positions reach {most}.",
            mend=f"`--max-model-len` may be {least} to {most}.",
        )
    return length
