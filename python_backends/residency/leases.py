"""What `reason` and `agent` hold while they use a checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol

from pydantic import ValidationError

from pixelis.errors import PixelisError, ServingError
from pixelis.schema import PROBE_ID, PreparedRequest, ResidencyCommand, ResidencyResult
from python_backends.checkpoints import DEFAULT, models_of
from python_backends.deadlines import Bell
from python_backends.pipeline.shares import reasoning
from python_backends.rows import Tensors, json_text

MODEL = "residency"
_LATE_S = 0.5
"""How long after a request's deadline the keeper's own, better message is waited for."""
_RELEASE_S = 1.0


class Transport(Protocol):
    """What carries the calls: `adapter.Caller` inside Triton."""

    def stream(
        self, model: str, inputs: Tensors, outputs: Sequence[str], deadline: float, bell: Bell[Tensors] | None = None
    ) -> Iterator[Tensors]:
        """Many answers."""


class Leases:
    """Asks the keeper. For any number of threads.

    Without a budget everything that was loaded stays, so the default checkpoint is never asked for, and another one
    only where it is not loaded yet: a server with one checkpoint, or with room for all, pays nothing.

    Args:
        transport: carries the calls.
        ready: whether any version of a model is loaded.
        budget: whether there is one.
    """

    def __init__(self, transport: Transport, ready: Callable[[str, str], bool], budget: bool) -> None:
        self._transport, self._ready, self._budget = transport, ready, budget

    @contextmanager
    def of(self, checkpoint: str | None, request: PreparedRequest) -> Iterator[bool]:
        """While it lasts the checkpoint stays in memory; gives whether the keeper was asked.

        Args:
            checkpoint: its name; none = the default one.
            request: who wants to use it; for a probe it is not loaded.

        Raises:
            PixelisError: as `keeper.Keeper.lease`.
        """
        if not self._budget and (checkpoint is None or all(self._ready(model, "") for model in models_of(checkpoint))):
            yield False
            return
        deadline, load = reasoning(request), request.request_id != PROBE_ID
        asked = ResidencyCommand(command="lease", model=checkpoint or DEFAULT, deadline=deadline, load=load)
        lease = self._ask(asked, deadline)
        try:
            yield True
        finally:
            if lease.lease is not None:
                self._give_back(lease.lease)

    def _ask(self, command: ResidencyCommand, deadline: float) -> ResidencyResult:
        inputs: Tensors = {"COMMAND": json_text(command)}
        for answer in self._transport.stream(MODEL, inputs, ["RESULT"], deadline + _LATE_S):
            try:
                return ResidencyResult.model_validate_json(answer["RESULT"].reshape(-1)[0])
            except (ValidationError, IndexError) as error:
                raise ServingError("Model `residency` answered something that is no ResidencyResult.") from error
        raise ServingError("Model `residency` did not answer.")

    def _give_back(self, lease: str) -> None:
        """One that does not arrive ends by itself."""
        inputs: Tensors = {"COMMAND": json_text(ResidencyCommand(command="release", lease=lease))}
        with suppress(PixelisError):
            for _ in self._transport.stream(MODEL, inputs, ["RESULT"], time.time() + _RELEASE_S):
                pass
