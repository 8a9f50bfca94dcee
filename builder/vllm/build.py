"""The build: the repository's other models as ever, and a policy that vLLM decodes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from builder.building.build import BuildReport, build
from builder.building.making import Watch
from builder.checkpoint_view import read_view
from builder.checkpoints.checks import Checkpoint
from builder.pipeline import Pipeline
from builder.spec import pipeline
from builder.triton_config import Target
from builder.vllm.arguments import engine_file
from builder.vllm.options import VllmOptions
from builder.vllm.specs import vllm_pipeline
from python_backends.policy.vllm.engine import EngineFile


@dataclass(frozen=True)
class Planned:
    """What will be built.

    Attributes:
        engine: what vLLM is started with.
        known: the pipeline.
    """

    engine: EngineFile
    known: Pipeline


def planned(checkpoint: Checkpoint, asked: VllmOptions) -> Planned:
    """The pipeline for a checkpoint, with vLLM in it; the settings name that checkpoint already.

    Raises:
        BuildError: see `engine_file`.
    """
    weights = checkpoint.weights
    dtypes = {weights.dtype(name) for name in weights}
    engine = engine_file(checkpoint.directory, checkpoint.architecture, dtypes, asked)
    return Planned(engine, vllm_pipeline(pipeline(), engine, read_view(checkpoint.directory)))


def build_vllm(
    made: Planned,
    repository: Path,
    *,
    models: list[str] | None = None,
    force: bool = False,
    state: Path | None = None,
    target: Target = "ngc",
    watch: Watch = lambda model, stage: None,
) -> BuildReport:
    """Write the repository.

    Args:
        made: from `planned`.
        repository: written whole.
        models: that are brought up to date; none = all.
        force: make again what is up to date.
        state: build cache; default: the settings'.
        target: `embedded` leaves the other models as the embedded server runs them, for tests.
        watch: is told what happens.

    Raises:
        BuildError: see `building.build`.
    """
    wanted = models or ()
    return build(wanted, force=force, repository=repository, state=state, target=target, spec=made.known, watch=watch)
