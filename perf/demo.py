"""`make demo`: a real Triton, questions about the shipped pictures, a photograph read, what it cost, and a clean stop.

Run as `python -m perf.demo`. Ends with 1 when an answer is wrong or the photograph is not read.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from builder.nano.examples import question_of
from clients import draw, media, show
from clients.client import PixelisClient
from perf.progress import started
from pixelis.errors import PixelisError, ServingError
from pixelis.schema import PipelineResult
from pixelis.settings import settings

EXAMPLES = Path(__file__).resolve().parent.parent / "docs" / "examples"
PAGE = "page.png"
ON_THE_PAGE = ("Region-based segmentation", "Let us first determine markers")
STAGES = ("prepare", "recall", "reason", "finish", "total")


def _ask(console: Console, client: PixelisClient, asked: dict[str, Any], out: Path, number: int) -> PipelineResult:
    picture = EXAMPLES / asked["file"]
    console.rule(f"{asked['file']}: {asked['question']}", align="left")
    steps, result = show.Steps(console), None
    sent = media.read([str(picture)])
    options: dict[str, Any] = {} if sent.kind == "images" else {"media": sent.kind, "fps": sent.fps}
    for event in client.stream(sent.images, asked["question"], **options):
        if event.event == "answer":
            result = event.result
        elif event.event != "token":
            steps.show(event)
    if result is None:
        raise ServingError("The stream ended without an answer.")
    right = question_of(asked).right(result.answer)
    verdict = "[green]right[/]" if right else f"[red]wrong, it is {escape(asked['answer'])}[/]"
    console.print(
        f"   [bold]{escape(result.answer)}[/]  confidence {result.confidence:.3f}  {verdict}", highlight=False
    )
    path = out / f"{number}-{picture.stem}.png"
    draw.save(draw.answered(sent.images[0], result), path)
    return result


def _read_page(console: Console, client: PixelisClient, out: Path) -> bool:
    console.rule(f"{PAGE}: READ_TEXT on a photograph", align="left")
    picture = (EXAMPLES / PAGE).read_bytes()
    found = client.ops(picture, "READ_TEXT")
    if found.error is not None:
        console.print(f"[red]{escape(found.error)}[/]")
        return False
    for line in found.result["lines"]:
        console.print(f"   {escape(line['text'])}  [dim]{line['confidence']:.2f}[/]", highlight=False)
    console.print(f"   [dim]{len(found.result['lines'])} lines in {found.elapsed_ms:.0f} ms[/]", highlight=False)
    draw.save(draw.operated(picture, {}, found), out / "page.png")
    text = " ".join(line["text"] for line in found.result["lines"])
    return all(words in text for words in ON_THE_PAGE)


def _timings(console: Console, results: list[PipelineResult]) -> None:
    console.rule("milliseconds per stage, over the questions above", align="left")
    table = Table("stage", "median", "max", box=None)
    for stage in STAGES:
        values = [result.timings_ms[stage] for result in results if stage in result.timings_ms]
        table.add_row(stage, f"{median(values):.1f}", f"{max(values):.1f}")
    console.print(table)


def _metrics(console: Console, client: PixelisClient) -> None:
    console.rule("the server's own counters", align="left")
    found = client.metrics()
    table = Table("model", "requests", "inferences", "executions", box=None)
    for name in sorted(found):
        if name.startswith("nv_inference_count{"):
            labels = name.removeprefix("nv_inference_count")
            model = labels.split('model="', 1)[1].split('"', 1)[0]
            counts = [
                found.get(f"nv_inference_{what}{labels}", 0) for what in ("request_success", "count", "exec_count")
            ]
            if counts[0]:
                table.add_row(model, *(f"{count:.0f}" for count in counts))
    console.print(table)


def run(console: Console) -> bool:
    """The demo; whether every answer was right and the photograph was read."""
    out = settings().state / "demo"
    out.mkdir(parents=True, exist_ok=True)
    questions = json.loads((EXAMPLES / "questions.json").read_text())
    with (
        started(quiet=not sys.stderr.isatty()) as triton,
        PixelisClient(triton.grpc_url, metrics_url=f"{triton.ports.host}:{triton.ports.metrics}") as client,
    ):
        console.print(f"Triton is ready on {triton.http_url} (HTTP) and {triton.grpc_url} (gRPC).", highlight=False)
        results = [_ask(console, client, asked, out, number) for number, asked in enumerate(questions, 1)]
        read = _read_page(console, client, out)
        _timings(console, results)
        _metrics(console, client)
    right = sum(question_of(asked).right(result.answer) for result, asked in zip(results, questions, strict=True))
    console.rule(align="left")
    console.print(
        f"{right} of {len(questions)} answers right, the photograph {'is' if read else 'is NOT'} read. "
        f"Pictures with what was looked at: {out}/. Triton has stopped; its log is {triton.log}.",
        highlight=False,
    )
    return read and right == len(questions)


def main() -> None:
    """Entry point."""
    console = Console()
    try:
        sys.exit(0 if run(console) else 1)
    except PixelisError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
