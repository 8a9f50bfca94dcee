"""The fastest index that finds enough.

Split (stored, held-out queries) -> truth.py (exact) -> grid.py (what is tried) -> trial.py (recall, time, size)
                                 -> choice.py (the fastest that reaches the recall, or why none does)
"""

from __future__ import annotations

from python_backends.experience.tuning.choice import Limits, choose, pareto
from python_backends.experience.tuning.grid import GRIDS, Grid
from python_backends.experience.tuning.trial import Trial
from python_backends.experience.tuning.truth import Split, Truth
from python_backends.experience.tuning.tune import tune

__all__ = ["GRIDS", "Grid", "Limits", "Split", "Trial", "Truth", "choose", "pareto", "tune"]
