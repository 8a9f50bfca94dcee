"""A LoRA adapter (Hu et al., 2021, arXiv 2106.09685) as PEFT saves it, read against the checkpoint that it is for.

    adapter_config.json         rank, alpha, and what else it does
    adapter_model.safetensors   `base_model.model.<module>.lora_A.weight` [r, in] and `.lora_B.weight` [out, r]

What it makes of a weight is `W + scale * B @ A`, scale being `alpha / r` (`alpha / sqrt(r)` with `use_rslora`); of an
embedding `W + scale * (B @ A).T`. Modules that were trained whole (`modules_to_save`) take the place of the base's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from builder.checkpoints.architecture import read_json
from builder.checkpoints.expected import EMBEDDING, HEAD
from builder.checkpoints.shard import Shard
from builder.checkpoints.weights import Weights, canonical
from pixelis.errors import BuildError
from pixelis.json_text import reason

CONFIG, WEIGHTS, PICKLED = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"
_FLOATS = ("BF16", "F16", "F32")
_KEY = re.compile(
    r"^base_model\.model\.(?P<module>.+?)\.(?:"
    r"lora_(?P<embedding>embedding_)?(?P<side>[AB])(?:\.(?!weight$|bias$)\w+)?(?:\.weight)?"
    r"|(?:modules_to_save\.|original_module\.|base_layer\.)?(?:default\.)?(?P<whole>weight|bias))$"
)
_LONGEST_KEY, _MOST_REPEATS, _MOST_ALPHA = 256, 3, 1e9
_REPEATS, _ENDLESS = re.compile(r"[*+{]"), re.compile(r"\)[*+{?]")
"""What repeats in a regular expression; where a group does, a search of it may take for ever."""
_UNMERGEABLE = {
    "use_dora": "DoRA, whose magnitudes make more of a weight than a sum",
    "use_qalora": "QA-LoRA, which pools its inputs",
    "lora_bias": "LoRA with biases of its own",
    "layer_replication": "an adapter of repeated layers",
    "trainable_token_indices": "an adapter of single tokens",
    "target_parameters": "an adapter of bare parameters",
    "alora_invocation_tokens": "an activated LoRA, which is not there for every token",
    "arrow_config": "a router between adapters",
}
"""Settings that make it something that `W + scale * B @ A` is not."""
_MOVED = ("pissa", "olora", "corda", "loftq")
"""Initialisations that change the base as well, so that the adapter fits a base that is not the published one."""
_MERGE = "Merge it where it was trained: `model.merge_and_unload().save_pretrained(DIR)`, and name DIR."
_BASE = "Name the checkpoint that it was trained upon."


@dataclass(frozen=True)
class Change:
    """What becomes of one weight of the base.

    Attributes:
        whole: takes its place; none = it stays.
        a: `[r, in]`, or none.
        b: `[out, r]`.
        scale: of their product.
        embedding: the product is turned over, `[vocabulary, hidden]` being `(B @ A).T`.
    """

    whole: np.ndarray[Any, Any] | None = None
    a: np.ndarray[Any, Any] | None = None
    b: np.ndarray[Any, Any] | None = None
    scale: float = 0.0
    embedding: bool = False

    def rows(self, base: np.ndarray[Any, Any], begin: int, end: int) -> np.ndarray[Any, Any]:
        """Rows of the merged weight in the base's type; the sum is in single precision and rounded once."""
        kept = base if self.whole is None else self.whole
        if self.a is None or self.b is None:
            return kept[begin:end].astype(base.dtype)
        left, right = (self.a.T[begin:end], self.b.T) if self.embedding else (self.b[begin:end], self.a)
        delta = left.astype(np.float32) @ right.astype(np.float32)
        delta *= np.float32(self.scale)
        delta += kept[begin:end].astype(np.float32)
        return delta.astype(base.dtype)


