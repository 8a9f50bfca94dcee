"""All models together: who is there, and how long a request can wait on its way through them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, model_validator

from builder.model_spec import ModelSpec
from pixelis.errors import NotFound


class Pipeline(BaseModel):
    """All models, by name. Children and steps must exist."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: tuple[ModelSpec, ...]

    @model_validator(mode="after")
    def _known(self) -> Pipeline:
        names = [model.name for model in self.models]
        if len(set(names)) != len(names):
            raise ValueError(f"a model name occurs twice: {sorted(names)}")
        for model in self.models:
            used = {call.model for call in model.calls} | {step.model for step in model.steps}
            unknown = used - set(names)
            if unknown:
                raise ValueError(f"{model.name} uses models that do not exist: {sorted(unknown)}")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Every model's name, in order."""
        return tuple(model.name for model in self.models)

    def __getitem__(self, name: str) -> ModelSpec:
        for model in self.models:
            if model.name == name:
                return model
        raise NotFound(f"There is no model {name!r}.", mend=f"There are {', '.join(self.names)}.")

    def replacing(self, model: ModelSpec) -> Pipeline:
        """This pipeline with `model` instead of the one of its name."""
        return Pipeline(models=tuple(model if known.name == model.name else known for known in self.models))

    def waiting_us(self, name: str) -> int:
        """The longest that a request to `name` can wait in queues for company, children included, in microseconds.

        Sequential calls add up; steps of an ensemble that depend on the same tensors run side by side.
        """
        model = self[name]
        below = sum(call.times * self.waiting_us(call.model) for call in model.calls)
        return (model.queue_delay_us if model.batchable else 0) + below + self._longest_step_path(model)

    def _longest_step_path(self, ensemble: ModelSpec) -> int:
        ready = {tensor.name: 0 for tensor in ensemble.inputs}
        for step in ensemble.steps:  # in topological order, which lint checks
            start = max((ready.get(tensor, 0) for tensor in step.inputs), default=0)
            end = start + self.waiting_us(step.model)
            ready.update(dict.fromkeys(step.outputs, end))
        return max(ready.values(), default=0) if ensemble.steps else 0
