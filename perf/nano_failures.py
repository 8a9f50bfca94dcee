"""A picture of what the nano got wrong: the asked thing in green, what it looked at in red, and both answers."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from builder.nano.questions import FAMILIES, Question
from builder.nano.render import render
from perf.nano_evaluation import Answered

_SIDE = 280
_CAPTION = 58


def sheet(answered: list[Answered], path: Path, each: int = 2) -> int:
    """Write a contact sheet of the first `each` wrong answers of every family; how many are on it."""
    wrong = [a for a in answered if a.result is None or not a.question.right(a.result.provenance.agent_answer)]
    columns = [[a for a in wrong if a.question.family == family][:each] for family in FAMILIES]
    columns = [column for column in columns if column]
    if not columns:
        return 0
    page = Image.new("RGB", (len(columns) * _SIDE, each * (_SIDE + _CAPTION)), "white")
    for x, column in enumerate(columns):
        for y, one in enumerate(column):
            page.paste(_tile(one), (x * _SIDE, y * (_SIDE + _CAPTION)))
    path.parent.mkdir(parents=True, exist_ok=True)
    page.save(path)
    return sum(len(column) for column in columns)


def _tile(one: Answered) -> Image.Image:
    question = one.question
    tile = Image.new("RGB", (_SIDE, _SIDE + _CAPTION), "white")
    tile.paste(Image.fromarray(render(question.scene, (_SIDE - 8, _SIDE - 8))), (4, 4))
    draw = ImageDraw.Draw(tile)
    for thing in question.things:
        draw.rectangle(_scaled(list(thing.box), question), outline=(0, 190, 0), width=3)
    for action in one.result.trajectory if one.result else []:
        for value in action.arguments.values():
            if isinstance(value, list) and len(value) == 4:
                draw.rectangle(_scaled(value, question), outline=(230, 0, 0), width=2)
            if isinstance(value, list) and len(value) == 2:
                x, y = _scaled([*value, *value], question)[:2]
                draw.ellipse((x - 5, y - 5, x + 5, y + 5), outline=(230, 0, 0), width=3)
    said = one.result.provenance.agent_answer if one.result else str(one.error)
    sure = f" ({one.result.provenance.agent_confidence:.2f})" if one.result else ""
    font = ImageFont.load_default(size=12)
    for line, text in enumerate((question.text, f"right: {question.answer}", f"said: {said[:34]}{sure}")):
        draw.text((6, _SIDE - 2 + 18 * line), text[:46], fill="black", font=font)
    return tile


def _scaled(box: list[float], question: Question) -> list[float]:
    """A box of the original on the tile, its corners in order."""
    w, h = question.scene.size
    x1, y1, x2, y2 = (4 + v * (_SIDE - 8) / (w if i % 2 == 0 else h) for i, v in enumerate(box))
    return [min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)]
