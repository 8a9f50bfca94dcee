r"""Tool calls as an EBNF grammar in the form of xgrammar (and of llama.cpp's GBNF): what vLLM is handed.

The same forms as in `calls.rules`, written for another reader; there is no second list of what a call may say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import singledispatch

from python_backends.policy.calls.forms import Form, Pair
from python_backends.policy.calls.numbers import Counted, whole
from python_backends.policy.calls.pattern import Chars, Choice, Maybe, NotAscii, Pattern, Row, Times, text
from python_backends.policy.calls.rules import ENDING, SPACE, Between, begins


def grammar(forms: Sequence[Form]) -> str:
    """What stands between `<tool_call>` and `</tool_call>`: a rule for each place of a call."""
    lines: dict[Between | Pair, str] = {}
    names: dict[Between | Pair, str] = {}

    def name(part: Between | Pair) -> str:
        if part not in names:
            names[part] = f"t{len(names)}"
            lines[part] = ebnf(part.pattern) if isinstance(part, Pair) else between(part)
        return names[part]

    def between(place: Between) -> str:
        comma = "" if place.first else ebnf(text(",") + SPACE) + " "
        ways = [f"{comma}{name(pair)} {name(after)}" for pair, _, after in place.ways()]
        return " | ".join(ways if place.needed else [*ways, ebnf(ENDING)])

    root = " | ".join(f"{ebnf(head)} {name(place)}" for head, place in begins(forms))
    return "\n".join([f"root ::= {root}", *(f"{names[part]} ::= {line}" for part, line in lines.items())])


@singledispatch
def ebnf(pattern: Pattern) -> str:
    """A pattern as an expression that an operator may follow."""
    raise TypeError(f"{type(pattern).__name__} is no pattern")


@ebnf.register
def _(pattern: Chars) -> str:
    if len(pattern.allowed) == 1:
        return _literal(chr(*pattern.allowed))
    spans = [f"{_escaped(low)}-{_escaped(high)}" if high > low else _escaped(low) for low, high in _spans(pattern)]
    return f"[{''.join(spans)}]"


@ebnf.register
def _(pattern: NotAscii) -> str:
    return r"[^\x00-\x7f]"


@ebnf.register
def _(pattern: Row) -> str:
    parts, run = [], ""
    for part in _flat(pattern):
        if isinstance(part, Chars) and len(part.allowed) == 1:
            run += chr(*part.allowed)
            continue
        parts += [_literal(run)] if run else []
        parts.append(ebnf(part))
        run = ""
    parts += [_literal(run)] if run else []
    return f"({' '.join(parts)})"


@ebnf.register
def _(pattern: Choice) -> str:
    return f"({' | '.join(ebnf(part) for part in pattern.parts)})"


@ebnf.register
def _(pattern: Maybe) -> str:
    return f"{ebnf(pattern.part)}?"


@ebnf.register
def _(pattern: Times) -> str:
    simple = {(0, 1): "?", (1, 1): ""}
    how = simple.get((pattern.least, pattern.most), f"{{{pattern.least},{pattern.most}}}")
    return ebnf(pattern.part) + how


@ebnf.register
def _(pattern: Counted) -> str:
    return ebnf(whole(pattern.base, pattern.count - 1 + pattern.base))


def _flat(row: Row) -> Iterator[Pattern]:
    """Its parts in order, without those that are nothing."""
    for part in row.parts:
        if isinstance(part, Row):
            yield from _flat(part)
        elif not (isinstance(part, Times) and part.most == 0):
            yield part


def _spans(chars: Chars) -> Iterator[tuple[int, int]]:
    """Bytes that follow each other: first and last."""
    ordered = sorted(chars.allowed)
    low = ordered[0]
    for byte, after in zip(ordered, [*ordered[1:], -1], strict=True):
        if after != byte + 1:
            yield low, byte
            low = after


def _escaped(byte: int) -> str:
    return chr(byte) if chr(byte).isalnum() else rf"\x{byte:02x}"


def _literal(written: str) -> str:
    escapes = {'"': r"\"", "\\": r"\\", "\n": r"\n"}
    return '"' + "".join(escapes.get(one, one) for one in written) + '"'
