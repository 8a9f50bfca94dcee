"""The pipeline as data: every model that Triton loads, and how.

Queue delays are 0. Triton's dynamic batcher waits its whole delay for company even when the model is idle (there is no
"only while busy"), while requests that arrive during an execution form the next batch anyhow; so any delay only makes
an idle path slower, and `max_wait_time_ms` is a ceiling that the sum over the longest path is checked against, not an
amount to be spent.

Instances are for two cores: every Python-backend instance is a process with its own memory. `reason` has two, because a
model that is not decoupled answers with its whole batch and takes no other one meanwhile; a single one would let short
requests wait for long ones. `knn` has exactly one, because the process owns its index, and `residency`, because it owns
the leases. `policy` has one, because it
batches over all requests by itself, token by token.
"""

from __future__ import annotations

from builder.checkpoint_view import read_view
from builder.engines import engines
from builder.forms import with_forms
from builder.model_spec import Call, ModelSpec, Step, TensorSpec
from builder.model_spec import tensor as _t
from builder.model_tolerances import tolerances_of
from builder.pipeline import Pipeline
from builder.scheduling import scheduled
from pixelis.settings import Settings, settings

__all__ = ["Call", "ModelSpec", "Pipeline", "Step", "TensorSpec", "pipeline"]

OPERATIONS = 10
"""Visual operations of one request (`Options.max_operations`' default), for sums over the longest path."""


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
    """The pipeline under `config` (default: this process's settings).

    Raises:
        BuildError: `scheduling` names a model that does not exist, or says of one what cannot be.
    """
    values = config or settings()
    batch = values.batching.max_batch_size
    view = read_view(values.checkpoint)
    models = (*engines(batch, view), *_stateful(), *_services(batch), *_steps(batch), _ensemble(batch), _agent())
    return scheduled(Pipeline(models=tuple(with_forms(model) for model in models)), values.scheduling)


def _stateful() -> tuple[ModelSpec, ...]:
    return (
        ModelSpec(
            name="policy",
            kind="policy",
            source="builder.sources.decoder:Decoder",
            precise_tolerances=tolerances_of("policy"),
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
            name="residency",
            kind="python",
            decoupled=True,
            inputs=(_t("COMMAND", "BYTES", 1),),
            outputs=(RESULT,),
        ),
        ModelSpec(
            name="visual_ops",
            kind="python",
            max_batch_size=batch,
            inputs=(IMAGE, _t("OPERATION", "BYTES", 1)),
            outputs=(RESULT,),
            calls=(Call(model="embed_image"), Call(model="ocr_detect"), Call(model="ocr_recognize")),
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
        Call(model="residency"),
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
