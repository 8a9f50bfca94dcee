"""Whether Redis keeps what it has acknowledged."""

from __future__ import annotations

from typing import Any

WANTED = {"maxmemory-policy": "noeviction", "appendonly": "yes", "appendfsync": "always"}
_WHY = {
    "maxmemory-policy": "or Redis drops entries when its memory is full",
    "appendonly": "or nothing is on disk",
    "appendfsync": "or what was acknowledged last is lost when its machine crashes",
}


def warnings(client: Any) -> list[str]:
    """What Redis is set to that should be otherwise; what it does not say is a warning too.

    Raises:
        redis.RedisError: it is not reached.
    """
    import redis

    try:
        found = {name: _text(client.config_get(name).get(name)) for name in WANTED}
    except redis.exceptions.ResponseError as error:
        return [f"Redis does not say how it is set ({error}): let it have {_all()}."]
    return [
        f"Redis has {name} {found[name]}: set it to {wanted}, {_WHY[name]}."
        for name, wanted in WANTED.items()
        if found[name] != wanted
    ]


def _all() -> str:
    return ", ".join(f"{name} {wanted}" for name, wanted in WANTED.items())


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
