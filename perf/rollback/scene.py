"""A repository with one model in two forms, and a server of it, apart from the real ones."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from builder.building.build import build
from builder.spec import pipeline
from builder.store import FIRST_VERSION
from builder.storing.chosen import Choice, Chosen
from builder.storing.rollback import rollback
from perf.ports import free_ports
from pixelis.errors import BuildError, NotFound
from pixelis.settings import Settings, settings
from server.embedded import EmbeddedTriton
from server.loading import load_newest, targets


@dataclass(frozen=True)
class Scene:
    """What is served.

    Attributes:
        model: whose artifact changes.
        asked: the model that is asked; it may be one that calls the other.
        forms: version -> label of its artifact.
    """

    model: str
    asked: str
    repository: Path
    state: Path
    config: Settings
    url: str
    forms: dict[int, str]

    def back(self, to: int) -> dict[str, float | int | str]:
        """Roll back to the artifact of version `to` and have the server load it; what that took."""
        started = time.perf_counter()
        done = rollback(self.model, to, repository=self.repository, state=self.state)
        published = time.perf_counter()
        (loaded,) = load_newest(targets(self.config)[0], [self.model], 120)
        return {
            "version": int(loaded.version),
            "form": done.label,
            "publish_s": round(published - started, 3),
            "load_s": round(time.perf_counter() - published, 3),
        }


@contextmanager
def scene(model: str, form: str, asked: str = "") -> Iterator[Scene]:
    """Build `model` in its default form and in `form`, serve the second; all of it is removed at the end.

    Args:
        model: whose artifact changes.
        form: label of the second form; empty = the first other one of the spec.
        asked: the model that is asked, with all that it calls; empty = `model`.

    Raises:
        NotFound: no such model.
        BuildError: it has no other form, or a form cannot be built.
    """
    first, second = _labels(model, form)
    state = settings().state
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pixelis-rollback-")))
        repository = folder / "repository"
        stack.callback(Chosen(repository, state).drop, model)
        for label, models in ((first, [] if asked else [model]), (second, [model])):
            choice = {model: Choice(label=label, why="pixelis bench rollback")}
            report = build(models, forms=choice, repository=repository, state=state)
            if report.failed:
                raise BuildError(f"{report.failed[0].model}: {report.failed[0].reason}")
        config = settings().model_copy(
            update={"state": folder / "state", "repository": repository, "server": free_ports()}
        )
        triton = EmbeddedTriton(config=config)
        stack.callback(triton.stop)
        triton.start([asked or model])
        forms = {FIRST_VERSION: first, FIRST_VERSION + 1: second}
        yield Scene(model, asked or model, repository, state, config, triton.grpc_url, forms)


def _labels(model: str, form: str) -> tuple[str, str]:
    spec = pipeline()[model]
    if spec.kind != "engine":
        raise NotFound(f"{model} is not a model that runs an artifact alone.", mend="For instance embed_image.")
    labels = [candidate.label for candidate in spec.all_candidates]
    if form:
        return labels[0], spec.find_candidate(form).label
    if len(labels) < 2:
        raise BuildError(f"{model} has the form {labels[0]} alone.", mend="Name another model.")
    return labels[0], labels[1]
