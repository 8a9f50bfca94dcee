"""Everything that can be wrong with a checkpoint, found in seconds, before any long work and without leaving a trace.

names          what is missing, pickled, a link out of the folder, or code          folder.py
config.json    architecture, numbers that contradict each other                      architecture.py
weights        headers, sizes, shards and index                                      shard.py, weights.py
agreement      config and tensors, dtypes, preprocessor; tokenizer and vocabulary    here, vocabulary.py
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.checkpoints.architecture import Architecture, read_architecture, read_json
from builder.checkpoints.expected import HEAD, TEXT, TOWER, expected
from builder.checkpoints.folder import check_folder
from builder.checkpoints.profile import check_profile
from builder.checkpoints.vocabulary import check_vocabulary
from builder.checkpoints.weights import Weights, canonical
from pixelis.errors import BuildError

READ = ("BF16", "F16", "F32")
"""Dtypes of weights that are built from."""
_NAMED = 3
"""Tensors that a message names."""
_DERIVED = ("rotary_emb.inv_freq", "attn.bias", "masked_bias")
"""Ends of names of what older files carry though it follows from config.json."""


@dataclass(frozen=True)
class Checkpoint:
    """A directory that can be built from.

    Attributes:
        warnings: what is odd about it and does no harm.
    """

    directory: Path
    architecture: Architecture
    weights: Weights
    warnings: tuple[str, ...]


def check_checkpoint(directory: Path) -> Checkpoint:
    """Look at the directory as a whole; weights are not read, only their headers.

    Raises:
        BuildError: what is wrong with it, and how to mend that.
    """
    warnings = check_folder(directory)
    architecture = read_architecture(directory)
    _check_quantised(directory)
    weights = Weights(directory)
    warnings += _check_tensors(architecture, weights)
    _check_dtypes(weights)
    _check_preprocessor(directory, architecture)
    check_profile(directory)
    check_vocabulary(directory, architecture)
    return Checkpoint(directory, architecture, weights, tuple(warnings))


def _check_quantised(directory: Path) -> None:
    found = read_json(directory / "config.json").get("quantization_config")
    if found:
        how = found.get("quant_method", "somehow") if isinstance(found, dict) else found
        mend = "Start from the checkpoint in bf16: `--precisions int8,int4` quantises it here."
        raise BuildError(f"The checkpoint is quantised already ({how}), which is not read.", mend=mend)


def _check_tensors(architecture: Architecture, weights: Weights) -> list[str]:
    """Names and shapes as config.json has them; what else there is, in words."""
    wanted = expected(architecture)
    mend = "config.json and the weights are not of one checkpoint, or it was not saved whole: take both from one place."
    missing = [name for name in wanted if name not in weights]
    if missing:
        raise BuildError(f"The weights lack {_some(missing)}, which config.json asks for.", mend=mend)
    for name, shape in wanted.items():
        if weights.shape(name) != shape:
            had = list(weights.shape(name))
            raise BuildError(f"{name} is {had}, and config.json makes it {list(shape)}.", mend=mend)
    others = [name for name in weights.canonical_names if name not in wanted and not name.endswith(_DERIVED)]
    tied = [HEAD] if HEAD in others and architecture.text.tied else []
    inside = [name for name in others if name.startswith((TEXT, TOWER, HEAD)) and name not in tied]
    if inside:
        raise BuildError(f"The weights have {_some(inside)}, which config.json knows nothing of.", mend=mend)
    said = [f"{HEAD} is not read: config.json ties it to the embedding table"] if tied else []
    foreign = [name for name in others if name not in (*inside, *tied)]
    return [*said, *([f"not read: {_some(foreign)}"] if foreign else [])]


def _check_dtypes(weights: Weights) -> None:
    for name in weights.names:
        if weights.dtype(name) not in READ and not canonical(name).endswith(_DERIVED):
            raise BuildError(
                f"{name} is {weights.dtype(name)}; weights are read as {', '.join(READ)}.",
                mend="Save the checkpoint in bf16: `model.to(torch.bfloat16).save_pretrained(DIR)`.",
            )


def _check_preprocessor(directory: Path, architecture: Architecture) -> None:
    said, vision = read_json(directory / "preprocessor_config.json"), architecture.vision
    sizes = {"patch_size": vision.patch, "temporal_patch_size": vision.temporal_patch, "merge_size": vision.merge}
    for name, value in sizes.items():
        if said.get(name, value) != value:
            raise BuildError(
                f"preprocessor_config.json has {name} {said[name]}, and config.json {value}.",
                mend="Take both from the same checkpoint.",
            )
    for name in ("image_mean", "image_std"):
        if not _numbers(said.get(name), vision.channels):
            raise BuildError(
                f"preprocessor_config.json has no {name} of {vision.channels} numbers.",
                mend="Take it from the model's own page.",
            )


def _numbers(value: Any, count: int) -> bool:
    return isinstance(value, list) and len(value) == count and all(isinstance(one, (int, float)) for one in value)


def _some(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
