"""What a request may ask for."""

from typing import Literal

from pydantic import ConfigDict, Field

from pixelis.schema.base import Tenant, Wire
from pixelis.schema.parsing import parse_as
from pixelis.schema.token_choice import TokenChoice
from pixelis.schema.voting import Strategy


class Exchange(Wire):
    """A question that was asked before in the same conversation, and what was answered."""

    model_config = ConfigDict(extra="forbid", strict=True)

    question: str = Field(min_length=1, max_length=32_768)
    answer: str = Field(max_length=32_768)
    images: int = Field(0, ge=0, le=4096, description="how many of the request's images came with it, in order")


class CallerOptions(TokenChoice):
    """What whoever asks may choose."""

    max_operations: int = Field(10, ge=1, le=50)
    max_tokens: int = Field(512, ge=1, le=8192, description="tokens of one turn")
    k: int = Field(5, ge=0, le=100, description="neighbours; 0 = no retrieval")
    strategy: Strategy = Strategy.WEIGHTED
    use_cache: bool = True
    read_only: bool = True
    timeout_s: float = Field(30.0, ge=1, le=300)
    reference_answer: str | None = None
    media: Literal["images", "video"] = "images"
    fps: float = Field(1.0, gt=0, le=240)
    model: str | None = Field(
        None, max_length=64, description="a checkpoint of the server by its name; none = the default one"
    )
    system: str | None = Field(
        None, max_length=32_768, description="told before everything, behind what the checkpoint itself is told"
    )
    history: list[Exchange] = Field(
        default_factory=list, max_length=64, description="what was said before; images that it does not count are new"
    )

    @property
    def alone(self) -> bool:
        """Whether images and question are all there is; what else was said enters no retrieval key."""
        return not self.history and not self.system


class Options(CallerOptions):
    """What a request may ask for. Unknown keys are an error that lists the known ones."""

    tenant: Tenant = Field(
        "", description="whose experiences are found beside the shared ones, and whose it becomes; the gateway says it"
    )

    @classmethod
    def parse(cls, text: str | bytes | None) -> "Options":
        """`text` (JSON or nothing) as options.

        Raises:
            InvalidRequest: not JSON, an unknown key, or a value out of bounds; says what is allowed.
        """
        if text is None or not text.strip():
            return cls()
        return parse_as(cls, text, "OPTIONS")
