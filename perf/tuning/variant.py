"""A choice as a repository and settings, to be served beside what is served now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from builder.named.specs import in_repository
from builder.spec import pipeline
from builder.store import Store
from builder.storing.layout import CONFIG, as_served, check_waiting, shimmed
from builder.triton_config import config, text
from perf.repositories import linked, replaced
from perf.sides import Side
from perf.tuning.knobs import Choice
from pixelis.errors import InvalidRequest
from pixelis.settings import Settings


def variant(name: str, choice: Choice, forms: Mapping[str, Mapping[str, str]], store: Store, to: Path) -> Side:
    """The choice laid out.

    Args:
        name: of the side.
        choice: what is turned.
        forms: model -> label -> key in the build cache.
        store: what is served, and the build cache; links lead there.
        to: a folder that is not there yet.

    Raises:
        PixelisError: the choice cannot be served: queues that wait too long together, a model that cannot be so.
    """
    try:
        values = Settings(**choice.settings)
    except ValidationError as error:
        raise InvalidRequest(f"{choice.words} cannot be set: {error.errors(include_url=False)[0]['msg']}.") from None
    other = Store(linked(store.repository, to), store.state)
    known = in_repository(pipeline(values), other)
    check_waiting(known)
    with other.locked():
        for model, label in choice.forms.items():
            spec = known[model].as_candidate(known[model].find_candidate(label))
            other.publish(model, forms[model][label], shimmed(spec, "embedded"))
    for model_spec in known.models:
        path = other.repository / model_spec.name / CONFIG
        spec, files = as_served(other, model_spec)
        if path.is_symlink():
            replaced(path, text(config(spec, "embedded", values, files)))
    return Side(name, str(other.repository), choice.settings)
