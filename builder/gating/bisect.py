"""Where a wrong artifact goes wrong: its first wrong layer.

`python -m builder.gating.bisect MODEL --candidate LABEL DIR` names it on the command line.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from builder.gating.plain import plain_graph
from builder.gating.verdict import WrongLayer
from builder.model_spec import ModelSpec
from builder.sources.base import Source, Tensors
from pixelis.errors import PixelisError

UNCUT = {
    "torchscript": "a frozen TorchScript module keeps no layers to look into",
    "aotinductor": "an AOTInductor package is compiled code and keeps no layers to look into",
    "files": "the artifact is not a graph",
}
"""Formats that cannot be looked into, and why."""
TRIED = 3
"""Samples that are tried, the smallest first: a fault need not show on every one."""


def first_wrong(source: Source, directory: Path, spec: ModelSpec) -> WrongLayer:
    """The first layer of the artifact in `directory` that is wrong; never raises: what cannot be told is said."""
    if spec.format in UNCUT:
        return WrongLayer(note=UNCUT[spec.format])
    try:
        return _bisect(source, directory, spec)
    except Exception as error:  # libraries raise anything, and a failed search must not hide the fault that led here
        text = str(error).strip().splitlines()
        return WrongLayer(note=f"{type(error).__name__}: {text[0][:200] if text else 'no message'}")


def _bisect(source: Source, directory: Path, spec: ModelSpec) -> WrongLayer:
    from builder.formats.onnx import MODEL_FILE
    from builder.gating.bisect_onnx import first_wrong_node

    suspect = directory / MODEL_FILE
    if not suspect.is_file():
        return WrongLayer(note=f"a {spec.format} artifact is not looked into")
    found = WrongLayer(note="the source has no samples")
    with plain_graph(source, spec) as plain:
        for sample in sorted(source.samples(), key=_size)[:TRIED]:
            for feeds in source.feeds(plain, sample):
                found = first_wrong_node(plain / MODEL_FILE, suspect, feeds, spec.precision)
                if found.node:
                    return found
    return found


def _size(sample: Tensors) -> int:
    return sum(array.size for array in sample.values())


def main(argv: Sequence[str] | None = None) -> int:
    """Say where; the exit status is 0 where a layer is named, 1 where none is, 2 where the question makes no sense."""
    from builder.spec import pipeline

    parser = argparse.ArgumentParser(prog="python -m builder.gating.bisect", description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a model of the pipeline")
    parser.add_argument("directory", type=Path, help="folder of the artifact")
    parser.add_argument("--candidate", help="its form, for instance onnx-int8-dynamic; default: the spec's own")
    arguments = parser.parse_args(argv)
    try:
        spec = pipeline()[arguments.model]
        if arguments.candidate:
            spec = spec.as_candidate(spec.find_candidate(arguments.candidate))
        found = first_wrong(spec.open_source(), arguments.directory, spec)
    except PixelisError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{found}. {found.note}." if found.node else f"{found}.")
    return 0 if found.node else 1


if __name__ == "__main__":
    sys.exit(main())
