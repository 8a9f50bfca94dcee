"""A checkpoint's weights, tensor by tensor from memory-mapped safetensors files: nothing is ever loaded whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from builder.checkpoints.shard import Shard, Tensor
from pixelis.errors import BuildError
from pixelis.json_text import read_object

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
# transformers moved the towers: what older files call them, and what they are called since.
_OLD_PREFIXES = (
    ("model.language_model.model.", "model.language_model."),
    ("language_model.model.", "model.language_model."),
    ("language_model.lm_head.", "lm_head."),
    ("model.layers.", "model.language_model.layers."),
    ("model.embed_tokens.", "model.language_model.embed_tokens."),
    ("model.norm.", "model.language_model.norm."),
    ("visual.", "model.visual."),
)


def canonical(name: str) -> str:
    """A tensor's name as today's transformers has it: `model.language_model.…`, `model.visual.…`, `lm_head.weight`."""
    for old, new in _OLD_PREFIXES:
        if name.startswith(old):
            return new + name[len(old) :]
    return name


class Weights(Mapping[str, np.ndarray[Any, Any]]):
    """What the safetensors files of a directory hold.

    A tensor is found under the name that its file gives it, and under its canonical one.

    Attributes:
        directory: where the files are.
        shards: the files, by name, in the order of their names.

    Raises:
        BuildError: there is no such file, one is missing or broken, or the index and the files do not agree.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        listed = _index(directory)
        files = sorted(set(listed.values())) if listed is not None else [SINGLE]
        self.shards = {file: Shard(_existing(directory, file)) for file in files}
        self._file: dict[str, str] = {}
        for file, shard in self.shards.items():
            for name in shard.tensors:
                if name in self._file:
                    raise BuildError(
                        f"{name[:200]} is in {self._file[name]} and in {file}.", mend="Keep one of the two."
                    )
                self._file[name] = file
        if listed is not None:
            _check_index(listed, self._file)
        self._canonical = {canonical(name): name for name in self._file}
        for name in self._file:
            other = self._canonical[canonical(name)]
            if other != name:
                raise BuildError(f"{name} and {other} are the same tensor.", mend="Keep one of the two.")

    @property
    def names(self) -> list[str]:
        """Every tensor, as the files name them, file after file."""
        return list(self._file)

    @property
    def canonical_names(self) -> list[str]:
        """Every tensor under its canonical name, in the order of `names`."""
        return [canonical(name) for name in self._file]

    def shape(self, name: str) -> tuple[int, ...]:
        """Sizes of a tensor's axes."""
        return self.tensor(name).shape

    def dtype(self, name: str) -> str:
        """A tensor's dtype in safetensors' words: BF16, F16, F32 …"""
        return self.tensor(name).dtype

    def nbytes(self, name: str) -> int:
        """Bytes a tensor takes in its file."""
        return self.tensor(name).nbytes

    def file(self, name: str) -> str:
        """Name of the file a tensor is in."""
        return self._file[self._own(name)]

    def tensor(self, name: str) -> Tensor:
        """Where a tensor is, with its dtype and shape. Raises `KeyError` where there is none of that name."""
        own = self._own(name)
        return self.shards[self._file[own]].tensors[own]

    def __getitem__(self, name: str) -> np.ndarray[Any, Any]:
        """A read-only view of the memory-mapped file (bfloat16 as `ml_dtypes.bfloat16`)."""
        own = self._own(name)
        return self.shards[self._file[own]].read(own)

    def __contains__(self, name: object) -> bool:
        return name in self._file or name in self._canonical

    def __iter__(self) -> Iterator[str]:
        return iter(self._file)

    def __len__(self) -> int:
        return len(self._file)

    def release(self) -> None:
        """Takes the pages that were read out of this process's memory; views stay valid. Call it between layers."""
        for shard in self.shards.values():
            shard.release()

    @property
    def total_bytes(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.nbytes for shard in self.shards.values() for tensor in shard.tensors.values())

    @property
    def largest_shard(self) -> int:
        """Bytes of the largest file."""
        return max(shard.path.stat().st_size for shard in self.shards.values())

    def _own(self, name: str) -> str:
        if name in self._file:
            return name
        return self._canonical[name]


def _index(directory: Path) -> dict[str, str] | None:
    """File of each tensor, as the index says; none where the weights are one file."""
    path = directory / INDEX
    if not path.is_file():
        return None
    try:
        listed: dict[str, str] = read_object(path)["weight_map"]
        plain = all(file == Path(file).name for file in listed.values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"{INDEX} is not readable: it has no `weight_map` of names to files."
        raise BuildError(message, mend="Fetch it again.") from error
    if not plain or not listed:
        what = "names no file" if not listed else "names files outside its folder"
        raise BuildError(f"{INDEX} {what}.", mend="Put the files beside it and name them plainly.")
    return listed


def _existing(directory: Path, file: str) -> Path:
    path = directory / file
    if len(file) > 255 or not path.is_file():
        mend = "Fetch it: every file that the index names is needed."
        if file == SINGLE:
            mend = f"Put the weights there as {SINGLE}, or as shards with {INDEX}."
        raise BuildError(f"{file[:255]} is missing in {directory}.", mend=mend)
    return path


def _check_index(listed: dict[str, str], found: dict[str, str]) -> None:
    """Every tensor that the index names is in the file that it names."""
    for name, file in listed.items():
        if found.get(name) != file:
            raise BuildError(
                f"{INDEX} says that {name[:200]} is in {file[:255]}, and it is not.", mend="Fetch both again."
            )
