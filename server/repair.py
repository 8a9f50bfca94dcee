"""Loading a model again whose process has died or hangs.

Without unloading, because unloading a step takes its ensembles down with it: a new modification time on the served
version's `model.py` makes Triton load it beside what runs, and then put it in its place (tried on 2.51).
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from pixelis.errors import PixelisError, ServingError
from pixelis.loading import alone
from server.control import Control
from server.probes import Dead, Prober, Silent
from server.repository import Model
from server.verifying import verify

PROOF_S = 15.0
"""How long a model may take to give its first answer after it was loaded."""

_CALM_S = 60.0
_LONGEST_WAIT_S = 60.0


class Repairer:
    """Loads models again.

    Args:
        control: of the server.
        prober: asks a loaded model whether it lives.
        models: by name.
        timeout_s: how long a load may take.
        state: the state folder.
        server_id: of the server.
        verify: what is loaded is held against its manifest first.
    """

    def __init__(
        self,
        control: Control,
        prober: Prober,
        models: Mapping[str, Model],
        timeout_s: float,
        state: Path,
        server_id: str,
        verify: bool = True,
    ) -> None:
        self._state, self._server_id, self._verify = state, server_id, verify
        self._control = control
        self._prober = prober
        self._models = models
        self._timeout_s = timeout_s

    def __call__(self, name: str) -> bool:
        """Load it again and have it answer.

        Returns:
            Whether it was; not where somebody has unloaded it meanwhile.

        Raises:
            ServingError: it cannot be, with the reason.
            IntegrityError: it is not what was published.
        """
        model = self._models[name]
        with alone(self._state, name, self._timeout_s, self._server_id):
            if self._verify:
                verify(model, self._state)
            self._renew(model)
            if name in self._control.unloaded():
                return False  # while this waited its turn somebody took it out on purpose
            self._control.load(name, self._timeout_s)
        try:
            self._prober.ask(name, model.config, PROOF_S)
        except (Dead, Silent) as error:
            raise ServingError(f"It was loaded again and does not answer: {error}.") from None
        return True

    def _renew(self, model: Model) -> None:
        shim = model.folder / str(model.version) / "model.py"
        try:
            os.utime(shim)
        except OSError as error:
            raise ServingError(
                f"{shim} cannot be touched ({error.strerror}), so Triton would not load it again.",
                mend="Make the model repository writable for the user that serves it.",
            ) from None


class Patience:
    """When the next repair of a model may begin: at once, but ever later where it keeps dying."""

    def __init__(self) -> None:
        self._streak = 0
        self._last = -_CALM_S
        self._wait = 0.0

    @property
    def over(self) -> bool:
        """Whether a repair may begin now."""
        return time.monotonic() >= self._last + self._wait

    def tried(self) -> float:
        """A repair has ended; how long the next one would wait."""
        now = time.monotonic()
        calm = now - self._last - self._wait > _CALM_S
        self._streak = 0 if calm else self._streak + 1
        self._last, self._wait = now, min(_LONGEST_WAIT_S, 0.0 if calm else 2.0 ** (self._streak - 1))
        return self._wait


def reason_of(error: Exception) -> str:
    """One line that says what went wrong."""
    text = str(error) if isinstance(error, PixelisError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split("\n\nAt:")[0].split())
