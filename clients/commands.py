"""`pixelis ask` and `pixelis ops`."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pixelis.errors import ServingError
from pixelis.schema import OperationName, PipelineResult

if TYPE_CHECKING:
    from clients.client import PixelisClient
    from clients.media import Media

app = typer.Typer()

Url = Annotated[str | None, typer.Option(help="host:port of the server; default from the settings.")]
ProtocolOption = Annotated[str, typer.Option(help="grpc or http.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object.")]
AskJson = Annotated[bool, typer.Option("--json", help="Print JSON: the result, or with --stream one event a line.")]
MediaKind = Annotated[
    str | None, typer.Option("--media", help="images, or video: frames in order. A video file or a folder is a video.")
]
Fps = Annotated[float | None, typer.Option(min=0.001, max=240, help="Frames a second; a video file says it by itself.")]
Save = Annotated[Path | None, typer.Option(help="Save the picture with what was looked at (.png, .jpg).")]

RETRIES = 2
"""Of what finds the server not up or too busy; a server that is not there is said after a blink."""

TEXT_OPTIONS = frozenset({"reference_answer", "media", "strategy", "model"})

OVER_TIME = frozenset({OperationName.TRACK_OBJECT.value, OperationName.TEMPORAL_LOCALIZE.value})
"""Operations that take `fps`."""

ASK_EXAMPLES = """Examples:

pixelis ask label.png "What is written on the red label?"

pixelis ask label.png "What is written on the red label?" --stream --save steps.png

pixelis ask a.jpg b.jpg "Which is larger?" --k 0 --timeout-s 10 --json

pixelis ask label.png "What is written on the red label?" --model large

pixelis ask clip.mp4 "Which side does the circle leave by?"

pixelis ask frame*.jpg "Which side does the circle leave by?" --media video --fps 5
"""

OPS_EXAMPLES = """Examples:

pixelis ops page.jpg READ_TEXT

pixelis ops page.jpg READ_TEXT region=10,20,200,80 --save read.png

pixelis ops page.jpg ZOOM_IN center=120,80 zoom_factor=2 --json

pixelis ops page.jpg GET_PROPERTIES --arguments '{"bbox": [10, 20, 60, 70]}'

pixelis ops photo.jpg SEGMENT_OBJECT_AT point=120,80 --save object.png

pixelis ops clip.mp4 TRACK_OBJECT init_bbox=10,20,60,70 --save track.png

