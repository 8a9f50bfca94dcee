"""Typed wire objects: every JSON object that crosses a door is one of these.

Their JSON Schema is published under `docs/schema.json` (`make docs` writes it, a test holds it equal).
"""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pixelis.errors import InvalidRequest

Box = tuple[float, float, float, float]
"""`[x1, y1, x2, y2]`, half-open, in pixels of the original image."""


Tenant = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9._-]*$")]
"""Whose something is; empty = nobody's own: shared."""


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


_M = TypeVar("_M", bound=BaseModel)


class Strategy(str, Enum):
    """How votes are combined."""

    WEIGHTED = "weighted"
    MAJORITY = "majority"
    CONFIDENCE = "confidence"
    ENSEMBLE = "ensemble"


class OperationName(str, Enum):
    """The six visual operations."""

    ZOOM_IN = "ZOOM_IN"
    SEGMENT_OBJECT_AT = "SEGMENT_OBJECT_AT"
    READ_TEXT = "READ_TEXT"
    GET_PROPERTIES = "GET_PROPERTIES"
    TRACK_OBJECT = "TRACK_OBJECT"
    TEMPORAL_LOCALIZE = "TEMPORAL_LOCALIZE"


MAX_SEED = 2**63 - 1
"""The largest that a signed integer of 64 bits holds, in whatever language a client is written."""
MAX_COUNT = 2**53 - 1
"""The largest whole number that every reader of JSON has exactly (RFC 8259, section 6)."""
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
"""How often something was."""


class TokenChoice(_Wire):
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
    def _agrees(self) -> TokenChoice:
        narrowing = {"top_p": self.top_p < 1, "top_k": self.top_k > 1, "min_p": 0 < self.min_p < 1}
        for name, narrows in narrowing.items():
            if narrows and self.temperature == 0:
                raise InvalidRequest(
                    f"`temperature` 0 and `{name}` {getattr(self, name):g} contradict each other: the first takes the "
                    "likeliest token, the second narrows a draw.",
                    mend=f"Send a `temperature` above 0, or no `{name}`.",
                )
        return self


class Exchange(_Wire):
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
    def parse(cls, text: str | bytes | None) -> Options:
        """`text` (JSON or nothing) as options.

        Raises:
            InvalidRequest: not JSON, an unknown key, or a value out of bounds; says what is allowed.
        """
        if text is None or not text.strip():
            return cls()
        return parse_as(cls, text, "OPTIONS")


def parse_as(model: type[_M], text: str | bytes, what: str) -> _M:
    """`text` as `model`, or an `InvalidRequest` that names the field, the fault and the known fields."""
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise misfit(model, error, what) from None


