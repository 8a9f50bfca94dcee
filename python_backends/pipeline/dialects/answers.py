"""Where an answer stands in what was written."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class AnswerMark(BaseModel):
    """What an answer is written between."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    open: str = Field(min_length=1)
    close: str = Field(min_length=1)
    nested: bool = Field(
        False, description="the last character of `open` and `close`, of which there is one, come in pairs inside"
    )
    pick: Literal["first", "last"] = Field("first", description="which one counts where there are several")

    def span(self, text: str) -> tuple[int, int] | None:
        """Start and end of what stands between the marks; to the end of the text where it is not closed."""
        at = text.find(self.open) if self.pick == "first" else text.rfind(self.open)
        if at < 0:
            return None
        start = at + len(self.open)
        if self.nested:
            return start, self._paired(text, start)
        end = text.find(self.close, start)
        return start, len(text) if end < 0 else end

    def _paired(self, text: str, start: int) -> int:
        depth, deeper, back = 1, self.open[-1], self.close
        for i in range(start, len(text)):
            depth += {deeper: 1, back: -1}.get(text[i], 0)
            if depth == 0:
                return i
        return len(text)
