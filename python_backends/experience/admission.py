"""What may be stored: keys that can be compared, experiences that survive the way to disk and back."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from pixelis.errors import InvalidRequest
from pixelis.schema import Experience
from python_backends.experience.asked import Asked
from python_backends.experience.entry import Key
from python_backends.experience.identifier import ulid
from python_backends.experience.priority import learning_rate, priority


def checked(key: Key, width: int) -> Key:
    """`key` as float32 `[width]`. Raises `InvalidRequest` where it does not fit."""
    if key.shape != (width,):
        raise InvalidRequest(f"The key has shape {list(key.shape)}.", mend=f"It must be [{width}].")
    key = np.ascontiguousarray(key, np.float32)
    if not np.isfinite(key).all():
        raise InvalidRequest("The key holds a value that is not a finite number.", mend="Send finite float32s.")
    if not key.any():
        raise InvalidRequest("The key is zero: it has no direction to compare.", mend="Send an embedding.")
    return key


def storable(key: Key, width: int) -> Key:
    """`key` as float32 `[width]` of length 1. Raises `InvalidRequest` where it has another."""
    key = checked(key, width)
    if abs(float(np.linalg.norm(key)) - 1) > 1e-2:
        raise InvalidRequest(
            "A key must have length 1 to be stored.", mend="A key with one side missing is for queries only."
        )
    return key


def complete(experience: Experience) -> Experience:
    """A copy with its id, priority and learning rate; proven to survive the way to disk and back.

    Raises:
        InvalidRequest: it cannot be written as JSON.
    """
    try:
        sound = Experience.model_validate_json(experience.model_dump_json())
    except (ValidationError, PydanticSerializationError) as error:
        raise InvalidRequest(f"The experience cannot be written as JSON: {error}.") from None
    sound.experience_id = sound.experience_id or ulid()
    sound.priority = priority(sound.confidence, sound.reward)
    if sound.learning_rate is None:
        sound.learning_rate = learning_rate(sound.confidence)
    return sound


def plain(made: Experience | Asked) -> dict[str, Any]:
    """As JSON values."""
    found: dict[str, Any] = json.loads(made.model_dump_json())
    return found
