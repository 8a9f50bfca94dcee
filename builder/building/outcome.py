"""What became of the models of a build, as data."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from builder.checkpoints.account import Taken
from builder.storing.manifest import Manifest

State = Literal["up to date", "from cache", "built", "held", "absent", "removed", "failed"]

IDLE: tuple[State, ...] = ("up to date", "held", "absent")
"""States in which nothing was done."""


class Outcome(BaseModel):
    """What became of one model.

    Attributes:
        candidate: label of the form that is published.
        reason: why it failed, is absent or held, or was published again.
        chosen: why it is not in the spec's default form.
    """

    model: str
    state: State
    version: int | None = None
    candidate: str | None = None
    digest: str | None = None
    seconds: float = 0.0
    reason: str | None = None
    code: str | None = None
    chosen: str | None = None

    @classmethod
    def of(cls, manifest: Manifest, state: State) -> Outcome:
        """What became of a model that is published."""
        return cls(
            model=manifest.model,
            state=state,
            version=manifest.version,
            candidate=manifest.candidate.label,
            digest=manifest.digest,
        )


class BuildReport(BaseModel):
    """What became of all of them.

    Attributes:
        written: configs that changed, by model.
        checkpoint: what was planned for a checkpoint, and what it took; none where none was named.
    """

    repository: str
    models: list[Outcome]
    written: list[str]
    seconds: float
    checkpoint: Taken | None = None

    @property
    def failed(self) -> list[Outcome]:
        """Those that were not built."""
        return [outcome for outcome in self.models if outcome.state == "failed"]

    @property
    def worked(self) -> bool:
        """Whether there was anything to do."""
        return bool(self.written) or any(o.state not in IDLE for o in self.models)
