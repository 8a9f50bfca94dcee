"""Calls of the public models, as data: what goes out, and how what comes back is read.

A `Call` knows nothing of protocols; the clients hand it to a transport, so that all of them say the same.
"""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image
from pydantic import BaseModel

from clients.answer import Answer
from clients.tensors import Tensors, text
from pixelis.errors import InvalidImage, InvalidRequest, ServingError, from_wire
from pixelis.schema import (
    Event,
    GroupResult,
    KnnCommand,
    KnnResult,
    Operation,
    OperationGroup,
    OperationResult,
    Options,
    PipelineResult,
    ResidencyCommand,
    ResidencyResult,
    parse_as,
)

T = TypeVar("T")

Picture = bytes | str | os.PathLike[str] | Image.Image
"""Encoded bytes, a path, or a decoded picture."""

MARGIN_S = 2.0
"""How much longer than the server's own deadline a client waits, so that the server's reason can arrive."""

OPERATION_TIMEOUT_S = 60.0
KNN_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request.

    Attributes:
        model: its name.
        inputs: its tensors, with the batch dimension where the model has one.
        timeout_s: how long to wait for the (last) answer.
        parse: output tensors to the answer.
        request_id: the caller's name for it; empty = the server makes one.
        safe: whether asking twice is the same as asking once.
    """

    model: str
    inputs: Tensors
    timeout_s: float
    parse: Callable[[Tensors], T]
    request_id: str = ""
    safe: bool = True


def encoded(pictures: Picture | Sequence[Picture]) -> list[bytes]:
    """The encoded bytes of each picture; a decoded one becomes a PNG.

    Raises:
        InvalidRequest: there is none.
        InvalidImage: a file that cannot be read.
    """
    if isinstance(pictures, (bytes, str, os.PathLike, Image.Image)):
        pictures = [pictures]
    if not pictures:
        raise InvalidRequest("There is no image.", mend="Give at least one.")
    return [_encoded(picture) for picture in pictures]


def options(given: Options | None, changes: dict[str, Any]) -> Options:
    """`given` with `changes`. Raises `InvalidRequest`, which lists the known keys."""
    if given is not None and not changes:
        return given
    fields = {} if given is None else given.model_dump(mode="json", exclude_unset=True)
    return Options.parse(json.dumps({**fields, **changes}))


def ask(images: Sequence[bytes], question: str, asked: Options, request_id: str = "") -> Call[Answer]:
    """A question to the ensemble `pixelis`. Only options that were set travel: the rest are the server's defaults."""
    inputs = _batched(_question(images, question, asked))

    def parse(outputs: Tensors) -> Answer:
        return Answer.of(_object(PipelineResult, outputs), images)

    return Call("pixelis", inputs, asked.timeout_s + MARGIN_S, parse, request_id, safe=asked.read_only)


@dataclass(frozen=True)
class Relayed:
    """An answer that was not read.

    Attributes:
        text: a `PipelineResult` as JSON, as the server wrote it.
        from_cache: what it says of itself.
    """

    text: bytes
    from_cache: bool


class _Glance(BaseModel):
    from_cache: bool


def relay(images: Sequence[bytes], question: str, asked: Options, request_id: str = "") -> Call[Relayed]:
    """The same question, for whoever only hands the answer on."""

    def parse(outputs: Tensors) -> Relayed:
        seen = _object(_Glance, outputs)
        return Relayed(outputs["RESULT"].item(), seen.from_cache)

    inputs = _batched(_question(images, question, asked))
    return Call("pixelis", inputs, asked.timeout_s + MARGIN_S, parse, request_id, safe=asked.read_only)


def stream(images: Sequence[bytes], question: str, asked: Options, request_id: str = "") -> Call[Event]:
    """The same question to `agent`, which answers with events."""
    return Call("agent", _question(images, question, asked), asked.timeout_s + MARGIN_S, _event, request_id)


def operation(name: str, arguments: dict[str, Any], image_index: int = 0) -> Operation:
    """A visual operation. Raises `InvalidRequest` where there is none of that name, or it cannot travel as JSON."""
    fields = {"operation": name.upper(), "arguments": arguments, "image_index": image_index}
    try:
        return parse_as(Operation, json.dumps(fields), "OPERATION")
    except TypeError as error:
        raise InvalidRequest(f"The arguments are not JSON: {error}.", mend="Use numbers, text and lists.") from None


def operate(images: Sequence[bytes], asked: Operation) -> Call[OperationResult]:
    """One visual operation."""
    inputs = {"IMAGE": text(*images), "OPERATION": text(asked.model_dump_json())}
    return Call("visual_ops", _batched(inputs), OPERATION_TIMEOUT_S, lambda out: _object(OperationResult, out))


def group(operations: Sequence[Operation], enough: float | None = None) -> OperationGroup:
    """Operations that are asked together. Raises `InvalidRequest` for none, for too many, or a wrong `enough`."""
    fields = {"operations": [one.model_dump(mode="json") for one in operations], "enough": enough}
    return parse_as(OperationGroup, json.dumps(fields), "OPERATION")


