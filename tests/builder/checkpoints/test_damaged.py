"""Files of a checkpoint that somebody has damaged, or written with intent."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builder.checkpoints.adapter import CONFIG, WEIGHTS, read_adapter
from builder.checkpoints.architecture import read_architecture
from builder.checkpoints.shard import Shard
from builder.checkpoints.weights import INDEX, Weights
from builder.sources.checkpoint import NANO
from pixelis.errors import BuildError

MODULE = "base_model.model.model.layers.0.self_attn.q_proj"
DEEP = b'{"a": ' + b"[" * 20_000


def framed(head: bytes, data: bytes = b"") -> bytes:
    return len(head).to_bytes(8, "little") + head + data


def entry(**changes: Any) -> bytes:
    return json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}).encode()


@pytest.mark.parametrize(
    "head",
    [
        DEEP,
        entry(shape=[2.0]),
        entry(shape="2"),
        entry(shape=[1e999]),
        entry(data_offsets=[0.0, 8.0]),
        entry(dtype=[]),
        entry(shape=[0] + [1] * 40, data_offsets=[0, 0]),
        entry(shape=[0, 2**62], data_offsets=[0, 0]),
        entry(dtype="x" * 9000),
    ],
)
def test_headers(tmp_path: Path, head: bytes) -> None:
    (tmp_path / "a.safetensors").write_bytes(framed(head, bytes(8)))
    with pytest.raises(BuildError) as caught:
        Shard(tmp_path / "a.safetensors")
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "said",
    [
        DEEP,
        b"\xff",
        b'{"architectures": 7}',
        b'{"architectures": [["Qwen2_5_VLForConditionalGeneration"]]}',
        b'{"architectures": ["\\ud800"]}',
        json.dumps({"architectures": ["x" * 9000]}).encode(),
        json.dumps(
            {"architectures": ["Qwen2_5_VLForConditionalGeneration"], "text_config": 7, "vision_config": 7}
        ).encode(),
    ],
)
def test_configs(tmp_path: Path, said: bytes) -> None:
    (tmp_path / "config.json").write_bytes(said)
    with pytest.raises(BuildError) as caught:
        read_architecture(tmp_path)
    caught.value.wire().encode()
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "said", [DEEP, b"\xff", b'{"weight_map": {"a": "' + b"x" * 9000 + b'"}}', b'{"weight_map": {"a": ".."}}']
)
def test_indexes(tmp_path: Path, said: bytes) -> None:
    (tmp_path / INDEX).write_bytes(said)
    with pytest.raises(BuildError) as caught:
        Weights(tmp_path)
    assert len(str(caught.value)) < 800


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    at = tmp_path_factory.mktemp("adapter")
    rows, columns = Weights(NANO).shape("model.layers.0.self_attn.q_proj.weight")
    head, end, data = {}, 0, b""
    for name, shape in ((f"{MODULE}.lora_A.weight", (2, columns)), (f"{MODULE}.lora_B.weight", (rows, 2))):
        part = np.ones(shape, np.float32).tobytes()
        head[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [end, end + len(part)]}
        end, data = end + len(part), data + part
    (at / WEIGHTS).write_bytes(framed(json.dumps(head).encode(), data))
    return at


@pytest.mark.parametrize(
    "changes",
    [
        {"rank_pattern": 7},
        {"rank_pattern": {"(": 2}},
        {"rank_pattern": {"(.*.*)*!": 2}},
        {"rank_pattern": {".*.*.*.*!": 2}},
        {"rank_pattern": {"a" * 9000: 2}},
        {"alpha_pattern": {"q_proj": "four"}},
        {"alpha_pattern": {"q_proj": None}},
        {"lora_alpha": 1e400},
        {"lora_alpha": 10**400},
    ],
)
def test_adapters(adapter: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    """A pattern of two dozen characters could keep the search for ever."""
    shutil.copyfile(adapter / WEIGHTS, tmp_path / WEIGHTS)
    said = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "rank_pattern": {r"layers\.\d+\.self_attn.q_proj": 2}}
    (tmp_path / CONFIG).write_text(json.dumps(said), encoding="utf-8")
    assert read_adapter(tmp_path, Weights(NANO), tied=False).pairs == 1
    (tmp_path / CONFIG).write_text(json.dumps({**said, **changes}), encoding="utf-8")
    started = time.thread_time()
    with pytest.raises(BuildError):
        read_adapter(tmp_path, Weights(NANO), tied=False)
    assert time.thread_time() - started < 1
