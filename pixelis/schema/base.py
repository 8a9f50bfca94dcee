"""What all wire objects have in common."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Wire(BaseModel):
    """A JSON object without unknown keys, and without numbers that JSON does not have."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


Tenant = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9._-]*$")]
"""Whose something is; empty = nobody's own: shared."""

MAX_SEED = 2**63 - 1
"""The largest that a signed integer of 64 bits holds, in whatever language a client is written."""
MAX_COUNT = 2**53 - 1
"""The largest whole number that every reader of JSON has exactly (RFC 8259, section 6)."""
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
"""How often something was."""
