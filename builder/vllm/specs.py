"""The pipeline where vLLM decodes: `policy` and `vision_encoder` are others, and `policy_vllm` is there besides.

    policy          files of the checkpoint and `engine.json`; a thin Python model that asks policy_vllm
    vision_encoder  views for visual tokens: the tower is in vLLM
    policy_vllm     config.pbtxt with backend "vllm", and 1/model.json

A later command finds out from the repository that it is such a one: what vLLM is started with lies beside the policy.
"""

from __future__ import annotations

import math

from pydantic import ValidationError

from builder.checkpoint_view import NANO, View, read_view
from builder.engines import engines
from builder.model_spec import Call, ModelSpec, TensorSpec
from builder.model_spec import tensor as _t
from builder.pipeline import Pipeline
from builder.store import Store
from pixelis.errors import PixelisError
from python_backends.checkpoints import ENCODER, POLICY
from python_backends.policy.vllm.engine import MODEL, EngineArgs, EngineFile
from python_backends.policy.vllm.pixels import CHANNELS

ARGUMENTS = "1/model.json"
_FLAGS = (
    "stream",
    "exclude_input_in_output",
    "return_finish_reason",
    "return_cumulative_logprob",
    "return_logprobs",
    "return_num_input_tokens",
    "return_num_output_tokens",
)
_UNKNOWN = EngineFile(
    arguments=EngineArgs(model="?", served_model_name=MODEL, max_model_len=2, limit_mm_per_prompt={"image": 1}), patch=1
)
"""Of a repository in which it cannot be read; `pixelis lint` says so."""


def vllm_pipeline(known: Pipeline, engine: EngineFile, view: View) -> Pipeline:
    """`known`, with vLLM for the policy.

    Args:
        known: the pipeline for the checkpoint.
        engine: what vLLM is started with.
        view: of the checkpoint.
    """
    others = {POLICY: _policy(known[POLICY], engine), ENCODER: _pixels(known[ENCODER], engine, view)}
    return Pipeline(models=(*(others.get(model.name, model) for model in known.models), _served(engine)))


def with_vllm(known: Pipeline, store: Store) -> Pipeline:
    """`known`, as the repository has it where that was written for vLLM."""
    if MODEL in known.names or POLICY not in known.names or not (store.repository / MODEL / ARGUMENTS).is_file():
        return known
    folder = store.folder(POLICY, store.latest(POLICY) or 0)
    try:
        return vllm_pipeline(known, EngineFile.load(folder), read_view(folder))
    except (PixelisError, ValidationError):
        return vllm_pipeline(known, _UNKNOWN, NANO)


def _policy(spec: ModelSpec, engine: EngineFile) -> ModelSpec:
    return spec.model_copy(
        update={
            "source": "builder.sources.vllm_policy:VllmFiles",
            "arguments": {"checkpoint": engine.checkpoint, "engine": engine.model_dump_json()},
            "format": "files",
            "precision": "none",
            "candidates": (),
            "exclusions": (),
            "precise_tolerances": {},
            "calls": (Call(model=MODEL),),
            "shim": "python_backends.serving.vllm:VllmPolicy",
        }
    )


def _pixels(spec: ModelSpec, engine: EngineFile, view: View) -> ModelSpec:
    """Shaped by the checkpoint's views, as the tower would be; pairs of frames are none of them."""
    alone = View(view.width, view.height, view.tokens, view.hidden, view.sides)
    (tower,) = (model for model in engines(max(spec.max_batch_size, 1), alone) if model.name == ENCODER)
    tokens = tower.outputs[0]
    unit = _unit(view)
    return tower.model_copy(
        update={
            "kind": "python",
            "source": "builder.sources.vllm_policy:VllmPixels",
            "arguments": {"checkpoint": engine.checkpoint},
            "format": "files",
            "precision": "none",
            "precise_tolerances": {},
            "outputs": (_t(tokens.name, "FP32", tokens.dims[0], unit * unit * CHANNELS),),
            "max_batch_size": spec.max_batch_size,
            "shim": "python_backends.serving.vllm:Pixels",
        }
    )


def _unit(view: View) -> int:
    """Pixels of a token's side."""
    return math.isqrt(view.width * view.height // view.tokens)


def _served(engine: EngineFile) -> ModelSpec:
    """As Triton's vLLM backend completes a configuration by itself, so that it loads with auto-complete off too."""
    optional = (*(_flag(name) for name in _FLAGS), _t("sampling_parameters", "BYTES", 1, optional=True))
    return ModelSpec(
        name=MODEL,
        kind="vllm",
        decoupled=True,
        inputs=(_t("text_input", "BYTES", 1), _t("image", "BYTES", -1, optional=True), *optional),
        outputs=(
            _t("text_output", "BYTES", -1),
            _t("finish_reason", "BYTES", -1),
            _t("cumulative_logprob", "FP32", -1),
            _t("logprobs", "BYTES", -1),
            _t("num_input_tokens", "UINT32", 1),
            _t("num_output_tokens", "UINT32", -1),
        ),
        texts={ARGUMENTS: engine.arguments.text()},
    )


def _flag(name: str) -> TensorSpec:
    return _t(name, "BOOL", 1, optional=True)


def detach(store: Store) -> bool:
    """Take `policy_vllm` out of the repository; whether it was there."""
    there = (store.repository / MODEL).is_dir()
    if there:
        store.remove_model(MODEL)
    return there
