"""Random sequences against an exact model: what lives is found, what went is not, ids never come twice."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from pixelis.index_config import Hnsw, IndexConfig, Live
from pixelis.settings import Retrieval
from python_backends.experience import ExperienceStore
from python_backends.experience.priority import priority
from tests.experience.conftest import WIDTH, experience, key

CAPACITY = 6


@dataclass
class Modelled:
    """What the model knows of a living experience."""

    seed: int
    rank: tuple[float, float, int]
    retrieved: int = 0
    successes: int = 0


class Experiences(RuleBasedStateMachine):
    """The store beside a dictionary."""

    index: IndexConfig | None = None
    ids = Bundle("ids")

    @initialize(every=st.sampled_from([3, 1000]))
    def start(self, every: int) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="pixelis-model-"))
        live = Live(flat_below=3, tail=2) if self.index else Live()
        self.config = Retrieval(
            capacity=CAPACITY, cold_start_threshold=0, index=self.index, live=live, duplicate_similarity=2
        )
        self.every, self.seed = every, 0
        self.living: dict[str, Modelled] = {}
        self.gone: set[str] = set()
        self.store = self.opened()

    def opened(self) -> ExperienceStore:
        return ExperienceStore(self.directory, self.config, width=WIDTH, snapshot_every=self.every)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.directory)

    def insert_one(self, confidence: float, age: int) -> str:
        if len(self.living) == CAPACITY:
            self.went(min(self.living, key=lambda one: self.living[one].rank))
        self.seed += 1
        made = self.store.insert(experience(str(self.seed), confidence, created_at=float(age)), key(self.seed))
        assert made not in self.gone, "an id came twice"
        assert made not in self.living, "an id came twice"
        self.living[made] = Modelled(self.seed, (priority(confidence, 0.0), float(age), self.seed))
        return made

    def went(self, identifier: str) -> None:
        self.gone.add(identifier)
        del self.living[identifier]

    @rule(target=ids, confidence=st.sampled_from([0.1, 0.5, 0.9]), age=st.integers(0, 2))
    def insert(self, confidence: float, age: int) -> str:
        return self.insert_one(confidence, age)

    @rule(confidences=st.lists(st.sampled_from([0.1, 0.5, 0.9]), min_size=2, max_size=9))
    def insert_together(self, confidences: list[float]) -> None:
        with self.store.together():
            for confidence in confidences:
                self.insert_one(confidence, 1)

    @rule(identifier=consumes(ids))
    def delete(self, identifier: str) -> None:
        if identifier in self.living:
            self.store.delete(identifier)
            self.went(identifier)

    @rule(identifier=ids)
    def feedback(self, identifier: str) -> None:
        if identifier in self.living:
            self.store.feedback(identifier, True)
            self.living[identifier].successes += 1

    @precondition(lambda self: self.living)
    @rule(at=st.integers(0, 100), k=st.integers(1, 9))
    def search(self, at: int, k: int) -> None:
        wanted = list(self.living)[at % len(self.living)]
        (found,) = self.store.search(key(self.living[wanted].seed)[None], k, count=True).neighbours
        assert found[0].experience_id == wanted
        for one in found:
            self.living[one.experience_id].retrieved += 1

    @rule()
    def snapshot(self) -> None:
        self.store.snapshot()

    @rule()
    def compact(self) -> None:
        self.store.compact()

    @rule(clean=st.booleans())
    def restart(self, clean: bool) -> None:
        before = self.store
        if clean:
            before.close()
        self.store = self.opened()
        assert self.store.epoch == before.epoch
        assert self.store.stats()["faults"] == []
        before.close()

    @invariant()
    def every_living_one_is_found_and_no_other(self) -> None:
        if not hasattr(self, "store"):
            return
        self.store._population.index.settle(20)
        (found,) = self.store.search(key(0)[None], 99).neighbours
        assert {n.experience_id: (n.answer, n.retrieval_count, n.success_count) for n in found} == {
            name: (str(one.seed), one.retrieved, one.successes) for name, one in self.living.items()
        }
        assert len(self.store) == self.store.stats()["indexed"] == len(self.living)
        np.testing.assert_allclose(
            [n.similarity for n in found], [float(key(0) @ key(int(n.answer))) for n in found], atol=1e-5
        )

    @rule()
    def verify(self) -> None:
        assert self.store.verify().faults == []


class OnATrainedIndex(Experiences):
    """The same while the index is merged and built again all the time."""

    index = IndexConfig(index=Hnsw())


CHECKED: dict[str, Any] = {"deadline": None, "suppress_health_check": list(HealthCheck)}
TestExact = Experiences.TestCase
TestExact.settings = settings(max_examples=25, stateful_step_count=25, **CHECKED)
TestTrained = OnATrainedIndex.TestCase
TestTrained.settings = settings(max_examples=8, stateful_step_count=25, **CHECKED)
