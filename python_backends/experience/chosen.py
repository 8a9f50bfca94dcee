"""The index that was chosen for the experiences of a directory: `index.json` beside them."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from pixelis.draft import replace_text
from pixelis.errors import InvalidRequest, SetupError
from pixelis.index_config import IndexConfig
from pixelis.json_text import reason

NAME = "index.json"


def read(directory: Path) -> IndexConfig:
    """What was chosen; the exact index where nothing was.

    Raises:
        SetupError: the file cannot be read.
    """
    path = directory / NAME
    try:
        return IndexConfig.model_validate_json(path.read_bytes()) if path.exists() else IndexConfig()
    except (OSError, ValidationError) as error:
        raise SetupError(
            f"{path} says no index: {reason(error)}.", mend="Remove it, or write it: pixelis tune knn."
        ) from error


def write(directory: Path, config: IndexConfig) -> Path:
    """Choose `config` for the next start; the file.

    Raises:
        InvalidRequest: it keeps codes only: experiences need their keys whole.
    """
    if not config.verbatim:
        raise InvalidRequest(
            f"{config.label} keeps codes only, and experiences need their keys.",
            mend="Tune with `refine` float32 in the grid.",
        )
    return replace_text(directory / NAME, config.model_dump_json(indent=2, exclude_none=True) + "\n")
