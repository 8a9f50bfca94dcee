"""What is asked for often stays: W-TinyLFU.

Einziger, Friedman and Manes, "TinyLFU: A Highly Efficient Cache Admission Policy" (2017); values of different sizes as
in Einziger et al., "Lightweight Robust Size Aware Cache Management" (2021): who comes in must have been asked for more
often than all together who would have to go.

    new -> window (LRU, 1 %) -> admitted? -> probation -> used again -> protected (80 % of the rest)
                                                 ^-- longest not used ------'
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from python_backends.caching.entry import Entry, Gone
from python_backends.caching.sketch import Sketch

WINDOW, PROTECTED = 0.01, 0.8


class _Segment:
    """Entries in the order of their use."""

    def __init__(self, budget: int) -> None:
        self.budget, self.held = budget, 0
        self.found: OrderedDict[str, Entry] = OrderedDict()

    def add(self, entry: Entry) -> None:
        self.found[entry.name] = entry
        self.held += entry.weight

    def remove(self, name: str) -> Entry:
        gone = self.found.pop(name)
        self.held -= gone.weight
        return gone

    def oldest(self) -> Entry:
        return self.found[next(iter(self.found))]


class TinyLfu:
    """A policy: see `memory.Policy`.

    Args:
        budget: weight that is held, at most.
        entries: about how many that are, for the sketch.
    """

    def __init__(self, budget: int, entries: int) -> None:
        window = max(int(budget * WINDOW), budget // max(entries, 1))
        self._window, self._probation = _Segment(window), _Segment(budget - window)
        self._protected = _Segment(int((budget - window) * PROTECTED))
        self._sketch = Sketch(entries)

    @property
    def held(self) -> int:
        """Weight of all entries."""
        return self._window.held + self._probation.held + self._protected.held

    def __len__(self) -> int:
        return sum(len(segment.found) for segment in self._segments)

    def __iter__(self) -> Iterator[Entry]:
        """All entries, the ones to go first in front."""
        return iter([entry for segment in self._segments for entry in segment.found.values()])

    @property
    def _segments(self) -> tuple[_Segment, _Segment, _Segment]:
        return self._window, self._probation, self._protected

    def asked(self, hashed: int) -> None:
        """Count an asking, whether it is found or not."""
        self._sketch.add(hashed)

    def get(self, name: str) -> Entry | None:
        """An entry; one that is used again is protected from those that were used once."""
        for segment in (self._protected, self._window):
            found = segment.found.get(name)
            if found is not None:
                segment.found.move_to_end(name)
                return found
        if name not in self._probation.found:
            return None
        entry = self._probation.remove(name)
        self._protected.add(entry)
        while self._protected.held > self._protected.budget and len(self._protected.found) > 1:
            self._probation.add(self._protected.remove(self._protected.oldest().name))
        return entry

    def peek(self, name: str) -> Entry | None:
        """An entry, and nothing changes."""
        return next((segment.found[name] for segment in self._segments if name in segment.found), None)

    def put(self, entry: Entry) -> Gone:
        """Take an entry in; who leaves the window for it stays only if it is asked for more often than others."""
        self.drop(entry.name)
        self._window.add(entry)
        gone = Gone([], [])
        while self._window.held > self._window.budget:
            candidate = self._window.remove(self._window.oldest().name)
            self._admit(candidate, gone)
        return gone

    def _admit(self, candidate: Entry, gone: Gone) -> None:
        """Into the main part, where what would have to go for it is asked for less; what goes is added to `gone`."""
        room = self._probation.budget  # of probation and protected together
        over = self._probation.held + self._protected.held + candidate.weight - room
        victims: list[Entry] = []
        if candidate.weight > room:
            gone.refused.append(candidate)
            return
        asked, sum_of = self._sketch.count(candidate.hashed), 0
        for segment in (self._probation, self._protected):
            for entry in segment.found.values():
                if over <= 0:
                    break
                victims.append(entry)
                over -= entry.weight
                sum_of += self._sketch.count(entry.hashed)
                if sum_of >= asked:
                    gone.refused.append(candidate)
                    return
        for victim in victims:
            self.drop(victim.name)
        self._probation.add(candidate)
        gone.evicted.extend(victims)

    def drop(self, name: str) -> None:
        """Forget an entry, if it is here."""
        for segment in self._segments:
            if name in segment.found:
                segment.remove(name)
