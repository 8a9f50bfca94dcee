"""Which form of a model this repository serves, where that is not the spec's default: `state/chosen.json`.

Three things choose: `build --publish LABEL` and `build --optimize`, which name a form that later builds keep making and
publishing; and a rollback, which holds one very artifact, so that a later build does not bring back what was rolled
back from. `build --default` ends either, `build --force` a hold.
"""

from __future__ import annotations

import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from pixelis.draft import replace_text
from pixelis.errors import BuildError

FILE = "chosen.json"


class Choice(BaseModel):
    """What was chosen for one model.

    Attributes:
        label: of the candidate, for instance `openvino-int8-dynamic`.
        key: build key of the artifact when it was chosen; none = nothing was built yet.
        held: this very artifact stays, whatever becomes of its source; else the form is built anew when that changes.
        why: in words, for people.
        left: digests of the artifacts that were rolled back from; a further rollback passes over them.
        at: seconds since the epoch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    label: str
    key: str | None = None
    held: bool = False
    why: str
    left: tuple[str, ...] = ()
    at: float = Field(default_factory=lambda: round(time.time(), 3))


_FILE = TypeAdapter(dict[str, dict[str, Choice]])


class Chosen:
    """The choices for one repository. Reading needs no lock; write under `Store.locked()`.

    Args:
        repository: whose models they are; several repositories may share a state folder.
        state: where the file lies.
    """

    def __init__(self, repository: Path, state: Path) -> None:
        self.path = state.absolute() / FILE
        self._name = str(repository.absolute())

    def all(self) -> dict[str, Choice]:
        """Model -> choice.

        Raises:
            BuildError: the file is there and cannot be read; to go on without it would undo a rollback.
        """
        return self._read().get(self._name, {})

    def of(self, model: str) -> Choice | None:
        """What was chosen for `model`; none = the spec's default. Raises as `all` does."""
        return self.all().get(model)

    def put(self, model: str, choice: Choice) -> None:
        """Remember `choice`, instead of what was chosen before."""
        everything = self._read()
        everything.setdefault(self._name, {})[model] = choice
        self._write(everything)

    def drop(self, model: str) -> Choice | None:
        """Back to the spec's default; what was chosen until now."""
        everything = self._read()
        before = everything.get(self._name, {}).pop(model, None)
        if before is not None:
            self._write(everything)
        return before

    def _read(self) -> dict[str, dict[str, Choice]]:
        try:
            return _FILE.validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValidationError) as error:
            reason = str(error).splitlines()[0]
            mend = "Mend it, or remove it: then every model is built in its default form, rolled back or not."
            raise BuildError(f"{self.path} cannot be read: {reason}.", mend=mend) from None

    def _write(self, everything: dict[str, dict[str, Choice]]) -> None:
        kept = {name: one for name, one in everything.items() if one}
        replace_text(self.path, _FILE.dump_json(kept, indent=2).decode() + "\n")
