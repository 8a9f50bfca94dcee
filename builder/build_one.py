"""Build and judge one model in this process: `python -m builder.build_one NAME --out DIR`.

The builder runs this once per model, so that a crash in native code takes one model down and not the build, memory
goes back to the system in between, and a failure is one line to reproduce. Standard output carries lines of
`stage: NAME` and at most one `error: CODE: TEXT`; everything that libraries print goes to standard error.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import pixelis
from builder.formats import open_format
from builder.formats.base import Description
from builder.gate import Verdict, judge, look
from builder.model_spec import ModelSpec
from builder.optimization_check import impossible
from builder.shapes import profiles
from builder.spec import Pipeline, pipeline
from builder.storing.disk import failure
from builder.storing.key import build_key, builder_digest, libraries
from builder.storing.manifest import FileRecord, Manifest, TensorRecord, records
from pixelis.errors import BuildError, PixelisError
from pixelis.machine import this_machine


class _Clock:
    """Says each stage as it begins, and how long it took."""

    def __init__(self, stage: Callable[[str], None]) -> None:
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
    stage: Callable[[str], None] = lambda name: None,
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


def die_with(parent: int) -> None:
    """End when the process `parent` does, however it ends, so that nobody writes into a staging area without a builder.

    Linux has this in the kernel; elsewhere the orphan ends when its next line finds no reader.
    """
    if sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG, <sys/prctl.h>
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def protocol() -> TextIO:
    """The real standard output; what else is printed in this process goes to standard error from now on."""
    lines = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Build one model; the exit status is 0, or 1 with the reason as the last line."""
    parser = argparse.ArgumentParser(prog="python -m builder.build_one", description=__doc__.splitlines()[0])
    parser.add_argument("name", help="a model of the pipeline")
    parser.add_argument("--out", type=Path, required=True, help="a new folder for the artifact")
    parser.add_argument("--spec", type=Path, help="a pipeline as JSON; default: builder/spec.py")
    parser.add_argument("--candidate", help="a form of it, for instance onnx-int8-dynamic; default: the spec's own")
    parser.add_argument("--references", type=Path, help="a folder that remembers what the reference scored")
    parser.add_argument("--parent", type=int, help="end together with this process")
    arguments = parser.parse_args(argv)
    if arguments.parent:
        die_with(arguments.parent)
    lines = protocol()
    try:
        known = Pipeline.model_validate_json(arguments.spec.read_text()) if arguments.spec else pipeline()
        spec = known[arguments.name]
        if arguments.candidate:
            spec = spec.as_candidate(spec.find_candidate(arguments.candidate))
        make(spec, arguments.out, lambda name: print(f"stage: {name}", file=lines), arguments.references)
    except PixelisError as error:
        print(f"error: {' '.join(error.wire().split())}", file=lines)
        return 1
    except OSError as error:
        told = failure(f"building {arguments.name}", error)
        print(f"error: {' '.join(told.wire().split())}", file=lines)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