def misfit(model: type[BaseModel], error: ValidationError, what: str) -> InvalidRequest:
    """The refusal of what is no `model`: it names the field, the fault and the known fields."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part)[:80] for part in first["loc"][:8]) or "JSON"  # a key may be megabytes long
    known = f"Known keys: {', '.join(sorted(model.model_fields))}."
    if first["type"] == "extra_forbidden":
        return InvalidRequest(f"{what} has an unknown key `{where}`.", mend=known)
    return InvalidRequest(f"{what} is wrong at `{where}`: {first['msg']}.", mend=known)


class Operation(_Wire):
    """A call of a visual operation. Coordinates are pixels of the original image unless normalised."""

    operation: OperationName
    arguments: dict[str, Any] = Field(default_factory=dict)
    image_index: int = Field(0, ge=0, le=2**31 - 1, description="which of the request's images")
    resolution: Literal["adaptive", "full"] = Field(
        "adaptive", description="full = looked at in full at once, with nothing left out; adaptive = as configured"
    )


class OperationGroup(_Wire):
    """Independent operations on the same images: what they share is computed once."""

    operations: list[Operation] = Field(min_length=1, max_length=64)
    enough: float | None = Field(
        None, ge=0, le=1, description="confidence from which on operations that have not begun are left out"
    )


class OperationResult(_Wire):
    """What a visual operation found, or the typed reason why it could not."""

    operation: OperationName
    result: dict[str, Any] = Field(default_factory=dict)
    error: str | None = None
    elapsed_ms: float = 0.0
    resolution: float = Field(1.0, description="share of the full resolution's sides at which it answered")
    looks: int = Field(0, description="resolutions tried; 0 for what takes no looks")
    skipped: list[str] = Field(default_factory=list, description="what was left out because the answer was certain")


class GroupResult(_Wire):
    """What the operations of a group found, in the order in which they were asked for."""

    results: list[OperationResult]
    skipped: list[int] = Field(default_factory=list, description="places of operations that were left out")


class Action(_Wire):
    """One step of a trajectory: a visual operation, a thought, or the answer."""

    type: Literal["VISUAL_OPERATION", "REASONING", "ANSWER"]
    operation: OperationName | None = None
    arguments: dict[str, Any] = Field(default_factory=dict, description="coordinates in the original image")
    result: dict[str, Any] = Field(default_factory=dict)
    error: str | None = None
    text: str = ""
    elapsed_ms: float = 0.0
    resolution: float = Field(1.0, description="as the operation's result says")
    looks: int = 0
    skipped: list[str] = Field(default_factory=list)


class Experience(_Wire):
    """A past episode. `experience_id` is never an index position; the key is kept beside, not in the JSON."""

    experience_id: str
    question: str
    answer: str
    trajectory: list[Action] = Field(default_factory=list)
    confidence: float = Field(ge=0, le=1)
    reward: float = 0.0
    priority: float = Field(0.01, ge=0)
    created_at: float = Field(description="seconds since the epoch")
    retrieval_count: Count = 0
    success_count: Count = 0
    occurrences: int = Field(
        1, ge=1, le=MAX_SEED, description="how often it was learned: what is so alike is stored once"
    )
    learning_rate: float | None = None
    confirmed: bool = Field(False, description="feedback said that its answer is right, or put the right one in")
    tenant: Tenant = Field("", description="whose it is; none = everybody finds it")


class Neighbour(_Wire):
    """A retrieved experience, as it votes."""

    experience_id: str
    answer: str
    similarity: float
    confidence: float = Field(ge=0, le=1)
    priority: float = 1.0
    age_hours: float = 0.0
    retrieval_count: Count = 0
    success_count: Count = 0
    occurrences: int = Field(1, ge=1, le=MAX_COUNT, description="it casts so many votes, five at most")
    confirmed: bool = False
    tenant: Tenant = Field("", description="whose it is; none = a shared one")


class Ballot(_Wire):
    """Input of `vote`."""

    answer: str
    confidence: float = Field(ge=0, le=1)
    neighbours: list[Neighbour] = Field(default_factory=list)
    strategy: Strategy = Strategy.WEIGHTED


class Verdict(_Wire):
    """Output of `vote`."""

    answer: str
    confidence: float
    strategy: Strategy
    reason: str | None = None
    votes: int = 1
    share: float = 1.0
    agreement: float = 1.0
    decided_by: str | None = Field(None, description="id of the confirmed experience that decided without a count")


class RewardRequest(_Wire):
    """Input of `reward`: a trajectory and its state keys (`len(states)` = visual steps + 1, each `[D]`)."""

    actions: list[Action]
    states: list[list[float]] = Field(default_factory=list)
    image_sizes: list[tuple[int, int]] = Field(default_factory=list, description="(width, height) of each image")
    answer: str | None = None
    reference_answer: str | None = None


class RewardStep(_Wire):
    """What one action of a trajectory brought; what only visual operations have is absent elsewhere."""

    action: int = Field(description="its place in the trajectory, from 0")
    curiosity: float | None = Field(None, description="0.5 * mean squared error of the predicted next state")
    similarity: float | None = Field(None, description="cosine of the states before and after")
    flow: float = Field(0.0, description="of the step from the action before, not yet divided by their number")
    repeated: bool = Field(False, description="equal to the visual operation before")
    penalty: float = Field(0.0, description="what this action added to the penalty")


class Reward(_Wire):
    """Components of a trajectory's reward; `task` is absent where no reference answer is given."""

    total: float
    task: float | None = None
    curiosity: float = 0.0
    coherence: float = 0.0
    penalty: float = 0.0
    curiosity_steps: list[float] = Field(default_factory=list)
    steps: list[RewardStep] = Field(default_factory=list, description="one for each action")
    reason: str | None = None


class Provenance(_Wire):
    """Where an answer comes from."""

    agent_answer: str
    agent_confidence: float
    neighbours: list[Neighbour] = Field(default_factory=list)
    strategy: Strategy = Strategy.WEIGHTED
    reason: str | None = None
    learned: str | None = Field(None, description="id of the experience that this request inserted")
    decided_by: str | None = Field(None, description="id of the neighbour that decided: `confirmed_by_feedback`")
    reasons: list[str] = Field(default_factory=list, description="stages that failed and were done without")


