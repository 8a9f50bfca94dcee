"""The `pixelis` command. It holds no logic: it knows which room has which command, and imports that room upon use.

How a room adds a command
    A command module has a module-level `app = typer.Typer()`; the functions are plain, with typer annotations.

    * A command: `@app.command("ask")` in the module, and a line `"ask": Entry(("clients.commands",), help)` here.
    * A group inside such a module: `app.add_typer(models, name="models")`, and a line for `models` here.
    * A group spread over modules (`nano`): `Entry(modules, help, group=True)`; every command of each module's `app`
      becomes a command of the group.

    Command modules import what is heavy (torch, tritonclient, onnxruntime) inside the functions, so that `--help` and
    usage errors stay fast.

How a command ends
    0 done; 1 failed: raise a `PixelisError`, it is printed as one line on stderr with its mend (with `--json`: one
    object `{"error", "code", "mend"}` on stdout); 2 wrong usage; 130 Ctrl-C. A command that found something wrong
    and has already printed it raises `typer.Exit(1)`.
"""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from pixelis import __version__
from pixelis.errors import PixelisError, SetupError


@dataclass(frozen=True)
class Entry:
    """Where a command lives.

    Attributes:
        modules: modules with a module-level `app`.
        help: the line in `pixelis --help`.
        extra: the extra that carries its packages, named when one is missing.
        group: the modules' commands are the group's own (else `app` has a command of this name).
    """

    modules: tuple[str, ...]
    help: str
    extra: str = "embedded"
    group: bool = False


ROOMS = ("pixelis", "builder", "python_backends", "server", "clients", "perf")
COMMANDS: dict[str, Entry] = {
    "build": Entry(
        ("builder.commands.build",), "Make, check and publish the artifacts of the model repository.", "build"
    ),
    "models": Entry(
        ("builder.commands.models", "builder.commands.report", "server.load_commands", "server.verify_commands"),
        "Versions of the models: list, show, report, rollback, remove, prune, load, verify.",
        "build",
        group=True,
    ),
    "lint": Entry(
        ("builder.commands.build",), "Check every config against its graph and the public contract.", "build"
    ),
    "nano": Entry(
        ("builder.nano.commands", "perf.nano_commands"),
        "The default checkpoint: train, calibrate, seed, evaluate, examples.",
        "build",
        group=True,
    ),
    "serve": Entry(("server.commands",), "Start the embedded Triton and wait."),
    "up": Entry(("server.up_commands",), "Start several replicas behind one balancer, and watch them."),
    "fleet": Entry(
        ("server.fleet_commands",), "Replicas that run: status, add, remove, roll (restart without a gap).", group=True
    ),
    "gateway": Entry(("clients.gateway.commands",), "Serve REST before Triton.", "gateway"),
    "canary": Entry(("clients.gateway.commands",), "Which share of callers a second Triton has.", "gateway"),
    "doctor": Entry(("server.commands",), "Check this machine; every finding says its mend."),
    "ask": Entry(("clients.commands",), "Ask a question about an image."),
    "ops": Entry(("clients.commands",), "Run one visual operation on an image."),
    "feedback": Entry(("clients.learning",), "Say whether an answer was right, or what is right."),
    "experience": Entry(
        ("clients.experience", "perf.experience_commands"),
        "What has been learned: stats, import, export, verify, compact.",
        group=True,
    ),
    "cache": Entry(("perf.cache_commands",), "What is cached: stats, clear.", "caches", group=True),
    "tune": Entry(
        ("perf.tune_commands", "perf.tune_knn", "perf.tune_ops", "perf.tune_pipeline"),
        "Choose settings on held-out data: votes, knn, ops, pipeline.",
        "build,perf",
        group=True,
    ),
    "profile": Entry(
        ("perf.profile_commands",), "Where the time of requests goes, and what mending would give.", "build"
    ),
    "sweep": Entry(("perf.sweep_commands",), "Latency and throughput over concurrency, with perf_analyzer.", "perf"),
    "load": Entry(("perf.load_commands",), "Users of many kinds at once, with locust.", "load"),
    "compare": Entry(("perf.compare_commands",), "Two servers, the same questions: is B better than A?", "perf"),
    "bench": Entry(
        tuple(
            f"perf.bench_{name}"
            for name in (
                "commands",
                "cache",
                "chaos",
                "checkpoint",
                "compare",
                "formats",
                "fuzz",
                "gateway",
                "gpu",
                "knn",
                "ops",
                "policy",
                "profile",
                "replicas",
                "rollback",
                "scale",
                "soak",
            )
        ),
        "What things cost here: the server against the plain pipeline (e2e), the models' forms (formats), decoding "
        "(policy), towers and decoders on a GPU (gpu), retrieval (knn), caches (cache), operations (ops), REST before "
        "Triton (gateway), a rollback (rollback); what a second replica gives (replicas), and where what replicas "
        "share saturates (scale); what bad input does (fuzz); what people see of a fleet that breaks (chaos), and "
        "whether one that is used grows (soak); what holds of a checkpoint once it is built (checkpoint); whether a "
        "comparison (compare) or a profile (profile) can be believed.",
        "build",
        group=True,
    ),
}


class Rooms(TyperGroup):
    """A group whose commands are imported when one is used."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, without importing a room."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, its room imported now."""
        entry = COMMANDS.get(cmd_name)
        return None if entry is None else _load(cmd_name, entry)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The table of commands, without importing a room."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Notes, before anything can fail, how errors are to be printed."""
        ctx.meta["pixelis.json"] = "--json" in args
        ctx.meta["pixelis.command"] = next((word for word in args if word in COMMANDS), "")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Runs the command and ends as the module's docstring says."""
        try:
            return super().invoke(ctx)
        except PixelisError as error:
            _fail(error, as_json=ctx.meta["pixelis.json"])
        except ModuleNotFoundError as error:
            _fail(_missing(error, ctx.meta["pixelis.command"]), as_json=ctx.meta["pixelis.json"])
        except KeyboardInterrupt:
            raise typer.Exit(130) from None


def _load(name: str, entry: Entry) -> Any:
    groups = [typer.main.get_group(importlib.import_module(module).app) for module in entry.modules]
    if not entry.group:
        return groups[0].commands[name]
    merged = TyperGroup(name=name, help=entry.help, rich_markup_mode=None, no_args_is_help=True)
    for group in groups:
        for child, command in group.commands.items():
            merged.add_command(command, child)
    return merged


def _missing(error: ModuleNotFoundError, command: str) -> PixelisError:
    """A package of an extra that is not installed; a module of our own that is missing is a bug and stays one."""
    package = (error.name or "").split(".")[0]
    if not package or package in ROOMS:
        raise error
    extra = COMMANDS[command].extra if command in COMMANDS else "embedded"
    mend = f"Install what it needs: pip install 'pixelis-serving[{extra}]'."
    return SetupError(f"`pixelis {command}` needs the package `{package}`, which is not installed.", mend=mend)


def _fail(error: PixelisError, *, as_json: bool) -> NoReturn:
    if as_json:
        sys.stdout.write(json.dumps({"error": error.message, "code": error.code, "mend": error.mend}) + "\n")
    else:
        sys.stderr.write("error: " + " ".join(str(error).split()) + "\n")
    raise typer.Exit(1) from error


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"pixelis {__version__}\n")
        raise typer.Exit


app = typer.Typer(
    cls=Rooms,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(help="Serve pixel-reasoning vision-language agents on Triton Inference Server.")
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    del version


def main() -> None:
    """Entry point of the console script."""
    app(prog_name="pixelis")
