"""Who asks: API keys, of which only digests are kept.

The file is JSON: `{"keys": [{"name": "alice", "sha256": "...", "requests_per_minute": 60, "expires": "2027-01-31"}]}`.
A key is 256 random bits, so a plain digest of it can be neither guessed nor looked up.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import json
import logging
import secrets
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pixelis.draft import replace_text
from pixelis.errors import SetupError, Unauthorized
from pixelis.json_text import reason
from pixelis.schema import Tenant

log = logging.getLogger(__name__)
PREFIX = "pxl_"
MEND = "Send `Authorization: Bearer KEY`; `pixelis gateway --add-key NAME` makes one."


class Key(BaseModel):
    """One caller."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    requests_per_minute: float | None = Field(None, gt=0)
    requests_per_day: int | None = Field(None, ge=1, description="questions of a UTC day")
    expires: datetime.date | None = Field(None, description="the last day on which it is taken, UTC")
    tenant: Tenant | None = Field(
        None, description="whose experiences it finds and teaches beside the shared ones; none = those of its name"
    )

    @property
    def whose(self) -> str:
        """Its tenant; empty = what it teaches is shared."""
        return self.name if self.tenant is None else self.tenant


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: list[Key]


class Keys:
    """The keys of a file; read again when it changes.

    Args:
        path: the file.
        today: the date, UTC.

    Raises:
        SetupError: there is no such file, or it cannot be read.
    """

    def __init__(self, path: Path, today: Callable[[], datetime.date] | None = None) -> None:
        self._path, self._today = path, today or _today
        self._seen, self._complained = _stamp(path), False
        self._keys = read(path)

    def caller(self, authorization: str | None) -> Key:
        """The caller of a request by its header `Authorization`.

        Every digest is compared, and each in constant time: what is answered when says nothing of what is known.

        Raises:
            Unauthorized: none, malformed, unknown or expired.
        """
        self._refresh()
        scheme, _, text = (authorization or "").partition(" ")
        if not authorization:
            raise Unauthorized("There is no API key.", mend=MEND)
        if scheme.lower() != "bearer" or not text.strip():
            raise Unauthorized("`Authorization` is not `Bearer KEY`.", mend=MEND)
        asked, found = digest(text.strip()), None
        for key in self._keys:
            if hmac.compare_digest(asked, key.sha256):
                found = key
        if found is None:
            raise Unauthorized("The API key is not known.", mend=MEND)
        if found.expires is not None and found.expires < self._today():
            raise Unauthorized(f"The API key has expired on {found.expires}.", mend=MEND)
        return found

    def _refresh(self) -> None:
        try:
            stamp = _stamp(self._path)
            if stamp != self._seen:
                self._seen = stamp
                self._keys = read(self._path)
            self._complained = False
        except SetupError as error:  # half-edited, or gone for a moment: those that were read hold
            if not self._complained:
                log.warning("The API keys that were read before hold: %s", error)
            self._complained = True


def digest(key: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def read(path: Path) -> list[Key]:
    """The keys in a file. Raises `SetupError`."""
    try:
        return _File.model_validate_json(path.read_bytes()).keys
    except OSError as error:
        raise SetupError(
            f"The API keys {path} cannot be read: {error.strerror}.",
            mend="`pixelis gateway --add-key NAME` makes them.",
        ) from None
    except ValidationError as error:
        raise SetupError(f"The API keys {path} are wrong at {reason(error)}.", mend="Mend the file.") from None


def add(
    path: Path,
    name: str,
    requests_per_minute: float | None,
    expires: datetime.date | None,
    requests_per_day: int | None = None,
    tenant: str | None = None,
) -> str:
    """A new key of `name`, written into the file by one rename; the key itself is kept nowhere.

    Raises:
        SetupError: the name is taken or none, or the file cannot be read or written.
    """
    keys = read(path) if path.exists() else []
    if any(key.name == name for key in keys):
        raise SetupError(f"There is a key of the name `{name}`.", mend="Choose another, or remove that one.")
    made = PREFIX + secrets.token_urlsafe(32)
    try:
        said = {"requests_per_minute": requests_per_minute, "requests_per_day": requests_per_day}
        made_of = {"name": name, "sha256": digest(made), "expires": expires, "tenant": tenant}
        keys.append(Key.model_validate(said | made_of))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise SetupError(f"The key is wrong at `{first['loc'][0]}`: {first['msg']}.", mend="Mend it.") from None
    _write(path, {"keys": [key.model_dump(mode="json", exclude_none=True) for key in keys]})
    return made


def _write(path: Path, content: object) -> None:
    try:
        replace_text(path, json.dumps(content, indent=2) + "\n", durable=True, mode=0o600)
    except OSError as error:
        raise SetupError(
            f"The API keys {path} cannot be written: {error.strerror}.", mend="Check its folder."
        ) from None


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise SetupError(f"The API keys {path} cannot be read: {error.strerror}.") from None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.timezone.utc).date()
