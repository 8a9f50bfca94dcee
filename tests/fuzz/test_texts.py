"""JSON, YAML, metrics, and settings, as files and variables have them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import strategies as st

from clients import metrics
from pixelis import json_text, yaml_text
from pixelis.errors import ServingError, SetupError
from pixelis.settings import TUNED, Settings, settings
from tests.fuzz.odd import JSON, PIECES, damaged, how_often, json_bytes, odd, randoms
from tests.fuzz.run import Fuzz, parsed


def _json(rng: Random, value: Any) -> bytes | str:
    data = json_bytes(rng, value)
    data = damaged(rng, data, how_often(rng)) if rng.random() < 0.4 else data
    return data if rng.random() < 0.7 else data.decode(errors="surrogateescape")


def test_json(fuzz: Fuzz, tmp_path: Path) -> None:
    def holds(text: bytes | str) -> bool:
        found = parsed(lambda: [json_text.loads(text)], ValueError)
        if found is None:
            return False
        again = json.dumps(found[0], ensure_ascii=False).encode()
        assert repr(json_text.loads(again)) == repr(found[0])
        return True

    fuzz.given(st.builds(_json, randoms(), JSON), holds)


YAML = """# é
name: &a "x"
list: [1, 2.5, true, null, 2001-01-01, 1e3, 0x1f, ~]
map: {a: *a, "b": 'c', ? d : e}
text: |
  several
  lines
more:
  - a: 1
    <<: {b: 2}
  - !!str 5
"""
_SIGNS = b"- ~: ~? ~| ~> ~&b ~*b~<<: ~---\n~...\n~%YAML 1.1\n~2001-99-99~12:99:99~0o9~.inf~  ~&x [*x]"
_TAGS = b"!!~!!int ~!!float ~!!timestamp ~!!binary ~!!set ~!!omap ~!!python/object:os.system "
_WORDS = (*_SIGNS.split(b"~"), *_TAGS.split(b"~"), b"[" * 70, b"{a: " * 60, b"- " * 300, *PIECES)


def test_yaml(fuzz: Fuzz) -> None:
    def holds(text: bytes) -> bool:
        return parsed(lambda: [yaml_text.loads(text)], ValueError) is not None

    parts = [part.encode() for part in YAML.splitlines(keepends=True)]

    def make(rng: Random) -> bytes:
        data = YAML.encode() if rng.random() < 0.5 else b"".join(rng.choices(parts[:4] + parts[7:], k=3))
        return damaged(rng, data, rng.choice((0, 1, 1, 2, 5)), _WORDS)

    fuzz.loop(make, holds)


def test_metrics(fuzz: Fuzz) -> None:
    good = (
        b'# HELP nv_x X\n# TYPE nv_x counter\nnv_x{model="a b",version="1"} 5\nnv_y 0.5\nz{a="\\""} NaN\nq +Inf 17\n\n'
    )

    def holds(text: str) -> bool:
        found = parsed(lambda: metrics.parse(text), ServingError)
        assert found is None or all(isinstance(value, float) for value in found.values())
        return found is not None

    words = (b" ", b"\n", b"{", b"}", b'"', b"#", b"1e5", b"_", b"0x5", *PIECES)
    fuzz.loop(lambda rng: damaged(rng, good, how_often(rng), words).decode(errors="replace"), holds)


VARIABLES = {
    "PIXELIS_SERVER__HTTP_PORT": "9000",
    "PIXELIS_SERVER": '{"grpc_port": 9001}',
    "PIXELIS_CACHE__CACHE_SIZE": "10",
    "PIXELIS_CACHE__ENABLE_REDIS": "true",
    "PIXELIS_RETRIEVAL__INDEX": '{"index": {"kind": "hnsw", "m": 8}}',
    "PIXELIS_RETRIEVAL__REPLICAS__URL": "redis://:secret@host:1/0",
    "PIXELIS_SCHEDULING": '{"policy": {"instances": 2}}',
    "PIXELIS_SCHEDULING__POLICY__INSTANCES": "2",
    "PIXELIS_GATEWAY__IMAGE_HOSTS": '["*.example.org:8443", "[::1]"]',
    "PIXELIS_GATEWAY__TRUSTED_PROXIES": '["10.0.0.0/8"]',
    "PIXELIS_LIMITS__FRAMES": "5",
    "PIXELIS_CHECKPOINT": "/nowhere",
    "PIXELIS_STATE": "",
    "PIXELIS_NGC__ACCELERATOR": "tensorrt",
}
"""Settings that are taken."""
TOML = b"""[server]
http_port = 9000
[retrieval]
capacity = 5
index = {index = {kind = "lsh"}}
[scheduling.policy]
instances = 2
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment that says nothing; the file that it may name."""
    for name in list(os.environ):
        if name.startswith("PIXELIS_") and not name.startswith("PIXELIS_FUZZ_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".pixelis").mkdir()
    return tmp_path / "config.toml"


def _variables(rng: Random) -> dict[str, str]:
    made = dict(rng.sample(list(VARIABLES.items()), rng.randrange(4)))
    for name in list(made):
        if rng.random() < 0.4:
            value = odd(rng)
            made[name] = value if isinstance(value, str) else json.dumps(value)
        elif rng.random() < 0.2:
            made[name] = damaged(rng, made[name].encode(), 1).decode(errors="replace")
        if rng.random() < 0.1:
            made[damaged(rng, name.encode(), 1, (b"__", b"X", b"_", b"a")).decode(errors="replace")] = made.pop(name)
    text = {name.replace("\0", "").replace("=", ""): value.replace("\0", "") for name, value in made.items()}
    plain = {name: value.encode(errors="replace").decode() for name, value in text.items()}
    return {
        name: value
        for name, value in plain.items()
        if name.isascii() and name.startswith("PIXELIS_") and "FUZZ" not in name
    }


def test_settings(fuzz: Fuzz, config: Path) -> None:
    tuned = Path(".pixelis") / TUNED

    def make(rng: Random) -> tuple[dict[str, str], bytes | None, bytes | None]:
        files = (damaged(rng, TOML, rng.choice((0, 1, 1, 2))) if rng.random() < 0.3 else None for _ in range(2))
        return _variables(rng), next(files), next(files)

    def holds(case: tuple[dict[str, str], bytes | None, bytes | None]) -> bool:
        variables, said, found = case
        if said is not None:
            config.write_bytes(said)
            variables = {"PIXELIS_CONFIG": str(config), **variables}
        tuned.unlink(missing_ok=True)
        if found is not None:
            tuned.write_bytes(found)
        settings.cache_clear()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            made = parsed(settings, SetupError)
        settings.cache_clear()
        if made is None:
            return False
        assert isinstance(made, Settings)
        json.loads(made.model_dump_json())
        return True

    fuzz.loop(make, holds)
