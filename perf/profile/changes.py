"""A profile beside an older one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pixelis.errors import InvalidRequest
from pixelis.schema import Measurement

COLUMNS = ("p50_ms", "critical_ms", "stalled_ms", "queued_ms")


def read(path: Path) -> Measurement:
    """What `pixelis profile --json` printed. Raises `InvalidRequest` where it is something else."""
    try:
        found = Measurement.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValidationError, ValueError) as error:
        why = str(error).splitlines()[0]
        raise InvalidRequest(
            f"{path} is no profile: {why}.", mend="Give what `pixelis profile --json` printed."
        ) from None
    if found.name != "profile":
        raise InvalidRequest(f"{path} is a `{found.name}`.", mend="Give what `pixelis profile --json` printed.")
    return found


def changes(old: Measurement, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row for each component of either, those whose critical time has grown the most first.

    A component that the other profile did not see has nothing there.
    """
    before, after = _by_name(old.rows), _by_name(rows)
    made = []
    for name in dict.fromkeys([*after, *before]):
        one, other = before.get(name), after.get(name)
        grown = (other or _NOTHING)["critical_ms"] - (one or _NOTHING)["critical_ms"]
        row: dict[str, Any] = {"row": "change", "component": name, "grown_ms": round(grown, 3)}
        for column in COLUMNS:
            row[f"{column}_old"] = one and one.get(column)
            row[f"{column}_new"] = other and other.get(column)
        made.append(row)
    return sorted(made, key=lambda row: -row["grown_ms"])


_NOTHING: dict[str, Any] = {"critical_ms": 0.0}


def _by_name(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["component"]: row for row in rows if row["row"] == "component"}
