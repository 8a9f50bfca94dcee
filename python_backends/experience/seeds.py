"""The experiences that a model version brings along."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pixelis.array_file import read_array
from pixelis.errors import SetupError
from pixelis.json_text import reason
from pixelis.schema import Experience

MEND = "Build `knn` again: `pixelis build knn`."


def read_seeds(directory: Path, width: int) -> tuple[list[Experience], NDArray[np.float32]]:
    """`experiences.jsonl` and `keys.npy` of a version folder, created now (age decay would silence them else).

    Args:
        directory: the version folder of `knn`.
        width: D that the keys must have.

    Returns:
        Experiences and keys `[n, D]`; none where the folder has neither file.

    Raises:
        SetupError: one of the files is missing or unreadable, or they do not fit each other.
    """
    lines, array = directory / "experiences.jsonl", directory / "keys.npy"
    if not lines.exists() and not array.exists():
        return [], np.zeros((0, width), np.float32)
    now = time.time()
    try:
        parsed = [Experience.model_validate_json(line) for line in lines.read_bytes().splitlines()]
        keys = read_array(array).astype(np.float32)
    except (OSError, ValueError, TypeError) as error:  # pydantic's is a ValueError
        raise SetupError(f"The seed experiences in {directory} cannot be read: {reason(error)}.", mend=MEND) from error
    if keys.shape != (len(parsed), width) or not np.isfinite(keys).all():
        raise SetupError(f"{array} has shape {keys.shape} for {len(parsed)} experiences of width {width}.", mend=MEND)
    if len({experience.experience_id for experience in parsed}) != len(parsed):
        raise SetupError(f"{lines} names an experience twice.", mend=MEND)
    return [experience.model_copy(update={"created_at": now}) for experience in parsed], keys
