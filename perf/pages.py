"""Reports as one self-contained HTML page each: tables, pictures inline, no script."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from builder.reporting.style import STYLE
from pixelis.schema import Measurement

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MORE_STYLE = """
svg text { fill:#1b2430; font-family:inherit; } svg .tick { stroke:#d5dae2; } figure { background:#fff; }
.critical, .high { background:var(--bad-bg); color:var(--bad); }
.medium { background:var(--warn-bg); color:var(--warn); }
"""


def page(title: str, measured: Measurement, said: str, cards: Iterable[str]) -> str:
    """The whole page.

    Args:
        title: of it.
        measured: whose command and machine are told.
        said: a sentence at its head, as text.
        cards: see `card`; empty ones are left out.
    """
    machine = " · ".join(f"{name} {value}" for name, value in measured.machine.items())
    parts = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{STYLE}{MORE_STYLE}</style></head><body><main>",
        f'<header><h1>{escape(title)}</h1><p class="sub"><code>{escape(measured.command)}</code> · '
        f"{escape(machine)}</p><p>{escape(said)}</p></header>",
        *(one for one in cards if one),
        "</main></body></html>",
    ]
    return "\n".join(parts) + "\n"


def card(title: str, inner: str) -> str:
    """A part of the page, of HTML; nothing where it is empty."""
    return f'<section class="card"><h2>{escape(title)}</h2>{inner}</section>' if inner else ""


def figure(picture: str, caption: str) -> str:
    """An SVG and what it shows."""
    return f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>"


def svg(plotted: Figure) -> str:
    """What matplotlib has drawn, to stand in a page."""
    buffer = io.StringIO()
    plotted.savefig(buffer, format="svg")
    return re.sub(r"^.*?(?=<svg)", "", buffer.getvalue(), count=1, flags=re.DOTALL)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """All columns that any row has, but for `row`; nothing where there are no rows."""
    if not rows:
        return ""
    names = [name for name in dict.fromkeys(name for row in rows for name in row) if name != "row"]
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in names)
    body = "".join("<tr>" + "".join(_cell(row.get(name)) for name in names) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f'<td class="n">{value:,.2f}</td>'
    if isinstance(value, int) and not isinstance(value, bool):
        return f'<td class="n">{value}</td>'
    return f"<td>{escape('' if value is None else str(value))}</td>"
