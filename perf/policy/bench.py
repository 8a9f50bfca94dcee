"""Starts the systems of a checkpoint, runs the scenarios, stops them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from perf.formats.checkpoints import RANDOM, Checkpoint
from perf.machine import machine, versions
from perf.policy.load import Job, Load, Run
from perf.policy.models.make import PACKAGES, baseline_model
from perf.policy.process import Spec, SystemProcess
from perf.policy.prompts import Prompts
from pixelis.errors import PixelisError, SetupError
from pixelis.schema import Claim, Measurement

RUNTIME, ONE, BATCH, PADDED = "pixelis", "transformers", "transformers-batch", "pixelis-padded"
RUNTIME_OPENVINO = "pixelis-openvino"
RUNTIMES = (RUNTIME, RUNTIME_OPENVINO)
"""The policy runtime, by what executes its graph: ONNX Runtime, OpenVINO. Claims are made for the better one."""
SYSTEMS = (*RUNTIMES, ONE, BATCH, "onnxruntime-genai", "openvino-genai")
TORCH = "pixelis-torchscript"
BESIDE = (TORCH,)
"""The runtime on artifacts of other formats: measured where they are named, and nobody's competitors."""
PRECISIONS = ("fp32", "int8")
FURTHER = ("bf16",)
"""Measured where it is named: some systems have no form in it."""
LEVELS = (1, 4, 16)
MAX_LEN = 1024
SLOTS = 16
ENOUGH = 2**40
"""Bytes of a cache for more rows than `SLOTS`, which is no question here."""
FP32_ONLY = (ONE, BATCH)
"""In other precisions they stay what they are, as the reference of the answers."""


@dataclass(frozen=True)
class Asked:
    """What `pixelis bench policy` was asked for.

    Attributes:
        tokens: that each request generates, where the scenario has no number of its own.
        quick: one round of little work, to see that everything runs.
        levels: requests at once, of the scenario `throughput`.
        device: where systems that can use a GPU decode: `cpu` or `cuda`.
        inter_token_ms: latency between tokens that the runtime holds; none = its own measure.
    """

    systems: tuple[str, ...]
    precisions: tuple[str, ...]
    scenarios: tuple[str, ...]
    rounds: int
    tokens: int
    threads: int
    quick: bool
    command: str
    levels: tuple[int, ...] = LEVELS
    device: str = "cpu"
    inter_token_ms: float | None = None

    @property
    def slots(self) -> int:
        """Requests that every system takes at once."""
        return max(SLOTS, *self.levels)


@dataclass
class Found:
    """What scenarios have to say."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)


class Bench:
    """The systems of one checkpoint in one precision, as the scenarios see them."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        precision: str,
        asked: Asked,
        systems: dict[str, SystemProcess],
        watch: Callable[[str, str], None],
    ) -> None:
        self.checkpoint, self.precision, self.asked = checkpoint, precision, asked
        self._systems, self._watch = systems, watch
        self.rounds = 1 if asked.quick else asked.rounds
        self.quick = asked.quick

    @property
    def systems(self) -> list[str]:
        """Names of those that run, ours first."""
        return list(self._systems)

    @property
    def name(self) -> str:
        """Of the checkpoint and the precision, for claims; the gates are on the larger one."""
        beside = "" if self.checkpoint.name == RANDOM else " (beside)"
        return f"{self.checkpoint.name} {self.precision}{beside}"

    def row(self, kind: str, **columns: Any) -> dict[str, Any]:
        """A row of this checkpoint and precision."""
        return {"row": kind, "checkpoint": self.checkpoint.name, "precision": self.precision, **columns}

    def prompts(self, *seed: int) -> Prompts:
        """Prompts that no other seed gives."""
        return Prompts(self.checkpoint.directory, *seed)

    def run(self, system: str, load: Load, what: str) -> Run:
        """Let a system work a load off while the others sleep."""
        self._watch(f"{self.checkpoint.name} {self.precision}", f"{what}: {system}")
        return self._systems[system].run(load)

    def restart(self, system: str, what: str) -> None:
        """A new process: where its memory comes to lie makes a tenth of its speed, so rounds have one each."""
        self._watch(f"{self.checkpoint.name} {self.precision}", f"{what}: start {system} again")
        self._systems[system].stop()
        self._systems[system].start()
        warm(self, system)

    @contextmanager
    def variant(
        self, name: str, *, of: str = RUNTIME, system: str | None = None, calling: bool = False, **limits: Any
    ) -> Iterator[str]:
        """A system once more under another name, as long as this lasts: with other limits, or as another system."""
        spec = self._systems[of].spec
        log = spec.log.with_name(f"bench-policy-{name}.log")
        changed = replace(
            spec, system=system or spec.system, limits={**spec.limits, **limits}, calling=calling, log=log
        )
        with SystemProcess(changed) as process:
            self._systems[name] = process
            try:
                warm(self, name)
                yield name
            finally:
                del self._systems[name]

    def turns(self, systems: Sequence[str], number: int) -> list[str]:
        """`systems` that run, in the order of round `number`: every other round backwards."""
        running = [name for name in systems if name in self._systems]
        return running if number % 2 == 0 else running[::-1]


