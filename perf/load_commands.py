"""`pixelis load`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command("load")
def load(
    scenario: Annotated[str, typer.Argument(help="One of --list, or a YAML file of the same form.")] = "mixed",
    users: Annotated[int, typer.Option(min=1, help="At once, at most.")] = 16,
    seconds: Annotated[float, typer.Option(min=5, help="How long.")] = 60.0,
    url: Annotated[str | None, typer.Option(help="host:port of Triton's gRPC; default from the settings.")] = None,
    gateway: Annotated[str | None, typer.Option(help="host:port of the gateway; default from the settings.")] = None,
    html: Annotated[Path | None, typer.Option(dir_okay=False, help="Where locust's own report goes.")] = None,
    fail_over: Annotated[
        float | None, typer.Option(min=0, max=1, help="Exit with 1 where a larger share of requests failed.")
    ] = None,
    as_list: Annotated[bool, typer.Option("--list", help="The scenarios, and end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One measurement object on stdout.")] = False,
) -> None:
    """Send a running server the load of a scenario, with locust: who asks what, how many, when.

    Examples:

        pixelis load --list

        pixelis load repeated --users 32 --seconds 120

        pixelis load mixed --seconds 1800 --html soak.html --fail-over 0

        PIXELIS_LOAD_SCENARIO=mixed python -m perf.load --master
    """
    from perf.load import scenario as scenarios
    from perf.load.run import Plan, run
    from perf.machine import machine, versions
    from perf.progress import timing
    from perf.tables import print_measurement
    from pixelis.schema import Measurement
    from pixelis.settings import settings

    if as_list:
        for name in scenarios.names():
            typer.echo(f"{name:12} {scenarios.load(name).description}")
        return
    config = settings()
    found = scenarios.load(scenario)
    place = gateway or f"{config.gateway.host}:{config.gateway.port}"
    plan = Plan(scenario, found, users, seconds, url, place, html)
    _require(plan.grpc, place if found.through_the_gateway else None)
    with timing(f"{scenario}: {found.description}", seconds, quiet=not sys.stderr.isatty()) as tick:
        rows = run(plan, tick)
    measured = Measurement(
        name="load",
        command=shlex.join(["pixelis", *sys.argv[1:]]),
        machine=machine(),
        versions=versions(),
        rows=[{**row, "scenario": scenario, "users": users} for row in rows],
    )
    if as_json:
        typer.echo(measured.model_dump_json(indent=2))
    else:
        print_measurement(measured, {"requests": f"{scenario}, {users} users"}, ("scenario", "users"))
    failed, asked = (sum(row[name] for row in rows) for name in ("failed", "requests"))
    if fail_over is not None and failed > fail_over * asked:
        typer.echo(f"{failed} of {asked} requests failed.", err=True)
        raise typer.Exit(1)


def _require(grpc: str | None, gateway: str | None) -> None:
    """Raises `Unavailable` where nobody answers: a run would be nothing but failures."""
    import urllib.request

    from clients.client import PixelisClient
    from pixelis.errors import Unavailable

    with PixelisClient(grpc) as client:
        if not client.is_ready("pixelis"):
            raise Unavailable(f"No server takes questions at {client.url}.", mend="Start one: `pixelis serve`.")
    if gateway is not None:
        try:
            with urllib.request.urlopen(f"http://{gateway}/health", timeout=5):
                return
        except OSError as error:
            raise Unavailable(
                f"No gateway answers at {gateway}: {error}.", mend="Start one: `pixelis gateway`."
            ) from None
