"""Build and judge one model in this process: `python -m builder.build_one NAME --out DIR`.

The builder runs this once per model, so that a crash in native code takes one model down and not the build, memory
goes back to the system in between, and a failure is one line to reproduce. `builder.building.apart` says how it speaks.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pixelis
from builder.building import apart
from builder.formats import open_format
from builder.formats.base import Description
from builder.gate import Verdict, judge, look
from builder.model_spec import ModelSpec
from builder.optimization_check import impossible
from builder.shapes import profiles
from builder.storing.key import build_key, builder_digest, libraries
from builder.storing.manifest import FileRecord, Manifest, TensorRecord, records
from pixelis.errors import BuildError
from pixelis.machine import this_machine


class _Clock:
    """Says each stage as it begins, and how long it took."""

    def __init__(self, stage: apart.Stage) -> None:
        self._stage = stage
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        self._stage(name)
        started = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - started, 3)


def make(
    spec: ModelSpec,
    out: Path,
    stage: apart.Stage = lambda name: None,
    references: Path | None = None,
) -> Manifest:
    """Export, optimise and judge `spec` into the folder `out`, and write the manifest there.

    The manifest of an artifact that fails its gate is written too, with everything measured.

    Args:
        spec: the model in the form that is wanted.
        out: a new folder.
        stage: is told each stage as it begins.
        references: where the reference's scores on tasks are remembered between processes.

    Raises:
        BuildError: the source is not there or cannot be exported.
        GateFailed: the artifact does not answer as its source does.
    """
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise BuildError(f"{out} is not empty.", mend="Name a new folder.")
    clock, source, form = _Clock(stage), spec.open_source(), open_format(spec.format)
    form.require()
    refused = impossible(spec.candidate, this_machine())
    if refused is not None:
        raise refused
    form.profiles = profiles(spec)
    form.tolerances = {tensor.name: spec.tolerance_of(tensor.name) for tensor in spec.outputs}
    digest = source.digest()
    with clock("export"):
        form.export(source, out, spec.candidate)
    with clock("optimise"):
        optimisations = form.optimise(out, spec.candidate)
    with clock("gate"):
        verdict = look(form, out) if form.not_executed else judge(source, out, spec, references)
    manifest = _manifest(spec, digest, form.describe(out), verdict, records(out))
    manifest = manifest.model_copy(update={"optimisations": optimisations, "seconds": clock.seconds})
    manifest.write(out)
    verdict.demand(spec.name)
    return manifest


def _manifest(
    spec: ModelSpec, source_digest: str, shape: Description, verdict: Verdict, files: dict[str, FileRecord]
) -> Manifest:
    return Manifest(
        model=spec.name,
        key=build_key(spec, source_digest),
        format=spec.format,
        precision=spec.precision,
        quantization=spec.quantization,
        optimization=spec.optimization,
        notes={**shape.notes, "machine": str(this_machine())},
        source=spec.source or "",
        source_digest=source_digest,
        builder=pixelis.__version__,
        builder_digest=builder_digest(spec.format),
        libraries=libraries(spec.kind, spec.format),
        inputs=[TensorRecord.of(tensor) for tensor in shape.inputs],
        outputs=[TensorRecord.of(tensor) for tensor in shape.outputs],
        nodes=shape.nodes,
        parameters=shape.parameters,
        weight_bytes=shape.weight_bytes,
        files=files,
        gate=verdict,
        created_at=round(time.time(), 3),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Build one model; the exit status is 0, or 1 with the reason as the last line."""
    parser = apart.command_line("builder.build_one", __doc__, "a new folder for the artifact")
    parser.add_argument("--candidate", help="a form of it, for instance onnx-int8-dynamic; default: the spec's own")
    parser.add_argument("--references", type=Path, help="a folder that remembers what the reference scored")
    return apart.run(parser, argv, "building", _work)


def _work(spec: ModelSpec, arguments: argparse.Namespace, stage: apart.Stage) -> None:
    if arguments.candidate:
        spec = spec.as_candidate(spec.find_candidate(arguments.candidate))
    make(spec, arguments.out, stage, arguments.references)


if __name__ == "__main__":
    sys.exit(main())