Scenario = Callable[[Bench], Found]


def measure(
    asked: Asked,
    checkpoints: Sequence[Checkpoint],
    artifact: Callable[[Checkpoint, str, str], Path],
    state: Path,
    watch: Callable[[str, str], None],
) -> Measurement:
    """The measurement; whatever was started is stopped, on Ctrl-C too.

    Args:
        asked: what is measured.
        checkpoints: one after the other.
        artifact: the artifact of a checkpoint for a system of the runtime's, in a precision.
        state: where the baselines' models and the logs lie.
        watch: is told what happens.

    Raises:
        PixelisError: the runtime does not start, or a system ends in the middle.
    """
    from perf.policy.scenarios import SCENARIOS

    on, found = machine(), Found()
    for checkpoint in checkpoints:
        for precision in asked.precisions:
            with ExitStack() as stack:
                systems = _start(stack, asked, checkpoint, precision, artifact, state, found, watch)
                bench = Bench(checkpoint, precision, asked, systems, watch)
                for system in bench.systems:
                    warm(bench, system)
                for name in asked.scenarios:
                    one = SCENARIOS[name](bench)
                    found.rows += one.rows
                    found.claims += one.claims
    facts = {**on, "threads": asked.threads, "rounds": 1 if asked.quick else asked.rounds, "tokens": asked.tokens}
    facts["device"] = asked.device
    facts["malloc"] = os.environ.get("GLIBC_TUNABLES", "as it comes")
    return Measurement(
        name="bench policy",
        command=asked.command,
        machine=facts,
        versions=versions(),
        rows=found.rows,
        claims=found.claims,
    )


def _start(
    stack: ExitStack,
    asked: Asked,
    checkpoint: Checkpoint,
    precision: str,
    artifact: Callable[[Checkpoint, str, str], Path],
    state: Path,
    found: Found,
    watch: Callable[[str, str], None],
) -> dict[str, SystemProcess]:
    """Every system that can be had; of the others a row says why not. Without the runtime there is nothing to say."""
    started: dict[str, SystemProcess] = {}
    for system in asked.systems:
        watch(f"{checkpoint.name} {precision}", f"start {system}")
        try:
            if system in (*RUNTIMES, *BESIDE):
                model = artifact(checkpoint, system, precision)
            elif system in PACKAGES:
                model = baseline_model(system, checkpoint.directory, precision, asked.threads, state)
            else:
                model = checkpoint.directory
            log = state / "logs" / f"bench-policy-{system}.log"
            spec = Spec(system, model, precision, asked.slots, asked.threads, log, _limits(asked, system))
            spec = replace(spec, device=asked.device if system == TORCH else "cpu")
            started[system] = stack.enter_context(SystemProcess(spec))
        except PixelisError as error:
            if system == RUNTIME or len(asked.systems) == 1:
                raise
            columns = {"checkpoint": checkpoint.name, "precision": precision, "system": system}
            found.rows.append({"row": "absent", **columns, "reason": str(error)})
    if not started:
        raise SetupError("None of the systems can be started.", mend="See the reasons with --systems pixelis.")
    return started


def _limits(asked: Asked, system: str) -> dict[str, Any]:
    """Fields of `Decoding` that differ, of the runtime."""
    if system not in (*RUNTIMES, *BESIDE):
        return {}
    limits = {"max_len": MAX_LEN, "inter_token_ms": asked.inter_token_ms, "cache_bytes": ENOUGH}
    return {name: value for name, value in limits.items() if name != "cache_bytes" or asked.slots > SLOTS}


def warm(bench: Bench, system: str) -> None:
    """Buffers, first allocations and lazy imports are nobody's figure."""
    words = bench.prompts(0, 0, 0)
    for count in (1, 2, bench.asked.slots):
        jobs = [Job(prompt=prompt, tokens=4) for prompt in words.mixed(count, (64, 96, 32))]
        bench.run(system, Load(jobs=jobs, concurrency=count), "warm up")
