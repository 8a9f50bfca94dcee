"""What may be turned: settings, processes and queue delays of models, and the forms that models are served in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from builder.pipeline import Pipeline
from pixelis.operations_config import FULL, Ladder
from pixelis.settings import Settings

FORM = "form."
"""Before a model's name: the form that it is served in."""
SCHEDULING = "scheduling."
MIB = 2**20
_READ = Ladder(steps=(0.5, 1.0), enough=0.9)
GRID: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("threads.intra_op", (1, 2)),
    ("scheduling.reason.instances", (1, 2, 3, 4)),
    ("scheduling.visual_ops.instances", (1, 2)),
    ("scheduling.prepare.instances", (1, 2)),
    ("scheduling.finish.instances", (1, 2)),
    ("batching.max_batch_size", (1, 4, 8, 16)),
    ("decoding.slots", (2, 4, 8, 16, 32)),
    ("operations.read_text", (FULL.model_dump(mode="json"), _READ.model_dump(mode="json"))),
    ("decoding.speculation", (True, False)),
    ("scheduling.recall.instances", (1, 2)),
    ("scheduling.embed_image.instances", (1, 2)),
    ("scheduling.vision_encoder.queue_delay_us", (0, 500, 2000)),
    ("scheduling.embed_image.queue_delay_us", (0, 500, 2000)),
    ("operations.temporal_localize", (FULL.model_dump(mode="json"),)),
    ("decoding.prefix_bytes", (0, 64 * MIB, 256 * MIB)),
    ("cache.vision.bytes", (0, 16 * MIB, 64 * MIB, 256 * MIB)),
    ("cache.image.bytes", (0, 16 * MIB, 64 * MIB)),
    ("cache.operation.bytes", (0, 16 * MIB, 64 * MIB)),
    ("cache.request.bytes", (0, 16 * MIB, 64 * MIB)),
    ("cache.cache_bytes", (0, 64 * MIB, 256 * MIB)),
)
"""Names and values, in the order in which they are tried one by one: what is likely to matter most comes first."""


@dataclass(frozen=True)
class Knob:
    """One of them.

    Attributes:
        name: a setting's path, or `form.MODEL`.
        values: the one in force first.
    """

    name: str
    values: tuple[Any, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The values as text that a study can store."""
        return tuple(map(label, self.values))

    def value(self, text: str) -> Any:
        """The value whose label it is."""
        return self.values[self.labels.index(text)]


@dataclass(frozen=True)
class Choice:
    """A value of some knobs; those that are not named stay as they are.

    Attributes:
        turned: knob's name -> value.
    """

    turned: Mapping[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """Settings as nested objects."""
        changes: dict[str, Any] = {}
        for name, value in self.turned.items():
            if name.startswith(FORM):
                continue
            *sections, last = name.split(".")
            place = changes
            for section in sections:
                place = place.setdefault(section, {})
            place[last] = value
        return changes

    @property
    def forms(self) -> dict[str, str]:
        """Model -> the form's label."""
        return {name.removeprefix(FORM): value for name, value in self.turned.items() if name.startswith(FORM)}

    @property
    def words(self) -> str:
        """For people."""
        return ", ".join(f"{name}={label(value)}" for name, value in self.turned.items()) or "as served"


def label(value: Any) -> str:
    """The value as text."""
    return value if isinstance(value, str) else json.dumps(value)


def knobs(
    config: Settings, known: Pipeline, forms: Mapping[str, Sequence[str]], only: Iterable[str] = ()
) -> list[Knob]:
    """What may be turned here: a knob that has one value only is none.

    Args:
        config: the settings in force.
        known: the pipeline under them.
        forms: model -> labels of the forms that may be served, the one that is served first.
        only: beginnings of names; none = all.
    """
    chosen = tuple(only)
    grid = [(f"{FORM}{model}", labels[0], labels) for model, labels in forms.items()]
    grid += [(name, in_force(name, config, known), values) for name, values in GRID]
    made = (Knob(name, (now, *(value for value in values if value != now))) for name, now, values in grid)
    return [one for one in made if len(one.values) > 1 and (not chosen or one.name.startswith(chosen))]


def in_force(name: str, config: Settings, known: Pipeline) -> Any:
    """What a setting is now, as JSON has it."""
    if name.startswith(SCHEDULING):
        _, model, what = name.split(".")
        return getattr(known[model], what)
    found: Any = config.model_dump(mode="json")
    for part in name.split("."):
        found = found[part]
    return found
