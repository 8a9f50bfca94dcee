"""One error tree for every room.

    PixelisError
    |- RequestError        the caller's fault: nothing is retried, the reason travels back
    |   |- InvalidRequest      400  a field is malformed, unknown or out of bounds
    |   |- InvalidImage        400  bytes that are not a picture we decode
    |   |- InvalidOperation    400  a visual operation's arguments (becomes an observation in the agent loop)
    |   |- Unauthorized        401  no API key, or one that is not known or has expired
    |   |- RateLimited         429  more requests than the caller's key allows
    |   |- LimitExceeded       413  too many bytes, pixels, frames or characters
    |   `- NotFound            404  a model, version or experience that does not exist
    |- ServingError        our fault: the request may be retried
    |   |- Unavailable         503  a model, process or tier that is not up
    |   `- DeadlineExceeded    504  the request's own `timeout_s`, or a stage's share of it, ran out
    |- BuildError              an artifact that was not made: a missing source, an export that failed
    |   `- GateFailed              an artifact that was made and does not answer right
    `- SetupError              this machine: a busy port, a missing library, a package that does not fit

An error crosses Triton as text, `code: message`, and becomes the same class again in the client
(`from_wire`). Messages say what was wrong, what is allowed and how to mend it; they never carry a
stack trace, a file's content or another request's data.
"""

from __future__ import annotations

import re

_AGAIN = re.compile(r"\bTry again in (\d{1,6}(?:\.\d{1,6})?) s\b")


def _said_again(text: str) -> float | None:
    said = _AGAIN.search(text)
    return float(said[1]) if said else None


LONGEST = 4000
"""Characters of a message, and of how to mend it: what came from outside may be megabytes long."""


def _told(text: str) -> str:
    """What can be written as UTF-8, and is not too long to be read."""
    told = text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
    return told if told.isascii() else told.encode(errors="replace").decode()


class PixelisError(Exception):
    """Root of the tree. Whatever it is given, what it says can travel.

    Args:
        message: what went wrong, in one sentence.
        mend: what the reader can do about it; printed after the message.
    """

    code = "internal"
    status = 500

    def __init__(self, message: str, *, mend: str | None = None) -> None:
        self.message = _told(message)
        self.mend = None if mend is None else _told(mend)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} {self.mend}" if self.mend else self.message

    def wire(self) -> str:
        """The text that crosses Triton: `code: message mend`."""
        return f"{self.code}: {self}"


class RequestError(PixelisError):
    """The caller's fault."""

    code = "bad_request"
    status = 400


class InvalidRequest(RequestError):
    """A field is malformed, unknown or out of bounds."""

    code = "invalid_request"


class InvalidImage(RequestError):
    """The bytes are not a picture that can be decoded."""

    code = "invalid_image"


class InvalidOperation(RequestError):
    """A visual operation was called with arguments it cannot take."""

    code = "invalid_operation"


class LimitExceeded(RequestError):
    """Too many bytes, pixels, frames or characters."""

    code = "limit_exceeded"
    status = 413


class Unauthorized(RequestError):
    """No API key, or one that is not known or has expired."""

    code = "unauthorized"
    status = 401


class RateLimited(RequestError):
    """More requests than the caller may make; the same request is taken later.

    Args:
        retry_after_s: seconds after which it is; by default what the text says, "Try again in 2 s".
    """

    code = "rate_limited"
    status = 429

    def __init__(self, message: str, *, mend: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message, mend=mend)
        self.retry_after_s = _said_again(str(self)) if retry_after_s is None else retry_after_s


class NotFound(RequestError):
    """A model, version or experience that does not exist."""

    code = "not_found"
    status = 404


class ServingError(PixelisError):
    """The server's fault; the request may be retried."""

    code = "serving"


class Unavailable(ServingError):
    """A model, process or tier that is not up, or has too much to do.

    Args:
        retry_after_s: seconds after which it is worth trying again; by default what the text says, "Try again in 2 s".
    """

    code = "unavailable"
    status = 503

    def __init__(self, message: str, *, mend: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message, mend=mend)
        self.retry_after_s = _said_again(str(self)) if retry_after_s is None else retry_after_s


class DeadlineExceeded(ServingError):
    """The time that the request allows ran out."""

    code = "deadline_exceeded"
    status = 504


class BuildError(PixelisError):
    """An artifact that could not be made."""

    code = "build"


class GateFailed(BuildError):
    """An artifact that was made and does not answer right."""

    code = "gate_failed"


class SetupError(PixelisError):
    """This machine does not have what is needed."""

    code = "setup"


class IntegrityError(SetupError):
    """A version of a model whose files are not those that its manifest names."""

    code = "integrity"


def _leaves(root: type[PixelisError]) -> dict[str, type[PixelisError]]:
    found = {root.code: root}
    for child in root.__subclasses__():
        found.update(_leaves(child))
    return found


def from_wire(text: str) -> PixelisError:
    """The error that `wire` wrote, wherever in `text` Triton put it.

    Triton prefixes a failed step's message with its own words; the first known `code: ` wins.
    Text without one becomes `ServingError`; none says nothing at all.
    """
    found = _first_code(text)
    if found is None:
        return ServingError(text if text.strip() else "The server gave no reason.")
    code, end = found
    return _leaves(PixelisError)[code](text[end:] if text[end:].strip() else text)


def code_of(text: str) -> str | None:
    """The code that `wire` wrote into `text`; none where the text is somebody else's."""
    found = _first_code(text)
    return None if found is None else found[0]


def _first_code(text: str) -> tuple[str, int] | None:
    """The first known code in a text, and where its message begins."""
    known = _leaves(PixelisError)
    at = {code: text.find(f"{code}: ") for code in known}
    found = [(pos, -len(code), code) for code, pos in at.items() if pos >= 0]
    if not found:
        return None
    pos, _, code = min(found)
    return code, pos + len(code) + 2
