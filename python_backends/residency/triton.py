"""Checkpoints as Triton has them: two models each, loaded side by side, unloaded until their processes are gone."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path

from pixelis import integrity
from pixelis.errors import PixelisError
from pixelis.loading import alone
from pixelis.settings import Settings
from python_backends.artifacts import artifact
from python_backends.checkpoints import DEFAULT, models_of, names
from python_backends.deadlines import run_all
from python_backends.residency.control import Control
from python_backends.residency.kept import Size
from python_backends.residency.sizes import Sizes, resident
from python_backends.siblings import Siblings

_POLL_S = 0.05
_END_S = 30.0
"""How long the processes of a checkpoint that did not load may take to end, before that is told."""


class TritonLoader:
    """See `kept.Loader`.

    Args:
        repository: the models'.
        ready: whether a version of a model answers.
        config: budget, decoding, how long a load may take.
        control: of the server.
    """

    def __init__(
        self,
        repository: Path,
        ready: Callable[[str, str], bool],
        config: Settings,
        control: Control | None = None,
    ) -> None:
        self._repository, self._ready, self._config = repository, ready, config
        self._control = control or Control()
        self._siblings = Siblings()
        self._sizes = Sizes(repository, config.decoding, resident([os.getpid()]), self._siblings.pids)

    def names(self) -> list[str]:
        """The default one, and the others."""
        return [DEFAULT, *names(self._repository)]

    def size(self, name: str) -> Size:
        """Measured, or planned."""
        return self._sizes.of(_models(name))

    def loaded(self, name: str) -> bool:
        """Whether both models answer, in whichever version."""
        return all(self._ready(model, "") for model in _models(name))

    def load(self, name: str) -> None:
        """Both models at once; where one does not load, the other does not stay."""
        models, timeout_s = _models(name), self._config.server.ready_timeout_s
        for model in models:
            artifact(self._repository, model)
        jobs = [partial(self._load, model, timeout_s) for model in models]
        failed = [one for one in run_all(jobs, [time.time() + timeout_s] * 2, "load") if one is not None]
        if failed:
            with suppress(PixelisError):
                self._order(name)
                self._gone(name, _END_S)
            raise failed[0]
        self._sizes.measure(models, fresh=True)

    def unload(self, name: str) -> None:
        """Both models; returns when no process of them is left."""
        self._order(name)
        self._gone(name, math.inf)

    def _order(self, name: str) -> None:
        for model in _models(name):
            with self._alone(model):
                self._control.unload(model, self._config.server.ready_timeout_s)

    def _gone(self, name: str, most_s: float) -> None:
        """Wait until no process of it is left: Triton says that a model is unloaded a second before."""
        end = time.monotonic() + most_s
        while any(self._siblings.pids(model) for model in _models(name)) and time.monotonic() < end:
            time.sleep(_POLL_S)

    def look(self, name: str) -> None:
        """Measure what its processes take."""
        self._sizes.measure(_models(name))

    def _load(self, model: str, timeout_s: float) -> None:
        with self._alone(model):
            if self._config.server.verify:  # before its model.py runs
                integrity.verify(artifact(self._repository, model), self._config.state, needed=True)
            self._control.load(model, timeout_s)

    def _alone(self, model: str) -> AbstractContextManager[None]:
        return alone(self._config.state, model, self._config.server.ready_timeout_s)


def _models(name: str) -> tuple[str, str]:
    return models_of(None if name == DEFAULT else name)
