"""A profile beside an older one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, FiniteFloat, TypeAdapter

from pixelis.errors import InvalidRequest
from pixelis.json_text import reason
from pixelis.schema import Measurement


class _Component(BaseModel):
    """What of a component's row is compared."""

    component: str
    critical_ms: FiniteFloat


_COMPONENTS = TypeAdapter(list[_Component])
COLUMNS = ("p50_ms", "critical_ms", "stalled_ms", "queued_ms")


def read(path: Path) -> Measurement:
    """What `pixelis profile --json` printed. Raises `InvalidRequest` where it is something else."""
    mend = "Give what `pixelis profile --json` printed."
    try:
        found = Measurement.model_validate_json(path.read_bytes())
        _COMPONENTS.validate_python([row for row in found.rows if row.get("row") == "component"])
    except (OSError, ValueError) as error:  # pydantic's is one
        raise InvalidRequest(f"{path} is no profile: {reason(error)}.", mend=mend) from None
    if found.name != "profile":
        raise InvalidRequest(f"{path} is a `{found.name[:40]}`.", mend=mend)
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
    return {row["component"]: row for row in rows if row.get("row") == "component"}
