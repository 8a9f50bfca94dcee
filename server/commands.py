"""`pixelis serve` and `pixelis doctor`."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from pixelis.errors import Unavailable
from pixelis.settings import settings

app = typer.Typer()


@app.command("serve")
def serve(
    models: Annotated[str, typer.Option(help="Comma-separated; default: every model of the repository.")] = "",
    http_port: Annotated[int | None, typer.Option(min=1, max=65535, help="HTTP; default from the settings.")] = None,
    grpc_port: Annotated[int | None, typer.Option(min=1, max=65535, help="gRPC; default from the settings.")] = None,
    metrics_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Metrics; default from the settings.")
    ] = None,
    repository: Annotated[Path | None, typer.Option(help="Model repository; default from the settings.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the endpoints as one JSON object when ready.")] = False,
) -> None:
    """Start the embedded Triton on loopback, say when it is ready, and stop it cleanly upon Ctrl-C or SIGTERM.

    Models that die are loaded again; a Triton that dies is started again, ever later where it keeps dying.

    Examples:

        pixelis serve

        pixelis serve --models knn,embed_image --json
    """
    from server.embedded import EmbeddedTriton

    chosen = [name.strip() for name in models.split(",") if name.strip()] or None
    triton = EmbeddedTriton(
        repository, models=chosen, http_port=http_port, grpc_port=grpc_port, metrics_port=metrics_port, say=_warn
    )
    falls = Falls()
    asked = threading.Event()
    with asked_by_signal(asked):
        try:
            _start(triton, asked)
            if not asked.is_set():
                _announce(triton, as_json)
            while not asked.wait(0.5):
                if not triton.running:
                    _again(triton, asked, falls)
        finally:
            triton.stop()
    if not as_json:
        typer.echo("stopped", err=True)


def _start(triton: Any, asked: threading.Event) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting Triton")

        def show(progress: Any) -> None:
            if asked.is_set():
                raise KeyboardInterrupt
            latest = progress.loaded[-1] if progress.loaded else "starting Triton"
            bar.update(task, total=progress.total, completed=len(progress.loaded), description=latest)

        triton.start(progress=show)


def _announce(triton: Any, as_json: bool) -> None:
    endpoints = {
        "http": f"http://{triton.http_url}",
        "grpc": triton.grpc_url,
        "metrics": triton.metrics_url,
        "log": str(triton.log),
    }
    if as_json:
        typer.echo(json.dumps(endpoints))
    else:
        typer.echo("ready; Ctrl-C stops it")
        for name, value in endpoints.items():
            typer.echo(f"  {name:8}{value}")
    sys.stdout.flush()


def _warn(line: str) -> None:
    typer.echo(f"watchdog: {line}", err=True)


class Falls:
    """How often Triton has ended by itself of late, and how long to wait before it is started again."""

    MOST = 5
    WITHIN_S = 600.0

    def __init__(self) -> None:
        self._at: list[float] = []

    def next_wait_s(self) -> float | None:
        """Notes another fall; none = enough."""
        now = time.monotonic()
        self._at = [at for at in self._at if now - at < self.WITHIN_S] + [now]
        return None if len(self._at) > self.MOST else float(2 ** (len(self._at) - 1))


def _again(triton: Any, asked: threading.Event, falls: Falls) -> None:
    """Starts a Triton that has ended by itself once more."""
    code = triton.wait(0)
    mend = f"The reason is at the end of {triton.log}, or of the log before it."
    wait_s = falls.next_wait_s()
    if wait_s is None:
        raise Unavailable(f"Triton ended by itself again and again (exit code {code}).", mend=mend)
    _warn(f"Triton ended by itself (exit code {code}); it is started again in {wait_s:.0f} s. {mend}")
    triton.stop()
    if asked.wait(wait_s):
        return
    try:
        _start(triton, asked)
    except KeyboardInterrupt:
        if not asked.is_set():
            raise
        return  # asked to stop while it started again: an end like any other
    _warn("Triton is ready again")


class asked_by_signal:
    """While it lasts, SIGTERM and Ctrl-C set the event; the previous handlers come back after it."""

    def __init__(self, asked: threading.Event) -> None:
        self.asked = asked
        self.before: dict[int, Callable[[int, FrameType | None], Any] | int | None] = {}

    def __enter__(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self.before[number] = signal.signal(number, lambda *_: self.asked.set())

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)


@app.command("doctor")
def doctor(
    clean: Annotated[bool, typer.Option("--clean", help="Remove what killed servers left behind.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Check this machine, the repository and what earlier servers left; exit 1 when something is missing.

    Examples:

        pixelis doctor

        pixelis doctor --clean
    """
    from server import remains
    from server.doctor import examine

    config = settings()
    cleaned = remains.clean(config.state.absolute() / "servers") if clean else []
    findings = examine(config)
    missing = any(finding.level == "missing" for finding in findings)
    if as_json:
        swept = [{"server": one.server_id, "processes": one.processes, "regions": one.regions} for one in cleaned]
        facts = {"ok": not missing, "findings": [asdict(finding) for finding in findings], "cleaned": swept}
        typer.echo(json.dumps({**facts, "settings": config.model_dump(mode="json")}, indent=2))
    else:
        _print_findings(findings, cleaned)
    if missing:
        raise typer.Exit(1)


def _print_findings(findings: list[Any], cleaned: list[Any]) -> None:
    for one in cleaned:
        typer.echo(f"cleaned  {one.server_id}: {len(one.processes)} process(es), {len(one.regions)} region(s)")
    for finding in findings:
        typer.echo(f"{finding.level:8} {finding.name:14} {finding.detail}")
        if finding.mend:
            typer.echo(f"{'':8} {'':14} mend: {finding.mend}")
    typer.echo("settings in force: pixelis doctor --json")
