"""How large a batch is worth while: it is doubled until throughput gains less than 5 %.

`python -m builder.costing.back_off MODEL --artifact DIR --out FILE` searches in this process; `search_apart` runs that
as a child. What is found is a recommendation: the spec's `max_batch_size` stays the ceiling and is never changed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from builder.building import apart
from builder.building.child import environment, run_apart
from builder.costing.cost import BackOff, Step
from builder.costing.runner import SLOTS, open_artifact
from builder.costing.timing import Timed, Turns, take_turns
from builder.costing.workload import batched_inputs
from builder.model_spec import ModelSpec
from builder.pipeline import Pipeline
from pixelis.errors import BuildError, ServingError

LEAST_GAIN = 0.05
THREADS = 1


def search(timed: Callable[[int], Timed], ceiling: int, turns: Turns, least_gain: float = LEAST_GAIN) -> BackOff:
    """Double the batch up to `ceiling`; a batch and its double take turns, so that the gain is of one moment.

    Args:
        timed: a batch size to what is timed.
        ceiling: the largest batch that is tried.
        turns: how long is measured.
        least_gain: a share of throughput; less than it ends the search.
    """
    size = 1
    steps: list[Step] = []
    small = timed(1)
    while size < ceiling:
        twice = min(2 * size, ceiling)
        try:
            large = timed(twice)
            rounds = take_turns({"small": small, "large": large}, turns)
        except (MemoryError, ServingError) as error:
            reason = f"a batch of {twice} does not run: {error}"
            return BackOff(steps=steps, recommended=size, ceiling=ceiling, why=reason)
        if not steps:
            steps.append(_step(1, rounds["small"].timing(1).p50_ms, None))
        # the quickest call of a turn: a search must not end because something else ran meanwhile
        gain = median(rounds["small"].ratios(rounds["large"], of=min)) * twice / size - 1
        steps.append(_step(twice, rounds["large"].timing(twice).p50_ms, gain))
        if gain < least_gain:
            least = f"less than {100 * least_gain:g} %"
            why = f"a batch of {twice} gains {100 * gain:.1f} % of throughput over {size}, {least}"
            return BackOff(steps=steps, recommended=size, ceiling=ceiling, why=why)
        size, small = twice, large
    why = f"throughput still gains at the spec's ceiling of {ceiling}" if steps else "the spec does not batch it"
    return BackOff(steps=steps, recommended=size, ceiling=ceiling, why=why)


def _step(batch: int, p50_ms: float, gain: float | None) -> Step:
    return Step(
        batch=batch,
        p50_ms=p50_ms,
        throughput_per_s=round(1e3 * batch / max(p50_ms, 1e-6), 3),
        gain=None if gain is None else round(gain, 4),
    )


def ceiling_of(spec: ModelSpec) -> int:
    """The largest batch that can occur: the policy forms its own, of as many sequences as it has slots."""
    return SLOTS if spec.kind == "policy" else max(spec.max_batch_size, 1)


def search_here(spec: ModelSpec, directory: Path, turns: Turns) -> BackOff:
    """The artifact in `directory`, in its engine, at the shape of the source's first sample."""
    source = spec.open_source()
    with open_artifact(spec.kind, directory, THREADS) as opened:
        return search(lambda size: opened(batched_inputs(spec, source, size)), ceiling_of(spec), turns)


def search_apart(known: Pipeline, model: str, directory: Path, turns: Turns, log: Path) -> BackOff:
    """`search_here` in a process of its own.

    Raises:
        PixelisError: the artifact is not there or does not run; BuildError where its process crashed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pixelis-back-off-") as scratch:
        spec, out = Path(scratch) / "spec.json", Path(scratch) / "found.json"
        spec.write_text(known.model_dump_json(), encoding="utf-8")
        command = [sys.executable, "-m", "builder.costing.back_off", model, "--artifact", str(directory)]
        command += ["--rounds", str(turns.rounds), "--turn-s", str(turns.turn_s)]
        command += ["--spec", str(spec), "--out", str(out), "--parent", str(os.getpid())]
        threads = {"OMP_NUM_THREADS": str(THREADS), "MKL_NUM_THREADS": str(THREADS)}
        status = run_apart(command, log, lambda stage: None, {**environment(), **threads})
        if status:
            raise BuildError(f"The search for a batch size of {model} ended with status {status}.", mend=f"See {log}.")
        return BackOff.model_validate_json(out.read_text(encoding="utf-8"))


def main(argv: Sequence[str] | None = None) -> int:
    """Search the batch size of one artifact; the exit status is 0, or 1 with the reason as the last line."""
    parser = apart.command_line("builder.costing.back_off", __doc__, "gets what is found as JSON")
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=Turns.rounds)
    parser.add_argument("--turn-s", type=float, default=Turns.turn_s)
    return apart.run(parser, argv, "searching a batch size for", _work)


def _work(spec: ModelSpec, arguments: argparse.Namespace, stage: apart.Stage) -> None:
    stage("double the batch")
    found = search_here(spec, arguments.artifact, Turns(arguments.rounds, arguments.turn_s))
    arguments.out.write_text(found.model_dump_json(), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
