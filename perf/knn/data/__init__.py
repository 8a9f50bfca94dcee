"""Real vectors to measure on, by name."""

from __future__ import annotations

from perf.knn.data.datasets import DATASETS, Dataset, load

__all__ = ["DATASETS", "Dataset", "load"]
