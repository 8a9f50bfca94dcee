"""What a trajectory is worth."""

from pydantic import Field

from pixelis.schema.base import Wire
from pixelis.schema.experiences import Action


class RewardRequest(Wire):
    """Input of `reward`: a trajectory and its state keys (`len(states)` = visual steps + 1, each `[D]`)."""

    actions: list[Action]
    states: list[list[float]] = Field(default_factory=list)
    image_sizes: list[tuple[int, int]] = Field(default_factory=list, description="(width, height) of each image")
    answer: str | None = None
    reference_answer: str | None = None


class RewardStep(Wire):
    """What one action of a trajectory brought; what only visual operations have is absent elsewhere."""

    action: int = Field(description="its place in the trajectory, from 0")
    curiosity: float | None = Field(None, description="0.5 * mean squared error of the predicted next state")
    similarity: float | None = Field(None, description="cosine of the states before and after")
    flow: float = Field(0.0, description="of the step from the action before, not yet divided by their number")
    repeated: bool = Field(False, description="equal to the visual operation before")
    penalty: float = Field(0.0, description="what this action added to the penalty")


class Reward(Wire):
    """Components of a trajectory's reward; `task` is absent where no reference answer is given."""

    total: float
    task: float | None = None
    curiosity: float = 0.0
    coherence: float = 0.0
    penalty: float = 0.0
    curiosity_steps: list[float] = Field(default_factory=list)
    steps: list[RewardStep] = Field(default_factory=list, description="one for each action")
    reason: str | None = None
