"""How tokens are chosen: of whoever asks, and of the policy."""

from typing import Annotated

from pydantic import Field, model_validator

from pixelis.errors import InvalidRequest
from pixelis.schema.base import MAX_SEED, Wire


class TokenChoice(Wire):
    """How tokens are chosen; what `OPTIONS` and `SAMPLING` have in common.

    Temperature 0 takes the likeliest token. A `top_p`, `top_k` or `min_p` that narrows a draw contradicts it: there is
    no draw, so the request is refused. `top_k` 1 and `min_p` 1 say the same as temperature 0, and a `seed` has nothing
    to do there: they are taken. `repetition_penalty` and `stop` go with every temperature.
    """

    temperature: float = Field(0.0, ge=0, le=2, description="0 = the likeliest token, always")
    top_p: float = Field(
        1.0, gt=0, le=1, description="draw from the likeliest tokens that have this probability together"
    )
    top_k: int = Field(0, ge=0, le=1_000_000, description="draw from this many of the likeliest tokens; 0 = no limit")
    min_p: float = Field(
        0.0, ge=0, le=1, description="draw from tokens of at least this share of the likeliest one's probability"
    )
    repetition_penalty: float = Field(
        1.0, ge=0.01, le=2, description="of tokens of the prompt and of what was written; over 1 = rarer"
    )
    stop: list[Annotated[str, Field(min_length=1, max_length=256)]] = Field(
        default_factory=list, max_length=8, description="the text ends before the first of these"
    )
    seed: int | None = Field(None, ge=0, le=MAX_SEED, description="equal requests with equal seeds draw equal tokens")
    priority: int = Field(0, ge=0, le=10, description="7 and more: ordinary requests stand back")

    @model_validator(mode="after")
    def _agrees(self) -> "TokenChoice":
        narrowing = {"top_p": self.top_p < 1, "top_k": self.top_k > 1, "min_p": 0 < self.min_p < 1}
        for name, narrows in narrowing.items():
            if narrows and self.temperature == 0:
                raise InvalidRequest(
                    f"`temperature` 0 and `{name}` {getattr(self, name):g} contradict each other: the first takes the "
                    "likeliest token, the second narrows a draw.",
                    mend=f"Send a `temperature` above 0, or no `{name}`.",
                )
        return self
