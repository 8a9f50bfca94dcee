from __future__ import annotations

import json
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from builder.checkpoints.weights import INDEX, SINGLE, Weights, canonical
from builder.sources.checkpoint import NANO
from pixelis.errors import BuildError


def _sharded(directory: Path) -> dict[str, np.ndarray]:
    values = {
        "model.layers.0.mlp.up_proj.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
        "visual.merger.ln_q.weight": np.arange(4, dtype=np.float16),
        "lm_head.weight": np.arange(8).reshape(2, 4).astype(ml_dtypes.bfloat16),
    }
    files = {name: f"model-0000{at % 2 + 1}-of-00002.safetensors" for at, name in enumerate(values)}
    for file in set(files.values()):
        save_file({name: value for name, value in values.items() if files[name] == file}, directory / file)
    (directory / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": files}))
    return values


def test_the_nano_is_read_as_the_library_reads_it() -> None:
    from safetensors.numpy import load_file

    weights, whole = Weights(NANO), load_file(NANO / SINGLE)
    assert sorted(weights) == sorted(whole)
    for name, value in whole.items():
        assert (weights.shape(name), weights[name].dtype) == (value.shape, value.dtype)
        np.testing.assert_array_equal(weights[name], value)


def test_shards_are_one_mapping_under_old_and_new_names(tmp_path: Path) -> None:
    values = _sharded(tmp_path)
    weights = Weights(tmp_path)
    assert set(weights.names) == set(values)
    for name, value in values.items():
        assert weights[name].dtype == value.dtype
        assert np.array_equal(weights[canonical(name)], value)
        assert not weights[name].flags.writeable
    assert weights.dtype("model.visual.merger.ln_q.weight") == "F16"
    assert weights.dtype("lm_head.weight") == "BF16"
    assert weights.total_bytes == 24 + 8 + 16


def test_what_was_released_is_read_again(tmp_path: Path) -> None:
    values = _sharded(tmp_path)
    weights = Weights(tmp_path)
    view = weights["lm_head.weight"]
    weights.release()
    assert np.array_equal(view, values["lm_head.weight"])


@pytest.mark.parametrize(
    ("name", "now"),
    [
        ("model.layers.3.input_layernorm.weight", "model.language_model.layers.3.input_layernorm.weight"),
        ("model.embed_tokens.weight", "model.language_model.embed_tokens.weight"),
        ("language_model.model.norm.weight", "model.language_model.norm.weight"),
        ("visual.patch_embed.proj.weight", "model.visual.patch_embed.proj.weight"),
        ("model.visual.patch_embed.proj.weight", "model.visual.patch_embed.proj.weight"),
        ("lm_head.weight", "lm_head.weight"),
    ],
)
def test_canonical_names(name: str, now: str) -> None:
    assert canonical(name) == now == canonical(now)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    _sharded(tmp_path)
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(BuildError, match=r"model-00002-of-00002\.safetensors is missing"):
        Weights(tmp_path)


def test_a_file_that_is_cut_off_is_found_before_anything_is_read(tmp_path: Path) -> None:
    _sharded(tmp_path)
    path = tmp_path / "model-00001-of-00002.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(BuildError, match="cut off"):
        Weights(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no safetensors", b"\x02" + bytes(7) + b"[]", b"\x09" + bytes(9)])
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / SINGLE).write_bytes(content)
    with pytest.raises(BuildError, match="safetensors"):
        Weights(tmp_path)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"dtype": "F4", "shape": [2], "data_offsets": [0, 8]}, "a dtype that is not read"),
        ({"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}, "8 bytes, which is not F32"),
        ({"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}, "do not follow"),
        ({"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "4 bytes behind"),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path: Path, entry: dict[str, object], said: str) -> None:
    header = json.dumps({"a": entry}).encode()
    (tmp_path / SINGLE).write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(BuildError, match=said):
        Weights(tmp_path)


def test_an_index_may_not_leave_its_folder(tmp_path: Path) -> None:
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": {"a": "../model.safetensors"}}))
    with pytest.raises(BuildError, match="outside its folder"):
        Weights(tmp_path)


def test_an_index_that_disagrees_with_its_files_is_refused(tmp_path: Path) -> None:
    _sharded(tmp_path)
    index = json.loads((tmp_path / INDEX).read_text())
    index["weight_map"]["lm_head.weight"] = "model-00002-of-00002.safetensors"
    (tmp_path / INDEX).write_text(json.dumps(index))
    with pytest.raises(BuildError, match="and it is not"):
        Weights(tmp_path)
