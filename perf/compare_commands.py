"""`pixelis compare`."""

from __future__ import annotations

import shlex
import sys
from enum import Enum
from typing import Annotated

import typer

app = typer.Typer()


class Traffic(str, Enum):
    """How both sides are asked."""

    INTERLEAVED = "interleaved"
    MIRRORED = "mirrored"


@app.command("compare")
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="`here`, a model repository, or host:port of a server's gRPC.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The same; it is judged against A.")],
    a_set: Annotated[
        list[str] | None, typer.Option("--a-set", metavar="NAME=VALUE", help="A setting of A, as often as needed.")
    ] = None,
    b_set: Annotated[list[str] | None, typer.Option("--b-set", metavar="NAME=VALUE", help="A setting of B.")] = None,
    a_checkpoints: Annotated[
        str, typer.Option(metavar="NAMES", help="Of the server's checkpoints, which answer for A; several vote.")
    ] = "",
    b_checkpoints: Annotated[
        str, typer.Option(metavar="NAMES", help="The same for B; `default` is the one without a name.")
    ] = "",
    pairs: Annotated[int, typer.Option(min=20, help="Pairs of requests, at most.")] = 400,
    starts: Annotated[
        int, typer.Option(min=1, max=50, help="Of both sides; 3 or more also show what differs from start to start.")
    ] = 1,
    at_once: Annotated[int, typer.Option(min=1, max=64, help="Requests of a pair, at the same time.")] = 1,
    traffic: Annotated[
        Traffic, typer.Option(help="One side waits while the other one is asked, or both are asked at the same time.")
    ] = Traffic.INTERLEAVED,
    alpha: Annotated[
        float, typer.Option(min=0.0001, max=0.5, help="How often a latency may be called different that is not.")
    ] = 0.02,
    families: Annotated[str | None, typer.Option(metavar="NAMES", help="Of questions; default all.")] = None,
    promote: Annotated[
        bool, typer.Option("--promote", help="Give B, a gateway's canary, all callers unless it is worse; else none.")
    ] = False,
    fail_if_worse: Annotated[bool, typer.Option("--fail-if-worse", help="Exit with 1 where B is worse.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One measurement object on stdout.")] = False,
) -> None:
    """Ask two servers the same questions, and say whether B is better or worse than A, or no difference is shown.

    Questions are new and held out, so that no cache knows them. The test looks ten times as pairs come and stops early;
    its boundaries allow for that. Latency is judged by signed ranks, answers and accuracy by paired intervals of 95 %.

    Examples:

        pixelis compare here other_repository

        pixelis compare here here --b-set threads.intra_op=2 --pairs 200

        pixelis compare here other_repository --starts 8 --pairs 320

        pixelis compare stable:8001 canary:8001 --promote

        pixelis compare localhost:8001 localhost:8001 --b-checkpoints default,other

        pixelis compare 10.0.0.1:8001 10.0.0.2:8001 --at-once 16 --json
    """
    from perf.compare.run import Plan, measure
    from perf.compare.show import show
    from perf.formats.words import parse_names
    from perf.sides import side

    plan = Plan(
        a=side("A", a, a_set or [], parse_names(a_checkpoints) if a_checkpoints else ()),
        b=side("B", b, b_set or [], parse_names(b_checkpoints) if b_checkpoints else ()),
        pairs=pairs,
        at_once=at_once,
        traffic=traffic.value,
        alpha=alpha,
        families=families,
        command=shlex.join(["pixelis", *sys.argv[1:]]),
        starts=_starts(starts, a, b),
    )
    measured = measure(plan, quiet=not sys.stderr.isatty())
    if as_json:
        typer.echo(measured.model_dump_json(indent=2))
    else:
        show(measured)
    worse = any(row["row"] == "verdict" and row["b_is"] == "worse" for row in measured.rows)
    if promote:
        _promote(0.0 if worse else 1.0)
    if worse and fail_if_worse:
        raise typer.Exit(1)


def _starts(starts: int, a: str, b: str) -> int:
    """Checked. Raises `InvalidRequest` where two are too few, or a side runs already and is not ours to start."""
    from perf.compare.starts import LEAST
    from perf.sides import side
    from pixelis.errors import InvalidRequest

    if starts == 1:
        return 1
    if starts < LEAST:
        raise InvalidRequest(f"{starts} starts say nothing of their spread.", mend=f"Take {LEAST} or more, or one.")
    if any(side(name, place, []).address is not None for name, place in (("A", a), ("B", b))):
        raise InvalidRequest("A server that runs already is not started anew.", mend="Name repositories, or `here`.")
    return starts


def _promote(share: float) -> None:
    from clients.gateway.commands import CANARY_FILE
    from clients.gateway.split import write_share
    from pixelis.settings import settings

    config = settings()
    write_share(config.gateway.canary_file or config.state / CANARY_FILE, share)
    typer.echo(f"The canary has {share:g} of all callers.", err=True)
