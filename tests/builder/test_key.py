"""The content address holds what an artifact depends on, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest

import builder.storing.key
from builder.sources.code import HERE, code_files
from builder.storing.key import build_key
from builder.tolerance import Tolerance
from tests.builder.tiny import linear_spec, write_weights


def names(source: str) -> set[str]:
    return {path.name for path in code_files(HERE / f"{source}.py")}


def test_the_code_of_a_source_is_what_it_imports() -> None:
    assert {"vision_encoder.py", "vision_tower.py", "checkpoint.py", "base.py"} <= names("vision_encoder")
    assert "vision_tower.py" in names("decoder"), "reached through the vision encoder"
    assert "vision_tower.py" not in names("embed_image")
    assert "ocr.py" in names("ocr_detect")
    assert "ocr_recognize.py" not in names("ocr_detect")


def test_code_outside_the_package_is_its_own_module_and_the_base(tmp_path: Path) -> None:
    module = tmp_path / "mine.py"
    module.write_text("import os\nfrom builder.sources import base\nimport builder.sources.pictures\n")
    assert {path.name for path in code_files(module)} == {"mine.py", "base.py", "code.py", "pictures.py", "task.py"}


def test_what_changes_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = linear_spec("alpha", write_weights(tmp_path / "w.npy"))
    key = build_key(spec, "digest")
    changed = [
        build_key(spec, "another digest"),
        build_key(spec.model_copy(update={"precision": "fp16"}), "digest"),
        build_key(spec.model_copy(update={"tolerance": Tolerance(cosine=0.5)}), "digest"),
        build_key(spec.model_copy(update={"arguments": {"layers": "12"}}), "digest"),
        build_key(spec.model_copy(update={"outputs": spec.outputs[:1]}), "digest"),
    ]
    monkeypatch.setattr(builder.storing.key, "version", lambda name: "99")
    changed.append(build_key(spec, "digest"))
    assert len({key, *changed}) == 7


def test_what_does_not_change_the_key(tmp_path: Path) -> None:
    spec = linear_spec("alpha", write_weights(tmp_path / "w.npy"))
    same = spec.model_copy(
        update={
            "instances": 3,
            "queue_delay_us": 100,
            "max_batch_size": 16,
            "arguments": {"weights": str(write_weights(tmp_path / "moved.npy"))},
        }
    )
    assert build_key(same, "digest") == build_key(spec, "digest")
