"""What a policy in vLLM will take of each GPU, and what is written; nothing is, to know it."""

from __future__ import annotations

from pydantic import BaseModel

from builder.checkpoints.checks import Checkpoint
from builder.checkpoints.sizes import parameters
from builder.pipeline import Pipeline
from builder.triton_config import config, text
from builder.vllm.specs import ARGUMENTS
from python_backends.policy.vllm.engine import MODEL, EngineFile


class VllmPlan(BaseModel):
    """Everything that `--policy-runtime vllm --dry-run` prints.

    Attributes:
        gpus: together.
        weight_bytes: of one GPU; the largest share, where shares differ.
        token_bytes: keys and values of one token, on one GPU.
        least_bytes: memory of a GPU below which not one context of full length fits; what vLLM computes in comes on
            top.
        files: what is written for vLLM, by path.
        models: that are made of the checkpoint.
        warnings: what is odd about the checkpoint.
    """

    checkpoint: str
    family: str
    gpus: int
    dtype: str
    weight_bytes: int
    token_bytes: int
    least_bytes: int
    max_model_len: int
    images: int
    files: dict[str, str]
    models: list[str]
    warnings: list[str]


def vllm_plan(checkpoint: Checkpoint, engine: EngineFile, known: Pipeline) -> VllmPlan:
    """The plan of a build.

    Args:
        checkpoint: looked at already.
        engine: what vLLM will be started with.
        known: the pipeline with vLLM in it.
    """
    arguments, served = engine.arguments, known[MODEL]
    weights, token = _weights(checkpoint, engine), _token(checkpoint, engine)
    folder = {"config.pbtxt": text(config(served, "ngc")), **served.texts}
    least = (weights + token * arguments.max_model_len) / arguments.gpu_memory_utilization
    return VllmPlan(
        checkpoint=str(checkpoint.directory),
        family=checkpoint.architecture.named,
        gpus=arguments.tensor_parallel_size * arguments.pipeline_parallel_size,
        dtype=arguments.dtype,
        weight_bytes=weights,
        token_bytes=token,
        least_bytes=round(least),
        max_model_len=arguments.max_model_len,
        images=engine.images,
        files={f"{MODEL}/{name}": content for name, content in folder.items() if name in ("config.pbtxt", ARGUMENTS)},
        models=["policy", "vision_encoder"],
        warnings=list(checkpoint.warnings),
    )


def _weights(checkpoint: Checkpoint, engine: EngineFile) -> int:
    arguments, size = engine.arguments, _bytes(engine)
    written, tower = parameters(checkpoint.architecture)
    shares = arguments.tensor_parallel_size if arguments.mm_encoder_tp_mode == "weights" else 1
    layers = written / (arguments.tensor_parallel_size * arguments.pipeline_parallel_size)
    return round((layers + tower / shares) * size)


def _token(checkpoint: Checkpoint, engine: EngineFile) -> int:
    """Of key-value heads there are fewer than GPUs now and then, and then they are repeated."""
    arguments, text_part = engine.arguments, checkpoint.architecture.text
    heads = max(1, text_part.kv_heads // arguments.tensor_parallel_size)
    layers = -(-text_part.layers // arguments.pipeline_parallel_size)
    return 2 * layers * heads * text_part.head_dim * _bytes(engine)


def _bytes(engine: EngineFile) -> int:
    """Of a number; vLLM computes what is saved in fp32 in half precision, unless it is told otherwise."""
    return 4 if engine.arguments.dtype == "float32" else 2
