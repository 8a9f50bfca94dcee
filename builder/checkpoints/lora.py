"""A checkpoint and a LoRA adapter -> a checkpoint: the same files, the changed weights merged one at a time.

A shard that nothing changes is linked, not copied; in the others each tensor takes the place that it had, so the
headers and the index stay as they are. In memory is a block of rows of one weight.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from builder.checkpoints.adapter import CONFIG, WEIGHTS, Adapter, read_adapter
from builder.checkpoints.architecture import read_architecture, read_json
from builder.checkpoints.shard import Shard, Tensor
from builder.checkpoints.weights import Weights, canonical
from pixelis.errors import BuildError

MERGED = "merged.json"
"""What was merged into what, beside the result."""
_OVER = ("pixelis.json", "dialect.yaml")
"""Files that an adapter may bring for the checkpoint that becomes of it."""
_BLOCK = 1 << 23
"""Numbers of a weight that are in memory at once."""
_COPIED = 1 << 24
"""Bytes copied at once."""


@dataclass(frozen=True)
class Merged:
    """A checkpoint with an adapter in it.

    Attributes:
        directory: where it is.
        pairs: weights that got a product added.
        replaced: weights that were replaced whole.
        written: bytes of the shards that were written anew.
        notes: what is odd and does no harm.
    """

    directory: Path
    pairs: int
    replaced: int
    written: int
    notes: tuple[str, ...]


def merge_adapter(base: Path, adapter: Path, destination: Path) -> Merged:
    """Write the merged checkpoint; on failure nothing is left.

    Args:
        base: Hugging Face directory.
        adapter: PEFT directory.
        destination: a directory that is not there yet.

    Raises:
        BuildError: the adapter cannot be merged into this base, the destination is there, or the disk is too small.
    """
    if destination.exists():
        raise BuildError(f"{destination} is there already.", mend="Remove it, or name another directory.")
    weights = Weights(base)
    found = read_adapter(adapter, weights, tied=read_architecture(base).text.tied)
    changed = {weights.file(name) for name in found.changes}
    size = sum(weights.shards[name].path.stat().st_size for name in changed)
    destination.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(destination.parent).free
    if size > free:
        message = f"The merged shards take {size / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free."
        raise BuildError(message, mend="Make room, or name a destination on another disk.")
    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=destination.parent) as scratch:
        made = Path(scratch) / "made"
        made.mkdir()
        for path in sorted(base.iterdir()):
            if path.is_file() and path.name not in changed:
                _link(path, made / path.name)
        for name in sorted(changed):
            _write(weights.shards[name], made / name, found)
            weights.release()
        notes = (*found.notes, *_bring(adapter, made))
        _say(made, base, adapter, found)
        made.rename(destination)
    return Merged(destination, found.pairs, len(found.changes) - found.pairs, size, notes)


def _link(source: Path, target: Path) -> None:
    """One file under two names, where the file system can; links are followed first."""
    whole = source.resolve()
    try:
        os.link(whole, target)
    except OSError:
        shutil.copyfile(whole, target)


def _write(shard: Shard, target: Path, adapter: Adapter) -> None:
    ordered = sorted(shard.tensors.items(), key=lambda item: item[1].begin)
    with shard.path.open("rb") as source, target.open("wb") as out:
        _copy(source, out, 0, min(tensor.begin for _, tensor in ordered))
        for name, tensor in ordered:
            change = adapter.changes.get(canonical(name))
            if change is None or not tensor.nbytes:
                _copy(source, out, tensor.begin, tensor.end)
            else:
                base = shard.read(name)
                for begin, end in _blocks(tensor):
                    out.write(change.rows(base, begin, end).tobytes())
                shard.release()


def _blocks(tensor: Tensor) -> Iterator[tuple[int, int]]:
    """Rows from and to, a block at a time."""
    rows = tensor.shape[0]
    step = max(1, _BLOCK * rows // math.prod(tensor.shape))
    for begin in range(0, rows, step):
        yield begin, min(begin + step, rows)


def _copy(source: BinaryIO, out: BinaryIO, begin: int, end: int) -> None:
    source.seek(begin)
    while begin < end:
        begin += out.write(source.read(min(_COPIED, end - begin)))


def _bring(adapter: Path, made: Path) -> list[str]:
    """Files of the adapter that go before the base's, and what is said of those that do not."""
    for name in _OVER:
        if (adapter / name).is_file():
            (made / name).unlink(missing_ok=True)
            shutil.copyfile(adapter / name, made / name)
    mine, theirs = made / "tokenizer.json", adapter / "tokenizer.json"
    if theirs.is_file() and mine.is_file() and mine.read_bytes() != theirs.read_bytes():
        return ["the adapter has another tokenizer.json; the checkpoint's own is kept"]
    return []


def _say(made: Path, base: Path, adapter: Path, found: Adapter) -> None:
    config = read_json(adapter / CONFIG)
    with (adapter / WEIGHTS).open("rb") as file:
        digest = sha256()
        while block := file.read(_COPIED):
            digest.update(block)
    said = {
        "base": base.name,
        "adapter": adapter.name,
        "adapter_sha256": digest.hexdigest(),
        "trained_upon": config.get("base_model_name_or_path"),
        "pairs": found.pairs,
        "replaced": len(found.changes) - found.pairs,
    }
    (made / MERGED).unlink(missing_ok=True)  # it may be the base's own file under a second name
    (made / MERGED).write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")
