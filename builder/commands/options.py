"""What the builder's commands share: options, progress, tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from builder.building.making import Watch
from builder.triton_config import Target
from pixelis.errors import SetupError
from pixelis.settings import settings

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")]
Repository = Annotated[
    Path | None, typer.Option("--repository", metavar="DIR", help="A repository elsewhere; it is written whole.")
]
Written = Annotated[
    Path | None, typer.Option("--repository", metavar="DIR", help="A repository elsewhere; default from the settings.")
]
ForTarget = Annotated[str, typer.Option("--target", help="`embedded`, or `ngc` for a full Triton image.")]


def parse_target(text: str) -> Target:
    """`text` as a target; another word is wrong usage."""
    if text == "embedded" or text == "ngc":
        return "embedded" if text == "embedded" else "ngc"
    raise typer.BadParameter("it is `embedded` or `ngc`", param_hint="--target")


def existing(repository: Path | None) -> Path:
    """The repository to look at.

    Raises:
        SetupError: there is none.
    """
    found = repository or settings().repository
    if not found.is_dir():
        mend = "Name it with --repository or PIXELIS_REPOSITORY, or make it with `pixelis build`."
        raise SetupError(f"There is no model repository at {found}.", mend=mend)
    return found


def echo(value: dict[str, Any]) -> None:
    """One JSON object."""
    typer.echo(json.dumps(value))


@contextmanager
def progress(quiet: bool) -> Iterator[Watch]:
    """Says on standard error which model is in which stage: on a terminal in place, else a line each."""
    console = Console(stderr=True)
    if quiet:
        yield lambda model, stage: None
        return
    if not console.is_terminal:
        yield lambda model, stage: typer.echo(f"{model}: {stage}", err=True)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("build", total=None)
        yield lambda model, stage: bar.update(task, description=f"{model}: {stage}")


def table(*columns: str, right: tuple[str, ...] = (), fold: tuple[str, ...] = ()) -> Table:
    """A plain table; columns in `right` are numbers, those in `fold` may wrap."""
    made = Table(box=None, header_style="bold", pad_edge=False, collapse_padding=True)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", no_wrap=column not in fold)
    return made