Finish = Literal["answer", "max_operations", "max_tokens", "stop", "timeout"]
"""How an agent's reasoning ends: with an answer, or where an option or the time that it had cut it off."""


class Usage(_Wire):
    """What a request took of the policy."""

    prompt_tokens: int = Field(description="given to it: conversation, visual tokens, observations")
    completion_tokens: int = Field(description="written by it, in all turns")


class PipelineResult(_Wire):
    """`RESULT` of the ensemble `pixelis`, and the final event of `agent`."""

    request_id: str
    answer: str
    confidence: float
    trajectory: list[Action]
    reward: Reward | None
    provenance: Provenance
    timings_ms: dict[str, float]
    versions: dict[str, str]
    from_cache: bool = False
    usage: Usage | None = Field(None, description="of the reasoning that made the answer, even where a cache had it")
    finish: Finish = Field("answer", description="how the agent's reasoning ended")


PROBE_ID = "watchdog"
"""Request id of whoever only looks whether a model lives: for that no checkpoint is loaded."""


class PreparedRequest(_Wire):
    """What `prepare` hands to the other steps, as JSON in the tensor `REQUEST`."""

    request_id: str
    question: str
    options: Options
    digest: str = Field(description="sha-256 of the encoded images, in order")
    sizes: list[tuple[int, int]] = Field(description="(width, height) of each original image")
    started_at: float = Field(description="seconds since the epoch")
    deadline: float = Field(description="seconds since the epoch at which the request must have ended")
    elapsed_ms: float = 0.0


class RecallOutcome(_Wire):
    """What `recall` hands to `finish`, as JSON in the tensor `NEIGHBOURS`; the key travels as `KEY`."""

    neighbours: list[Neighbour] = Field(default_factory=list)
    reason: str | None = None
    elapsed_ms: float = 0.0
    timings_ms: dict[str, float] = Field(default_factory=dict)


class StateRows(_Wire):
    """Embeddings of a trajectory's states after the first one; base64 of float32, little-endian, row after row."""

    text: str = Field(description="[visual steps, 384]")
    visual: str = Field(description="[views that were not seen before, 1280]")


class AgentOutcome(_Wire):
    """What `reason` hands to `finish`, as JSON in the tensor `OUTCOME`."""

    answer: str
    confidence: float = Field(ge=0, le=1)
    actions: list[Action]
    answer_logprob: float | None = Field(None, description="mean log-probability of the answer's tokens")
    call_logprob: float | None = Field(None, description="the same of the least likely tool call")
    finish: Finish = "answer"
    from_cache: bool = Field(False, description="the same was asked before; `elapsed_ms` is of the look-up")
    error: str | None = Field(None, description="with `timeout`: what was not done in time")
    states: StateRows | None = Field(None, description="what `reason` embedded beside the policy")
    tokens: int = Field(0, description="written by the policy, in all turns")
    prompt_tokens: int = Field(0, description="given to it, in all turns")
    elapsed_ms: float = 0.0
    timings_ms: dict[str, float] = Field(default_factory=dict)


class Event(_Wire):
    """One event of `agent`."""

    event: Literal["token", "tool_call", "observation", "answer", "error"]
    step: int = 0
    text: str = ""
    operation: Operation | None = None
    observation: OperationResult | None = None
    result: PipelineResult | None = None
    code: str | None = None


class Sampling(TokenChoice):
    """`SAMPLING` of `policy`."""

    request_id: str
    max_tokens: int = Field(512, ge=1)
    stop_ids: list[int] = Field(default_factory=list, description="beside the checkpoint's own end tokens")
    ignore_end: bool = Field(False, description="the checkpoint's own end tokens do not end it: equal work for a bench")
    stream: bool = Field(True, description="one event a token; else a single event with all of them")
    deadline: float | None = Field(None, description="seconds since the epoch")
    grammar: bool = Field(False, description="decode tool calls under the grammar; the checkpoint's profile allows it")
    patch_seconds: float | None = Field(
        None,
        gt=0,
        le=86_400,
        description="seconds from one temporal patch to the next, of images whose grid has several (Qwen2.5-VL's "
        "videos); none = one position",
    )
    channel: str | None = Field(
        None,
        pattern="^[a-z0-9]{16,64}$",
        description="socket in the server's own folder that takes tokens as they come; the answer is a single event",
    )