@dataclass(frozen=True)
class Adapter:
    """An adapter that fits its base.

    Attributes:
        directory: where it is.
        changes: by canonical name of the base's weight.
        pairs: how many weights get a product added.
        notes: what is odd about it and does no harm.
    """

    directory: Path
    changes: Mapping[str, Change]
    pairs: int
    notes: tuple[str, ...]


def read_adapter(directory: Path, base: Weights, *, tied: bool) -> Adapter:
    """Read an adapter and hold it against its base; no weight is read but its own.

    Args:
        directory: PEFT's.
        base: the weights that it changes.
        tied: the base makes its logits with the embedding table.

    Raises:
        BuildError: it cannot be merged, why, and what to do.
    """
    config = _config(directory)
    shard = Shard(directory / WEIGHTS)
    parts = _parts(shard)
    if not any({"A", "embedding_A"} & set(part) for part in parts.values()):
        raise BuildError(f"{WEIGHTS} holds no LoRA weights.", mend="Save the adapter with PEFT's `save_pretrained`.")
    changes: dict[str, Change] = {}
    for module, part in parts.items():
        for name, change in _changes(module, part, shard, config).items():
            _check_fits(name, change, base, tied)
            changes[canonical(name)] = change
    notes = []
    pairs = [change for change in changes.values() if change.b is not None]
    if not any(change.b.any() for change in pairs if change.b is not None):
        notes.append("the adapter adds nothing: every lora_B is zero")
    return Adapter(directory, changes, len(pairs), tuple(notes))


def _config(directory: Path) -> dict[str, Any]:
    if not (directory / WEIGHTS).is_file() and (directory / PICKLED).is_file():
        mend = "Save it again with PEFT: `model.save_pretrained(DIR, safe_serialization=True)`."
        raise BuildError(f"The adapter is pickled ({PICKLED}), and a pickle can run any code.", mend=mend)
    for name in (CONFIG, WEIGHTS):
        path = directory / name
        if not path.is_file():
            raise BuildError(f"{name} is missing in {directory}.", mend="Name a directory that PEFT has saved.")
        if path.is_symlink() and not path.resolve().is_relative_to(directory.resolve()):
            raise BuildError(f"{name} is a link out of {directory}.", mend="Copy the directory: `cp -rL DIR COPY`.")
    config = read_json(directory / CONFIG)
    kind = config.get("peft_type")
    if kind != "LORA":
        raise BuildError(f"The adapter is a {kind!s:.40}; merged are LoRA adapters.", mend=_MERGE)
    for name, what in _UNMERGEABLE.items():
        if config.get(name):
            raise BuildError(f"The adapter is {what} (`{name}`), and is not merged here.", mend=_MERGE)
    begun = str(config.get("init_lora_weights", "")).lower()
    if begun.startswith(_MOVED):
        raise BuildError(
            f"The adapter was begun by `{begun[:40]}`, which changes the base too: it does not fit the published one.",
            mend="Convert it: save it with `path_initial_model_for_weight_conversion`, as PEFT's guide to it says.",
        )
    if not isinstance(config.get("r"), int) or not isinstance(config.get("lora_alpha"), (int, float)):
        raise BuildError(f"{CONFIG} has no `r` and `lora_alpha`.", mend="Fetch it again.")
    return config


def _parts(shard: Shard) -> dict[str, dict[str, str]]:
    """Module -> {`A`, `B`, `embedding_A`, `weight` …: name in the file}."""
    parts: dict[str, dict[str, str]] = {}
    for name, tensor in shard.tensors.items():
        found = _KEY.match(name)
        if found is None:
            mend = _MERGE if "magnitude" in name or "lora_" in name else "Save the adapter with PEFT's own classes."
            raise BuildError(f"{WEIGHTS} has {name}, which is no part of a plain LoRA.", mend=mend)
        if tensor.dtype not in _FLOATS:
            raise BuildError(f"{name} is {tensor.dtype}; read are {', '.join(_FLOATS)}.", mend="Save it in bf16.")
        kind = found["whole"] or (found["embedding"] or "") + found["side"]
        parts.setdefault(found["module"], {})[kind] = name
    for module, part in parts.items():
        for a, b in (("A", "B"), ("embedding_A", "embedding_B")):
            if (a in part) != (b in part):
                raise BuildError(f"{module} has one of lora_A and lora_B alone.", mend="Save the adapter again.")
    return parts


