"""Has running servers load models again, and says which version they serve then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pixelis.errors import ServingError
from pixelis.settings import Settings
from server import remains
from server.control import Control


@dataclass(frozen=True)
class Target:
    """A server: `host:port` of gRPC, and what opens its model-repository API."""

    url: str
    key: str


@dataclass(frozen=True)
class Loaded:
    """What a server serves now."""

    server: str
    model: str
    version: str


def targets(config: Settings, url: str = "", key: str = "") -> list[Target]:
    """The server at `url`, or every live one of the state folder; of those the key is known."""
    folder = config.state.absolute() / "servers"
    ours = [
        Target(f"{config.server.host}:{record.ports[1]}", remains.read_key(folder, record.server_id))
        for record in remains.records(folder).values()
        if record.alive and not record.stopping
    ]
    if not url:
        return ours
    known = {target.url: target.key for target in ours}
    return [Target(url, key or known.get(url, ""))]


def load_newest(target: Target, models: Sequence[str], timeout_s: float) -> list[Loaded]:
    """Load each of `models`, one after the other.

    Raises:
        ServingError: one does not load; those before it are loaded, and the old version of this one goes on serving.
        Unavailable: nobody answers at the address.
    """
    control, done = Control(target.url, target.key), []
    try:
        for model in models:
            try:
                control.load(model, timeout_s)
            except ServingError as error:
                if type(error) is not ServingError:
                    raise
                mend = "The version that served before goes on serving; the server's log says more."
                raise ServingError(f"{model} does not load at {target.url}: {error.message}", mend=mend) from None
            done.append(Loaded(target.url, model, control.version(model)))
    finally:
        control.close()
    return done
