"""What was used least recently goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from python_backends.caching.entry import Entry, Gone


class Lru:
    """A policy: see `memory.Policy`.

    Args:
        budget: weight that is held, at most.
        entries: not used; for the sketch of another policy.
    """

    def __init__(self, budget: int, entries: int) -> None:
        self._budget = budget
        self._found: OrderedDict[str, Entry] = OrderedDict()
        self.held = 0

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[Entry]:
        """All entries, the one to go first in front."""
        return iter(list(self._found.values()))

    def asked(self, hashed: int) -> None:
        """Nothing is remembered of what is not here."""

    def get(self, name: str) -> Entry | None:
        """An entry, now the one used last."""
        found = self._found.get(name)
        if found is not None:
            self._found.move_to_end(name)
        return found

    def peek(self, name: str) -> Entry | None:
        """An entry, and nothing changes."""
        return self._found.get(name)

    def put(self, entry: Entry) -> Gone:
        """Take an entry in, unless it is too large."""
        self.drop(entry.name)
        if entry.weight > self._budget:
            return Gone([], [entry])
        self._found[entry.name] = entry
        self.held += entry.weight
        gone = []
        while self.held > self._budget:
            _, first = self._found.popitem(last=False)
            self.held -= first.weight
            gone.append(first)
        return Gone(gone, [])

    def drop(self, name: str) -> None:
        """Forget an entry, if it is here."""
        gone = self._found.pop(name, None)
        if gone is not None:
            self.held -= gone.weight
