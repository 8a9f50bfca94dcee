"""A segmenter is published, both halves or none, and taken away again.

Nothing of it shows before both are there: a folder without config.pbtxt is no model to the server, and the configs are
written last. Over an older segmenter the halves are published one after the other; `visual_ops` serves no two that do
not belong together (`python_backends.visual_ops.pair`).
"""

from __future__ import annotations

import time
from pathlib import Path

from builder.building.making import Watch, make_cached
from builder.building.outcome import BuildReport, Outcome, State
from builder.model_spec import ModelSpec
from builder.pipeline import Pipeline
from builder.segmenting.find import Given, find
from builder.segmenting.specs import specs_of, with_segmenter
from builder.segmenting.standing import is_live
from builder.sources.segmenter import CLICK, opened, picture
from builder.spec import pipeline
from builder.store import Store
from builder.storing.chosen import Chosen
from builder.storing.disk import typed
from builder.storing.key import build_key
from builder.storing.layout import check_place, lay_out, prepare, shimmed
from builder.triton_config import Target
from pixelis.errors import BuildError, PixelisError
from pixelis.settings import settings
from python_backends.visual_ops.pair import DECODER, ENCODER, PAIR
from python_backends.visual_ops.segmenter import NEUTRAL, EngineSegmenter, segment


def attach(
    directory: Path,
    *,
    force: bool = False,
    repository: Path | None = None,
    state: Path | None = None,
    target: Target = "embedded",
    spec: Pipeline | None = None,
    watch: Watch = lambda model, stage: None,
) -> BuildReport:
    """Serve SEGMENT_OBJECT_AT by the two graphs in `directory` from now on; nothing is done where that is so already.

    Args:
        directory: holds an encoder and a decoder, see `find`.
        force: make and publish again what is up to date.
        repository: the Triton model repository; default: the settings'.
        state: build cache and logs; default: the settings'.
        target: what will serve the repository.
        spec: the pipeline; default: `builder.spec.pipeline()`.
        watch: is told what happens.

    Raises:
        BuildError: see `find`; or ONNX Runtime refuses a graph, a click gets no mask of the picture's size, or another
            build is at work. What served until then still does.
        GateFailed: an artifact does not answer as its graph does.
    """
    started, known, where = time.perf_counter(), spec or pipeline(), repository or settings().repository
    check_place(where, target)
    given = find(directory)
    models = specs_of(given)
    digest = models[0].open_source().digest()
    keys = {model.name: build_key(model, digest) for model in models}
    store = Store(where, state or settings().state)
    with store.locked(), typed("publishing the segmenter"):
        old = [model for model in models if force or not is_live(store, model, keys[model.name], target)]
        states: dict[str, State] = {model.name: "from cache" for model in old}
        if old:
            whole = Pipeline(models=(*known.models, *models))
            states.update(_make(store, whole, models, given, keys, force, watch))
            for model in old:
                watch(model.name, "publish")
                prepare(store, model, target)
                store.publish(model.name, keys[model.name], shimmed(model, target))
        chosen = Chosen(store.repository, store.state)
        for name in PAIR:
            chosen.drop(name)
        written = lay_out(store, with_segmenter(known, store), target)
        outcomes = [_outcome(store, name, states.get(name, "up to date")) for name in PAIR]
    return _report(store, outcomes, written, started)


def _make(
    store: Store,
    known: Pipeline,
    models: tuple[ModelSpec, ModelSpec],
    given: Given,
    keys: dict[str, str],
    force: bool,
    watch: Watch,
) -> dict[str, State]:
    """Whatever of the two the build cache lacks, made; then both are asked for a mask, before either is published."""
    lacking = [model for model in models if force or store.cached(keys[model.name]) is None]
    if lacking:
        for path in (given.encoder, given.decoder):
            opened(path)
    for model in lacking:
        make_cached(store, known, model, keys[model.name], watch)
    watch(DECODER, "click")
    _click(given, *(store.builds / keys[name] for name in PAIR))
    return {model.name: "built" for model in lacking}


def _click(given: Given, encoder: Path, decoder: Path) -> None:
    """One click on a generated picture.

    Raises:
        BuildError: no mask came back.
    """
    try:
        segment(picture(), CLICK, NEUTRAL, EngineSegmenter(encoder, decoder))
    except PixelisError as error:
        names = f"{given.encoder.name} and {given.decoder.name}"
        raise BuildError(f"A click on a picture is not answered by {names}: {error.message}", mend=error.mend) from None


def detach(
    *,
    repository: Path | None = None,
    state: Path | None = None,
    target: Target = "embedded",
    spec: Pipeline | None = None,
) -> BuildReport:
    """Serve SEGMENT_OBJECT_AT without a segmenter again: both models leave the repository, with all their versions.

    Their artifacts stay in the build cache until `pixelis models prune --cache`. A server that runs keeps them loaded,
    and asks them no more.

    Args:
        repository: the Triton model repository; default: the settings'.
        state: build cache; default: the settings'.
        target: what serves the repository.
        spec: the pipeline; default: `builder.spec.pipeline()`.

    Raises:
        BuildError: another build is at work.
    """
    started, known, where = time.perf_counter(), spec or pipeline(), repository or settings().repository
    check_place(where, target)
    store = Store(where, state or settings().state)
    with store.locked(), typed("removing the segmenter"):
        chosen = Chosen(store.repository, store.state)
        gone = [name for name in (DECODER, ENCODER) if (store.repository / name).is_dir()]
        for name in gone:
            store.remove_model(name)
            chosen.drop(name)
        written = lay_out(store, known, target) if gone else []
    outcomes = [Outcome(model=name, state="removed") for name in gone]
    absent = Outcome(model=ENCODER, state="absent", reason="no segmenter is configured in this repository")
    return _report(store, outcomes or [absent], written, started)


def _outcome(store: Store, name: str, state: State) -> Outcome:
    manifest = store.manifest(name)
    seconds = round(sum(manifest.seconds.values()), 3) if state == "built" else 0.0
    return Outcome.of(manifest, state).model_copy(update={"seconds": seconds})


def _report(store: Store, outcomes: list[Outcome], written: list[str], started: float) -> BuildReport:
    seconds = round(time.perf_counter() - started, 3)
    return BuildReport(repository=str(store.repository), models=outcomes, written=written, seconds=seconds)