def operate_group(images: Sequence[bytes], asked: OperationGroup) -> Call[GroupResult]:
    """Several visual operations on the same images."""
    inputs = {"IMAGE": text(*images), "OPERATION": text(asked.model_dump_json(exclude_none=True))}
    return Call("visual_ops", _batched(inputs), OPERATION_TIMEOUT_S, lambda out: _object(GroupResult, out))


def search(key: ArrayLike, k: int, tenant: str = "") -> Call[KnnResult]:
    """The nearest experiences of a key that a tenant finds. Raises `InvalidRequest` for what is no tenant's name."""
    return knn(_command({"command": "search", "tenant": tenant}) if tenant else None, key, k)


def knn(command: KnnCommand | None, key: ArrayLike | None = None, k: int | None = None) -> Call[KnnResult]:
    """A search (a key) or a command (with a key, where it needs one) to `knn`."""
    inputs: Tensors = {}
    if key is not None:
        inputs["KEY"] = np.asarray(key, np.float32).ravel()
    if k is not None:
        inputs["K"] = np.array([k], np.int32)
    if command is not None:
        inputs["COMMAND"] = text(command.model_dump_json(exclude_none=True))
    safe = command is None or command.command in ("search", "stats", "verify")
    return Call("knn", _batched(inputs), KNN_TIMEOUT_S, lambda out: _object(KnnResult, out), safe=safe)


def residency() -> Call[list[str]]:
    """The names of the checkpoints beside the default one, of `residency`."""
    inputs = {"COMMAND": text(ResidencyCommand(command="stats").model_dump_json(exclude_none=True))}
    return Call("residency", inputs, KNN_TIMEOUT_S, _checkpoints)


def feedback(request_id: str, correct: bool | None, answer: str | None, tenant: str = "") -> Call[KnnResult]:
    """Feedback on a tenant's own request. Raises `InvalidRequest` unless one of `correct` and `answer` is said."""
    if (correct is None) == (answer is None):
        raise InvalidRequest("Feedback says `correct`, or the right `answer`.", mend="Give one of the two.")
    said = {"command": "feedback", "request_id": request_id, "correct": correct, "answer": answer, "tenant": tenant}
    return knn(_command(said))


def generate_body(call: Call[Any]) -> bytes:
    """A streamed call as the JSON of `/generate_stream`: images as `data:` URLs, for JSON holds no raw bytes."""
    said: dict[str, Any] = {name: array[0].decode() for name, array in call.inputs.items() if name != "IMAGE"}
    if "IMAGE" in call.inputs:
        said["IMAGE"] = [data_url(image) for image in call.inputs["IMAGE"]]
    return json.dumps({**({"id": call.request_id} if call.request_id else {}), **said}).encode()


def data_url(image: bytes) -> str:
    """`data:image/...;base64,...`; the kind is what the first bytes say, and nobody relies on it."""
    kind = "png" if image.startswith(b"\x89PNG") else "webp" if image[8:12] == b"WEBP" else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"


def _encoded(picture: Picture) -> bytes:
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, Image.Image):
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        return buffer.getvalue()
    try:
        return Path(picture).read_bytes()
    except OSError as error:
        raise InvalidImage(f"{picture} cannot be read: {error.strerror}.", mend="Give the path of a picture.") from None


def _question(images: Sequence[bytes], question: str, asked: Options) -> Tensors:
    try:
        words = question.encode()
    except UnicodeEncodeError:  # what a shell passes that is not UTF-8 arrives as lone surrogates
        raise InvalidRequest("The question is not UTF-8.", mend="Send it as UTF-8 text.") from None
    chosen = asked.model_dump_json(exclude_unset=True)
    return {"IMAGE": text(*images), "QUESTION": text(words), "OPTIONS": text(chosen)}


def _command(said: dict[str, Any]) -> KnnCommand:
    return parse_as(KnnCommand, json.dumps(said), "COMMAND")


def _batched(inputs: Tensors) -> Tensors:
    return {name: array[np.newaxis] for name, array in inputs.items()}


def _object(model: type[T], outputs: Tensors, name: str = "RESULT") -> T:
    if name not in outputs or outputs[name].size != 1:
        raise ServingError(f"The server answered without `{name}`.", mend="Are client and server of one version?")
    try:
        parsed: T = parse_as(model, outputs[name].item(), name)  # type: ignore[type-var]
    except InvalidRequest as error:
        raise ServingError(f"The server's answer is not understood: {error.message}") from None
    return parsed


def _checkpoints(outputs: Tensors) -> list[str]:
    found = _object(ResidencyResult, outputs)
    return sorted(one.name for one in found.checkpoints if one.name != "default")


def _event(outputs: Tensors) -> Event:
    event = _object(Event, outputs, "EVENT")
    if event.event == "error":
        raise from_wire(f"{event.code}: {event.text}")
    return event
