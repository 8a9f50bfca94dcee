"""A named checkpoint leaves a repository."""

from __future__ import annotations

from pathlib import Path

from builder.store import Store
from builder.storing.chosen import Chosen
from builder.storing.disk import typed
from pixelis.errors import NotFound
from pixelis.settings import settings
from python_backends.checkpoints import is_name, models_of, names


def remove(name: str, *, repository: Path | None = None, state: Path | None = None) -> list[str]:
    """Take both models of a named checkpoint out of the repository, with all their versions.

    Their artifacts stay in the build cache until `pixelis models prune --cache`. A server that runs keeps what it has
    loaded, and answers no more requests for it.

    Returns:
        The models that went.

    Raises:
        NotFound: there is no such checkpoint.
        BuildError: another build is at work.
    """
    store = Store(repository or settings().repository, state or settings().state)
    with store.locked(), typed(f"removing {name}"):
        gone = [model for model in models_of(name) if is_name(name) and (store.repository / model).is_dir()]
        if not gone:
            there = ", ".join(names(store.repository)) or "none"
            raise NotFound(f"There is no checkpoint {name!r}.", mend=f"Named ones: {there}.")
        chosen = Chosen(store.repository, store.state)
        for model in gone:
            store.remove_model(model)
            chosen.drop(model)
    return gone
