"""A candidate's decoder by emission, dynamic int8 included, which is made from the fp32 graph."""

from __future__ import annotations

from pathlib import Path

from builder.candidate import Candidate
from builder.checkpoints.architecture import read_architecture
from builder.checkpoints.expected import TOWER, expected
from builder.checkpoints.mapped import LARGE
from builder.formats.onnx_large import leave_mapped
from builder.sources.emission.emit import GRAPH, emit
from builder.sources.emission.form import Form
from pixelis.errors import BuildError
from python_backends.engine.onnxruntime_engine import SETTINGS

MOST = 1 << 28
"""Numbers of a decoder whose fp32 graph fits into the one file that the quantiser takes."""


def write_emitted(checkpoint: Path, directory: Path, candidate: Candidate, why: str) -> list[str]:
    """Write `model.onnx`, its weights and the embedding table in the candidate's precision into `directory`.

    Args:
        checkpoint: Hugging Face directory.
        directory: where the artifact goes.
        candidate: the form.
        why: reason for which the model builder is not asked.

    Returns:
        what was done, in words for the manifest.

    Raises:
        BuildError: see `emit`; or a decoder that is too large for dynamic int8.
    """
    said = f"onnxruntime-genai's model builder was not asked: {why}"
    if candidate.quantization != "dynamic":
        done = emit(checkpoint, directory, Form.of_candidate(candidate))
        return [said, *done, *_mapped(directory, candidate)]
    _check_size(checkpoint)
    done = emit(checkpoint, directory, Form(own_head=True))
    return [said, *done[:-1], *_quantised(directory, candidate)]


def _mapped(directory: Path, candidate: Candidate) -> list[str]:
    """Leave matrices of a large decoder in fp32 in their files when it is loaded."""
    size = sum(path.stat().st_size for path in directory.glob("weights-*.bin"))
    if candidate.precision != "fp32" or size < LARGE:
        return []
    return [leave_mapped(directory / SETTINGS)]


def _quantised(directory: Path, candidate: Candidate) -> list[str]:
    """Dynamic int8 from the graph in fp32, which takes its weights in."""
    from builder.formats.onnx_convert import quantise

    outside = list(directory.glob("weights-*.bin"))
    done = quantise(directory / GRAPH, candidate.optimization)
    for path in outside:
        path.unlink()
    return done


def _check_size(checkpoint: Path) -> None:
    numbers = 0
    for name, shape in expected(read_architecture(checkpoint)).items():
        count = 1
        for axis in shape:
            count *= axis
        numbers += 0 if name.startswith(TOWER) else count
    if numbers > MOST:
        raise BuildError(
            f"A decoder of {numbers / 1e6:.0f} million numbers is too large for dynamic int8.",
            mend="Build it as int8 or int4 of its weights alone: `onnx-int8-weights`, `onnx-int4`.",
        )
