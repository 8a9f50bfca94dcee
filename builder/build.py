"""The run: which models need work, the work itself, and what came of it.

up to date   the newest version was made of exactly this, and is whole: nothing is done
from cache   the artifact exists, the repository lacks it: copied out of the build cache, published
built        exported, optimised and judged in a process of its own; kept in the cache, published
absent       an optional model whose source files are not there: nothing is published
failed       why; the other models go on, and the old version keeps serving
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from builder.key import build_key
from builder.layout import lay_out
from builder.making import Watch, make_cached
from builder.manifest import Manifest
from builder.model_spec import ModelSpec
from builder.spec import Pipeline, pipeline
from builder.store import Store
from builder.triton_config import Target
from pixelis.errors import BuildError, PixelisError
from pixelis.settings import settings

State = Literal["up to date", "from cache", "built", "absent", "failed"]


class Outcome(BaseModel):
    """What became of one model."""

    model: str
    state: State
    version: int | None = None
    digest: str | None = None
    seconds: float = 0.0
    reason: str | None = None
    code: str | None = None


class BuildReport(BaseModel):
    """What became of all of them.

    Attributes:
        written: configs that changed, by model.
    """

    repository: str
    models: list[Outcome]
    written: list[str]
    seconds: float

    @property
    def failed(self) -> list[Outcome]:
        """Those that were not built."""
        return [outcome for outcome in self.models if outcome.state == "failed"]

    @property
    def worked(self) -> bool:
        """Whether there was anything to do."""
        return bool(self.written) or any(o.state not in ("up to date", "absent") for o in self.models)


def build(
    models: Sequence[str] = (),
    *,
    force: bool = False,
    repository: Path | None = None,
    state: Path | None = None,
    target: Target = "embedded",
    spec: Pipeline | None = None,
    watch: Watch = lambda model, stage: None,
) -> BuildReport:
    """Bring `models` (default: all) of the repository up to date, and every config.pbtxt.

    Args:
        models: names.
        force: make and publish again what is up to date.
        repository: the Triton model repository; default: the settings'. Another one is written whole.
        state: build cache and logs; default: the settings'.
        target: what will serve the repository.
        spec: the pipeline; default: `builder.spec.pipeline()`.
        watch: is told what happens.

    Returns:
        One outcome for each model that has an artifact; failures are among them, not raised.

    Raises:
        NotFound: a name that the pipeline does not know.
        BuildError: another build is at work, or the request makes no sense.
    """
    started = time.perf_counter()
    known = spec or pipeline()
    chosen = [known[name] for name in models] or known.models
    where = repository or settings().repository
    if target == "ngc" and where.absolute() == settings().repository.absolute():
        raise BuildError("The repository of the embedded server cannot hold NGC configs.", mend="Add --repository DIR.")
    store = Store(where, state or settings().state)
    run = _Run(store, known, target, force, watch)
    with store.locked():
        written = lay_out(store, known, target)
        outcomes = [run.one(model) for model in chosen if model.built]
    seconds = round(time.perf_counter() - started, 3)
    return BuildReport(repository=str(store.repository), models=outcomes, written=written, seconds=seconds)


class _Run:
    """One build, under the store's lock."""

    def __init__(self, store: Store, known: Pipeline, target: Target, force: bool, watch: Watch) -> None:
        self.store, self.known, self.force, self.watch = store, known, force, watch
        self.target = target

    def one(self, spec: ModelSpec) -> Outcome:
        started = time.perf_counter()
        self.watch(spec.name, "check")
        try:
            outcome = self._one(spec)
        except PixelisError as error:
            outcome = Outcome(model=spec.name, state="failed", reason=str(error), code=error.code)
        self.watch(spec.name, outcome.state)
        return outcome.model_copy(update={"seconds": round(time.perf_counter() - started, 3)})

    def _one(self, spec: ModelSpec) -> Outcome:
        source = spec.open_source()
        missing = source.missing()
        if missing:
            reason = f"{missing[0]} is not there"
            if spec.required:
                raise BuildError(f"The source of {spec.name} is incomplete: {reason}.", mend="Restore it.")
            return Outcome(model=spec.name, state="absent", reason=f"{reason}; it is served without an artifact")
        key = build_key(spec, source.digest())
        live = None if self.force else self._live(spec, key)
        if live is not None:
            return _done(live, "up to date")
        state: State = "from cache"
        if self.force or self.store.cached(key) is None:
            make_cached(self.store, self.known, spec, key, self.watch)
            state = "built"
        self.watch(spec.name, "publish")
        return _done(self.store.publish(spec.name, key, self._shimmed(spec)), state)

    def _shimmed(self, spec: ModelSpec) -> bool:
        """Whether the model is served through a model.py."""
        return not (self.target == "ngc" and spec.kind == "engine")

    def _live(self, spec: ModelSpec, key: str) -> Manifest | None:
        """The newest version, if it is whole and of this key and shim."""
        version = self.store.latest(spec.name)
        if version is None or self.store.faults(spec.name, version):
            return None
        manifest = self.store.manifest(spec.name, version)
        shim = self.store.shim_record(spec.name) if self._shimmed(spec) else None
        return manifest if manifest.key == key and manifest.files.get("model.py") == shim else None


def _done(manifest: Manifest, state: State) -> Outcome:
    return Outcome(model=manifest.model, state=state, version=manifest.version, digest=manifest.digest)