def _changes(module: str, part: dict[str, str], shard: Shard, config: dict[str, Any]) -> dict[str, Change]:
    """What one module's tensors make of the base's, by the base's names."""
    made: dict[str, Change] = {}
    if "bias" in part:
        made[f"{module}.bias"] = Change(whole=shard.read(part["bias"]))
    whole = shard.read(part["weight"]) if "weight" in part else None
    embedding = "embedding_A" in part
    kinds = ("embedding_A", "embedding_B") if embedding else ("A", "B")
    if kinds[0] not in part:
        return made | ({f"{module}.weight": Change(whole=whole)} if whole is not None else {})
    a, b = (shard.read(part[kind]) for kind in kinds)
    if a.ndim != 2 or b.ndim != 2:
        raise BuildError(f"{module} is a convolution, whose LoRA is not merged here.", mend=_MERGE)
    rank = _of(config, "rank_pattern", module, config["r"])
    if a.shape[0] != rank or b.shape[1] != rank:
        message = f"{module} has lora_A {list(a.shape)} and lora_B {list(b.shape)}, and {CONFIG} rank {rank}."
        raise BuildError(message, mend="Take both files from one adapter.")
    alpha = _of(config, "alpha_pattern", module, config["lora_alpha"])
    if not rank or not isinstance(alpha, (int, float)) or not abs(alpha) < _MOST_ALPHA:
        raise BuildError(f"{module} has rank {rank} and alpha {alpha!s:.40}.", mend="Fetch the adapter again.")
    scale = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
    return made | {f"{module}.weight": Change(whole, a, b, scale, embedding)}


def _of(config: dict[str, Any], field: str, module: str, default: Any) -> Any:
    """PEFT's rule: the first key that is the end of the module's path, as a regular expression.

    Raises:
        BuildError: a key is none, or one that a search may not come to an end with.
    """
    pattern = config.get(field) or {}
    try:
        for key, value in pattern.items():
            if len(key) > _LONGEST_KEY or _ENDLESS.search(key) or len(_REPEATS.findall(key)) > _MOST_REPEATS:
                raise ValueError("too much to search for")
            if re.match(rf"(.*\.)?({key})$", module):
                return value
    except (AttributeError, ValueError, re.error) as error:
        message = f"{CONFIG} has a `{field}` that is not understood: {reason(error)}."
        raise BuildError(message, mend="Name modules in it, as PEFT writes them.") from None
    return default


def _check_fits(name: str, change: Change, base: Weights, tied: bool) -> None:
    if tied and canonical(name) in (EMBEDDING, HEAD):
        raise BuildError(
            f"The adapter changes {name}, and the checkpoint makes its logits with its embedding table: one table"
            " cannot become two.",
            mend="Untie them before merging: `tie_word_embeddings` false, the table saved as lm_head.weight too.",
        )
    if name not in base:
        raise BuildError(f"The adapter changes {name}, which the checkpoint does not have.", mend=_BASE)
    shape = base.shape(name)
    if change.whole is not None and change.whole.shape != shape:
        had, name = list(change.whole.shape), canonical(name)
        mend = "A vocabulary that has grown is the usual reason. " + _MERGE
        raise BuildError(f"The adapter brings {name} as {had}, and the checkpoint has {list(shape)}.", mend=mend)
    if change.a is not None and change.b is not None:
        made = (change.b.shape[0], change.a.shape[1])
        made = made[::-1] if change.embedding else made
        if made != shape:
            message = f"The adapter adds {list(made)} to {name}, which is {list(shape)} in the checkpoint."
            raise BuildError(message, mend=_BASE)
