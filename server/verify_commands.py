"""`pixelis models verify`: read every file of what is published, and hold it against the manifests."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pixelis import integrity
from pixelis.errors import IntegrityError
from pixelis.settings import settings

if TYPE_CHECKING:
    from server.repository import Model

app = typer.Typer(no_args_is_help=True)


@dataclass
class Row:
    """One version.

    Attributes:
        state: `code` has no manifest and consists of a committed model.py.
        size_bytes: of its files, all of which were read.
        writable: what every user of the machine may write.
    """

    model: str
    version: int
    state: str
    size_bytes: int = 0
    reason: str = ""
    writable: list[str] = field(default_factory=list)


@app.command("verify")
def verify(
    models: Annotated[list[str] | None, typer.Argument(metavar="[MODEL...]", help="Default: all.")] = None,
    repository: Annotated[Path | None, typer.Option(help="Model repository; default from the settings.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every version, not the one alone that is served.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output.")] = False,
) -> None:
    """Read every file of the served versions and hold it against its manifest; exit 1 where one differs.

    A server does the same before it loads a model, but reads a file again only where the file system says that it has
    changed. For a repository that another Triton serves, run this before it starts.

    Examples:

        pixelis models verify

        pixelis models verify policy vision_encoder --all

        pixelis models verify --repository /models --json
    """
    from server.repository import scan

    began = time.monotonic()
    found = scan((repository or settings().repository).absolute(), models or None)
    rows = [_row(model, number) for model in found for number in _numbers(model, every)]
    wrong = [row for row in rows if row.state == "changed"]
    seconds = time.monotonic() - began
    if as_json:
        facts = {"ok": not wrong, "seconds": round(seconds, 3), "versions": [asdict(row) for row in rows]}
        typer.echo(json.dumps(facts, indent=2))
    else:
        _print(rows, seconds)
    if wrong:
        raise typer.Exit(1)


def _numbers(model: Model, every: bool) -> list[int]:
    return model.versions if every else model.versions[-1:]


def _row(model: Model, number: int) -> Row:
    folder = model.folder / str(number)
    served = number == model.version
    writable = integrity.open_to_all(folder)
    try:
        verdict = integrity.verify(folder, needed=served and model.built)
    except IntegrityError as error:
        return Row(model.name, number, "changed", reason=str(error), writable=writable)
    return Row(model.name, number, "whole" if verdict.size else "code", verdict.size, writable=writable)


def _print(rows: list[Row], seconds: float) -> None:
    for row in rows:
        typer.echo(f"{row.state:8} {row.model:24} {row.version:4}  {row.reason or f'{row.size_bytes / 2**20:.1f} MiB'}")
        if row.writable:
            typer.echo(f"{'':8} everybody may write {', '.join(row.writable)}: `chmod -R o-w`")
    size = sum(row.size_bytes for row in rows)
    typer.echo(f"{len(rows)} versions, {size / 2**20:.1f} MiB read in {seconds:.2f} s")
