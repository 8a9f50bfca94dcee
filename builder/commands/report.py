"""`pixelis models report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from builder.commands.options import Json, Written, existing, table
from builder.reporting.cells import NONE, accuracy, first_speedup, share
from builder.reporting.report import Report, collect
from builder.spec import pipeline
from builder.store import Store
from pixelis.settings import settings

app = typer.Typer()


@app.command("report")
def report(
    models: Annotated[list[str] | None, typer.Argument(metavar="[MODEL]...", help="Default: all.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write one self-contained page.")] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write Markdown.")] = None,
    repository: Written = None,
    as_json: Json = False,
) -> None:
    """Every form of the models: built or not and why, the gate's word, its cost here, what is served and why.

    It makes and measures nothing: `pixelis build --formats all` builds, `pixelis bench formats` measures.

    Examples:

        pixelis models report --html report.html --markdown report.md

        pixelis models report policy vision_encoder --json
    """
    from builder.reporting.html import html as as_html
    from builder.reporting.markdown import markdown as as_markdown

    found = collect(Store(existing(repository), settings().state), pipeline(), models or ())
    for path, text in ((html, as_html), (markdown, as_markdown)):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text(found), encoding="utf-8")
    if as_json:
        typer.echo(found.model_dump_json())
        return
    _print(found)
    for path in (html, markdown):
        if path is not None:
            typer.echo(f"Written: {path}")


def _print(found: Report) -> None:
    made = table("model", "form", "state", "gate", "speed-up", "memory saved", "weights saved", "accuracy")
    for model in found.models:
        for row in model.rows:
            if row.state == "excluded":
                continue
            cost = row.cost
            figures = [first_speedup(cost), share(cost.memory_saved), share(cost.weights_saved)] if cost else [NONE] * 3
            star = "*" if row.candidate == model.shown else ""
            made.add_row(row.model, row.candidate + star, row.state, row.verdict or NONE, *figures, accuracy(row))
    console = Console()
    console = Console(width=max(console.width, 120))
    console.print(made)
    console.print("* is served. --html and --markdown write everything.", highlight=False)
