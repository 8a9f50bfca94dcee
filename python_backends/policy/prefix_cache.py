"""Keys and values of what was read before, for prompts that begin the same: turns of an agent, questions on one image.

A tree of blocks of `BLOCK` tokens (as the radix tree of SGLang, arXiv 2312.07104, section 3). A block belongs to all
sequences that begin with the same tokens; the last block of a sequence may be shorter. What was not used for longest
goes first, a block after those that follow it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from python_backends.policy.content import Content
from python_backends.policy.graph import Cells

BLOCK = 32
"""Tokens of a block: small enough to end near where prompts part, large enough to be copied in one piece."""
_MOST_COMPARED = 16
"""Blocks behind the same prefix that are held against a prompt, newest first, to find how far it goes on in one."""

Read = Callable[[int, int], Cells]
"""Start and stop of tokens to a copy of their cache."""


@dataclass(eq=False)
class _Block:
    """Up to `BLOCK` tokens, their cache, and what follows them."""

    content: Content
    cells: Cells
    parent: _Block | None
    following: OrderedDict[bytes, _Block] = field(default_factory=OrderedDict)


@dataclass
class PrefixCounts:
    """Since the start: prompts looked up, those with a hit, tokens looked up, tokens found; blocks that were let go."""

    lookups: int = 0
    hits: int = 0
    tokens: int = 0
    found: int = 0
    evicted: int = 0


class PrefixCache:
    """For one thread.

    Args:
        budget: bytes of keys and values that it may hold; 0 keeps nothing.

    Attributes:
        held: bytes that it holds.
        counts: see `PrefixCounts`.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.held = 0
        self.counts = PrefixCounts()
        self._root: OrderedDict[bytes, _Block] = OrderedDict()
        self._used: OrderedDict[int, _Block] = (
            OrderedDict()
        )  # by id, least recently used first, children before parents

    def find(self, content: Content) -> list[Cells]:
        """The cache of the longest known beginning of `content`, in pieces; whoever writes them copies them."""
        path, last = self._walk(content)
        self._touch(path)
        pieces = [block.cells for block in path]
        if last:
            pieces[-1] = pieces[-1][:, :, :last]
        found = sum(piece.shape[2] for piece in pieces)
        counts = self.counts
        counts.lookups += 1
        counts.hits += found > 0
        counts.tokens += len(content)
        counts.found += found
        return pieces

    def knows(self, content: Content) -> bool:
        """Whether `find` would find anything."""
        return bool(self._walk(content[:BLOCK])[0])

    def reach(self, content: Content) -> int:
        """Tokens that `find` would find."""
        path, last = self._walk(content)
        lengths = [len(block.content) for block in path]
        return sum(lengths[:-1]) + last if last else sum(lengths)

    def _walk(self, content: Content) -> tuple[list[_Block], int]:
        """Blocks along `content`, and how much of the last one it shares (0: all)."""
        path: list[_Block] = []
        following, at = self._root, 0
        while at < len(content):
            part = content[at : at + BLOCK]
            block = following.get(part.tobytes())
            if block is None:
                nearest, count = _nearest(following, part)
                return (path, 0) if nearest is None else ([*path, nearest], count)
            path.append(block)
            following, at = block.following, at + len(part)
        return path, 0

    def keep(self, content: Content, read: Read) -> None:
        """Remember the cache of a sequence's tokens; `read` is asked for those that are not there yet."""
        if not self.budget:
            return
        path: list[_Block] = []
        following, parent = self._root, None
        for at in range(0, len(content), BLOCK):
            part = content[at : at + BLOCK]
            key = part.tobytes()
            block = following.get(key)
            if block is None:
                if len(part) < BLOCK and any(len(b) > len(key) and b.startswith(key) for b in following):
                    break  # a longer block holds these tokens
                block = _Block(part.copy(), read(at, at + len(part)), parent)
                self._replace_beginnings(following, key)
                following[key] = block
                self.held += block.cells.nbytes
            path.append(block)
            following, parent = block.following, block
        self._touch(path)
        while self.held > self.budget:
            self._forget(next(iter(self._used.values())))
            self.counts.evicted += 1

    def clear(self) -> None:
        """Forget everything."""
        self._root.clear()
        self._used.clear()
        self.held = 0

    def _replace_beginnings(self, following: OrderedDict[bytes, _Block], key: bytes) -> None:
        """A short block that `key` goes on from is of no more use."""
        for block in [b for k, b in following.items() if len(k) < len(key) and key.startswith(k)]:
            self._forget(block)

    def _touch(self, path: list[_Block]) -> None:
        for block in reversed(path):
            self._used[id(block)] = block
            self._used.move_to_end(id(block))

    def _forget(self, block: _Block) -> None:
        """Take out a block that nothing follows."""
        siblings = self._root if block.parent is None else block.parent.following
        del siblings[block.content.tobytes()]
        self._used.pop(id(block), None)
        self.held -= block.cells.nbytes


def _nearest(following: OrderedDict[bytes, _Block], part: Content) -> tuple[_Block | None, int]:
    """The block that agrees with the beginning of `part` for longest, and for how many tokens."""
    best, most = None, 0
    for i, block in enumerate(reversed(following.values())):
        if i == _MOST_COMPARED:
            break
        shared = min(len(part), len(block.content))
        differs = np.flatnonzero((part[:shared] != block.content[:shared]).any(axis=1))
        count = int(differs[0]) if len(differs) else shared
        if count > most:
            best, most = block, count
    return best, most
