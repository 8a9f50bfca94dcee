"""One artifact into the build cache, through a process of its own."""

from __future__ import annotations

from collections.abc import Callable

from builder.building.child import build_apart
from builder.model_spec import ModelSpec
from builder.pipeline import Pipeline
from builder.store import Store
from builder.storing.disk import without_room
from builder.storing.manifest import MANIFEST, Manifest
from pixelis.errors import BuildError, GateFailed

Watch = Callable[[str, str], None]
"""Is told (model, stage) as each stage begins."""


def make_cached(store: Store, known: Pipeline, spec: ModelSpec, key: str, watch: Watch) -> Manifest:
    """Build and judge `spec`, and keep what passes under `key`.

    Args:
        store: locked.
        known: the pipeline that `spec` belongs to.
        spec: the model in the form that is wanted (`ModelSpec.as_candidate`).
        key: its build key.
        watch: is told the stages.

    Raises:
        GateFailed: it does not answer as its source does; everything measured lies beside the log.
        BuildError: it could not be built, or its process crashed.
    """
    staged = store.staging(store.builds / key)
    log = store.state / "logs" / f"build-{spec.name}-{spec.candidate.label}.log"
    alone = known.replacing(spec)
    try:
        said = lambda stage: watch(spec.name, stage)  # noqa: E731 - a name for the line's sake
        build_apart(alone, spec.name, staged / "artifact", log, said, store.state / "references")
    except GateFailed as error:
        measured = log.with_name(f"gate-{spec.name}-{spec.candidate.label}.json")
        (staged / "artifact" / MANIFEST).replace(measured)
        raise GateFailed(error.message, mend=f"Everything measured is in {measured}.") from None
    except BuildError as error:
        if without_room(staged):  # libraries do not all say that this is why they could not write
            raise BuildError(
                f"The disk is full: {error.message}", mend="Make room (`pixelis models prune --cache`)."
            ) from None
        raise
    made = Manifest.read(staged / "artifact")
    if made.key != key:
        raise BuildError(f"The source of {spec.name} changed while it was built.", mend="Build again.")
    store.keep(staged / "artifact", key)
    return made
