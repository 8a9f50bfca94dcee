"""Forms of models that the build cache holds and that may be served: judged, accurate enough, running here."""

from __future__ import annotations

from builder.store import Store
from builder.storing.manifest import MANIFEST, Manifest
from pixelis.errors import PixelisError


def allowed(store: Store, models: tuple[str, ...], most_lost: float) -> dict[str, dict[str, str]]:
    """What may be served in place of what is.

    Args:
        store: the repository, and the build cache beside it.
        models: names; those that are not built are left out.
        most_lost: points of 1 that a task may lose at the gate.

    Returns:
        Model -> label -> key in the build cache, the form that is served first. Artifacts of another source, or of
        another version of the builder, than the served one are left out.
    """
    served = {name: store.manifest(name) for name in models if store.latest(name) is not None}
    found: dict[str, dict[str, str]] = {
        name: {manifest.candidate.label: manifest.key} for name, manifest in served.items()
    }
    for manifest in _cached(store):
        now = served.get(manifest.model)
        if now is None or not _may_replace(manifest, now, most_lost):
            continue
        found[manifest.model].setdefault(manifest.candidate.label, manifest.key)
    return {name: forms for name, forms in found.items() if len(forms) > 1}


def _cached(store: Store) -> list[Manifest]:
    found = []
    for path in sorted(store.builds.glob(f"*/{MANIFEST}")):
        try:
            found.append(Manifest.read(path.parent))
        except PixelisError:
            continue  # a build makes it anew
    return sorted(found, key=lambda one: one.created_at, reverse=True)


def _may_replace(one: Manifest, served: Manifest, most_lost: float) -> bool:
    lost = max((-task.difference for task in one.gate.tasks), default=0.0)
    alike = one.source_digest == served.source_digest and one.builder == served.builder
    return alike and one.gate.passed and one.served and lost <= most_lost
