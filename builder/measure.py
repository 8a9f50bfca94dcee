"""What candidates cost: timed in turns with the original, in one process; memory in a process for each.

`python -m builder.measure MODEL --artifact LABEL=DIR --out FILE` times in this process. The builder runs it as a child,
so that a crash in native code takes no other measurement down; after a crash each candidate is tried alone.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property, reduce
from pathlib import Path
from statistics import median

from pydantic import BaseModel, ConfigDict

from builder.building import apart
from builder.building.child import environment, run_apart
from builder.building.making import Watch
from builder.costing.cost import CaseCost, Cost, Costs, Memory, machine_digest, machine_facts
from builder.costing.reference import open_reference
from builder.costing.resident import memory_of
from builder.costing.runner import Inputs, device_of, open_artifact
from builder.costing.timing import Rounds, Turns, take_turns
from builder.costing.workload import Case, cases
from builder.model_spec import ModelSpec
from builder.pipeline import Pipeline
from builder.store import Store
from builder.storing.manifest import Manifest
from pixelis.errors import BuildError, PixelisError

THREADS = 1


class Timings(BaseModel):
    """What the timing process found.

    Attributes:
        cases: by candidate.
        failed: why a candidate could not be timed.
    """

    model_config = ConfigDict(extra="forbid")

    reference: str
    reference_weight_bytes: int
    cases: dict[str, list[CaseCost]]
    failed: dict[str, str]


NOTHING = Timings(reference="", reference_weight_bytes=0, cases={}, failed={})


@dataclass(frozen=True)
class Plan:
    """How candidates are measured.

    Attributes:
        turns: of each case.
        buckets: every bucket of the axes that vary, and not the first sample's shape alone.
        memory: resident memory too.
        force: measure again what is known.
    """

    turns: Turns = field(default_factory=Turns)
    buckets: bool = True
    memory: bool = True
    force: bool = False


@dataclass(frozen=True)
class Measured:
    """Costs by label, and why a candidate has none."""

    costs: dict[str, Cost]
    failed: dict[str, str]


def time_here(spec: ModelSpec, artifacts: Mapping[str, Path], plan: Plan, stage: apart.Stage) -> Timings:
    """Load the original and every artifact, all of one device, and let them take turns on every case."""
    asked = cases(spec, spec.open_source(), buckets=plan.buckets)
    stage("load the original")
    (device,) = {device_of(spec.kind, directory) for directory in artifacts.values()}
    reference = open_reference(spec, THREADS, device)
    found: dict[str, list[CaseCost]] = {}
    failed: dict[str, str] = {}
    with ExitStack() as stack:
        opened = {}
        for label, directory in artifacts.items():
            stage(f"load {label}")
            try:
                opened[label] = stack.enter_context(open_artifact(spec.kind, directory, THREADS))
            except PixelisError as error:
                failed[label] = str(error)
        for case in asked:
            stage(case.name)
            sides = {}
            for label, timed in opened.items():
                with _kept(failed, label):
                    sides[label] = timed(case.inputs)
                    sides[label].once()
            sides = {label: side for label, side in sides.items() if label not in failed}
            rounds = take_turns({"": reference.timed(case.inputs), **sides}, plan.turns)
            for label in sides:
                found.setdefault(label, []).append(_case(case, rounds[label], rounds[""]))
    found = {label: timings for label, timings in found.items() if label not in failed}
    return Timings(reference=reference.name, reference_weight_bytes=reference.weight_bytes, cases=found, failed=failed)


@contextmanager
def _kept(failed: dict[str, str], label: str) -> Iterator[None]:
    """One candidate that cannot run a case leaves the others be."""
    try:
        yield
    except PixelisError as error:
        failed[label] = str(error)


def _case(case: Case, mine: Rounds, theirs: Rounds) -> CaseCost:
    ratios = theirs.ratios(mine)
    return CaseCost(
        case=case.name,
        batch=case.batch,
        shape=case.shape,
        timing=mine.timing(case.batch),
        reference=theirs.timing(case.batch),
        speedup=round(median(ratios), 3),
        speedup_low=round(min(ratios), 3),
        speedup_high=round(max(ratios), 3),
    )


def measure(store: Store, known: Pipeline, model: str, keys: Mapping[str, str], plan: Plan, watch: Watch) -> Measured:
    """Cost of the cached artifacts `keys` (label -> key) of `model`, and keep it in the state directory.

    What is known of this machine already is not measured again. Nothing is raised for a candidate that cannot be
    measured: `Measured.failed` says why.

    Raises:
        BuildError: the source has no samples to time with.
    """
    kept, costs = Costs(store.state), {}
    for label, key in keys.items():
        cost = None if plan.force else kept.find(key)
        if cost is not None:
            costs[label] = cost
    wanted = {label: store.builds / key for label, key in keys.items() if label not in costs}
    if not wanted:
        return Measured(costs, {})
    with tempfile.TemporaryDirectory(prefix="pixelis-measure-") as scratch:
        run = _Run(store, known[model], Path(scratch), plan, lambda stage: watch(model, stage))
        run.spec_file.write_text(known.model_dump_json(), encoding="utf-8")
        failed: dict[str, str] = {}
        for device in ("cpu", "cuda"):
            beside = {label: d for label, d in wanted.items() if device_of(known[model].kind, d) == device}
            timings = run.timings(beside) if beside else NOTHING
            original = run.original() if plan.memory and timings.cases and device == "cpu" else None
            for label, found in timings.cases.items():
                cost = run.cost(label, wanted[label], found, timings, original)
                kept.keep(cost)
                costs[label] = cost
            failed |= timings.failed
    return Measured(costs, failed)


@dataclass(frozen=True)
class _Run:
    store: Store
    spec: ModelSpec
    scratch: Path
    plan: Plan
    stage: apart.Stage

    @property
    def spec_file(self) -> Path:
        return self.scratch / "spec.json"

    @property
    def environment(self) -> dict[str, str]:
        return {**environment(), "OMP_NUM_THREADS": str(THREADS), "MKL_NUM_THREADS": str(THREADS)}

    def timings(self, artifacts: Mapping[str, Path]) -> Timings:
        """All together; after a crash or an error one by one, so that each has its own reason."""
        try:
            return self._apart(artifacts)
        except PixelisError as error:
            if len(artifacts) == 1:
                reasons = dict.fromkeys(artifacts, str(error))
                return NOTHING.model_copy(update={"failed": reasons})
        alone = [self.timings({label: directory}) for label, directory in artifacts.items()]
        return reduce(_joined, alone)

    def _apart(self, artifacts: Mapping[str, Path]) -> Timings:
        log, out = self.store.state / "logs" / f"measure-{self.spec.name}.log", self.scratch / "timings.json"
        log.parent.mkdir(parents=True, exist_ok=True)
        turns = self.plan.turns
        command = [sys.executable, "-m", "builder.measure", self.spec.name, "--spec", str(self.spec_file)]
        command += ["--rounds", str(turns.rounds), "--turn-s", str(turns.turn_s), "--calls", str(turns.calls)]
        command += [] if self.plan.buckets else ["--no-buckets"]
        for label, directory in artifacts.items():
            command += ["--artifact", f"{label}={directory}"]
        command += ["--out", str(out), "--parent", str(os.getpid())]
        status = run_apart(command, log, self.stage, self.environment)
        if status:
            reason = f"The process that times {self.spec.name} ended with status {status}."
            raise BuildError(reason, mend=f"Its output is in {log}.")
        return Timings.model_validate_json(out.read_text(encoding="utf-8"))

    def original(self) -> Memory | str:
        """Memory of the reference, or why there is no figure."""
        self.stage("memory of the original")
        return self._memory(["--reference", self.spec.name, "--spec", str(self.spec_file)])

    @cached_property
    def inputs(self) -> list[Inputs]:
        """Of the cases that a process runs before its memory is read: those of batch 1, at the first shape."""
        asked = cases(self.spec, self.spec.open_source(), buckets=False)
        return [case.inputs for case in asked if case.batch == 1]

    def _memory(self, arguments: list[str]) -> Memory | str:
        try:
            return memory_of([*arguments, "--threads", str(THREADS)], self.inputs, self.environment)
        except PixelisError as error:
            return str(error)

    def cost(
        self, label: str, directory: Path, found: list[CaseCost], timings: Timings, original: Memory | str | None
    ) -> Cost:
        manifest = Manifest.read(directory)
        memory: Memory | str | None = None
        if self.plan.memory and original is not None:  # of what computes on a GPU, this process is not the place
            self.stage(f"memory of {label}")
            memory = self._memory(["--artifact", str(directory), "--kind", self.spec.kind])
        return Cost(
            model=self.spec.name,
            candidate=label,
            key=manifest.key,
            reference=timings.reference,
            cases=found,
            memory=memory if isinstance(memory, Memory) else None,
            reference_memory=original if isinstance(original, Memory) else None,
            size_bytes=manifest.size_bytes,
            weight_bytes=_weight_bytes(manifest),
            reference_weight_bytes=timings.reference_weight_bytes,
            build_s=round(sum(manifest.seconds.values()), 3),
            threads=THREADS,
            rounds=self.plan.turns.rounds,
            machine=machine_facts(),
            machine_digest=machine_digest(),
            measured_at=round(time.time(), 3),
            notes=[f"no memory: {text}" for text in (memory, original) if isinstance(text, str)],
        )


def _weight_bytes(manifest: Manifest) -> int:
    """Of the graph, and of the embedding table that lies beside the policy's; 0 where the format does not tell."""
    table = sum(record.size for name, record in manifest.files.items() if name.startswith("embed_tokens."))
    return manifest.weight_bytes + table if manifest.weight_bytes else 0


