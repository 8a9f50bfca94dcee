from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pytest

from builder.checkpoints.trim import let_go, resident_files, trimmed

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_pages_are_given_back_and_read_again(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 255, 64 << 20, np.uint8)
    np.save(tmp_path / "values.npy", values)
    (tmp_path / "more").mkdir()
    before = resident_files()
    mapped = np.load(tmp_path / "values.npy", mmap_mode="r")
    assert np.array_equal(mapped, values)
    assert resident_files() - before > 60 << 20
    with trimmed(tmp_path / "more", limit=before):
        time.sleep(0.1)
    assert resident_files() - before > 60 << 20
    with trimmed(tmp_path, limit=before + (8 << 20)):
        for _ in range(500):
            if resident_files() - before < 8 << 20:
                break
            time.sleep(0.01)
        assert resident_files() - before < 8 << 20
        assert np.array_equal(mapped, values)


def test_what_was_written_to_stays(tmp_path: Path) -> None:
    np.save(tmp_path / "values.npy", np.zeros(8 << 20, np.uint8))
    mapped = np.load(tmp_path / "values.npy", mmap_mode="c")
    mapped[5] = 1
    let_go(tmp_path.resolve())
    assert mapped[5] == 1
    assert mapped.sum() == 1


def test_a_private_mapping_of_a_session_is_let_go(tmp_path: Path) -> None:
    np.save(tmp_path / "values.npy", np.ones(64 << 20, np.uint8))
    mapped = np.load(tmp_path / "values.npy", mmap_mode="c")
    total = int(mapped.sum())
    before = resident_files()
    let_go(tmp_path.resolve())
    assert before - resident_files() > 60 << 20
    assert int(mapped.sum()) == total
