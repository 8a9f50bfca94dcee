"""Part `swap`: two checkpoints on one server whose memory holds one of them, asked in turn.

The repository's own checkpoint and another one, which is published beside it as `other` (in a copy of the repository,
of hard links). What each takes is asked of a server that holds both; the budget is then what the larger one takes and
half of what the smaller one does. Nothing is answered from a cache. Cold is a question to the checkpoint that was
unloaded for the last one, and the server says that it loaded it; warm the same question once more.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from builder.building.build import build as run_build
from builder.checkpoint_view import read_view
from builder.checkpoints.using import settings_of
from builder.named.specs import specs_of
from builder.pipeline import Pipeline
from builder.spec import pipeline
from clients.client import PixelisClient
from perf.checkpoint.part import Asked, Found, claim
from perf.environment import environment
from perf.meanwhile import meanwhile
from perf.policy.checkpoint import decoded_checkpoint
from perf.ports import free_ports
from pixelis.errors import BuildError, PixelisError
from pixelis.model_name import base
from pixelis.schema import Options, ResidencyCommand, ResidencyResult
from pixelis.settings import Settings, settings
from python_backends.checkpoints import DEFAULT, PAIR, models_of
from python_backends.residency.sizes import resident
from server import stubs
from server.control import Control
from server.embedded import EmbeddedTriton

NAME = "swap"
OTHER = "other"
ROUNDS = 6
"""Swaps to each."""
_BUDGET = "PIXELIS_SERVER__MODEL_MEMORY_BYTES"
_EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "scene-1.jpg"
_QUESTION = "What is written on the red label?"
_OPTIONS = Options(k=0, max_operations=2, max_tokens=32, use_cache=False, timeout_s=300)
_LOADS = "pixelis_residency_loads_total{"
_SAMPLE_S = 0.2


@dataclass
class Times:
    """Seconds of the answers of one checkpoint, of the waiting for its memory in them, and what went wrong."""

    cold: list[float] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)
    loaded: int = 0
    failed: list[str] = field(default_factory=list)


def swap(asked: Asked) -> Found:
    """Publish, serve, ask in turn.

    Raises:
        BuildError: the other checkpoint cannot be built.
        NotFound: the repository has no checkpoint.
    """
    state = settings().state.absolute()
    other = asked.checkpoint if asked.name != "nano" else decoded_checkpoint("90m", state).directory
    with tempfile.TemporaryDirectory(prefix="pixelis-swap-", dir=settings().repository.absolute().parent) as folder:
        repository = Path(folder) / "repository"
        shutil.copytree(settings().repository.absolute(), repository, copy_function=_linked)
        _publish(other, repository, state, asked)
        asked.watch(NAME, "what each takes")
        with environment({_BUDGET: ""}):
            sizes = _sizes(_config(Path(folder), None))
        budget = max(sizes.values()) + min(sizes.values()) // 2
        with environment({_BUDGET: str(budget)}):
            asked.watch(NAME, "starting Triton")
            times, most = _measure(_config(Path(folder), budget), asked)
    return _found(times, most, budget, sizes)


def _config(folder: Path, budget: int | None) -> Settings:
    server = free_ports().model_copy(update={"model_memory_bytes": budget})
    own = {"state": folder / "state", "repository": folder / "repository", "server": server}
    return settings().model_copy(update=own)


def _sizes(config: Settings) -> dict[str, int]:
    """Bytes of each checkpoint as the server counts them, when it has loaded both and they have answered."""
    with EmbeddedTriton(config=config) as triton:
        with PixelisClient(triton.grpc_url) as client:
            for model in (None, OTHER):
                client.ask(_EXAMPLE.read_bytes(), _QUESTION, _OPTIONS, model=model)
        control = Control(triton.grpc_url, triton.key)
        asked = np.array([ResidencyCommand(command="stats").model_dump_json().encode()], object)
        answer = control.stream("residency", {"COMMAND": asked}, 60)["RESULT"].item()
        control.close()
    there = ResidencyResult.model_validate_json(answer).checkpoints
    return {one.name: one.bytes for one in there if one.name in (DEFAULT, OTHER)}


def _linked(source: str, target: str) -> str:
    """Another name for what never changes; a copy of what a server touches."""
    if source.endswith((".py", ".pbtxt")):
        return shutil.copy2(source, target)
    os.link(source, target)
    return target


def _publish(checkpoint: Path, repository: Path, state: Path, asked: Asked) -> None:
    home = pipeline()
    with settings_of(checkpoint.absolute()):
        known = pipeline()
        models = specs_of(known, OTHER, read_view(checkpoint))
        spec = Pipeline(models=(*home.models, *models))
        report = run_build(models_of(OTHER), repository=repository, state=state, spec=spec, watch=asked.watch)
    if report.failed:
        raise BuildError(f"{report.failed[0].model}: {report.failed[0].reason}")


def _measure(config: Settings, asked: Asked) -> tuple[dict[str, Times], int]:
    picture, times = _EXAMPLE.read_bytes(), {DEFAULT: Times(), OTHER: Times()}
    with EmbeddedTriton(config=config) as triton, _sampled(triton.server_id) as most:
        with PixelisClient(triton.grpc_url, metrics_url=f"{triton.ports.host}:{triton.ports.metrics}") as client:
            for number in range(ROUNDS + 1):
                asked.watch(NAME, f"round {number} of {ROUNDS}")
                for name, model in ((OTHER, OTHER), (DEFAULT, None)):
                    for kind in ("cold", "warm"):
                        began = time.perf_counter()
                        try:
                            result = client.ask(picture, _QUESTION, _OPTIONS, model=model)
                        except PixelisError as error:
                            times[name].failed.append(f"{kind}: {error.wire()}")
                            continue
                        if number:  # the first round reads files that no later one reads from the disk
                            getattr(times[name], kind).append(time.perf_counter() - began)
                        if number and kind == "cold":
                            times[name].waited.append(result.timings_ms.get("reason.residency", 0.0) / 1000)
            for name, one in times.items():
                one.loaded = int(_loads(client, name))
        return times, max(most)


def _loads(client: PixelisClient, name: str) -> float:
    """How often the server has loaded a checkpoint."""
    label = f'model="{name}"'
    return sum(value for key, value in client.metrics().items() if key.startswith(_LOADS) and label in key)


@contextmanager
def _sampled(server_id: str) -> Iterator[list[int]]:
    """While it lasts, what the processes of all checkpoints take together, several times a second."""
    found = [0]

    def look(over: threading.Event) -> None:
        while not over.wait(_SAMPLE_S):
            processes = [
                stub.pid for model, ours in stubs.find(server_id).items() for stub in ours if base(model) in PAIR
            ]
            found.append(resident(processes))

    with meanwhile(look, name="swap-memory"):
        yield found


def _found(times: dict[str, Times], most: int, budget: int, sizes: dict[str, int]) -> Found:
    rows: list[dict[str, Any]] = []
    for name, one in times.items():
        row: dict[str, Any] = {"row": NAME, "checkpoint": name, "counted MiB": sizes[name] >> 20}
        for kind, seconds in (("cold", one.cold), ("cold waited", one.waited), ("warm", one.warm)):
            if seconds:
                row[f"{kind} s"] = round(statistics.median(seconds), 3)
                row[f"{kind} least s"], row[f"{kind} most s"] = round(min(seconds), 3), round(max(seconds), 3)
                row[f"{kind} answers"] = len(seconds)
        rows.append({**row, "loaded": one.loaded, "failed": "; ".join(dict.fromkeys(one.failed))})
    rows.append(
        {"row": "memory", "budget MiB": budget >> 20, "most MiB": most >> 20, "both MiB": sum(sizes.values()) >> 20}
    )
    failed = sum(len(one.failed) for one in times.values())
    answering = sum(bool(one.cold) for one in times.values())
    return Found(
        rows=rows,
        claims=[
            claim("checkpoints that answer, of two that exceed the budget together", 2, answering, "", answering == 2),
            claim(
                "times that each was loaded for a cold answer, at least",
                ROUNDS,
                min(one.loaded for one in times.values()),
                "",
                all(one.loaded >= ROUNDS for one in times.values()),
            ),
            claim("requests that failed", 0, failed, "requests", failed == 0),
            claim(
                "memory of all checkpoints' processes at the highest, against the budget",
                round(budget / 2**30, 3),
                round(most / 2**30, 3),
                "GiB",
                0 < most <= budget,
            ),
        ],
    )