def _joined(one: Timings, other: Timings) -> Timings:
    return Timings(
        reference=one.reference or other.reference,
        reference_weight_bytes=one.reference_weight_bytes or other.reference_weight_bytes,
        cases={**one.cases, **other.cases},
        failed={**one.failed, **other.failed},
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Time candidates of one model; the exit status is 0, or 1 with the reason as the last line."""
    parser = apart.command_line("builder.measure", __doc__, "gets the timings as JSON")
    parser.add_argument("--artifact", action="append", required=True, metavar="LABEL=DIR")
    parser.add_argument("--rounds", type=int, default=Turns.rounds)
    parser.add_argument("--turn-s", type=float, default=Turns.turn_s)
    parser.add_argument("--calls", type=int, default=Turns.calls)
    parser.add_argument("--no-buckets", action="store_true")
    return apart.run(parser, argv, "timing", _work)


def _work(spec: ModelSpec, arguments: argparse.Namespace, stage: apart.Stage) -> None:
    pairs = (text.partition("=") for text in arguments.artifact)
    artifacts = {label: Path(folder) for label, _, folder in pairs}
    plan = Plan(Turns(arguments.rounds, arguments.turn_s, arguments.calls), buckets=not arguments.no_buckets)
    arguments.out.write_text(time_here(spec, artifacts, plan, stage).model_dump_json(), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
