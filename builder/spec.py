"""The pipeline as data: every model that Triton loads, and how.

Queue delays are 0. Triton's dynamic batcher waits its whole delay for company even when the model is idle (there is no
"only while busy"), while requests that arrive during an execution form the next batch anyhow; so any delay only makes
an idle path slower, and `max_wait_time_ms` is a ceiling that the sum over the longest path is checked against, not an
amount to be spent.

Instances are for two cores: every Python-backend instance is a process with its own memory. `reason` has two, because a
model that is not decoupled answers with its whole batch and takes no other one meanwhile; a single one would let short
requests wait for long ones. `knn` has exactly one, because the process owns its index. `policy` has one, because it
batches over all requests by itself, token by token.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, model_validator

from builder.checkpoint_view import View, read_view
from builder.model_spec import Call, DType, ModelSpec, Step, TensorSpec
from pixelis.errors import NotFound
from pixelis.settings import Settings, settings

__all__ = ["Call", "ModelSpec", "Pipeline", "Step", "TensorSpec", "pipeline"]

KEY = 1664
"""Width of a retrieval key: 1280 visual + 384 text."""

OPERATIONS = 10
"""Visual operations of one request (`Options.max_operations`' default), for sums over the longest path."""


class Pipeline(BaseModel):
    """All models, by name. Children and steps must exist."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: tuple[ModelSpec, ...]

    @model_validator(mode="after")
    def _known(self) -> Pipeline:
        names = [model.name for model in self.models]
        if len(set(names)) != len(names):
            raise ValueError(f"a model name occurs twice: {sorted(names)}")
        for model in self.models:
            used = {call.model for call in model.calls} | {step.model for step in model.steps}
            unknown = used - set(names)
            if unknown:
                raise ValueError(f"{model.name} uses models that do not exist: {sorted(unknown)}")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Every model's name, in order."""
        return tuple(model.name for model in self.models)

    def __getitem__(self, name: str) -> ModelSpec:
        for model in self.models:
            if model.name == name:
                return model
        raise NotFound(f"There is no model {name!r}.", mend=f"There are {', '.join(self.names)}.")

    def waiting_us(self, name: str) -> int:
        """The longest that a request to `name` can wait in queues for company, children included, in microseconds.

        Sequential calls add up; steps of an ensemble that depend on the same tensors run side by side.
        """
        model = self[name]
        below = sum(call.times * self.waiting_us(call.model) for call in model.calls)
        return (model.queue_delay_us if model.batchable else 0) + below + self._longest_step_path(model)

    def _longest_step_path(self, ensemble: ModelSpec) -> int:
        ready: dict[str, int] = {tensor.name: 0 for tensor in ensemble.inputs}
        for step in ensemble.steps:  # in topological order, which lint checks
            start = max((ready.get(tensor, 0) for tensor in step.inputs), default=0)
            end = start + self.waiting_us(step.model)
            ready.update(dict.fromkeys(step.outputs, end))
        return max(ready.values(), default=0) if ensemble.steps else 0


def _t(name: str, dtype: DType, *dims: int, optional: bool = False, ragged: bool = False) -> TensorSpec:
    return TensorSpec(name=name, dtype=dtype, dims=dims, optional=optional, ragged=ragged)


# Variable-length inputs are ragged, or requests of different lengths never share a batch. OPTIONS is optional for
# callers with other tools (perf_analyzer); our clients always send it, as requests with and without it do not batch.
IMAGE = _t("IMAGE", "BYTES", -1, ragged=True)
IMAGE_STREAM = _t("IMAGE", "BYTES", -1)
QUESTION = _t("QUESTION", "BYTES", 1)
OPTIONS = _t("OPTIONS", "BYTES", 1, optional=True)
REQUEST = _t("REQUEST", "BYTES", 1)
RETRIEVAL_VIEW = _t("RETRIEVAL_VIEW", "UINT8", 224, 224, 3)
NEIGHBOURS = _t("NEIGHBOURS", "BYTES", 1)
OUTCOME = _t("OUTCOME", "BYTES", 1)
EVENT = _t("EVENT", "BYTES", 1)
RESULT = _t("RESULT", "BYTES", 1)


def pipeline(config: Settings | None = None) -> Pipeline:
    """The pipeline under `config` (default: this process's settings)."""
    values = config or settings()
    batch = values.batching.max_batch_size
    engines = _engines(batch, read_view(values.checkpoint))
    return Pipeline(models=(*engines, *_stateful(), *_services(batch), *_steps(batch), _ensemble(batch), _agent()))


def _engines(batch: int, view: View) -> tuple[ModelSpec, ...]:
    def engine(
        name: str,
        source: str,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        buckets: dict[str, tuple[int, ...]] | None = None,
    ) -> ModelSpec:
        return ModelSpec(
            name=name,
            kind="engine",
            source=source,
            inputs=inputs,
            outputs=outputs,
            max_batch_size=batch,
            buckets=buckets or {},
        )

    lengths = (32, 64, 128, 256)
    return (
        engine(
            "embed_image",
            "builder.sources.embed_image:EmbedImage",
            (_t("IMAGE", "UINT8", 224, 224, 3),),
            (_t("EMBEDDING", "FP32", 1280),),
        ),
        engine(
            "embed_text",
            "builder.sources.embed_text:EmbedText",
            (_t("INPUT_IDS", "INT64", -1), _t("ATTENTION_MASK", "INT64", -1)),
            (_t("EMBEDDING", "FP32", 384),),
            {"INPUT_IDS": lengths, "ATTENTION_MASK": lengths},
        ),
        engine(
            "vision_encoder",
            "builder.sources.vision_encoder:VisionEncoder",
            (_t("VIEW", "UINT8", view.height, view.width, 3),),
            (_t("TOKENS", "FP32", view.tokens, view.hidden),),
        ),
        engine(
            "dynamics",
            "builder.sources.dynamics:Dynamics",
            (_t("STATE", "FP32", KEY), _t("ACTION", "FP32", 16)),
            (_t("NEXT_STATE", "FP32", KEY),),
        ),
        # Pages differ in size, sides are multiples of 32: callers batch equal sizes, the buckets are the usual sides.
        engine(
            "ocr_detect",
            "builder.sources.ocr_detect:OcrDetect",
            (_t("IMAGE", "UINT8", -1, -1, 3),),
            (_t("MAP", "FP32", -1, -1),),
            {"IMAGE": (64, 128, 256, 512, 736, 960)},
        ),
        engine(
            "ocr_recognize",
            "builder.sources.ocr_recognize:OcrRecognize",
            (_t("LINE", "UINT8", 48, -1, 3), _t("WIDTH", "INT32", 1)),
            (_t("INDEX", "INT32", -1), _t("PROBABILITY", "FP32", -1)),
            {"LINE": (160, 320, 640, 1280)},
        ),
    )


def _stateful() -> tuple[ModelSpec, ...]:
    return (
        ModelSpec(
            name="policy",
            kind="policy",
            source="builder.sources.decoder:Decoder",
            format="files",
            decoupled=True,
            inputs=(
                _t("PROMPT_IDS", "INT64", -1, optional=True),
                _t("VISUAL", "FP32", -1, -1, optional=True),
                _t("GRIDS", "INT32", -1, optional=True),
                _t("SAMPLING", "BYTES", 1, optional=True),
                _t("CANCEL", "BYTES", 1, optional=True),
            ),
            outputs=(EVENT,),
        ),
        ModelSpec(
            name="knn",
            kind="knn",
            source="builder.sources.experience:Experiences",
            format="files",
            precision="none",
            required=False,
            max_batch_size=64,
            inputs=(
                _t("KEY", "FP32", -1, optional=True, ragged=True),
                _t("K", "INT32", 1, optional=True),
                _t("COMMAND", "BYTES", 1, optional=True),
            ),
            outputs=(_t("IDS", "BYTES", -1), _t("SCORES", "FP32", -1), RESULT),
        ),
    )


def _services(batch: int) -> tuple[ModelSpec, ...]:
    return (
        ModelSpec(
            name="visual_ops",
            kind="python",
            max_batch_size=batch,
            inputs=(IMAGE, _t("OPERATION", "BYTES", 1)),
            outputs=(RESULT,),
            calls=(Call(model="ocr_detect"), Call(model="ocr_recognize")),
        ),
        ModelSpec(
            name="reward",
            kind="python",
            max_batch_size=batch,
            inputs=(_t("TRAJECTORY", "BYTES", 1),),
            outputs=(RESULT,),
            calls=(Call(model="dynamics"),),
        ),
        ModelSpec(
            name="vote",
            kind="python",
            max_batch_size=batch,
            inputs=(_t("BALLOT", "BYTES", 1),),
            outputs=(RESULT,),
        ),
    )


def _steps(batch: int) -> tuple[ModelSpec, ...]:
    views = _t("VIEWS", "UINT8", -1, -1, -1, 3)
    return (
        ModelSpec(
            name="prepare",
            kind="python",
            max_batch_size=batch,
            inputs=(IMAGE, QUESTION, OPTIONS),
            outputs=(REQUEST, views, RETRIEVAL_VIEW),
        ),
        ModelSpec(
            name="recall",
            kind="python",
            max_batch_size=batch,
            inputs=(REQUEST, RETRIEVAL_VIEW),
            outputs=(NEIGHBOURS, _t("KEY", "FP32", -1)),
            calls=(Call(model="embed_image"), Call(model="embed_text"), Call(model="knn")),
        ),
        ModelSpec(
            name="reason",
            kind="python",
            max_batch_size=batch,
            instances=2,
            inputs=(IMAGE, REQUEST, views.model_copy(update={"ragged": True})),
            outputs=(OUTCOME,),
            calls=_loop(),
        ),
        ModelSpec(
            name="finish",
            kind="python",
            max_batch_size=batch,
            inputs=(IMAGE, REQUEST, NEIGHBOURS, _t("KEY", "FP32", -1, ragged=True), OUTCOME),
            outputs=(_t("ANSWER", "BYTES", 1), _t("CONFIDENCE", "FP32", 1), RESULT),
            calls=_ending(),
        ),
    )


def _loop() -> tuple[Call, ...]:
    """What the agent loop calls: one view more than operations, one turn more than operations."""
    return (
        Call(model="vision_encoder", times=OPERATIONS + 1),
        Call(model="policy", times=OPERATIONS + 1),
        Call(model="visual_ops", times=OPERATIONS),
    )


def _ending() -> tuple[Call, ...]:
    """What finishing calls: state keys, reward, vote, and what is learned."""
    names = ("embed_image", "embed_text", "reward", "vote", "knn")
    return tuple(Call(model=name) for name in names)


def _ensemble(batch: int) -> ModelSpec:
    return ModelSpec(
        name="pixelis",
        kind="ensemble",
        max_batch_size=batch,
        # Raggedness belongs to the steps: the ensemble hands requests on, its scheduler forms no batch.
        inputs=(IMAGE_STREAM, QUESTION, OPTIONS),
        outputs=(_t("ANSWER", "BYTES", 1), _t("CONFIDENCE", "FP32", 1), RESULT),
        steps=(
            Step(
                model="prepare",
                inputs=("IMAGE", "QUESTION", "OPTIONS"),
                outputs=("REQUEST", "VIEWS", "RETRIEVAL_VIEW"),
            ),
            Step(model="recall", inputs=("REQUEST", "RETRIEVAL_VIEW"), outputs=("NEIGHBOURS", "KEY")),
            Step(model="reason", inputs=("IMAGE", "REQUEST", "VIEWS"), outputs=("OUTCOME",)),
            Step(
                model="finish",
                inputs=("IMAGE", "REQUEST", "NEIGHBOURS", "KEY", "OUTCOME"),
                outputs=("ANSWER", "CONFIDENCE", "RESULT"),
            ),
        ),
    )


def _agent() -> ModelSpec:
    return ModelSpec(
        name="agent",
        kind="python",
        decoupled=True,
        inputs=(IMAGE_STREAM, QUESTION, OPTIONS),
        outputs=(EVENT,),
        calls=(Call(model="embed_image"), Call(model="embed_text"), Call(model="knn"), *_loop(), *_ending()),
    )
