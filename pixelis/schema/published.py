"""The wire objects that are published, as one JSON Schema."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from pixelis.schema.experiences import Experience
from pixelis.schema.knn import KnnCommand, KnnResult
from pixelis.schema.measurement import Measurement
from pixelis.schema.operations import GroupResult, Operation, OperationGroup, OperationResult
from pixelis.schema.options import Options
from pixelis.schema.results import Event, PipelineResult
from pixelis.schema.rewards import Reward, RewardRequest
from pixelis.schema.sampling import PolicyEvent, Sampling
from pixelis.schema.voting import Ballot, Verdict

PUBLISHED: tuple[type[BaseModel], ...] = (
    Options, Operation, OperationResult, OperationGroup, GroupResult, Event, PipelineResult, Ballot, Verdict,
    RewardRequest, Reward, Experience, KnnCommand, KnnResult, Sampling, PolicyEvent, Measurement,
)  # fmt: skip


def json_schema() -> dict[str, Any]:
    """One JSON Schema document with a definition for every published wire object."""
    from pydantic.json_schema import models_json_schema

    _, document = models_json_schema([(model, "validation") for model in PUBLISHED], title="Pixelis wire objects")
    return document
