"""What was made of something that a build does not name: it stays, and is mended where that can be done.

A segmenter, whose folder is named with `--segmenter`; a named checkpoint, with `--checkpoint` and `--name`.
"""

from __future__ import annotations

import time

from builder.building.outcome import Outcome
from builder.model_spec import ModelSpec
from builder.store import Store
from builder.storing.layout import prepare, shimmed
from builder.triton_config import Target
from pixelis.errors import BuildError, PixelisError


def is_live(store: Store, spec: ModelSpec, key: str | None, target: Target) -> bool:
    """Whether the newest version of `spec` is whole, as `target` wants it, and built under `key` (none = whichever)."""
    version = store.latest(spec.name)
    if version is None or store.faults(spec.name, version):
        return False
    manifest = store.manifest(spec.name, version)
    prepare(store, spec, target)
    shim = store.shim_record(spec.name) if shimmed(spec, target) else None
    return key in (None, manifest.key) and manifest.files.get("model.py") == shim


def stand(store: Store, spec: ModelSpec, target: Target) -> Outcome:
    """What becomes of such a model in a build of the pipeline.

    A damaged version is published again from the build cache. Where that is not possible, the outcome says how to.
    """
    started = time.perf_counter()
    try:
        outcome = _stand(store, spec, target)
    except PixelisError as error:
        outcome = Outcome(model=spec.name, state="failed", reason=str(error), code=error.code)
    return outcome.model_copy(update={"seconds": round(time.perf_counter() - started, 3)})


def _stand(store: Store, spec: ModelSpec, target: Target) -> Outcome:
    version = store.latest(spec.name)
    assert version is not None  # `in_repository` names it only then
    if is_live(store, spec, None, target):
        return Outcome.of(store.manifest(spec.name), "up to date")
    faults = store.faults(spec.name, version)
    if not faults:  # whole, and with another model.py than today's
        made = store.rollback(spec.name, version, shimmed(spec, target))
        return Outcome.of(made, "from cache")
    fault = f"version {version} is not whole: {faults[0]}"
    try:
        made = store.publish(spec.name, store.manifest(spec.name, version).key, shimmed(spec, target))
    except PixelisError:
        raise BuildError(f"{fault[:1].upper()}{fault[1:]}.", mend=_mend(spec.name)) from None
    return Outcome.of(made, "from cache").model_copy(update={"reason": fault})


def _mend(model: str) -> str:
    name = model.partition(".")[2]
    if name:
        return (
            f"Publish it again with `pixelis build --checkpoint DIR --name {name}`, or `pixelis models remove {name}`."
        )
    return "Publish it again with `pixelis build --segmenter DIR`, or take it away with `--segmenter none`."
