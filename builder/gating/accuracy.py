"""The gate's second question: is the artifact as good as its source at what the model is for?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from builder.gating.known_scores import KnownScores
from builder.gating.paired import paired
from builder.gating.verdict import TaskReport
from builder.sources.base import Answer, Source
from builder.sources.task import Task


def measure(source: Source, ask: Answer, drops: Mapping[str, float], known: KnownScores) -> list[TaskReport]:
    """Every task of the source, done by the fp32 reference and by the artifact.

    Args:
        source: whose `reference` is the fp32 model.
        ask: the artifact, loaded.
        drops: allowed drops by task, where the spec states one.
        known: what the reference scored before.
    """
    return [_one(source, task, ask, known, drops.get(task.name, task.allowed_drop)) for task in source.tasks()]


def _one(source: Source, task: Task, ask: Answer, known: KnownScores, allowed: float) -> TaskReport:
    reference = known.of(task.name, lambda: np.asarray(task.reference_scores(source.reference), np.float64))
    artifact = np.asarray(task.scores(ask), np.float64)
    found = paired(reference, artifact)
    return TaskReport(
        name=task.name,
        metric=task.metric,
        cases=reference.size,
        reference=round(float(reference.mean()), 6),
        artifact=round(float(artifact.mean()), 6),
        difference=round(found.difference, 6),
        low=round(found.low, 6),
        high=round(found.high, 6),
        interval=found.formula,
        allowed_drop=allowed,
    )
