"""The run: which models need work, the work itself, and what came of it.

up to date   the newest version was made of exactly this, and is whole: nothing is done
from cache   the artifact exists, the repository lacks it: copied out of the build cache, published
built        exported, optimised and judged in a process of its own; kept in the cache, published
held         the model was rolled back, and the artifact that it went back to is published and whole: nothing is done
absent       an optional model whose source files are not there: nothing is published
failed       why; the other models go on, and the old version keeps serving
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from builder.building.making import Watch
from builder.building.outcome import IDLE, BuildReport, Outcome, State
from builder.building.run import Run
from builder.building.together import together
from builder.named.specs import in_repository
from builder.segmenting.standing import stand
from builder.spec import Pipeline, pipeline
from builder.store import Store
from builder.storing.chosen import Choice
from builder.storing.disk import typed
from builder.storing.layout import check_place, lay_out
from builder.triton_config import Target
from pixelis.settings import settings
from python_backends.visual_ops.pair import PAIR

__all__ = ["BuildReport", "Outcome", "State", "build"]


def build(
    models: Sequence[str] = (),
    *,
    force: bool = False,
    default: bool = False,
    forms: Mapping[str, Choice] | None = None,
    repository: Path | None = None,
    state: Path | None = None,
    target: Target = "embedded",
    jobs: int = 1,
    spec: Pipeline | None = None,
    watch: Watch = lambda model, stage: None,
) -> BuildReport:
    """Bring `models` (default: all) of the repository up to date, and every config.pbtxt.

    Args:
        models: names.
        force: make and publish again what is up to date; ends what a rollback holds.
        default: back to the spec's form, whatever was chosen or held.
        forms: the form that a model is published in from now on; remembered once it is published.
        repository: the Triton model repository; default: the settings'. Another one is written whole.
        state: build cache and logs; default: the settings'.
        target: what will serve the repository.
        jobs: how many models are made at the same time, each in a process of its own.
        spec: the pipeline; default: `builder.spec.pipeline()`.
        watch: is told what happens, from any thread.

    Returns:
        One outcome for each model that has an artifact; failures are among them, not raised.

    Raises:
        NotFound: a name that the pipeline does not know.
        BuildError: another build is at work, or the request makes no sense.
    """
    started = time.perf_counter()
    where = repository or settings().repository
    check_place(where, target)
    store = Store(where, state or settings().state)
    given = spec or pipeline()
    known = in_repository(given, store)
    selected = [known[name] for name in models] or known.models
    with store.locked(), typed("laying out the repository"):
        run = Run(store, known, target, force, default, forms or {}, watch)
        written = lay_out(store, known, target)
        built = [model for model in selected if model.built]
        # What this build has no source of stays as it is: a segmenter, and other checkpoints.
        stays = {name for name in known.names if name in PAIR or name not in given.names}
        outcomes = together(
            built, jobs, lambda model: stand(store, model, target) if model.name in stays else run.one(model)
        )
        if any(outcome.state not in IDLE for outcome in outcomes):
            # A config is of the form that is served, and that may be another one now.
            written = sorted({*written, *lay_out(store, known, target)}, key=known.names.index)
    seconds = round(time.perf_counter() - started, 3)
    return BuildReport(repository=str(store.repository), models=outcomes, written=written, seconds=seconds)
