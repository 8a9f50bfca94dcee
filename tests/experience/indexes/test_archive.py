"""Index files whose checksums are right and whose parts are none; and choices of an index."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pixelis.errors import SetupError
from pixelis.index_config import IndexConfig
from python_backends.experience import chosen
from python_backends.experience.indexes import open_index, read_index
from python_backends.experience.seeds import read_seeds
from tests.experience.conftest import WIDTH, experience, key


def parts(tmp_path: Path) -> dict[str, bytes]:
    index = open_index(IndexConfig(), WIDTH)
    index.add(np.arange(3, dtype=np.int64), np.stack([key(i) for i in range(3)]))
    index.save(tmp_path / "index")
    with zipfile.ZipFile(tmp_path / "index") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def saved(array: object) -> bytes:
    out = io.BytesIO()
    np.save(out, np.asarray(array))
    return out.getvalue()


META = b'{"format": 1, "metric": "inner_product", "width": WIDTH, "config": {"index": {"kind": "flat"}}}'
ROWS = saved(np.arange(3))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("meta.json", b"[1]"),
        ("meta.json", b"[" * 20_000),
        ("meta.json", META.replace(b"WIDTH", b"1" + b"0" * 30)),
        ("meta.json", META.replace(b"WIDTH", b"-1")),
        ("rows.npy", ROWS.replace(b"(3,)", b")3,)")),
        ("rows.npy", saved(np.arange(3)[:, np.newaxis])),
        ("rows.npy", saved(7)),
        ("rows.npy", saved([0.5, 1, 2])),
        ("alive.npy", b""),
    ],
)
def test_a_part_that_is_none(tmp_path: Path, name: str, data: bytes) -> None:
    found = {**parts(tmp_path), name: data}
    with zipfile.ZipFile(tmp_path / "index", "w") as archive:
        for each, content in found.items():
            archive.writestr(each, content)
    with pytest.raises(SetupError):
        read_index(tmp_path / "index")


def test_what_is_compressed_is_not_unpacked(tmp_path: Path) -> None:
    found = parts(tmp_path)
    with zipfile.ZipFile(tmp_path / "index", "w", zipfile.ZIP_DEFLATED) as archive:
        for each, content in found.items():
            archive.writestr(each, content)
    with pytest.raises(SetupError, match="compressed"):
        read_index(tmp_path / "index")


def test_a_choice_that_is_none_is_said_in_few_words(tmp_path: Path) -> None:
    said = json.dumps({"index": {"kind": "x" * 20_000}})
    (tmp_path / chosen.NAME).write_text(said, encoding="utf-8")
    with pytest.raises(SetupError, match=r"says no index: index: ") as caught:
        chosen.read(tmp_path)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("keys", [b"", ROWS.replace(b"(3,)", b")3,)"), ROWS[:30], saved(["a"]), saved([{}] * 0)])
def test_seeds_whose_keys_are_none(tmp_path: Path, keys: bytes) -> None:
    (tmp_path / "keys.npy").write_bytes(keys)
    (tmp_path / "experiences.jsonl").write_text(experience(experience_id="a").model_dump_json() + "\n")
    with pytest.raises(SetupError):
        read_seeds(tmp_path, WIDTH)
