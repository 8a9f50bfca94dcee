"""A trajectory's reward, step by step: what a prefix has come to, and what one more action adds.

`RewardState` is a value: extending it gives another one and leaves it as it is, so that a trajectory that goes on, or
several that begin alike, pay for their new actions only. `extend(rest)` of a prefix equals the whole in every bit (the
network's own rounding aside, where it depends on the size of a batch).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from pixelis.schema import Action, OperationName, RewardStep
from python_backends.reward.action import action_embedding, image_index
from python_backends.reward.coherence import REPETITION, SEQUENCES, cosine, flow_between, semantic_of, tools_of
from python_backends.reward.curiosity import Step
from python_backends.reward.penalty import FREE_OPERATIONS, REPEATED, SECOND_ZOOM, TOO_MANY
from python_backends.reward.trajectory import equal, visual

Floats = NDArray[np.float32]
Curious = Callable[[Floats, Floats, Floats], Sequence[Step]]
"""(states before `[n, D]`, actions `[n, 16]`, states after `[n, D]`) -> curiosity and similarity of each step."""
Sizes = Sequence[tuple[int, int]]

_ZOOMS = (OperationName.ZOOM_IN, OperationName.ZOOM_IN)


@dataclass(frozen=True)
class RewardState:
    """What the first actions of a trajectory have come to.

    Attributes:
        state: the newest state key `[D]`; none where there are no state keys.
        steps: one for each action.
        last: the newest action.
        operation: the newest visual operation.
        uses: visual operations by name.
        sensible: successions of operations that make sense.
    """

    state: Floats | None = None
    steps: tuple[RewardStep, ...] = ()
    last: Action | None = None
    operation: Action | None = None
    uses: MappingProxyType[OperationName | None, int] = field(default_factory=lambda: MappingProxyType({}))
    sensible: int = 0

    def extend(self, actions: Sequence[Action], states: Floats, sizes: Sizes, curious: Curious | None) -> RewardState:
        """The state after `actions`.

        Args:
            actions: what comes next.
            states: `[visual steps of it, D]`, the state key after each; `[0, 0]` where there are no state keys.
            sizes: (width, height) of the request's images.
            curious: asked once, about all new steps; none = their curiosity is left out.
        """
        done = visual(actions)
        worth: Sequence[Step] = ()
        before = states[:0]
        if self.state is not None and len(states):
            before = np.concatenate([self.state[np.newaxis], states[:-1]])
            if curious is not None:
                embedded = np.stack([action_embedding(a, _size(a, sizes)) for a in done])
                worth = curious(before, embedded, states)
        after, place = self, 0
        for action in actions:
            measured: dict[str, float] = {}
            if action.type == "VISUAL_OPERATION":
                if worth:
                    measured["curiosity"], measured["similarity"] = worth[place]
                elif len(before):
                    measured["similarity"] = cosine(before[place], states[place])
                place += 1
            after = after._with(action, measured)
        return replace(after, state=states[-1] if len(before) else self.state)

    def _with(self, action: Action, measured: dict[str, float]) -> RewardState:
        """One more action, without its state."""
        step = RewardStep(action=len(self.steps), **measured)
        step.flow = flow_between(self.last, action) if self.last is not None else 0.0
        if action.type != "VISUAL_OPERATION":
            return replace(self, steps=(*self.steps, step), last=action)
        pair = (self.operation.operation, action.operation) if self.operation is not None else (None, None)
        step.repeated = self.operation is not None and equal(self.operation, action)
        uses = Counter(self.uses) + Counter([action.operation])
        first = step.repeated and not self.repeated
        step.penalty = 0.0 - (TOO_MANY if uses.total() > FREE_OPERATIONS else 0.0) - (REPEATED if first else 0.0)
        step.penalty -= SECOND_ZOOM if pair == _ZOOMS else 0.0
        return replace(
            self,
            steps=(*self.steps, step),
            last=action,
            operation=action,
            uses=MappingProxyType(dict(uses)),
            sensible=self.sensible + (pair in SEQUENCES),
        )

    @property
    def repeated(self) -> bool:
        """Whether two consecutive visual operations were equal."""
        return any(step.repeated for step in self.steps)

    @property
    def curiosity_steps(self) -> list[float]:
        """Of the visual steps."""
        return [step.curiosity for step in self.steps if step.curiosity is not None]

    @property
    def curiosity(self) -> float:
        """Mean over the visual steps; 0 without any."""
        values = self.curiosity_steps
        return math.fsum(values) / len(values) if values else 0.0

    @property
    def penalty(self) -> float:
        """Never above 0."""
        return math.fsum(step.penalty for step in self.steps)

    @property
    def coherence(self) -> float:
        """Mean of the parts that apply; 0 with fewer than two actions. See `coherence.py`."""
        if len(self.steps) < 2:
            return 0.0
        parts = [math.fsum(step.flow for step in self.steps) / (len(self.steps) - 1)]
        if self.repeated:
            parts.append(REPETITION)
        cosines = [step.similarity for step in self.steps if step.similarity is not None]
        if cosines:
            parts.append(semantic_of(math.fsum(cosines) / len(cosines)))
        if self.uses:
            parts.append(tools_of(self.uses, self.sensible))
        return math.fsum(parts) / len(parts)


def _size(action: Action, sizes: Sizes) -> tuple[int, int]:
    index = image_index(action)
    return sizes[index] if index < len(sizes) else (1, 1)
