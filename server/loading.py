"""Has running servers load models again, and says which version they serve then."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from pixelis.errors import IntegrityError, ServingError, from_wire
from pixelis.loading import alone
from pixelis.settings import Settings
from server import remains
from server.control import Control
from server.verifying import verify_named


@dataclass(frozen=True)
class Target:
    """A server: `host:port` of gRPC, what opens its model-repository API; where it is ours, its id and state folder,
    and the repository where what it loads is held against its manifests.
    """

    url: str
    key: str
    server_id: str = ""
    state: Path | None = None
    repository: Path | None = None


@dataclass(frozen=True)
class Loaded:
    """What a server serves now."""

    server: str
    model: str
    version: str


def targets(config: Settings, url: str = "", key: str = "") -> list[Target]:
    """The server at `url`, or every live one of the state folder; of those the key is known."""
    state = config.state.absolute()
    folder = state / "servers"
    ours = [
        Target(
            f"{config.server.host}:{record.ports[1]}",
            remains.read_key(folder, record.server_id),
            record.server_id,
            state,
            Path(record.repository) if record.repository and config.server.verify else None,
        )
        for record in remains.records(folder).values()
        if record.alive and not record.stopping
    ]
    if not url:
        return ours
    known = {target.url: target for target in ours}
    there = known.get(url, Target(url, ""))
    return [replace(there, key=key or there.key)]


def load_newest(target: Target, models: Sequence[str], timeout_s: float) -> list[Loaded]:
    """Load each of `models`, one after the other.

    Raises:
        ServingError: one does not load; those before it are loaded, and the old version of this one goes on serving.
        IntegrityError: as above, because it is not what was published.
        Unavailable: nobody answers at the address.
    """
    control, done = Control(target.url, target.key), []
    try:
        for model in models:
            try:
                with alone(target.state, model, timeout_s, target.server_id) if target.state else nullcontext():
                    if target.repository is not None:
                        verify_named(target.repository, model, target.state)
                    control.load(model, timeout_s)
            except ServingError as error:
                if type(error) is not ServingError:
                    raise
                known = from_wire(error.message)
                if isinstance(known, IntegrityError):  # said by the model's own process
                    raise known from None
                mend = "The version that served before goes on serving; the server's log says more."
                raise ServingError(f"{model} does not load at {target.url}: {error.message}", mend=mend) from None
            done.append(Loaded(target.url, model, control.version(model)))
    finally:
        control.close()
    return done
