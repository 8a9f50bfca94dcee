"""A policy in vLLM: what the engine is started with is there, whole, and fits the checkpoint."""

from __future__ import annotations

from collections.abc import Iterator

from builder.checkpoints.architecture import read_architecture
from builder.rules.base import Finding, Rule, Subject, error
from builder.vllm.arguments import check_parallel, tower_mode
from pixelis.errors import PixelisError
from python_backends.checkpoints import POLICY
from python_backends.policy.vllm.engine import FILE, MODEL, EngineFile

MEND = "Write it again: `pixelis build --policy-runtime vllm --target ngc --repository DIR --checkpoint CHECKPOINT`."


def arguments(subject: Subject) -> Iterator[Finding]:
    """`model.json` is what the policy was built for, and the checkpoint can be shared by so many GPUs."""
    if MODEL not in subject.known.names:
        return
    for name, wanted in subject.known[MODEL].texts.items():
        path = subject.store.repository / MODEL / name
        if not path.is_file() or path.read_text(encoding="utf-8") != wanted:
            yield error(MODEL, "vllm", f"{name} is not what the policy's {FILE} says.", MEND)
    folder = subject.store.folder(POLICY, subject.store.latest(POLICY) or 0)
    try:
        engine, architecture = EngineFile.load(folder).arguments, read_architecture(folder)
        check_parallel(architecture, engine.tensor_parallel_size, engine.pipeline_parallel_size)
    except PixelisError as problem:
        yield error(MODEL, "vllm", problem.message, problem.mend or MEND)
        return
    if engine.mm_encoder_tp_mode != tower_mode(architecture, engine.tensor_parallel_size):
        message = f"The vision tower is not shared as {engine.tensor_parallel_size} GPUs can share it."
        yield error(MODEL, "vllm", message, MEND)


RULES: tuple[Rule, ...] = (arguments,)
"""All of them."""
