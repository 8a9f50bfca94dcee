"""What a checkpoint takes in memory: planned from its artifact, then as measured.

    planned    files of the two artifacts, what two processes take without a model, keys and values as set
    measured   what the two processes took when they were loaded, keys and values as set; or more, where they grew

Keys and values count in full from the beginning: they are filled while requests are answered, and a budget that did
not foresee it would be exceeded then.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable
from pathlib import Path

from pixelis.model_name import base
from pixelis.settings import Decoding
from python_backends.artifacts import artifact
from python_backends.checkpoints import POLICY
from python_backends.policy.checkpoint import CheckpointConfig
from python_backends.residency.kept import Size

_PLANNED = "planned: the artifacts' files, two processes, keys and values as set"
_MEASURED = "measured: its processes when they were loaded, keys and values as set"
_GROWN = "measured: the most that its processes took"
_NOT_HELD = ("manifest.json", "model.py", "tokenizer.json")
"""Files of an artifact that are read and let go."""

Versions = tuple[str, ...]


def resident(pids: Iterable[int], proc: Path = Path("/proc")) -> int:
    """Bytes that processes hold together; pages that they share with others count in part. Those that are gone: 0."""
    return sum(_of(proc / str(pid)) for pid in pids)


def _of(folder: Path) -> int:
    try:
        for line in (folder / "smaps_rollup").read_text(encoding="utf-8").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass  # the kernel does not tell, or not us: what is resident is more than its share, and always told
    try:
        return int((folder / "statm").read_text(encoding="utf-8").split()[1]) * mmap.PAGESIZE
    except (OSError, ValueError, IndexError):
        return 0


class Sizes:
    """What the checkpoints of a repository take. Measurements are of a version and end with it.

    Args:
        repository: the models'.
        decoding: what the policy's runtime may take.
        process: bytes of a process of ours without a model.
        pids: processes of a model, now.
    """

    def __init__(
        self, repository: Path, decoding: Decoding, process: int, pids: Callable[[str], Iterable[int]]
    ) -> None:
        self._repository, self._decoding, self._process, self._pids = repository, decoding, process, pids
        self._planned: dict[Versions, tuple[int, int]] = {}
        self._fixed: dict[Versions, int] = {}
        self._most: dict[Versions, int] = {}

    def of(self, models: tuple[str, str]) -> Size:
        """What the checkpoint of these two takes."""
        folders = [artifact(self._repository, model) for model in models]
        versions = tuple(map(str, folders))
        if versions not in self._planned:
            self._planned[versions] = self._plan(folders)
        files, growing = self._planned[versions]
        fixed, most = self._fixed.get(versions), self._most.get(versions, 0)
        if fixed is None:
            return Size(files + len(models) * self._process + growing, _PLANNED)
        return Size(fixed + growing, _MEASURED) if most <= fixed + growing else Size(most, _GROWN)

    def measure(self, models: tuple[str, str], *, fresh: bool = False) -> int:
        """Look at the processes of both.

        Args:
            models: of a checkpoint that is loaded.
            fresh: they have answered nobody yet, so that all but keys and values is there.

        Returns:
            What they take now, in bytes.
        """
        versions = tuple(str(artifact(self._repository, model)) for model in models)
        # A model that Triton runs without a process of its own (a native backend) takes its files, as far as is known.
        now = sum(resident(self._pids(model)) or self._held(model) for model in models)
        if now and (fresh or versions not in self._fixed):
            self._fixed[versions] = now
        self._most[versions] = max(self._most.get(versions, 0), now)
        return now

    def _plan(self, folders: list[Path]) -> tuple[int, int]:
        """Bytes of the files that are held, and of keys and values."""
        held = sum(self._held(folder.parent.name) for folder in folders)
        (policy,) = (folder for folder in folders if base(folder.parent.name) == POLICY)
        config = CheckpointConfig.load(policy)
        row = min(self._decoding.max_len, config.max_positions) * config.token_bytes
        rows = min(self._decoding.slots, max(1, self._decoding.cache_bytes // row))
        return held, rows * row + self._decoding.prefix_bytes

    def _held(self, model: str) -> int:
        """Bytes of an artifact's files that stay in memory."""
        files = artifact(self._repository, model).rglob("*")
        return sum(path.stat().st_size for path in files if path.is_file() and path.name not in _NOT_HELD)
