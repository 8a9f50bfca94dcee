"""A canary: a second Triton that some callers' questions go to.

A caller stays where it is: its name alone says where it lies between 0 and 1, and the canary has those below the share.
A larger share takes more callers along and sends none back.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clients.aio import AsyncPixelisClient
from pixelis.draft import replace_text
from pixelis.errors import SetupError

log = logging.getLogger(__name__)

STABLE, CANARY = "stable", "canary"


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    share: float = Field(ge=0, le=1)


@dataclass(frozen=True)
class Side:
    """Where a question goes.

    Attributes:
        name: `stable` or `canary`.
        client: of its Triton.
    """

    name: str
    client: AsyncPixelisClient


class Split:
    """Which of two Tritons has a caller.

    Args:
        stable: has all callers that the canary has not.
        canary: none = there is none.
        share: 0 to 1, of callers, where the file says nothing.
        file: `{"share": 0.2}`, read again when it changes; `write_share` writes it.
    """

    def __init__(
        self, stable: AsyncPixelisClient, canary: AsyncPixelisClient | None, share: float, file: Path | None
    ) -> None:
        self.stable = Side(STABLE, stable)
        self._canary = None if canary is None else Side(CANARY, canary)
        self._share, self._file = share, file
        self._seen: tuple[int, int, int] | None = None

    @property
    def divided(self) -> bool:
        """Whether there is a canary at all."""
        return self._canary is not None

    @property
    def share(self) -> float:
        """The canary's share of callers now; 0 without a canary."""
        if self._canary is None:
            return 0.0
        self._refresh()
        return self._share

    def of(self, caller: str) -> Side:
        """Where a caller's questions go."""
        if self._canary is None or place(caller) >= self.share:
            return self.stable
        return self._canary

    async def close(self) -> None:
        """Close the connections."""
        await self.stable.client.close()
        if self._canary is not None:
            await self._canary.client.close()

    def _refresh(self) -> None:
        if self._file is None or (stamp := _stamp(self._file)) == self._seen:
            return
        self._seen = stamp
        if stamp is None:
            return
        try:
            self._share = read_share(self._file, self._share)
            log.info("The canary has %g of all callers.", self._share)
        except SetupError as error:
            log.warning("The canary keeps its share: %s", error)


def place(caller: str) -> float:
    """Where a caller lies from 0 to 1, the same everywhere and always."""
    return int.from_bytes(hashlib.blake2b(caller.encode(), digest_size=8, person=b"canary").digest(), "big") / 2**64


def read_share(file: Path, otherwise: float) -> float:
    """The share that `file` says; `otherwise` where there is none. Raises `SetupError` where it cannot be read."""
    try:
        return _File.model_validate_json(file.read_bytes()).share
    except FileNotFoundError:
        return otherwise
    except (OSError, ValidationError) as error:
        raise SetupError(
            f"{file} cannot be read: {str(error).splitlines()[0]}.", mend="`pixelis canary 0.1` writes it anew."
        ) from None


def write_share(file: Path, share: float) -> None:
    """Give the canary `share` (0-1) of callers, at once, in all processes that read `file`.

    Raises:
        SetupError: it cannot be written.
    """
    try:
        # A gateway may run as another user.
        replace_text(file, _File(share=share).model_dump_json() + "\n", mode=0o644)
    except OSError as error:
        raise SetupError(f"{file} cannot be written: {error.strerror}.", mend="Check its folder.") from None


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
