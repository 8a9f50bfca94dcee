"""What A and B are: servers that run already, or repositories and settings to be served side by side."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from clients.client import PixelisClient
from perf.e2e.sides import Served
from perf.ports import free_ports
from perf.progress import started
from pixelis.errors import InvalidRequest
from pixelis.json_text import loads
from pixelis.settings import Settings, settings

HERE = "here"
"""The repository that is configured."""
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")


@dataclass(frozen=True)
class Side:
    """One of the two.

    Attributes:
        name: `A` or `B`.
        place: `here`, a model repository, or `host:port` of a server's gRPC.
        changes: settings that differ from the configured ones, as nested objects.
        checkpoints: that answer, of the server's; none = the default one. Several vote.
    """

    name: str
    place: str
    changes: dict[str, Any]
    checkpoints: tuple[str, ...] = ()

    @property
    def address(self) -> str | None:
        """Where it runs already."""
        return self.place if _ADDRESS.fullmatch(self.place) and not Path(self.place).exists() else None

    @property
    def label(self) -> str:
        """For people."""
        told = self.place + (f" with {json.dumps(self.changes)}" if self.changes else "")
        return told + (f" by {' and '.join(self.checkpoints)}" if self.checkpoints else "")


def side(name: str, place: str, said: Sequence[str], checkpoints: Sequence[str] = ()) -> Side:
    """A side, checked before anything is started.

    Args:
        name: `A` or `B`.
        place: see `Side`.
        said: settings as `SECTION.FIELD=VALUE`, values as JSON or bare text.
        checkpoints: names, `default` for the one that has none.

    Raises:
        InvalidRequest: no such place, or settings that are none.
    """
    made = Side(name, place, _changes(name, said), tuple(checkpoints))
    if made.address is not None:
        if said:
            raise InvalidRequest(
                f"{name} runs at {place} already, with settings of its own.", mend="Leave its settings out."
            )
    elif place != HERE and not (Path(place) / "pixelis").is_dir():
        raise InvalidRequest(
            f"{name} is {place!r}: no repository with the model `pixelis`, and no host:port.",
            mend=f"Say `{HERE}`, a folder that `pixelis build` wrote, or host:port of a server.",
        )
    _config(made)
    return made


def serve(stack: ExitStack, chosen: Side, *, quiet: bool) -> Served:
    """The side, answering; stopped with `stack` where it was started here.

    Raises:
        PixelisError: it does not start, or nothing answers there.
    """
    if chosen.address is not None:
        client = stack.enter_context(PixelisClient(chosen.address))
        return Served(client, None, chosen.name)
    triton = stack.enter_context(started(quiet=quiet, config=_config(chosen)))
    return Served(stack.enter_context(PixelisClient(triton.grpc_url)), triton.server_id, chosen.name)


def _changes(name: str, said: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in said:
        path, equals, text = one.partition("=")
        *sections, field = path.strip().split(".")
        if not equals or not field or not all(sections):
            raise InvalidRequest(f"{one!r} is no setting of {name}.", mend="For instance threads.intra_op=2.")
        place = found
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise InvalidRequest(f"{one!r} is said twice for {name}.", mend="Say it once.")
        place[field] = _value(text)
    return found


def _known(model: type[BaseModel], changes: dict[str, Any], side: str, path: str = "") -> None:
    """Raises `InvalidRequest` where a change is no setting; the settings themselves pass over what they do not know."""
    for name, value in changes.items():
        where = f"{path}{name}"
        if name not in model.model_fields:
            known = ", ".join(f"{path}{one}" for one in model.model_fields)
            raise InvalidRequest(f"{side} has no setting {where}.", mend=f"Known: {known}.")
        kind = model.model_fields[name].annotation
        if isinstance(value, dict) and isinstance(kind, type) and issubclass(kind, BaseModel):
            _known(kind, value, side, f"{where}.")


def _value(text: str) -> Any:
    try:
        return loads(text)
    except ValueError:
        return text


def _config(chosen: Side) -> Settings:
    """Settings of a server of its own: ports, state and repository apart; no watchdog, which would be load."""
    base = settings()
    _known(Settings, chosen.changes, chosen.name)
    try:
        changed = Settings(**chosen.changes)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidRequest(
            f"The setting {where} of {chosen.name} is wrong: {first['msg']}.",
            mend="Give it another value.",
        ) from None
    update: dict[str, Any] = {
        "state": base.state.absolute() / "compare" / chosen.name,
        "server": changed.server.model_copy(update={**_ports(), "watchdog": False}),
    }
    if chosen.place != HERE:
        update["repository"] = Path(chosen.place).absolute()
    return changed.model_copy(update=update)


def _ports() -> dict[str, int]:
    free = free_ports()
    return {"http_port": free.http_port, "grpc_port": free.grpc_port, "metrics_port": free.metrics_port}
