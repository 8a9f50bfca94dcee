"""What went wrong on the way, in the words of `pixelis.errors`."""

from __future__ import annotations

from pixelis.errors import DeadlineExceeded, NotFound, PixelisError, ServingError, Unavailable, from_wire
from pixelis.json_text import reason

_UNKNOWN = ("unknown model", "is not found", "no available versions")
_DOWN = ("is not ready", "not healthy", "is unavailable", "unloading")


def from_server(message: str) -> PixelisError:
    """The error of a server's text: our own classes where a model wrote one, else Triton's words classified."""
    error = from_wire(message)
    if type(error) is not ServingError:
        return error
    if any(words in message for words in _UNKNOWN):
        return NotFound(f"{message.rstrip('.')}.", mend="Does this server serve it? `pixelis serve` loads all models.")
    if any(words in message for words in _DOWN):
        return Unavailable(f"{message.rstrip('.')}.", mend="Try again in a moment.")
    return error


def unreachable(url: str, reason: str) -> Unavailable:
    """Nobody answers at `url`."""
    return Unavailable(f"No server answers at {url} ({reason}).", mend="Start one: `pixelis serve`.")


def broken_off(url: str, reason: str) -> Unavailable:
    """The connection ended under a request, or a balancer has nobody to hand it to."""
    return Unavailable(f"{url} did not answer ({reason.rstrip('.')}).", mend="Try again in a moment.")


def foreign(url: str, protocol: str) -> Unavailable:
    """Somebody answers at `url`, in another protocol."""
    return Unavailable(
        f"What answers at {url} does not speak {protocol}.",
        mend="`pixelis serve` says on which port each protocol is; `--protocol` chooses one.",
    )


def garbled(error: Exception) -> ServingError:
    """A server answered with something that is no answer."""
    return ServingError(
        f"The server's answer is not understood ({reason(error)}).", mend="Are client and server of one version?"
    )


def late(url: str, timeout_s: float) -> DeadlineExceeded:
    """The server at `url` did not answer in time."""
    return DeadlineExceeded(
        f"{url} did not answer within {timeout_s:g} s.", mend="Allow more with the option `timeout_s`."
    )