class PolicyEvent(_Wire):
    """One event of `policy`: token ids, their log-probabilities, and why it ended.

    The log-probabilities are those of the policy's own distribution: before penalty, temperature, filters and grammar.
    A token that may be part of a stop text is held back until it is known not to be. Those that complete one are among
    the tokens; `text_length` says how much of the text of all the turn's tokens counts, the stop text left out.
    """

    tokens: list[int] = Field(default_factory=list)
    logprobs: list[float] = Field(default_factory=list)
    finish: Literal["stop", "length", "cancelled", "deadline"] | None = None
    stop: str | None = Field(None, description="the stop text that ended it")
    text_length: int | None = Field(None, ge=0, description="with `stop`: characters before it, control tokens aside")


class KnnCommand(_Wire):
    """`COMMAND` of `knn`; `search`, `insert` and `asked` carry their key in the request's `KEY` tensor.

    `asked` notes what a request was answered, so that `feedback` on its id finds it; with `learn` it inserts
    `experience`.
    """

    command: Literal["search", "insert", "asked", "delete", "feedback", "stats", "tune", "snapshot", "verify"]
    experience: Experience | None = None
    experience_id: str | None = None
    request_id: str | None = Field(None, description="for `asked`; for `feedback`, instead of `experience_id`")
    correct: bool | None = None
    answer: str | None = Field(
        None, description="for `feedback`, instead of `correct`: the right answer; for `asked`: the one that was given"
    )
    retrieved: list[str] = Field(default_factory=list, description="for `asked`: the neighbours that were found")
    learn: bool = Field(False, description="for `asked`: insert the experience too")
    count: bool = Field(False, description="for `search`: what is found counts as retrieved")
    tenant: Tenant = Field(
        "", description="who asks: finds its own and the shared ones, changes its own; for `stats`, none = of all"
    )


class ResidencyCommand(_Wire):
    """`COMMAND` of `residency`: a lease of a checkpoint, its end, or what there is."""

    command: Literal["lease", "release", "stats"]
    model: str | None = Field(None, description="for `lease`: a checkpoint's name; `default` = the one without")
    deadline: float | None = Field(None, description="for `lease`: of the request, in seconds since the epoch")
    load: bool = Field(True, description="for `lease`: false = only if it is in memory, and without counting as use")
    lease: str | None = Field(None, description="for `release`")


class Resident(_Wire):
    """A checkpoint, and where it is."""

    name: str
    state: Literal["absent", "loading", "resident", "leaving"]
    bytes: int = Field(description="what it takes in memory, or would")
    source: str = Field(description="how that is known")
    leases: int = Field(description="requests that use it now")
    idle_s: float | None = Field(None, description="since it was last used; absent where it never was")


class ResidencyResult(_Wire):
    """`RESULT` of `residency`."""

    lease: str | None = None
    waited_s: float | None = None
    loaded: bool | None = Field(None, description="whether it had to be loaded")
    budget_bytes: int | None = Field(None, description="of all checkpoints together; absent = no limit")
    checkpoints: list[Resident] = Field(default_factory=list)


class Judgement(_Wire):
    """What feedback on a request changed."""

    request_id: str
    question: str
    answer: str = Field(description="that the request was given")
    correct: bool
    right_answer: str | None = Field(None, description="absent where it is only known that the answer was wrong")
    experience_id: str | None = Field(None, description="the experience that holds it now")
    credited: list[str] = Field(default_factory=list, description="neighbours that had said the right answer")
    replaced: list[str] = Field(default_factory=list, description="experiences of the same picture and question, gone")


class KnnResult(_Wire):
    """`RESULT` of `knn`."""

    neighbours: list[Neighbour] = Field(default_factory=list)
    reason: str | None = None
    count: int = Field(0, description="live experiences")
    epoch: int = Field(0, description="grows by one with every change of the index")
    experience_id: str | None = None
    judgement: Judgement | None = None
    stats: dict[str, Any] = Field(default_factory=dict)


class Claim(_Wire):
    """One line of what a measuring command claims."""

    claim: str
    target: float
    measured: float
    unit: str
    met: bool


class Measurement(_Wire):
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


PUBLISHED: tuple[type[BaseModel], ...] = (
    Options, Operation, OperationResult, OperationGroup, GroupResult, Event, PipelineResult, Ballot, Verdict,
    RewardRequest, Reward, Experience, KnnCommand, KnnResult, Sampling, PolicyEvent, Measurement,
)  # fmt: skip


def json_schema() -> dict[str, Any]:
    """One JSON Schema document with a definition for every published wire object."""
    from pydantic.json_schema import models_json_schema

    _, document = models_json_schema([(model, "validation") for model in PUBLISHED], title="Pixelis wire objects")
    return document


if __name__ == "__main__":
    import json
    import sys

    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
