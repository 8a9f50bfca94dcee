"""Who writes a decoder: onnxruntime-genai's model builder where it is right and fits, else the emission."""

from __future__ import annotations

from pathlib import Path

from builder.checkpoints.architecture import Architecture, read_architecture

GIB = 1 << 30
LOADS = 5.0
"""Memory that the model builder and what follows it take, as a share of the checkpoint's bytes: 3.5 measured for 4 bits
(5.3 GB for a shard of 1.5), more where weights become fp32."""
LIBRARIES = 0.7 * GIB
"""Bytes of the packages that it imports."""


def budget(directory: Path) -> float:
    """Bytes that a build of the checkpoint may take: a third more than its largest file, and 2 GiB."""
    return 1.3 * max(_sizes(directory), default=0) + 2 * GIB


def ruled_out(directory: Path) -> str:
    """Why the model builder is not asked for the decoder of the checkpoint in `directory`; empty = it is."""
    architecture = read_architecture(directory)
    if architecture.vision.deepstack:
        return "it knows no deepstack"
    if architecture.text.vocabulary in _widths(architecture):
        return "its graph is invalid where the vocabulary is as large as a layer is wide"
    needed = LOADS * sum(_sizes(directory)) + LIBRARIES
    if needed > budget(directory):
        return f"it would take {needed / GIB:.1f} GiB of memory, the build may take {budget(directory) / GIB:.1f}"
    return ""


def _widths(architecture: Architecture) -> set[int]:
    text = architecture.text
    return {text.hidden, text.intermediate, text.heads * text.head_dim, text.kv_heads * text.head_dim}


def _sizes(directory: Path) -> list[int]:
    return [path.stat().st_size for path in directory.glob("*.safetensors")]