pixelis ops clip.mp4 TEMPORAL_LOCALIZE query=exit
"""


@app.command("ask", epilog=ASK_EXAMPLES)
def ask(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE... QUESTION", help="Pictures (- = stdin), a video or a folder, then the question."
        ),
    ],
    stream: Annotated[bool, typer.Option("--stream", help="Show tokens and steps as they happen.")] = False,
    as_json: AskJson = False,
    save: Save = None,
    k: Annotated[int | None, typer.Option(min=0, max=100, help="Neighbours; 0 = no retrieval.")] = None,
    strategy: Annotated[str | None, typer.Option(help="weighted, majority, confidence or ensemble.")] = None,
    timeout_s: Annotated[float | None, typer.Option(min=1, max=300, help="Deadline of the request.")] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="A checkpoint of the server by its name.")] = None,
    media_kind: MediaKind = None,
    fps: Fps = None,
    option: Annotated[list[str] | None, typer.Option(metavar="KEY=VALUE", help="Any other option.")] = None,
    url: Url = None,
    protocol: ProtocolOption = "grpc",
) -> None:
    """Ask a question about an image (or several, or a video)."""
    if len(words) < 2:
        raise typer.BadParameter("give at least one image, then the question", param_hint="IMAGE... QUESTION")
    others = pairs(option or [], TEXT_OPTIONS)
    _can_save(save)
    sent = _media(words[:-1], media_kind or others.get("media"))
    images = sent.images
    chosen: dict[str, Any] = {"k": k, "strategy": strategy, "timeout_s": timeout_s, "model": model}
    chosen["fps"] = fps or sent.fps
    chosen["media"] = sent.kind if sent.kind != "images" or media_kind else None
    options = {name: value for name, value in chosen.items() if value is not None} | others
    with connect(url, protocol) as client:
        if stream:
            found = _streamed(client, images, words[-1], options, as_json)
        else:
            found = client.ask(images, words[-1], **options)
    if save is not None:  # before the result is printed: what fails prints its error and nothing else
        from clients import draw

        draw.save(draw.answered(images[0], found), save)
        typer.echo(f"saved {save}", err=True)
    if not stream:
        _print(found, as_json)


@app.command("ops", epilog=OPS_EXAMPLES)
def ops(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE... OPERATION [KEY=VALUE]...",
            help="Pictures (- = stdin), a video or a folder; operation; arguments.",
        ),
    ],
    arguments: Annotated[str, typer.Option(help="All arguments as one JSON object.")] = "{}",
    image_index: Annotated[int, typer.Option(min=0, help="Which image, or the frame to begin at.")] = 0,
    fps: Fps = None,
    as_json: Json = False,
    save: Save = None,
    url: Url = None,
    protocol: ProtocolOption = "grpc",
) -> None:
    """Run one visual operation on an image (or on frames in order, or a video)."""
    names = {name.value for name in OperationName}
    at = next((i for i, word in enumerate(words) if word.upper() in names), 0)
    if at == 0:
        raise typer.BadParameter(f"give an image, then one of {', '.join(sorted(names))}", param_hint="OPERATION")
    given = {**_object(arguments), **pairs(words[at + 1 :])}
    _can_save(save)
    sent = _media(words[:at], None)
    images, rate = sent.images, fps or sent.fps
    if rate is not None and words[at].upper() in OVER_TIME:
        given = {"fps": rate, **given}
    with connect(url, protocol) as client:
        found = client.ops(images, words[at], given, image_index=image_index)
    if save is not None:
        from clients import draw

        draw.save(draw.operated(images[min(image_index, len(images) - 1)], given, found), save)
        typer.echo(f"saved {save}", err=True)
    if as_json:
        typer.echo(found.model_dump_json())
    else:
        from rich.console import Console

        from clients import show

        show.call(Console(), 1, found.operation.value, given)
        show.observed(Console(), found)
    if found.error is not None:
        raise typer.Exit(1)


def pairs(words: Sequence[str], plain: Collection[str] = ()) -> dict[str, Any]:
    """`key=value` words as an object: a value is JSON, or numbers between commas, or else text.

    Args:
        words: `key=value` each.
        plain: keys whose values are text whatever they look like.
    """
    found: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{word!r} is not KEY=VALUE", param_hint="KEY=VALUE")
        found[name.strip()] = value if name.strip() in plain else _value(value)
    return found


def _media(paths: Sequence[str], named: str | None) -> Media:
    """What `paths` name. Raises `InvalidImage`, and `BadParameter` for a kind that is not known."""
    from clients import media

    kinds: dict[str | None, Literal["images", "video"] | None] = {None: None, "images": "images", "video": "video"}
    if named not in kinds:
        raise typer.BadParameter("images or video", param_hint="--media")
    return media.read(paths, kinds[named])


def _can_save(path: Path | None) -> None:
    """Refuse a path that no picture can be saved at before anything is asked."""
    if path is not None:
        from clients import draw

        draw.kind(path)


def _value(text: str) -> Any:
    for candidate in (text, f"[{text}]" if "," in text else text):
        try:
            return json.loads(candidate)
        except (ValueError, RecursionError):
            continue
    return text


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"not JSON: {error}", param_hint="--arguments") from None
    if not isinstance(found, dict):
        raise typer.BadParameter("must be a JSON object", param_hint="--arguments")
    return found


def connect(url: str | None, protocol: str) -> PixelisClient:
    """A client of the server at `url`. Raises `BadParameter` for a protocol that is not known."""
    from clients.client import PixelisClient

    known: dict[str, Literal["grpc", "http"]] = {"grpc": "grpc", "http": "http"}
    if protocol not in known:
        raise typer.BadParameter("grpc or http", param_hint="--protocol")
    return PixelisClient(url, known[protocol], retries=RETRIES)


def _print(found: PipelineResult, as_json: bool) -> None:
    if as_json:
        typer.echo(found.model_dump_json())
        return
    from rich.console import Console

    from clients import show

    show.result(Console(), found)


def _streamed(
    client: PixelisClient, images: list[bytes], question: str, options: dict[str, Any], as_json: bool
) -> PipelineResult:
    from rich.console import Console

    from clients import show

    steps, found = show.Steps(Console()), None
    for event in client.stream(images, question, **options):
        if as_json:
            typer.echo(event.model_dump_json(exclude_none=True))
        else:
            steps.show(event)
        found = event.result or found
    if found is None:
        raise ServingError("The stream ended without an answer.", mend="Look into the server's log.")
    return found
