"""How well READ_TEXT reads lines and pages whose text is known: in full, by the ladder, and beside `rapidocr`.

All are asked in turn about the same picture, in one process, on one thread. Texts are compared as a user would: blanks
collapse, nothing else is forgiven. Labels come from the generator.

    python -m perf.ops.text_quality --count 300 --json
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import typer

from perf.ops.labels.text_lines import FIXED, HELD_OUT, lines
from perf.ops.labels.text_pages import Page, pages
from perf.ops.text_distance import distance, in_order, iou
from perf.ops.text_score import Score
from pixelis.operations_config import FULL, Ladder, Operations
from pixelis.schema import Claim, Measurement
from python_backends.images import Pixels
from python_backends.visual_ops.effort import Effort
from python_backends.visual_ops.ocr import EngineOcr, Ocr
from python_backends.visual_ops.read_text import read_text

LOSS = 0.5
"""Points that the ladder may lose against full resolution."""
OVERLAP = 0.5
"""Intersection over union from which on a word has the right box."""

Read = Callable[[Pixels], str]


class Ours:
    """READ_TEXT as the server runs it.

    Args:
        ocr: both models.
        ladder: how it looks.
    """

    def __init__(self, ocr: Ocr, ladder: Ladder) -> None:
        self._ocr, self._ladder = ocr, ladder

    def __call__(self, pixels: Pixels, score: Score, words: bool = False) -> dict[str, Any]:
        """The operation's result; its time, steps and batches go to `score`."""
        effort, started = Effort(self._ladder), time.process_time()
        found = read_text(pixels, {"return_words": words}, self._ocr, effort, score.batches)
        score.cpu_s += time.process_time() - started
        score.steps[effort.resolution] = score.steps.get(effort.resolution, 0) + 1
        return found


def plain(text: str) -> str:
    """Blanks collapsed."""
    return " ".join(text.split())


def line_scores(
    ocr: Ocr, ladder: Ladder, count: int, seed: int, theirs: Read | None, advance: Callable[[], object]
) -> dict[str, Score]:
    """Lines, read in full, by the ladder and, where it is given, by the other pipeline."""
    ways = {"full": Ours(ocr, FULL), "ladder": Ours(ocr, ladder)}
    scores = {name: Score() for name in (*ways, *(("rapidocr",) if theirs else ()))}
    for line in lines(count, seed):
        for name, ours in ways.items():
            _judge(scores[name], line.text, ours(line.pixels, scores[name])["text"])
        if theirs:
            started = time.process_time()
            said = theirs(line.pixels)
            scores["rapidocr"].cpu_s += time.process_time() - started
            _judge(scores["rapidocr"], line.text, said)
        advance()
    return scores


def page_scores(ocr: Ocr, ladder: Ladder, count: int, seed: int, advance: Callable[[], object]) -> dict[str, Score]:
    """Lines of pages in their order, and words with their boxes, in full and by the ladder."""
    ways = {"full": Ours(ocr, FULL), "ladder": Ours(ocr, ladder)}
    scores = {name: Score() for name in ways}
    for page in pages(count, seed):
        for name, ours in ways.items():
            _judge_page(scores[name], page, ours(page.pixels, scores[name], words=True))
        advance()
    return scores


def _judge(score: Score, wanted: str, said: str) -> None:
    wanted, said = plain(wanted), plain(said)
    score.texts, score.exact = score.texts + 1, score.exact + (wanted == said)
    score.letters, score.wrong = score.letters + len(wanted), score.wrong + distance(wanted, said)


def _judge_page(score: Score, page: Page, found: dict[str, Any]) -> None:
    wanted = [plain(line.text) for line in page.lines]
    said = [plain(row) for row in found["text"].split("\n")]
    score.texts, score.exact = score.texts + len(wanted), score.exact + in_order(wanted, said)
    text = "\n".join(wanted)
    score.letters, score.wrong = score.letters + len(text), score.wrong + distance(text, "\n".join(said))
    placed = [(word["text"], word["box"]) for line in found["lines"] for word in line["words"]]
    score.words += len(page.words)
    score.placed += sum(
        any(text == word.text and iou(word.box, box) >= OVERLAP for text, box in placed) for word in page.words
    )


def claims(seed: str, scores: dict[str, Score]) -> Iterable[Claim]:
    """What is asked of lines: no worse than the other pipeline, and little lost by the ladder."""
    full, lost = scores["full"].rate, scores["full"].rate - scores["ladder"].rate
    if "rapidocr" in scores:
        theirs = scores["rapidocr"].rate
        yield Claim(
            claim=f"exact lines at least as many as rapidocr's, {seed} seed",
            target=round(theirs, 2),
            measured=round(full, 2),
            unit="%",
            met=full >= theirs,
        )
    yield Claim(
        claim=f"exact lines lost by the ladder, {seed} seed",
        target=LOSS,
        measured=round(lost, 2),
        unit="points",
        met=lost <= LOSS,
    )


def measure(ocr: Ocr, ladder: Ladder, count: int, theirs: Read | None, command: str, quiet: bool) -> Measurement:
    """Lines and pages on both seeds. A tenth as many pages as lines."""
    from perf.machine import machine, versions
    from perf.progress import bar

    rows: list[dict[str, Any]] = []
    made: list[Claim] = []
    few = -(-count // 10)
    with bar("lines and pages", 2 * (count + few), quiet=quiet) as advance:
        for name, seed in (("fixed", FIXED), ("held-out", HELD_OUT)):
            scores = line_scores(ocr, ladder, count, seed, theirs, advance)
            rows += [score.row(row="lines", seed=name, way=way) for way, score in scores.items()]
            made += claims(name, scores)
            scores = page_scores(ocr, ladder, few, seed, advance)
            rows += [score.row(row="pages", seed=name, way=way) for way, score in scores.items()]
    return Measurement(
        name="text quality", command=command, machine=machine(), versions=versions(), rows=rows, claims=made
    )


def main(
    count: Annotated[int, typer.Option(min=1, help="Lines of each seed; a tenth as many pages.")] = 300,
    alone: Annotated[bool, typer.Option("--alone", help="Without rapidocr's own pipeline.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One measurement object on stdout.")] = False,
) -> None:
    """Read labelled lines and pages with the models that are built."""
    from perf.ops.text_theirs import Theirs
    from perf.tables import print_measurement
    from pixelis.settings import settings
    from python_backends.artifacts import artifact

    repository = settings().repository.absolute()
    ocr = EngineOcr(artifact(repository, "ocr_detect"), artifact(repository, "ocr_recognize"))
    command = shlex.join(["python", "-m", "perf.ops.text_quality", *sys.argv[1:]])
    measured = measure(ocr, Operations().read_text, count, None if alone else Theirs(), command, as_json)
    if as_json:
        print(measured.model_dump_json(indent=2))
    else:
        print_measurement(measured, {"lines": "Lines", "pages": "Lines of pages"})
    raise typer.Exit(0 if all(claim.met for claim in measured.claims) else 1)


if __name__ == "__main__":
    typer.run(main)
