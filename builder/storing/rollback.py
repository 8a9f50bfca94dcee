"""Back to an artifact that served before: it is published again under the next number, and held there.

The two halves of a segmenter go back together.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field

from builder.named.specs import in_repository
from builder.pipeline import Pipeline
from builder.spec import pipeline
from builder.store import Store
from builder.storing.chosen import Choice, Chosen
from builder.storing.disk import typed
from builder.storing.layout import lay_out, prepare, shimmed
from builder.storing.manifest import Manifest
from builder.triton_config import Target
from pixelis.errors import BuildError, NotFound, PixelisError
from pixelis.settings import settings
from python_backends.visual_ops.pair import PAIR


class Rollback(BaseModel):
    """What a rollback did.

    Attributes:
        version: the new version.
        again: the version whose artifact it is.
        left: the version that served until now.
        label: the form of the artifact.
        digest: of the artifact.
        held: what a later build does.
        beside: what went back with it because the two serve together.
    """

    model: str
    version: int
    again: int
    left: int
    label: str
    digest: str
    held: str
    beside: list[Rollback] = Field(default_factory=list)


def rollback(
    model: str,
    to: int | None = None,
    *,
    repository: Path | None = None,
    state: Path | None = None,
    target: Target = "embedded",
    spec: Pipeline | None = None,
) -> Rollback:
    """Publish an older artifact of `model` again, and hold it against later builds.

    Args:
        model: which.
        to: the version whose artifact is wanted; default: the newest one that is whole, whose artifact is another than
            the newest version's, and that was not rolled back from before.
        repository: default: the settings'.
        state: default: the settings'.
        target: what serves the repository.
        spec: the pipeline; default: `builder.spec.pipeline()`.

    Raises:
        NotFound: no such model or version, or nothing to go back to.
        BuildError: that version's files changed, its gate did not pass, or another build is at work.
    """
    store = Store(repository or settings().repository, state or settings().state)
    known = in_repository(spec or pipeline(), store)
    if not known[model].built:
        raise BuildError(f"{model} has no artifact, so there is nothing to roll back.", mend="Use git for its code.")
    with store.locked(), typed(f"rolling {model} back"):
        newest, left = _serving(store, model)
        again = to if to is not None else _earlier(store, model, newest, left)
        if again == newest:
            raise BuildError(f"Version {again} of {model} is the newest one.", mend="Name an older one with --to.")
        beside = _partner(store, model, again) if model in PAIR else None
        done = _again(store, known, model, again, target)
        if beside is not None:
            done.beside.append(_again(store, known, *beside, target))
        if target == "ngc" or model in PAIR:
            lay_out(store, in_repository(spec or pipeline(), store), target)  # configs are of what is served now
    return done


def _serving(store: Store, model: str) -> tuple[int, tuple[str, ...]]:
    """The newest version of a model, and the digests of what was rolled back from until now, its own included."""
    newest = store.latest(model)
    if newest is None:
        raise NotFound(f"{model} has no built version.", mend=f"Run `pixelis build {model}`.")
    before = Chosen(store.repository, store.state).of(model)
    leaving = _digest(store, model, newest)
    return newest, (*(before.left if before else ()), *([leaving] if leaving else []))


def _partner(store: Store, model: str, version: int) -> tuple[str, int] | None:
    """The other half of a segmenter, and its version that was made of the same files; none where that one is newest.

    Raises:
        NotFound: no version of it that is whole was.
    """
    (other,) = (name for name in PAIR if name != model)
    source = store.manifest(model, version).source_digest
    for number in reversed(store.built_versions(other)):
        manifest = _readable(store, other, number)
        if manifest is not None and manifest.source_digest == source:
            return None if number == store.latest(other) else (other, number)
    raise NotFound(
        f"{other} has no whole version that belongs to version {version} of {model}.",
        mend="Publish both again: `pixelis build --segmenter DIR`.",
    )


def _again(store: Store, known: Pipeline, model: str, again: int, target: Target) -> Rollback:
    """Publish version `again` of a model under the next number, and hold it."""
    chosen, (newest, left) = Chosen(store.repository, store.state), _serving(store, model)
    form = known[model].as_candidate(store.manifest(model, again).candidate)
    prepare(store, form, target)
    made = store.rollback(model, again, shimmed(form, target))
    why = f"rolled back from version {newest} to the artifact of version {again}"
    kept = tuple(digest for digest in dict.fromkeys(left) if digest != made.digest)
    chosen.put(model, Choice(label=made.candidate.label, key=made.key, held=True, why=why, left=kept))
    back = "`pixelis build --segmenter DIR`" if model in PAIR else f"`pixelis build --default {model}`"
    held = f"`pixelis build` leaves it so; {back} goes back to what {'DIR holds' if model in PAIR else 'the spec says'}"
    return Rollback(
        model=model,
        version=made.version or 0,
        again=again,
        left=newest,
        label=made.candidate.label,
        digest=made.digest,
        held=held,
    )


def _readable(store: Store, model: str, version: int) -> Manifest | None:
    """A version's manifest, if the version is whole."""
    return None if store.faults(model, version) else store.manifest(model, version)


def _digest(store: Store, model: str, version: int) -> str | None:
    """Of the version's artifact as its manifest says; none where it cannot be read."""
    try:
        return store.manifest(model, version).digest
    except PixelisError:
        return None


def _earlier(store: Store, model: str, newest: int, left: tuple[str, ...]) -> int:
    refused = []
    # Of a newest version that is damaged the same artifact helps too, where it is whole.
    lost = _digest(store, model, newest) if store.faults(model, newest) else None
    for number in reversed([number for number in store.built_versions(model) if number < newest]):
        manifest = _readable(store, model, number)
        if manifest is None:
            refused.append(f"{number}: {'; '.join(store.faults(model, number))}")
        elif manifest.digest not in left or manifest.digest == lost:
            return number
    why = f" ({' | '.join(refused)})" if refused else ""
    raise NotFound(
        f"{model} has no earlier version with another artifact that is whole{why}.",
        mend="`pixelis models list --all` shows what there is; name one with --to.",
    )
