"""What a build of a checkpoint will make and take, before it begins."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from builder.candidate import Candidate
from builder.checkpoints.checks import Checkpoint
from builder.checkpoints.mapped import is_large
from builder.checkpoints.peaks import effort
from builder.checkpoints.sizes import artifact_bytes, decoder_bytes, parameters, published_bytes, table_bytes
from builder.model_spec import ModelSpec
from builder.pipeline import Pipeline
from pixelis.settings import Settings
from python_backends.policy.profile import Profile

MADE = ("vision_encoder", "policy")
"""Models that are made of a checkpoint; all others are the same for every one."""


class PlannedModel(BaseModel):
    """One model in one form.

    Attributes:
        buckets: sizes of what it takes, in words.
        artifact_bytes: of its files.
        disk_bytes: the same in the build cache and, where it is published, in the repository.
        scratch_bytes: of files that are there while it is judged, and gone behind it.
        memory_bytes: resident in the process that builds it, at the highest.
        seconds: on one thread.
    """

    model: str
    candidate: str
    buckets: list[str]
    artifact_bytes: int
    disk_bytes: int
    scratch_bytes: int
    memory_bytes: int
    seconds: float


class Serving(BaseModel):
    """What serving takes.

    Attributes:
        weight_bytes: of the models that are published.
        token_bytes: keys and values of one token.
        request_bytes: keys and values of one request at its longest.
        max_len: tokens of such a request.
        requests: that decode together.
        cache_bytes: keys and values of so many.
    """

    weight_bytes: int
    token_bytes: int
    request_bytes: int
    max_len: int
    requests: int
    cache_bytes: int


class Plan(BaseModel):
    """Everything that `pixelis build --checkpoint DIR --dry-run` prints.

    Attributes:
        disk_bytes: together.
        memory_bytes: of the largest processes that may run at the same time.
        seconds: together.
        others: models that are brought up to date as well, and have nothing to do with the checkpoint.
        warnings: what is odd about the checkpoint.
    """

    checkpoint: str
    family: str
    layers: int
    dtype: str
    text_parameters: int
    vision_parameters: int
    shards: int
    checkpoint_bytes: int
    models: list[PlannedModel]
    others: list[str]
    disk_bytes: int
    memory_bytes: int
    seconds: float
    serving: Serving
    warnings: list[str]


def plan(
    checkpoint: Checkpoint,
    known: Pipeline,
    models: Sequence[str],
    forms: dict[str, Sequence[Candidate]],
    values: Settings,
    *,
    published: bool,
    jobs: int = 1,
) -> Plan:
    """The plan of a build.

    Args:
        checkpoint: looked at already.
        known: the pipeline for it.
        models: that are asked for; none = all.
        forms: that each of them is built in.
        values: settings that serving will have.
        published: whether artifacts are published, besides being kept in the build cache.
        jobs: how many are built at the same time.
    """
    architecture, weights = checkpoint.architecture, checkpoint.weights
    chosen = [known[name] for name in models] or [model for model in known.models if model.built]
    own = [model for model in chosen if model.name in MADE]
    rows = [_row(checkpoint, model, form, published) for model in own for form in forms[model.name]]
    text, tower = parameters(architecture)
    dtypes = {weights.dtype(name) for name in weights}
    return Plan(
        checkpoint=str(checkpoint.directory),
        family=architecture.named,
        layers=architecture.text.layers,
        dtype=", ".join(sorted(dtypes)),
        text_parameters=text,
        vision_parameters=tower,
        shards=len(weights.shards),
        checkpoint_bytes=weights.total_bytes,
        models=rows,
        others=[model.name for model in chosen if model.name not in MADE],
        disk_bytes=sum(row.disk_bytes for row in rows),
        memory_bytes=sum(sorted((row.memory_bytes for row in rows), reverse=True)[:jobs]),
        seconds=round(sum(row.seconds for row in rows), 1),
        serving=_serving(
            checkpoint, {name: next(iter(forms.get(name, ())), known[name].candidate) for name in MADE}, values
        ),
        warnings=list(checkpoint.warnings),
    )


def _row(checkpoint: Checkpoint, model: ModelSpec, form: Candidate, published: bool) -> PlannedModel:
    made = (checkpoint.architecture, checkpoint.directory, model.name, form)
    takes = effort(checkpoint.architecture, model.name, form, not is_large(checkpoint.weights))
    return PlannedModel(
        model=model.name,
        candidate=form.label,
        buckets=_buckets(checkpoint, model),
        artifact_bytes=artifact_bytes(*made),
        disk_bytes=published_bytes(*made) if published else artifact_bytes(*made),
        scratch_bytes=_scratch(checkpoint, model, form),
        memory_bytes=takes.memory,
        seconds=round(takes.seconds, 1),
    )


def _scratch(checkpoint: Checkpoint, model: ModelSpec, form: Candidate) -> int:
    """A decoder of integers is judged beside its fp32 graph, weight by weight."""
    if model.name != "policy" or form.format != "onnx" or form.precision not in ("int8", "int4"):
        return 0
    plain = Candidate(format="onnx")
    return artifact_bytes(checkpoint.architecture, checkpoint.directory, model.name, plain)


def _buckets(checkpoint: Checkpoint, model: ModelSpec) -> list[str]:
    if model.name != "vision_encoder":
        return [f"{name} {', '.join(map(str, sizes))}" for name, sizes in model.buckets.items()]
    sizes, unit = Profile.load(checkpoint.directory).sizes, checkpoint.architecture.vision.unit
    return [f"{width}x{height} pixels: {(width // unit) * (height // unit)} tokens" for width, height in sizes]


def _serving(checkpoint: Checkpoint, forms: dict[str, Candidate], values: Settings) -> Serving:
    """With both models in these forms; one that is not built now is in the form that it is published in."""
    architecture, decoding = checkpoint.architecture, values.decoding
    served = forms["policy"]
    half = served.format == "onnx" and served.precision == "fp16"
    token = architecture.text.token_values * (2 if half else 4)
    max_len = min(decoding.max_len, architecture.text.max_positions)
    requests = max(1, min(decoding.slots, decoding.cache_bytes // (token * max_len)))
    tower = artifact_bytes(architecture, checkpoint.directory, "vision_encoder", forms["vision_encoder"])
    return Serving(
        weight_bytes=round(decoder_bytes(architecture, served) + table_bytes(architecture, served)) + tower,
        token_bytes=token,
        request_bytes=token * max_len,
        max_len=max_len,
        requests=requests,
        cache_bytes=token * max_len * requests,
    )
