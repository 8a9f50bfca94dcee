"""Libraries that search, behind one small contract: `contender.py`."""

from __future__ import annotations

from perf.knn.contenders.contender import Contender, Plan
from perf.knn.contenders.plans import LIBRARIES, plans

__all__ = ["LIBRARIES", "Contender", "Plan", "plans"]
