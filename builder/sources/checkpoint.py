"""The Hugging Face directory that the vision encoder and the decoder are built from."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from pixelis.errors import BuildError
from pixelis.settings import settings

NANO = Path(__file__).parents[1] / "nano" / "checkpoint"
UNTASKED = "the checkpoint is not the nano, so nobody knows right answers: its numbers alone were compared"
_NEEDED = ("config.json", "tokenizer.json", "preprocessor_config.json")


def checkpoint_directory(given: Path | None = None) -> Path:
    """`given`, else the one of the settings (`PIXELIS_CHECKPOINT`), else the nano.

    Raises:
        BuildError: it is not a complete checkpoint of the architecture that is served.
    """
    directory = given or settings().checkpoint or NANO
    missing = [name for name in _NEEDED if not (directory / name).is_file()]
    if missing or not list(directory.glob("*.safetensors")):
        raise BuildError(
            f"{directory} is not a checkpoint: it lacks {', '.join(missing) or 'safetensors'}.",
            mend="Set PIXELIS_CHECKPOINT to a Hugging Face directory, or train the nano with `pixelis nano train`.",
        )
    return directory


def checkpoint_files(directory: Path) -> Sequence[Path]:
    """The files of a checkpoint that an artifact depends on."""
    names = (*_NEEDED, "generation_config.json", "pixelis.json", "dialect.yaml")
    found = [directory / name for name in names if (directory / name).is_file()]
    return [*found, *sorted(directory.glob("*.safetensors"))]


def is_nano(directory: Path) -> bool:
    """Whether the checkpoint was trained by `pixelis nano train`: then the right answers to its questions are known."""
    trained = directory / "training.json"
    return trained.is_file() and (directory / "tokenizer.json").read_bytes() == (NANO / "tokenizer.json").read_bytes()


@lru_cache(maxsize=1)
def load_model(directory: Path) -> Any:
    """The checkpoint in transformers, single precision, eval mode; kept, because both sources use it.

    A large one's text model reads its matrices from the files as it goes: see `builder.checkpoints.mapped_model`.

    Raises:
        BuildError: another architecture.
    """
    import torch
    from transformers import AutoModelForImageTextToText

    from builder.checkpoints.architecture import read_architecture
    from builder.checkpoints.mapped import is_large
    from builder.checkpoints.mapped_model import load_mapped
    from builder.checkpoints.weights import Weights

    read_architecture(directory)
    if is_large(Weights(directory)):
        return load_mapped(directory)
    model = AutoModelForImageTextToText.from_pretrained(directory, dtype=torch.float32, local_files_only=True)
    return model.eval()


def load_processor(directory: Path) -> Any:
    """The checkpoint's image processor."""
    from transformers import AutoImageProcessor

    return AutoImageProcessor.from_pretrained(directory, local_files_only=True)
