"""What there is, in memory: the living experiences and the requests that take feedback. No disk, no lock."""

from __future__ import annotations

from dataclasses import dataclass

from pixelis.schema import Experience
from python_backends.experience.asked import AskedRequests, Remembered
from python_backends.experience.entry import Effects, Key
from python_backends.experience.population import Population


@dataclass(frozen=True)
class Undo:
    """What takes the effects of one entry back."""

    sequence: int
    changed: list[Experience]
    removed: list[tuple[Experience, int, Key]]
    added: str | None
    asked: Remembered | None


class Memory:
    """Experiences and requests as they are after the entry number `sequence`, at `position` in the replicas' stream.

    Args:
        population: empty.
        asked: empty.
    """

    def __init__(self, population: Population, asked: AskedRequests) -> None:
        self.population, self.asked = population, asked
        self.sequence, self.position = 0, ""

    def apply(self, effects: Effects, key: Key | None, sequence: int) -> Undo:
        """Do what the entry `sequence` with the key `[D]` does; how to take it back."""
        population = self.population
        undo = Undo(
            self.sequence,
            [one for one in (population.get(new.experience_id) for new in effects.changed) if one is not None],
            [population.whole(one) for one in effects.removed],
            effects.added.experience_id if effects.added is not None else None,
            self.asked.remembered() if effects.noted or effects.judged else None,
        )
        for experience in effects.changed:
            population.replace(experience)
        for experience_id in effects.removed:
            population.remove(experience_id)
        if effects.added is not None and key is not None:
            population.add([effects.added], key[None], [sequence])
        if effects.noted is not None and key is not None:
            self.asked.note(effects.noted, key)
        if effects.judged is not None:
            self.asked.judged(effects.judged)
        self.sequence = sequence
        return undo

    def undo(self, undo: Undo) -> None:
        """Take back the last `apply` that was not taken back yet."""
        if undo.added is not None:
            self.population.remove(undo.added)
        for experience, row, key in undo.removed:
            self.population.add([experience], key[None], [row])
        for experience in undo.changed:
            self.population.replace(experience)
        if undo.asked is not None:
            self.asked.restore(undo.asked)
        self.sequence = undo.sequence
