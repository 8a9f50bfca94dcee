"""`pixelis experience import|export|verify|compact`: on the files of this machine; `verify` on a server too."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from clients.commands import Json, ProtocolOption, Url, connect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from python_backends.experience import ExperienceStore

app = typer.Typer()

Whose = Annotated[
    str | None, typer.Option("--tenant", help="Whose: a tenant's own, or '' for the shared ones; default: all.")
]
Format = Annotated[str | None, typer.Option("--format", help="jsonl or parquet; default by the file's name.")]


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Written by `pixelis experience export`.")],
    kind: Format = None,
    tenant: Annotated[
        str | None, typer.Option(help="Whose they become, '' = shared; default: those that the file says.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Put the experiences of a file in, with their ids, counters and ages. The server must not be running.

    The whole file is checked first. An experience whose id is there already stays as it is; where there are too many
    then, the lowest priorities go. A directory that was empty gets these alone, not those that the model brings along.

    Examples:

        pixelis experience import experiences.jsonl

        pixelis experience import backup.parquet --json
    """
    from python_backends.experience.transfer import format_of, load

    how = format_of(file, kind)
    with _alone(make=True) as store:
        found = load(store, file, how, tenant)
    _print(
        asdict(found),
        f"{found.added} added, {found.known} were there already, {found.evicted} evicted; {found.count} in all.",
        as_json,
    )


@app.command("export")
def export_(
    file: Annotated[Path, typer.Argument(help="What to write: .jsonl or .parquet.")],
    kind: Format = None,
    tenant: Whose = None,
    as_json: Json = False,
) -> None:
    """Write the living experiences with their keys, also while a server uses them.

    Examples:

        pixelis experience export experiences.jsonl

        pixelis experience export backup.parquet --json

        pixelis experience export alice.jsonl --tenant alice
    """
    from python_backends.experience.transfer import export, format_of

    count = export(_directory(), file, format_of(file, kind), tenant)
    _print({"count": count, "file": str(file)}, f"{count} experiences written to {file}.", as_json)


@app.command("verify")
def verify(url: Url = None, protocol: ProtocolOption = "grpc", as_json: Json = False) -> None:
    """Compare index, memory, database and snapshots. Changes nothing; exit code 1 where something does not agree.

    Without --url: what lies on this machine, and the memory and index that a start makes of it. With --url a running
    server compares what it holds; it answers nobody meanwhile.

    Examples:

        pixelis experience verify

        pixelis experience verify --url localhost:8001 --json
    """
    found = _served(url, protocol) if url is not None else _local()
    text = f"{found['experiences']} experiences after change {found['sequence']}; snapshots of {found['snapshots']}."
    mend = "A start recovers what can be: pixelis serve; or restore the directory from a copy."
    _print(found, "\n".join([text, *found["faults"], mend if found["faults"] else "All agree."]), as_json)
    if found["faults"]:
        raise typer.Exit(1)


def _served(url: str, protocol: str) -> dict[str, Any]:
    from pixelis.schema import KnnCommand

    with connect(url, protocol) as client:
        return client.knn(KnnCommand(command="verify")).stats


def _local() -> dict[str, Any]:
    from pixelis.errors import SetupError
    from pixelis.settings import settings
    from python_backends.experience.empty import empty
    from python_backends.experience.verify import verify_directory

    directory = _directory()
    if not directory.is_dir():
        raise SetupError(f"There are no experiences in {directory}.", mend="Name the machine's state: PIXELIS_STATE.")
    return asdict(verify_directory(directory, lambda: empty(directory, settings().retrieval, retune=False)))


@app.command("compact")
def compact(as_json: Json = False) -> None:
    """Take a snapshot, forget the log up to it, and give free pages of the database back. No server may be running.

    Examples:

        pixelis experience compact

        pixelis experience compact --json
    """
    before = _size()
    with _alone(make=False) as store:
        store.compact()
        count = len(store)
    after = _size()
    said = {"count": count, "bytes_before": before, "bytes_after": after}
    _print(said, f"{count} experiences; the database took {before} bytes and takes {after}.", as_json)


@contextmanager
def _alone(make: bool) -> Iterator[ExperienceStore]:
    """The store of this machine, while nobody else has it open."""
    from pixelis.errors import SetupError
    from pixelis.settings import settings
    from python_backends.experience.database import FILE
    from python_backends.experience.store import ExperienceStore

    directory, config = _directory(), settings()
    if not make and not (directory / FILE).exists():
        raise SetupError(f"There are no experiences in {directory}.", mend="Name the machine's state: PIXELIS_STATE.")
    store = ExperienceStore(directory, config.retrieval, threads=config.threads.intra_op, alone=True)
    try:
        yield store
    finally:
        store.close()


def _directory() -> Path:
    from pixelis.settings import settings

    return settings().state / "experiences"


def _size() -> int:
    """Bytes of the database on disk."""
    return sum(path.stat().st_size for path in _directory().glob("experiences.db*"))


def _print(found: Mapping[str, object], text: str, as_json: bool) -> None:
    typer.echo(json.dumps(found) if as_json else text)
