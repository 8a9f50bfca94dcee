"""Bytes to JSON that is fit to be checked."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from clients.gateway.skeleton import cut, filled
from pixelis.errors import InvalidRequest

_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
"""An escape of half of a surrogate pair; most come in pairs."""


def parse(data: bytes, depth: int) -> dict[str, Any]:
    """The object in `data`.

    Args:
        data: a body.
        depth: objects and lists that may lie within each other.

    Raises:
        InvalidRequest: not UTF-8, not JSON, not an object, too deep, a key twice, a number that is none, or text that
            is none: half of a surrogate pair.
    """
    skeleton, strings = cut(data)
    try:
        found = _read(skeleton, depth)
    except InvalidRequest:
        if not strings:
            raise
        found = _read(data, depth)  # which says where in what was sent
    if not isinstance(found, dict):
        raise InvalidRequest("The body is JSON, but no object.", mend="Send one JSON object.")
    _bound(found, depth, depth)
    if _HALF.search(data):
        _require_text(found)
    return {key: filled(value, strings) for key, value in found.items()} if strings else found


def _read(data: bytes, depth: int) -> Any:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"The body is not UTF-8 at byte {error.start}.", mend="Send JSON as UTF-8.") from None
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant, parse_float=_finite)
    except RecursionError:
        raise _deep(depth) from None
    except ValueError as error:
        raise InvalidRequest(f"The body is not JSON: {str(error)[:120]}.", mend="Send one JSON object.") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise InvalidRequest(f"The key `{_twice(pairs)[:80]}` occurs twice in one object.", mend="Send it once.")
    return found


def _twice(pairs: list[tuple[str, Any]]) -> str:
    """The first key that is not new."""
    seen = set[str]()
    for name, _ in pairs:
        if name in seen:
            break
        seen.add(name)
    return name


def _constant(name: str) -> Any:
    raise InvalidRequest(f"`{name}` is not JSON.", mend="Send numbers that are finite.")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _constant(text[:20])


def _require_text(value: Any) -> None:
    """Raises `InvalidRequest` where a string, a key among them, cannot be written as UTF-8."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidRequest("A text holds half of a surrogate pair.", mend="Send whole characters.") from None
    elif isinstance(value, (dict, list)):
        for one in (*value, *value.values()) if isinstance(value, dict) else value:
            _require_text(one)


def _bound(value: Any, left: int, depth: int) -> None:
    if isinstance(value, (dict, list)):
        if not left:
            raise _deep(depth)
        for one in value.values() if isinstance(value, dict) else value:
            _bound(one, left - 1, depth)


def _deep(depth: int) -> InvalidRequest:
    return InvalidRequest(f"The JSON is more than {depth} levels deep.", mend="No request needs so many.")
