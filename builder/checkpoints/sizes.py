"""Bytes of what is built from a checkpoint, by form, from its numbers alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from builder.candidate import Candidate
from builder.checkpoints.architecture import Architecture
from builder.checkpoints.expected import EMBEDDING, HEAD, TOWER, Shape, expected
from builder.store import LINKED
from builder.tolerance import Precision

BESIDE = ("tokenizer.json", "config.json", "generation_config.json", "pixelis.json", "dialect.yaml")
"""Files of the checkpoint that go into the policy's artifact as they are."""
GRAPH = 0.5 * 2**20
"""Bytes of a graph without weights, its manifest and its config, roughly."""
_BITS: dict[Precision, float] = {"none": 32, "fp32": 32, "fp16": 16, "bf16": 16, "int8": 8, "int4": 4}


def parameters(architecture: Architecture) -> tuple[int, int]:
    """Numbers of the text model (a table for logits included, where it has one) and of the vision tower."""
    sizes = {name: math.prod(shape) for name, shape in expected(architecture).items()}
    tower = sum(size for name, size in sizes.items() if name.startswith(TOWER))
    return sum(sizes.values()) - tower, tower


def artifact_bytes(architecture: Architecture, directory: Path, model: str, candidate: Candidate) -> int:
    """Bytes of an artifact with all its files.

    Args:
        architecture: of the checkpoint.
        directory: the checkpoint.
        model: `policy` or `vision_encoder`.
        candidate: the form.
    """
    return round(sum(_parts(architecture, directory, model, candidate)))


def published_bytes(architecture: Architecture, directory: Path, model: str, candidate: Candidate) -> int:
    """Bytes of the same in the build cache and in the repository, where large files have two names and lie once."""
    parts = _parts(architecture, directory, model, candidate)
    return round(sum(size if size >= LINKED else 2 * size for size in parts))


def _parts(architecture: Architecture, directory: Path, model: str, candidate: Candidate) -> tuple[float, ...]:
    """Bytes of its files: weights, table, what lies beside them."""
    if model == "vision_encoder":
        return (sum(_stored(shape, candidate) for shape in _tower(architecture)), GRAPH)
    beside = sum((directory / name).stat().st_size for name in BESIDE if (directory / name).is_file())
    return decoder_bytes(architecture, candidate), table_bytes(architecture, candidate), beside + GRAPH


def decoder_bytes(architecture: Architecture, candidate: Candidate) -> float:
    """Bytes of the decoder's weights without the embedding table: layers, norms, logits and rotary tables."""
    text = architecture.text
    total = 2.0 * text.max_positions * text.head_dim // 2 * 4
    for name, shape in expected(architecture).items():
        if not name.startswith(TOWER) and name not in (EMBEDDING, HEAD):
            total += _stored(shape, candidate)
    if not text.tied or not _shares(architecture, candidate):
        total += _stored((text.vocabulary, text.hidden), _head(candidate))
    return total


def table_bytes(architecture: Architecture, candidate: Candidate) -> float:
    """Bytes of the embedding table: no larger than the weights' precision asks for, 8 bits at least."""
    text = architecture.text
    rows, width = text.vocabulary, text.hidden
    bits = max(_BITS[candidate.precision], 8)
    scales = 0
    if bits == 8:
        scales = width // candidate.optimization.group_size if text.tied and _shares(architecture, candidate) else 1
    return rows * (width * bits / 8 + 4 * scales)


def _shares(architecture: Architecture, candidate: Candidate) -> bool:
    """Whether tied logits are made with the table's own file."""
    if candidate.format != "onnx" or candidate.quantization == "dynamic":
        return False
    return candidate.quantization == "none" or architecture.text.hidden % candidate.optimization.group_size == 0


def _head(candidate: Candidate) -> Candidate:
    """The vocabulary's projection, which 4 bits would cost too much, has 8."""
    return candidate.model_copy(update={"precision": "int8"}) if candidate.precision == "int4" else candidate


def _tower(architecture: Architecture) -> Iterator[Shape]:
    """Shapes of the exported tower: a picture is a frame shown twice, which its patches' weight takes in."""
    for name, shape in expected(architecture).items():
        if name == f"{TOWER}patch_embed.proj.weight":
            yield (shape[0], math.prod(shape[1:]) // architecture.vision.temporal_patch)
        elif name.startswith(TOWER):
            yield shape


def _stored(shape: Shape, candidate: Candidate) -> float:
    """Bytes of one tensor. Vectors stay in fp32 (in half precision only where the whole graph is)."""
    count, bits = math.prod(shape), _BITS[candidate.precision]
    if len(shape) == 1 or bits >= 16:
        return count * (4 if len(shape) == 1 else bits / 8)
    if candidate.quantization != "weights":
        return count + 4 * shape[0]
    blocks = shape[0] * math.ceil(math.prod(shape[1:]) / candidate.optimization.group_size)
    scales = candidate.optimization.block_scales
    zeroed = bits == 4 if scales == "auto" else scales != "symmetric"
    zeros = blocks * bits / 8 if zeroed else 0.0  # packed beside the scales
    return count * bits / 8 + 4 * blocks + zeros
