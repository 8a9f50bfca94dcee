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
from typing import Literal

from pydantic import BaseModel

from builder.candidate import Candidate
from builder.chosen import Choice, Chosen
from builder.disk import typed
from builder.key import build_key
from builder.layout import lay_out, prepare, shimmed
from builder.making import Watch, make_cached
from builder.manifest import Manifest
from builder.model_spec import ModelSpec
from builder.spec import Pipeline, pipeline
from builder.store import Store
from builder.triton_config import Target
from pixelis.errors import BuildError, PixelisError
from pixelis.settings import settings

State = Literal["up to date", "from cache", "built", "held", "absent", "failed"]

IDLE: tuple[State, ...] = ("up to date", "held", "absent")
"""States in which nothing was done."""


class Outcome(BaseModel):
    """What became of one model.

    Attributes:
        candidate: label of the form that is published.
        reason: why it failed, is absent or held, or was published again.
        chosen: why it is not in the spec's default form.
    """

    model: str
    state: State
    version: int | None = None
    candidate: str | None = None
    digest: str | None = None
    seconds: float = 0.0
    reason: str | None = None
    code: str | None = None
    chosen: str | None = None


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
        return bool(self.written) or any(o.state not in IDLE for o in self.models)


def build(
    models: Sequence[str] = (),
    *,
    force: bool = False,
    default: bool = False,
    forms: Mapping[str, Choice] | None = None,
    repository: Path | None = None,
    state: Path | None = None,
    target: Target = "embedded",
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
    selected = [known[name] for name in models] or known.models
    where = repository or settings().repository
    if target == "ngc" and where.absolute() == settings().repository.absolute():
        raise BuildError("The repository of the embedded server cannot hold NGC configs.", mend="Add --repository DIR.")
    store = Store(where, state or settings().state)
    with store.locked(), typed("laying out the repository"):
        run = _Run(store, known, target, force, default, forms or {}, watch)
        written = lay_out(store, known, target)
        outcomes = [run.one(model) for model in selected if model.built]
        if any(outcome.state not in IDLE for outcome in outcomes):
            # A config is of the form that is served, and that may be another one now.
            written = sorted({*written, *lay_out(store, known, target)}, key=known.names.index)
    seconds = round(time.perf_counter() - started, 3)
    return BuildReport(repository=str(store.repository), models=outcomes, written=written, seconds=seconds)


class _Run:
    """One build, under the store's lock."""

    def __init__(
        self,
        store: Store,
        known: Pipeline,
        target: Target,
        force: bool,
        default: bool,
        forms: Mapping[str, Choice],
        watch: Watch,
    ) -> None:
        self.store, self.known, self.force, self.default, self.watch = store, known, force, default, watch
        self.target, self.forms = target, forms
        self.chosen = Chosen(store.repository, store.state)

    def one(self, spec: ModelSpec) -> Outcome:
        started = time.perf_counter()
        self.watch(spec.name, "check")
        try:
            with typed(f"building {spec.name}"):
                outcome = self._one(spec)
        except PixelisError as error:
            outcome = Outcome(model=spec.name, state="failed", reason=str(error), code=error.code)
        self.watch(spec.name, outcome.state)
        return outcome.model_copy(update={"seconds": round(time.perf_counter() - started, 3)})

    def _one(self, spec: ModelSpec) -> Outcome:
        before = self.chosen.of(spec.name)
        wanted = self.forms.get(spec.name) or self._kept(before)
        if wanted is not None and wanted.held:
            return self._hold(spec, wanted)
        form = spec if wanted is None else spec.as_candidate(self._find(spec, wanted))
        prepare(self.store, form, self.target)
        outcome = self._made(form)
        if outcome.version is None:
            return outcome
        if before is not None and before.held:
            ended = f"no longer held ({before.why})"
            outcome.reason = f"{ended}; {outcome.reason}" if outcome.reason else ended
        self._remember(form, wanted, before)
        return outcome.model_copy(update={"chosen": wanted.why if wanted else None})

    def _kept(self, before: Choice | None) -> Choice | None:
        """What was chosen earlier and is not ended by this build."""
        if before is None or self.default or (self.force and before.held):
            return None
        return before

    def _find(self, spec: ModelSpec, wanted: Choice) -> Candidate:
        try:
            return spec.find_candidate(wanted.label)
        except BuildError as error:
            if spec.name in self.forms:
                raise
            mend = f"{wanted.label} was chosen ({wanted.why}). Go back: `pixelis build --default {spec.name}`."
            raise BuildError(error.message, mend=mend) from None

    def _remember(self, form: ModelSpec, wanted: Choice | None, before: Choice | None) -> None:
        """Only what is published is chosen, so that a form that fails leaves everything as it was."""
        if wanted is None:
            if before is not None:
                self.chosen.drop(form.name)
        elif form.name in self.forms:
            key = self.store.manifest(form.name).key
            self.chosen.put(form.name, wanted.model_copy(update={"key": key}))

    def _hold(self, spec: ModelSpec, wanted: Choice) -> Outcome:
        """The very artifact that was rolled back to, published again from the cache where its version is damaged."""
        assert wanted.key is not None
        form = spec.model_copy(update={"format": wanted.label.partition("-")[0]})
        live, why = self._live(form, wanted.key)
        if live is not None:
            how = f"{wanted.why}; `pixelis build --default {spec.name}` ends it"
            return _done(live, "held").model_copy(update={"reason": how})
        again = self.store.whole(spec.name, wanted.key)
        if self.store.cached(wanted.key) is not None:
            made = self.store.publish(spec.name, wanted.key, shimmed(form, self.target))
        elif again is not None:
            made = self.store.rollback(spec.name, again, shimmed(form, self.target))
        else:
            raise BuildError(
                f"{spec.name} is held ({wanted.why}), and no whole copy of that artifact is left: {why or 'removed'}.",
                mend=f"`pixelis build --default {spec.name}` goes back to what the spec says.",
            )
        reason = f"still held: {wanted.why}"
        return _done(made, "from cache").model_copy(update={"reason": f"{why}; {reason}" if why else reason})

    def _made(self, spec: ModelSpec) -> Outcome:
        """`spec`, in the form that it is in, published and up to date."""
        source = spec.open_source()
        missing = source.missing()
        if missing:
            reason = f"{missing[0]} is not there"
            if spec.required:
                raise BuildError(f"The source of {spec.name} is incomplete: {reason}.", mend="Restore it.")
            return Outcome(model=spec.name, state="absent", reason=f"{reason}; it is served without an artifact")
        key = build_key(spec, source.digest())
        live, why = (None, None) if self.force else self._live(spec, key)
        if live is not None:
            return _done(live, "up to date")
        state: State = "from cache"
        if self.force or self.store.cached(key) is None:
            make_cached(self.store, self.known, spec, key, self.watch)
            state = "built"
        self.watch(spec.name, "publish")
        done = _done(self.store.publish(spec.name, key, shimmed(spec, self.target)), state)
        return done.model_copy(update={"reason": why})

    def _live(self, spec: ModelSpec, key: str) -> tuple[Manifest | None, str | None]:
        """The newest version if it is whole and of this key and shim; else what is wrong with it, if it is damaged."""
        version = self.store.latest(spec.name)
        if version is None:
            return None, None
        faults = self.store.faults(spec.name, version)
        if faults:
            return None, f"version {version} is not whole: {faults[0]}"
        manifest = self.store.manifest(spec.name, version)
        shim = self.store.shim_record(spec.name) if shimmed(spec, self.target) else None
        same = manifest.key == key and manifest.files.get("model.py") == shim
        return (manifest, None) if same else (None, None)


def _done(manifest: Manifest, state: State) -> Outcome:
    return Outcome(
        model=manifest.model,
        state=state,
        version=manifest.version,
        candidate=manifest.candidate.label,
        digest=manifest.digest,
    )
