"""What a measuring command found, and what it claims."""

from typing import Any

from pydantic import Field, field_validator

from pixelis.schema.base import Wire


class Claim(Wire):
    """One line of what a measuring command claims."""

    claim: str
    target: float
    measured: float
    unit: str
    met: bool


class Measurement(Wire):
    """What every measuring command prints with `--json`."""

    name: str
    command: str
    machine: dict[str, Any]
    versions: dict[str, str]
    rows: list[dict[str, Any]]
    claims: list[Claim] = Field(default_factory=list)

    @field_validator("rows")
    @classmethod
    def _some(cls, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if not rows:
            raise ValueError("a measurement without rows measured nothing")
        return rows
