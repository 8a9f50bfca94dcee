"""What every process that the builder runs apart has in common: its command line, and how it speaks.

`child.run_apart` is the other end. Standard output carries lines of `stage: NAME` and at most one `error: CODE: TEXT`;
what libraries print goes to standard error. Nothing heavy is imported here: one such process reads its own memory.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from builder.storing.disk import typed
from pixelis.errors import PixelisError

if TYPE_CHECKING:
    from builder.model_spec import ModelSpec
    from builder.pipeline import Pipeline

Stage = Callable[[str], None]
"""Is told each stage as it begins."""
Work = Callable[["ModelSpec", argparse.Namespace, Stage], None]
"""What is done for one model."""


def command_line(module: str, doc: str | None, out: str) -> argparse.ArgumentParser:
    """A parser that knows a model, --out, --spec and --parent.

    Args:
        module: for `python -m`.
        doc: its first line is the description.
        out: help of --out.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=(doc or "").partition("\n")[0])
    parser.add_argument("name", help="a model of the pipeline")
    parser.add_argument("--out", type=Path, required=True, help=out)
    add_common(parser)
    return parser


def add_common(parser: argparse.ArgumentParser) -> None:
    """--spec and --parent."""
    parser.add_argument("--spec", type=Path, help="a pipeline as JSON; default: builder/spec.py")
    parser.add_argument("--parent", type=int, help="end together with this process")


def run(parser: argparse.ArgumentParser, argv: Sequence[str] | None, doing: str, work: Work) -> int:
    """Parse, do the work, say its stages; the exit status is 0, or 1 with the reason as the last line.

    Args:
        parser: from `command_line`.
        argv: default: this process's.
        doing: what the work is in a message, for instance `building`.
        work: raises `PixelisError` where it cannot be done.
    """
    arguments = parser.parse_args(argv)
    die_with(arguments.parent)
    lines = _protocol()
    try:
        with typed(f"{doing} {arguments.name}"):
            spec = open_pipeline(arguments.spec)[arguments.name]
            work(spec, arguments, lambda name: print(f"stage: {name}", file=lines))
    except PixelisError as error:
        print(f"error: {' '.join(error.wire().split())}", file=lines)
        return 1
    return 0


def open_pipeline(file: Path | None) -> Pipeline:
    """The pipeline in a file as JSON; without one, the spec's."""
    from builder.spec import Pipeline, pipeline

    return Pipeline.model_validate_json(file.read_text(encoding="utf-8")) if file else pipeline()


def die_with(parent: int | None) -> None:
    """End when the process `parent` does, however it ends, so that nobody writes into a staging area without a builder.

    Linux has this in the kernel; elsewhere the orphan ends when its next line finds no reader.
    """
    if parent is None:
        return
    if sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG, <sys/prctl.h>
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _protocol() -> TextIO:
    """The real standard output; what else is printed in this process goes to standard error from now on."""
    lines = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return lines
