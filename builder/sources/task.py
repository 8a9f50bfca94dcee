"""What a model is for, as a score: the gate's second question, after "are the numbers right"."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

Asked = dict[str, NDArray[np.generic]]


class Task(ABC):
    """One task with labelled cases. The fp32 PyTorch source and the artifact do the same cases.

    Attributes:
        name: for instance `ocr-lines`.
        metric: what one case's score means, for instance `line is exact (0 or 1)`.
        allowed_drop: how much lower than the reference the artifact's mean may be, in points of 1.
    """

    name: ClassVar[str]
    metric: ClassVar[str]
    allowed_drop: ClassVar[float] = 0.01

    @abstractmethod
    def scores(self, ask: Callable[[Asked], Asked]) -> Sequence[float]:
        """One score from 0 to 1 for each case, always in the same order.

        Args:
            ask: the model, reference or artifact.
        """

    def reference_scores(self, ask: Callable[[Asked], Asked]) -> Sequence[float]:
        """`scores` of the fp32 source; a task that knows a cheaper way to the same ones overrides it."""
        return self.scores(ask)
