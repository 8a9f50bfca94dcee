"""Pictures of a profile as SVG: a waterfall, a flame chart, memory over time; what is pointed at says more."""

from __future__ import annotations

import colorsys
import zlib
from collections.abc import Mapping, Sequence
from html import escape

from perf.profile.tree import Node

WIDTH, ROW, LABEL = 1080, 18, 250
"""Pixels: of a picture, of a row, and of the names before a waterfall."""
LETTER = 6.2
"""Pixels of a letter, about."""
LEAST_PX = 0.4
"""Of a box in a flame chart; what is narrower is left out."""
MOST_ROWS = 400
TICKS = 6


def colour(component: str) -> str:
    """Of a model and all its parts the same."""
    hue = zlib.crc32(component.removeprefix("→ ").partition(":")[0].encode()) % 360 / 360
    lightness = 0.78 if component.startswith("→") else 0.68 if ":" in component else 0.58
    red, green, blue = (round(255 * part) for part in colorsys.hls_to_rgb(hue, lightness, 0.55))
    return f"#{red:02x}{green:02x}{blue:02x}"


def waterfall(tree: Node) -> str:
    """Every span of one request in a row of its own, in the order of their beginnings; a darker part is its own time.

    Rows beyond `MOST_ROWS` are left out, and the picture says how many.
    """
    rows = [(depth, node) for depth, node in _deep(tree, 0)]
    shown, left_out = rows[:MOST_ROWS], len(rows) - MOST_ROWS
    height = ROW * (len(shown) + 1 + (left_out > 0))
    scale = (WIDTH - LABEL) / (tree.end - tree.start)
    parts = [_open(height, "waterfall of one request"), _axis((tree.end - tree.start) / 1e6, LABEL, height)]
    for number, (depth, node) in enumerate(shown):
        top = ROW * (number + 1)
        left, width = LABEL + (node.start - tree.start) * scale, max((node.end - node.start) * scale, 0.5)
        name = _fitted(node.component, LABEL - 8 * depth - 8)
        parts.append(
            f'<g><title>{escape(_said(node, tree))}</title><rect x="{left:.1f}" y="{top + 2}" width="{width:.1f}" '
            f'height="{ROW - 4}" fill="{colour(node.component)}"/>'
            f'<text x="{4 + 8 * depth}" y="{top + 13}">{escape(name)}</text></g>'
        )
    if left_out > 0:
        parts.append(f'<text x="4" y="{height - 5}">and {left_out} more</text>')
    return "".join([*parts, "</svg>"])


def flame(trees: Sequence[Node]) -> str:
    """All requests on top of each other: boxes are as wide as what they took on average, children below parents.

    What ran beside each other lies side by side, so children can be wider than their parent: they are made to fit.
    """
    total = sum(tree.end - tree.start for tree in trees)
    boxes: list[str] = []
    deepest = _flame(list(trees), 0.0, float(WIDTH), 0, total, len(trees), boxes)
    return "".join([_open(ROW * (deepest + 1), "flame chart of all requests"), *boxes, "</svg>"])


def timeline(times: Sequence[float], sizes: Mapping[str, Sequence[float]]) -> str:
    """MiB of each process over seconds, on top of each other, the largest lowest."""
    height = 260
    names = sorted(sizes, key=lambda name: -max(sizes[name]))
    most = max(sum(sizes[name][i] for name in names) for i in range(len(times))) or 1.0
    span = times[-1] - times[0] or 1.0
    across = [(time - times[0]) / span * WIDTH for time in times]
    lower = [0.0] * len(times)
    parts = [_open(height, "memory of the processes over time")]
    for name in names:
        upper = [low + size for low, size in zip(lower, sizes[name], strict=True)]
        edge = [*zip(across, upper, strict=True), *reversed(list(zip(across, lower, strict=True)))]
        points = " ".join(f"{x:.1f},{height - 4 - y / most * (height - 24):.1f}" for x, y in edge)
        parts.append(
            f'<polygon points="{points}" fill="{colour(name)}"><title>{escape(name)}: at most '
            f"{max(sizes[name]):.0f} MiB</title></polygon>"
        )
        lower = upper
    said = f"{most:.0f} MiB at most together, {span:.0f} s"
    return "".join([*parts, f'<text x="4" y="12">{said}</text></svg>'])


def _flame(
    nodes: list[Node], left: float, width: float, depth: int, total: int, requests: int, boxes: list[str]
) -> int:
    groups: dict[str, list[Node]] = {}
    for node in nodes:
        groups.setdefault(node.component, []).append(node)
    sums = {name: sum(node.end - node.start for node in its) for name, its in groups.items()}
    scale = width / max(sum(sums.values()), total if depth == 0 else 1)
    deepest = depth
    for name, its in sorted(groups.items(), key=lambda item: -sums[item[0]]):
        wide = sums[name] * scale
        if wide < LEAST_PX:
            continue
        ms = sums[name] / 1e6 / requests
        title = f"{name}: {ms:.2f} ms a request in {len(its) / requests:.1f} calls"
        boxes.append(
            f'<g><title>{escape(title)}</title><rect x="{left:.1f}" y="{ROW * depth}" width="{wide:.1f}" '
            f'height="{ROW - 1}" fill="{colour(name)}"/><text x="{left + 3:.1f}" y="{ROW * depth + 13}">'
            f"{escape(_fitted(f'{name} {ms:.1f} ms', wide - 6))}</text></g>"
        )
        below = [child for node in its for child in node.children]
        inner = min(wide, sum(child.end - child.start for child in below) * scale)
        if below:
            deepest = max(deepest, _flame(below, left, inner, depth + 1, total, requests, boxes))
        left += wide
    return deepest


def _deep(node: Node, depth: int) -> list[tuple[int, Node]]:
    return [(depth, node), *(one for child in node.children for one in _deep(child, depth + 1))]


def _said(node: Node, tree: Node) -> str:
    notes = "; ".join(f"{name} {value}" for name, value in node.notes.items() if name not in ("of", "turns", "request"))
    return (
        f"{node.component} ({node.kind}): {(node.end - node.start) / 1e6:.2f} ms from "
        f"{(node.start - tree.start) / 1e6:.2f} ms, its own {node.own / 1e6:.2f} ms, stalled {node.stalled / 1e6:.2f}, "
        f"queued {node.own_queued / 1e6:.2f}. {notes}"
    )


def _axis(ms: float, left: int, height: int) -> str:
    parts = []
    for tick in range(TICKS + 1):
        x = left + (WIDTH - left) * tick / TICKS
        anchor = "end" if tick == TICKS else "middle" if tick else "start"
        parts.append(
            f'<line x1="{x:.0f}" x2="{x:.0f}" y1="{ROW}" y2="{height}" class="tick"/>'
            f'<text x="{x:.0f}" y="12" text-anchor="{anchor}">{ms * tick / TICKS:.0f} ms</text>'
        )
    return "".join(parts)


def _open(height: int, label: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="100%" role="img" '
        f'aria-label="{escape(label)}" font-size="11">'
    )


def _fitted(text: str, pixels: float) -> str:
    letters = int(pixels / LETTER)
    return text if len(text) <= letters else text[: letters - 1] + "…" if letters > 2 else ""
