"""An append-only journal: JSON lines beside raw float32 keys.

A record is acknowledged when its line is on disk. Its key goes first, into a file of its own, and the line says
in which row it lies and what its checksum is; so a line without its key cannot be read as a record, and a key without
its line is cut off at the next start.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import zlib
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixelis.errors import Unavailable

log = logging.getLogger(__name__)

Record = dict[str, Any]
Entry = tuple[Record, "NDArray[np.float32] | None"]


class Journal:
    """The journal of one directory; `replay` before the first `append`.

    Args:
        directory: where `journal.jsonl` and `journal.f32` lie, or will.
        width: D of the keys.
    """

    def __init__(self, directory: Path, width: int) -> None:
        self._lines = directory / "journal.jsonl"
        self._keys = directory / "journal.f32"
        self._width = width
        self.records = 0
        self._rows = 0
        self._files: tuple[FileIO, FileIO] | None = None

    def replay(self) -> list[Entry]:
        """Every whole record, oldest first; a torn tail is cut off and logged, and the journal opened to append."""
        for path in (self._lines, self._keys):
            path.touch()
        data = self._lines.read_bytes()
        keys = np.fromfile(self._keys, np.float32)
        entries, good = [], 0
        for line in data.splitlines(keepends=True):
            entry = self._decode(line, keys)
            if entry is None:
                break
            entries.append(entry)
            good += len(line)
            self._rows += entry[1] is not None
        self.records = len(entries)
        self._cut(data, good)
        self._files = (FileIO(self._lines, "ab"), FileIO(self._keys, "ab"))
        return entries

    def append(self, record: Record, key: NDArray[np.float32] | None = None, durable: bool = True) -> None:
        """Write one record; on return it survives a crash of the process, and with `durable` one of the machine.

        Raises:
            Unavailable: it could not be written (a full disk); the journal is as it was before.
        """
        lines, keys = self._open()
        if key is not None:
            record = {**record, "row": self._rows, "crc": zlib.crc32(key.tobytes())}
        line = json.dumps(record, separators=(",", ":")).encode() + b"\n"
        ends = [(file, file.seek(0, os.SEEK_END)) for file in (lines, keys)]
        try:
            if key is not None:
                _write(keys, key.tobytes(), durable)
            _write(lines, line, durable)
        except OSError as error:
            for file, end in ends:
                file.truncate(end)
            raise Unavailable(f"The experience was not recorded: {error.strerror}.", mend="Free some disk.") from error
        self.records += 1
        self._rows += key is not None

    def close(self) -> None:
        """Close the files."""
        for file in self._files or ():
            file.close()
        self._files = None

    def _open(self) -> tuple[FileIO, FileIO]:
        if self._files is None:
            raise Unavailable("The experience store is closed.", mend="Open it again.")
        return self._files

    def _decode(self, line: bytes, keys: NDArray[np.float32]) -> Entry | None:
        """A line as a record with its key; nothing where either is not whole."""
        if not line.endswith(b"\n"):
            return None
        try:
            record = json.loads(line)
        except ValueError:
            return None
        if not isinstance(record, dict):
            return None
        if "row" not in record:
            return record, None
        start = record["row"] * self._width
        key = keys[start : start + self._width]
        whole = record["row"] == self._rows and len(key) == self._width and zlib.crc32(key.tobytes()) == record["crc"]
        return (record, key) if whole else None

    def _cut(self, data: bytes, good: int) -> None:
        """Truncate both files to what was read; what lies behind a damaged line is kept aside, not dropped."""
        lost = data[good:].count(b"\n")
        if lost > 1:
            for path in (self._lines, self._keys):
                shutil.copyfile(path, path.with_name(f"damaged-{path.name}"))
            log.error("journal is damaged at byte %d: %d records are not read; kept as damaged-*", good, lost)
        elif good < len(data):
            log.warning(
                "journal had a torn tail of %d bytes (a write that was not acknowledged): cut", len(data) - good
            )
        size = self._rows * self._width * 4
        for path, end in ((self._lines, good), (self._keys, size)):
            if path.stat().st_size > end:
                os.truncate(path, end)


def _write(file: FileIO, data: bytes, durable: bool) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
    if durable:
        os.fsync(file.fileno())
