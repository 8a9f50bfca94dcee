"""Back to an artifact that served before: it is published again under the next number, and held there."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

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


class Rollback(BaseModel):
    """What a rollback did.

    Attributes:
        version: the new version.
        again: the version whose artifact it is.
        left: the version that served until now.
        label: the form of the artifact.
        digest: of the artifact.
        held: what a later build does.
    """

    model: str
    version: int
    again: int
    left: int
    label: str
    digest: str
    held: str


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
    known = spec or pipeline()
    one = known[model]
    if not one.built:
        raise BuildError(f"{model} has no artifact, so there is nothing to roll back.", mend="Use git for its code.")
    store = Store(repository or settings().repository, state or settings().state)
    chosen = Chosen(store.repository, store.state)
    with store.locked(), typed(f"rolling {model} back"):
        newest = store.latest(model)
        if newest is None:
            raise NotFound(f"{model} has no built version.", mend=f"Run `pixelis build {model}`.")
        before = chosen.of(model)
        leaving = _digest(store, model, newest)
        left = (*(before.left if before else ()), *([leaving] if leaving else []))
        again = to if to is not None else _earlier(store, model, newest, left)
        if again == newest:
            raise BuildError(f"Version {again} of {model} is the newest one.", mend="Name an older one with --to.")
        form = one.as_candidate(store.manifest(model, again).candidate)
        prepare(store, form, target)
        made = store.rollback(model, again, shimmed(form, target))
        if target == "ngc":
            lay_out(store, known, target)  # the config is of the form that is served
        why = f"rolled back from version {newest} to the artifact of version {again}"
        kept = tuple(digest for digest in dict.fromkeys(left) if digest != made.digest)
        chosen.put(model, Choice(label=made.candidate.label, key=made.key, held=True, why=why, left=kept))
    held = f"`pixelis build` leaves it so; `pixelis build --default {model}` goes back to what the spec says"
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
    for number in reversed([number for number in store.built_versions(model) if number < newest]):
        manifest = _readable(store, model, number)
        if manifest is None:
            refused.append(f"{number}: {'; '.join(store.faults(model, number))}")
        elif manifest.digest not in left:
            return number
    why = f" ({' | '.join(refused)})" if refused else ""
    raise NotFound(
        f"{model} has no earlier version with another artifact that is whole{why}.",
        mend="`pixelis models list --all` shows what there is; name one with --to.",
    )
