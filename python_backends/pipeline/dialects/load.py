"""Dialects from their files."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pixelis.errors import SetupError
from pixelis.json_text import read_object, reason
from pixelis.yaml_text import loads
from python_backends.pipeline.dialects.model import Dialect

OWN = "dialect.yaml"
"""The name of a checkpoint's own dialect, beside its pixelis.json."""
_HERE = Path(__file__).parent
_DEFAULT = "qwen2_5_vl"
_FAMILIES = {"qwen3_vl": "qwen3_vl", "qwen3_vl_moe": "qwen3_vl"}
"""config.json's `model_type` -> the dialect of its family, where it is not the default."""


def shipped() -> list[str]:
    """Names of the dialects that come with this package."""
    return sorted(path.stem for path in _HERE.glob("*.yaml"))


@lru_cache(maxsize=16)
def load_dialect(name: str) -> Dialect:
    """The dialect of that name.

    Raises:
        SetupError: there is none.
    """
    if name not in shipped():
        raise SetupError(
            f"There is no dialect {name[:64]!r}.",
            mend=f"In pixelis.json name one of {', '.join(shipped())}, or `{OWN}`, a file beside it.",
        )
    return _parse(_HERE / f"{name}.yaml")


def default_dialect() -> Dialect:
    """The dialect of a checkpoint that says nothing."""
    return load_dialect(_DEFAULT)


def dialect_of(directory: Path) -> Dialect:
    """The dialect of the family of the checkpoint (or artifact) in `directory`.

    Raises:
        SetupError: its config.json is none.
    """
    config = directory / "config.json"
    try:
        kind = read_object(config).get("model_type") if config.is_file() else None
    except (OSError, ValueError) as error:
        raise SetupError(f"config.json is not understood: {reason(error)}.", mend="Fetch it again.") from None
    return load_dialect(_FAMILIES.get(str(kind), _DEFAULT))


def read_dialect(path: Path) -> Dialect:
    """A dialect from a file of its own.

    Raises:
        SetupError: it cannot be read, or is none; the text says where.
    """
    if not path.is_file():
        raise SetupError(f"pixelis.json names `{path.name}`, which is not beside it.", mend="Put the file there.")
    return _parse(path)


def _parse(path: Path) -> Dialect:
    try:
        return Dialect.model_validate({"name": path.stem, **_raw(path)})
    except ValidationError as error:
        raise SetupError(
            f"{path.name} is not a dialect: {reason(error)}.", mend=f"See {_DEFAULT}.yaml for one that is."
        ) from None


def _raw(path: Path) -> dict[str, Any]:
    """The file's content upon that of the shipped one which it `extends`; a tool that is null is taken away."""
    try:
        said = loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SetupError(f"{path.name} is not YAML: {reason(error)}.", mend="Write it as YAML in UTF-8.") from None
    if not isinstance(said, dict):
        raise SetupError(f"{path.name} is not a dialect: it holds no keys.", mend=f"See {_DEFAULT}.yaml for one.")
    base = said.pop("extends", None)
    if base is None:
        return said
    load_dialect(str(base))  # an error that names what there is
    below = _raw(_HERE / f"{base}.yaml")
    own = said.get("tools") or {}
    if not isinstance(own, dict):
        raise SetupError(f"{path.name} is not a dialect: `tools` holds no names.", mend=f"See {_DEFAULT}.yaml for one.")
    tools = {**below.get("tools", {}), **own}
    return {**below, **said, "tools": {name: tool for name, tool in tools.items() if tool is not None}}
