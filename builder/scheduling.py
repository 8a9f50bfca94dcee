"""Instances and queue delays that the settings say of single models, instead of the spec."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from builder.model_spec import ModelSpec
from builder.pipeline import Pipeline
from pixelis.errors import BuildError
from pixelis.settings import Scheduling

SINGLE = ("knn", "residency", "policy")
"""One process each: the index, the leases, and the batches of the decoder are its own."""


def scheduled(known: Pipeline, chosen: Mapping[str, Scheduling]) -> Pipeline:
    """`known` with what `chosen` says, by model.

    Raises:
        BuildError: a model that does not exist, or what cannot be.
    """
    unknown = sorted(set(chosen) - set(known.names))
    if unknown:
        mend = f"The models are {', '.join(known.names)}."
        raise BuildError(f"PIXELIS_SCHEDULING names {', '.join(unknown)}: no such model.", mend=mend)
    for name, said in chosen.items():
        known = known.replacing(_scheduled(known[name], said))
    return known


def _scheduled(model: ModelSpec, chosen: Scheduling) -> ModelSpec:
    if chosen.instances not in (None, 1) and (model.name in SINGLE or model.kind == "ensemble"):
        why = "has no process of its own" if model.kind == "ensemble" else "is one process"
        raise BuildError(f"PIXELIS_SCHEDULING asks for {chosen.instances} instances of {model.name}, which {why}.")
    try:
        return ModelSpec.model_validate({**dict(model), **chosen.model_dump(exclude_none=True)})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]["msg"]
        raise BuildError(f"PIXELIS_SCHEDULING cannot be: {first}.", mend="Change what it says of this model.") from None
