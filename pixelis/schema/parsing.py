"""JSON to a wire object, or a refusal that says what is known."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from pixelis.errors import InvalidRequest

_M = TypeVar("_M", bound=BaseModel)


def parse_as(model: type[_M], text: str | bytes, what: str) -> _M:
    """`text` as `model`, or an `InvalidRequest` that names the field, the fault and the known fields."""
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise misfit(model, error, what) from None


def misfit(model: type[BaseModel], error: ValidationError, what: str) -> InvalidRequest:
    """The refusal of what is no `model`: it names the field, the fault and the known fields."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part)[:80] for part in first["loc"][:8]) or "JSON"  # a key may be megabytes long
    known = f"Known keys: {', '.join(sorted(model.model_fields))}."
    if first["type"] == "extra_forbidden":
        return InvalidRequest(f"{what} has an unknown key `{where}`.", mend=known)
    return InvalidRequest(f"{what} is wrong at `{where}`: {first['msg']}.", mend=known)
