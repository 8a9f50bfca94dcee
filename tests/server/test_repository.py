from __future__ import annotations

from pathlib import Path

import pytest

from pixelis.errors import NotFound, SetupError
from server.repository import ancestors, closure, require_built, scan

CONFIG = 'name: "%s" backend: "python" instance_group [ { count: %d } ]'
ARTIFACT = 'parameters [ { key: "artifact" value: { string_value: "model.onnx" } } ]'


def model(root: Path, name: str, versions: tuple[int, ...] = (1,), instances: int = 1, more: str = "") -> Path:
    for version in versions:
        (root / name / str(version)).mkdir(parents=True)
    (root / name).mkdir(exist_ok=True)
    (root / name / "config.pbtxt").write_text(CONFIG % (name, instances) + more)
    return root / name


def test_versions_and_stubs(tmp_path: Path) -> None:
    model(tmp_path, "a", (1, 2, 10), instances=2)
    for other in ("notes", "\N{SUPERSCRIPT TWO}"):  # which is a digit and no number
        (tmp_path / "a" / other).mkdir()
    (tmp_path / "no-model").mkdir()
    (found,) = scan(tmp_path)
    assert (found.name, found.versions, found.version, found.stubs) == ("a", [1, 2, 10], 10, 2)
    require_built([found])


def test_what_is_not_built_is_named_all_at_once(tmp_path: Path) -> None:
    model(tmp_path, "coded")
    model(tmp_path, "empty", ())
    model(tmp_path, "unbuilt", more=ARTIFACT)
    built = model(tmp_path, "built", (1, 2), more=ARTIFACT)
    (built / "2" / "model.onnx").touch()
    with pytest.raises(SetupError, match=r"empty: no version folder; unbuilt: no model.onnx in version 1") as caught:
        require_built(scan(tmp_path))
    assert caught.value.mend == "Run `pixelis build`."
    require_built(scan(tmp_path, ["built", "coded"]))


def test_names_and_folders_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="no model repository"):
        scan(tmp_path / "absent")
    with pytest.raises(SetupError, match="no model with a config"):
        scan(tmp_path)
    model(tmp_path, "a")
    with pytest.raises(NotFound, match="No model b"):
        scan(tmp_path, ["a", "b"])


def test_a_config_that_does_not_parse_is_named_with_its_line(tmp_path: Path) -> None:
    model(tmp_path, "a", more="\nnonsense: 3")
    with pytest.raises(SetupError, match=r"a/config.pbtxt.*2:1") as caught:
        scan(tmp_path)
    assert "pixelis lint" in str(caught.value.mend)


def test_who_calls_whom(tmp_path: Path) -> None:
    calls = 'parameters [ { key: "calls" value: { string_value: "%s" } } ]'
    model(tmp_path, "leaf")
    model(tmp_path, "middle", more=calls % "leaf,absent")
    model(tmp_path, "top", more=calls % "middle")
    model(tmp_path, "both", more=calls % "top,leaf")
    model(tmp_path, "other")
    steps = 'platform: "ensemble" ensemble_scheduling { step { model_name: "middle" model_version: -1 } }'
    (tmp_path / "chain" / "1").mkdir(parents=True)
    (tmp_path / "chain" / "config.pbtxt").write_text(f'name: "chain" {steps}')
    assert [found.name for found in closure(tmp_path, ["top"])] == ["leaf", "middle", "top"]
    assert [found.name for found in closure(tmp_path, ["chain"])] == ["chain", "leaf", "middle"]
    assert closure(tmp_path) == scan(tmp_path)
    assert ancestors(scan(tmp_path), "leaf") == ["both", "middle", "chain", "top"]
    assert ancestors(scan(tmp_path), "other") == []


@pytest.mark.parametrize("config", [b'name: "a\xff"', b"input " + b"{ dims: 1 " * 900, b'name: "\\377"', b"name: 7"])
def test_a_config_that_is_no_text_or_no_config(tmp_path: Path, config: bytes) -> None:
    model(tmp_path, "a")
    (tmp_path / "a" / "config.pbtxt").write_bytes(config)
    with pytest.raises(SetupError, match=r"a/config.pbtxt is not a Triton model config") as caught:
        scan(tmp_path)
    assert len(str(caught.value)) < 600


def test_what_a_model_calls_lies_beside_it(tmp_path: Path) -> None:
    step = 'platform: "ensemble" ensemble_scheduling { step { model_name: "%s" } step { model_name: "b" } }'
    (tmp_path / "a").mkdir()
    for name in ("", "../a", "x" * 5000):
        (tmp_path / "a" / "config.pbtxt").write_text(step % name)
        assert scan(tmp_path)[0].children == ["b"]
        assert [one.name for one in closure(tmp_path)] == ["a"]
