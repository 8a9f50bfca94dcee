"""`pixelis models`: list, show, rollback, prune. (`load` is the server's, `report` the report's.)"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from builder.commands import show
from builder.commands.options import ForTarget, Json, Written, echo, existing, parse_target, table
from builder.named.remove import remove as run_remove
from builder.named.specs import in_repository
from builder.spec import pipeline
from builder.store import Store
from builder.storing.chosen import Chosen
from builder.storing.prune import Pruned
from builder.storing.prune import prune as run_prune
from builder.storing.rollback import rollback as run_rollback
from pixelis.settings import settings

app = typer.Typer(no_args_is_help=True, help="The models of the pipeline and their published versions.")


@app.command("list")
def list_models(
    every: Annotated[bool, typer.Option("--all", help="Every version, not the newest alone.")] = False,
    repository: Written = None,
    as_json: Json = False,
) -> None:
    """Every model with its newest version.

    Examples:

        pixelis models list --json

        pixelis models list --all
    """
    store = Store(existing(repository), settings().state)
    models = in_repository(pipeline(), store).models
    rows = [line for spec in models for line in (show.history(store, spec) if every else [show.summary(store, spec)])]
    if as_json:
        chosen = Chosen(store.repository, store.state).all()
        echo(
            {
                "repository": str(store.repository),
                "models": [row.model_dump() for row in rows],
                "chosen": {name: choice.model_dump() for name, choice in chosen.items()},
            }
        )
        return
    columns = ("model", "kind", "version", "format", "precision", "gate", "MiB", "digest")
    made = table(*columns, right=("version", "MiB"), fold=("gate",))
    for row in rows:
        made.add_row(*row.cells())
    console = Console()
    console.print(made)
    for name, choice in show.choices(store).items():
        console.print(f"{name}: {choice}.", highlight=False, markup=False, soft_wrap=True)


@app.command("show")
def show_model(
    name: str,
    version: Annotated[int | None, typer.Option(help="Default: the newest.")] = None,
    repository: Written = None,
    as_json: Json = False,
) -> None:
    """What a version is made of, and what the gate measured.

    Examples:

        pixelis models show embed_image

        pixelis models show policy --version 2 --json
    """
    store = Store(existing(repository), settings().state)
    spec = in_repository(pipeline(), store)[name]
    if not spec.built:
        summary = show.summary(store, spec)
        if as_json:
            echo(summary.model_dump())
        else:
            typer.echo(f"{name} ({spec.kind}) is served from its code and has no artifact.")
        return
    manifest = store.manifest(name, version)
    if as_json:
        echo({**manifest.model_dump(), "digest": manifest.digest})
    else:
        show.print_manifest(Console(), manifest)


@app.command()
def rollback(
    model: str,
    to: Annotated[int | None, typer.Option("--to", metavar="VERSION", help="Default: the artifact before.")] = None,
    repository: Written = None,
    target: ForTarget = "embedded",
    as_json: Json = False,
) -> None:
    """Publish an older artifact again under the next number, and hold it against later builds.

    A running server takes it up with `pixelis models load MODEL`; no request fails.

    Examples:

        pixelis models rollback embed_image

        pixelis models rollback embed_image --to 4 --json
    """
    done = run_rollback(model, to, repository=existing(repository), target=parse_target(target))
    if as_json:
        echo(done.model_dump())
        return
    typer.echo(
        f"{model} version {done.version} is the artifact of version {done.again} ({done.label}), in place of ", nl=False
    )
    typer.echo(f"version {done.left}.\nIt is held: {done.held}.")
    for beside in done.beside:
        typer.echo(f"{beside.model} version {beside.version} is that of version {beside.again}: both serve together.")
    names = " ".join([model, *(beside.model for beside in done.beside)])
    typer.echo(f"A server that runs loads it with `pixelis models load {names}`.")


@app.command()
def remove(name: str, repository: Written = None, as_json: Json = False) -> None:
    """Take a named checkpoint out of the repository, with all its versions.

    Examples:

        pixelis models remove qwen-7b
    """
    gone = run_remove(name, repository=existing(repository))
    if as_json:
        echo({"removed": gone})
    else:
        typer.echo(
            f"Removed: {', '.join(gone)}. Artifacts stay in the build cache until `pixelis models prune --cache`."
        )


@app.command()
def prune(
    models: Annotated[list[str] | None, typer.Argument(metavar="[MODEL]...", help="Default: all.")] = None,
    keep: Annotated[int, typer.Option(min=1, help="Versions of each model that stay.")] = 3,
    cache: Annotated[bool, typer.Option("--cache", help="Also artifacts that no version is made of.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Remove nothing, tell what would go.")] = False,
    repository: Written = None,
    as_json: Json = False,
) -> None:
    """Remove old versions; never the newest one, and never what is held or chosen.

    Examples:

        pixelis models prune --keep 2

        pixelis models prune embed_image --cache --dry-run
    """
    done = run_prune(models or (), keep, cache=cache, dry_run=dry_run, repository=existing(repository))
    if as_json:
        echo({**done.model_dump(), "freed_bytes": done.freed_bytes})
    else:
        _print_pruned(done)


def _print_pruned(done: Pruned) -> None:
    word = "would go" if done.dry_run else "removed"
    for one in done.removed:
        what = f"version {one.version}" if one.version is not None else f"cached artifact {(one.key or '')[:12]}"
        typer.echo(f"{one.model}: {what} {word} ({one.size_bytes / 2**20:.1f} MiB)")
    freed = f"{done.freed_bytes / 2**20:.1f} MiB {'would be ' if done.dry_run else ''}freed"
    typer.echo(f"{freed}." if done.removed else "Nothing to remove.")
