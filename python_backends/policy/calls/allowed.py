"""Which tokens may come: a list of them where they are few, one flag for each token where they are many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]
Flags = NDArray[np.bool_]
Bits = NDArray[np.uint32]
"""One bit a token, as llguidance writes them: the lowest bit of the first word is token 0's."""

_WORDS = 64
"""A list is made where not more words than these have a bit."""


@dataclass(frozen=True)
class Allowed:
    """One of the two.

    Attributes:
        ids: tokens, none twice.
        flags: `[vocabulary]`; not to be written to.
    """

    ids: Ids | None = None
    flags: Flags | None = None

    @classmethod
    def of_bits(cls, bits: Bits, size: int) -> Allowed:
        """Those of a vocabulary of `size` whose bit is set."""
        words = bits.nonzero()[0]
        if len(words) > _WORDS:
            return cls(flags=_unpacked(bits, size))
        found = _unpacked(bits[words], 32 * len(words)).nonzero()[0]
        return cls(ids=(words[found >> 5] << 5) + (found & 31))

    def among(self, others: Flags) -> Allowed:
        """Those that `others` `[vocabulary]` has too."""
        if self.ids is not None:
            return Allowed(ids=self.ids[others[self.ids]])
        assert self.flags is not None
        return Allowed(flags=self.flags & others)

    def mask(self, size: int) -> Flags:
        """Flags `[size]`."""
        if self.flags is not None:
            return self.flags
        mask = np.zeros(size, np.bool_)
        mask[self.ids] = True
        return mask

    def likeliest(self, logits: NDArray[np.float32]) -> int | None:
        """The one with the highest of `logits` `[vocabulary]`; none where none may come."""
        if self.ids is not None:
            return int(self.ids[logits[self.ids].argmax()]) if len(self.ids) else None
        assert self.flags is not None
        best = int(np.where(self.flags, logits, -np.inf).argmax())
        return best if self.flags[best] else None


def _unpacked(bits: Bits, size: int) -> Flags:
    """Flags of the first `size` bits."""
    return np.unpackbits(bits.view(np.uint8), count=size, bitorder="little").view(np.bool_)
