"""Values and bytes that are hardly ever right, and good ones made bad."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any

from hypothesis import strategies as st

HALF = "\ud800"
"""Half of a surrogate pair: a text that no UTF-8 can carry."""


def _nest(levels: int) -> Any:
    return json.loads("[" * levels + "]" * levels)


VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 7, 255, 2**31 - 1, 2**31, -(2**31), 2**53, 2**63 - 1, 2**63, -(2**63) - 1, 2**64,
    10**30, 0.0, -0.0, 0.5, 1.5, -1.5, 1e-300, 1e308, -1e308, float("nan"), float("inf"), -float("inf"),
    "", " ", "0", "1", "-1", "1.5", "nan", "true", "null", "a", "..", "../../etc/passwd", "\0", "\n", "é", "\u2028",
    "𝄞", "١", HALF, "x" * 300, "é" * 5000, [], {}, [0], [1, 2, 3, 4], [[]], [None], {"a": 1}, {"": ""},
    {"size": [1, 1]}, _nest(20), _nest(150), _nest(300), [0] * 1000,
)  # fmt: skip
"""What JSON can say and hardly anything takes."""

PIECES: tuple[bytes, ...] = (
    b"", b"\0", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\xc3\xa9", b"\xed\xa0\x80", b"\xe2\x80\xa8",
    b"\\ud800", b"\\u0000", b"\r\n", b"\n", b"\t",
    b'"', b"'", b"{", b"}", b"[", b"]", b",", b":", b"null", b"true", b"NaN", b"Infinity", b"-", b"1e999", b"1e-999",
    b"9" * 30, b"-1", b"0x1", b"\x80\x04.", b"[" * 300, b'{"a":' * 300, b"#", b"&a", b"*a", b"!!python/name:os.system ",
    b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"x" * 200,
)  # fmt: skip
"""What is put into bytes."""


def tampered(rng: Random, value: Any, times: int = 1, keys: Sequence[str] = ()) -> Any:
    """`value` with so many of its places changed: replaced, left out, doubled, renamed, or exchanged."""
    made = [_copy(value)]
    for _ in range(times):
        holder, place = rng.choice(_places(made))
        _change(rng, holder, place, keys)
    return made[0]


def _places(root: list[Any]) -> list[tuple[Any, Any]]:
    """(list or object, index or key) of everything, `root` as the list of one."""
    found: list[tuple[Any, Any]] = []
    left: list[Any] = [root]
    while left:
        one = left.pop()
        inside = range(len(one)) if isinstance(one, list) else list(one)
        for place in inside:
            found.append((one, place))
            if isinstance(one[place], (list, dict)) and len(found) < 300:
                left.append(one[place])
    return found


def _change(rng: Random, holder: Any, place: Any, keys: Sequence[str]) -> None:
    way = rng.randrange(8)
    if way == 0 and isinstance(holder, dict):
        del holder[place]
    elif way == 1 and isinstance(holder, dict):
        holder[rng.choice((*keys, "more", "", HALF, "x" * 300))] = odd(rng)
    elif way == 2 and isinstance(holder, dict) and len(holder) > 1:
        other = rng.choice(list(holder))
        holder[place], holder[other] = holder[other], holder[place]
    elif way == 3 and isinstance(holder[place], list):
        flat = not any(isinstance(one, (list, dict)) for one in holder[place][:50])
        holder[place] = holder[place][:50] * rng.choice((0, 2, 50 if flat else 2))
    elif way == 4 and isinstance(holder[place], (int, float)) and not isinstance(holder[place], bool):
        holder[place] = rng.choice((holder[place] + 1, -holder[place], float(holder[place]), str(holder[place])))
    else:
        holder[place] = odd(rng)


def odd(rng: Random) -> Any:
    """One of `VALUES`, a copy of its own."""
    value = rng.choice(VALUES)
    return _copy(value) if isinstance(value, (list, dict)) else value


def _copy(value: Any) -> Any:
    return json.loads(json.dumps(value))


def json_bytes(rng: Random, value: Any) -> bytes:
    """As JSON in one of the ways that it is written; halves of surrogate pairs as escapes or as bytes."""
    plain = rng.random() < 0.5
    text = json.dumps(value, ensure_ascii=plain, indent=rng.choice((None, None, 1)))
    text = text.replace("Infinity", "1e999") if rng.random() < 0.5 else text  # JSON, and more than a float holds
    return text.encode(errors="surrogatepass")


def damaged(rng: Random, data: bytes, times: int = 1, pieces: Sequence[bytes] = PIECES) -> bytes:
    """`data` with so many of its places changed: bits, a piece put in, left out, doubled or moved, an end cut off."""
    for _ in range(times):
        at = rng.randrange(len(data) + 1)
        upto = min(at + rng.choice((1, 1, 2, 4, 8, 40, 400)), len(data))
        way = rng.randrange(8)
        if way == 0:
            data = data[:at]
        elif way == 1:
            data = data[:at] + data[upto:]
        elif way == 2:
            data = data[:at] + data[at:upto] * 2 + data[upto:]
        elif way == 3:
            data = data[:at] + rng.randbytes(upto - at) + data[upto:]
        elif way == 4:
            other = rng.randrange(len(data) + 1)
            data = data[:at] + data[other : other + upto - at] + data[upto:]
        elif way < 7 and at < len(data):
            data = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        else:
            data = data[:at] + rng.choice(pieces) + data[upto if rng.random() < 0.5 else at :]
    return data


def how_often(rng: Random) -> int:
    """Changes to a case: often none, seldom many."""
    return rng.choice((0, 0, 1, 1, 1, 2, 3, 8))


def randoms() -> st.SearchStrategy[Random]:
    """A source of random numbers; hypothesis' own one costs a draw each time."""
    return st.builds(Random, st.integers(0, 2**64 - 1))


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=20), st.sampled_from(VALUES)
)
JSON: st.SearchStrategy[Any] = st.one_of(
    SCALARS, SCALARS, st.lists(SCALARS, max_size=3), st.dictionaries(st.text(max_size=4), SCALARS, max_size=2)
)
"""Whatever JSON can say, and NaN, infinities and half characters, which it cannot."""
