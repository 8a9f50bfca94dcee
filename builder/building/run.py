"""One model of a build: what it needs, the work, and what is remembered of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from builder.building.making import Watch, make_cached
from builder.building.outcome import Outcome, State
from builder.candidate import Candidate
from builder.formats import open_format
from builder.model_spec import ModelSpec
from builder.pipeline import Pipeline
from builder.store import Store
from builder.storing.chosen import Choice, Chosen
from builder.storing.disk import typed
from builder.storing.key import build_key
from builder.storing.layout import prepare, shimmed
from builder.storing.manifest import Manifest
from builder.triton_config import Target, native
from pixelis.errors import BuildError, PixelisError
from python_backends.engine import ENGINES


class Run:
    """One build, under the store's lock. Models may be made at the same time, each by a thread of its own.

    Args:
        store: locked.
        known: the pipeline.
        target: what will serve the repository.
        force: make again what is up to date.
        default: back to the spec's form.
        forms: what a model is published as from now on.
        watch: is told what happens.
    """

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
        self._remembering = threading.Lock()

    def one(self, spec: ModelSpec) -> Outcome:
        """Bring one model up to date; what goes wrong is in the outcome."""
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
        self._servable(form)
        prepare(self.store, form, self.target)
        outcome = self._made(form)
        if outcome.version is None:
            return outcome
        if before is not None and before.held:
            ended = f"no longer held ({before.why})"
            outcome.reason = f"{ended}; {outcome.reason}" if outcome.reason else ended
        with self._remembering:  # all of them are in one file
            self._remember(form, wanted, before)
        return outcome.model_copy(update={"chosen": wanted.why if wanted else None})

    def _servable(self, form: ModelSpec) -> None:
        """Raises `BuildError` where the target has nothing that runs the format."""
        if form.kind == "engine" and not native(form, self.target) and open_format(form.format).file not in ENGINES:
            raise BuildError(
                f"{form.name} as {form.candidate.label} runs nowhere on the target {self.target}.",
                mend=f"Python runs {', '.join(ENGINES)} there; a full Triton image (--target ngc) runs more.",
            )

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
            return Outcome.of(live, "held").model_copy(update={"reason": how})
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
        return Outcome.of(made, "from cache").model_copy(update={"reason": f"{why}; {reason}" if why else reason})

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
            return Outcome.of(live, "up to date")
        state: State = "from cache"
        if self.force or self.store.cached(key) is None:
            make_cached(self.store, self.known, spec, key, self.watch)
            state = "built"
        self.watch(spec.name, "publish")
        done = Outcome.of(self.store.publish(spec.name, key, shimmed(spec, self.target)), state)
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
