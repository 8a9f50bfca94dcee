"""What every route has at hand, and the way a request takes through it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from clients.gateway import body, pictures
from clients.gateway.addresses import Address
from clients.gateway.allowance import Left, Share
from clients.gateway.background import Background
from clients.gateway.fetching import Fetcher, Purse
from clients.gateway.health import Doctor
from clients.gateway.keys import Keys
from clients.gateway.ledger import Ledger
from clients.gateway.metrics import Metrics
from clients.gateway.openapi import inlined
from clients.gateway.requests import InferRequest, validated
from clients.gateway.upstream import Caller, Upstream, while_there, within
from pixelis.errors import DeadlineExceeded, InvalidRequest, LimitExceeded, RateLimited
from pixelis.gateway_config import Gateway
from pixelis.json_text import loads
from pixelis.schema import Options
from pixelis.settings import Limits

FIELD_BYTES = 64 * 2**10
"""Of one field of a form that is no file."""
PARTS = 64

P = TypeVar("P")

_FIELDS = inlined(InferRequest)["properties"]
TEXTS = frozenset(name for name, one in _FIELDS.items() if "string" in str((one.get("type"), one.get("anyOf"))))
"""Fields of `/infer` that are text; those of a form are all text, and the others are read as JSON."""


@dataclass(frozen=True)
class Asked(Generic[P]):
    """A request for the pipeline, checked; `images` are whole, or addresses among them are still to be fetched."""

    images: list[P]
    question: str
    options: Options
    request_id: str
    stream: bool
    background: bool = False


@dataclass(frozen=True)
class Desk:
    """What every route has at hand."""

    config: Gateway
    limits: Limits
    keys: Keys | None
    ledger: Ledger
    upstream: Upstream
    metrics: Metrics
    doctor: Doctor
    fetcher: Fetcher
    background: Background

    def _who(self, request: Request) -> tuple[Caller, Share]:
        """Whose request it is, and what that caller may. Raises `Unauthorized` where no key is taken."""
        per_minute = self.config.requests_per_minute
        if self.keys is None:
            address = f"address {request.client.host if request.client else ''}"
            return Caller(address), Share(address, per_minute)
        key = self.keys.caller(request.headers.get("authorization"))
        name = f"key {key.name}"
        return Caller(name, key.whose), Share(name, key.requests_per_minute or per_minute, key.requests_per_day)

    async def caller(self, request: Request, count: int = 1, *, questions: int = 0) -> Caller:
        """Whose request it is, counted.

        Args:
            request: as it came.
            count: as how many requests.
            questions: of which a quota counts so many.

        Raises:
            Unauthorized: keys are needed, and it has none that is taken.
            RateLimited: it has had its share.
        """
        found, share = self._who(request)
        allowance = request.state.allowance = await self.ledger.take(share, count, questions)
        if allowance.refusal is not None:
            raise RateLimited(allowance.refusal[0], mend=allowance.refusal[1])
        return found

    async def quota(self, request: Request) -> tuple[str, Left | None]:
        """The name of a request's key and what is left of its day; nothing is counted. Raises `Unauthorized`."""
        _, share = self._who(request)
        allowance = await self.ledger.take(share, 0, 0)
        return share.caller.partition(" ")[2], allowance.day

    async def json(self, request: Request) -> dict[str, Any]:
        """The body, an object of JSON. Raises `InvalidRequest`."""
        kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise InvalidRequest(f"The body is `{kind[:80]}`.", mend="Send `Content-Type: application/json`.")
        return body.parse(await request.body(), self.config.json_depth)

    async def asked(self, request: Request) -> Asked[bytes]:
        """The body of `/infer`: JSON, or a form with files. Raises `RequestError`."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "multipart/form-data":
            said = self.checked(await self.json(request), request.state.request_id)
            return await self.complete(request, said)
        async with request.form(max_files=self.limits.frames, max_fields=PARTS, max_part_size=FIELD_BYTES) as form:
            return await self._filled(form, request.state.request_id)

    def checked(self, said: dict[str, Any], request_id: str) -> Asked[bytes | Address]:
        """One body of `/infer`. Raises `RequestError`."""
        one = validated(InferRequest, said, "The request")
        return self._made(one, pictures.decode(one.pictures(), self.limits, self.config.image_hosts), request_id)

    def purse(self) -> Purse:
        """What one request may have fetched: as much as it may send."""
        return Purse(self.config.body_bytes)

    async def complete(self, request: Request, asked: Asked[bytes | Address]) -> Asked[bytes]:
        """The same with all images there, for as long as the client is. Raises `PixelisError`, `ClientDisconnect`."""
        complete = _complete(asked)
        if complete is not None:
            return complete
        return await while_there(request, self.fetched(asked, self.purse()))

    async def fetched(self, asked: Asked[bytes | Address], purse: Purse) -> Asked[bytes]:
        """The same with all images there; what it waited for them is taken off its time. Raises `PixelisError`."""
        if (complete := _complete(asked)) is not None:
            return complete
        options, deadline = asked.options, time.monotonic() + asked.options.timeout_s
        try:
            images = await asyncio.wait_for(self.fetcher.all(asked.images, purse), options.timeout_s)
        except asyncio.TimeoutError:
            raise DeadlineExceeded("The images were not fetched in time.", mend="Raise `timeout_s`.") from None
        options = within(options, deadline)
        return Asked(images, asked.question, options, asked.request_id, asked.stream, asked.background)

    async def _filled(self, form: FormData, request_id: str) -> Asked[bytes]:
        files: list[UploadFile | str] = []
        said: dict[str, Any] = {}
        for name in form:
            values = form.getlist(name)
            if name in ("image", "images"):
                files += values
            elif any(isinstance(value, UploadFile) for value in values):
                raise InvalidRequest(f"The field `{name[:80]}` is a file.", mend="Files are named `image`.")
            elif len(values) > 1:
                raise InvalidRequest(f"The field `{name[:80]}` occurs twice.", mend="Send it once.")
            else:
                said[name] = _typed(name, str(values[0]))
        pictures.counted(len(files), self.limits)
        images = []
        for file in files:
            if not isinstance(file, UploadFile):
                raise InvalidRequest("The field `image` of a form is no file.", mend="Send files, or base64 as JSON.")
            pictures.sized(file.size or 0, self.limits)
            images.append(await file.read())
        return self._made(validated(InferRequest, said, "The form"), images, request_id)

    def _made(self, one: InferRequest, images: list[P], request_id: str) -> Asked[P]:
        self.worded(one.question)
        if one.background and not (one.stream and self.config.events_bytes):
            why = "of a stream" if not one.stream else "not taken here: no events are kept"
            raise InvalidRequest(f"`background` is {why}.", mend="Leave it out, or say `stream` too.")
        return Asked(images, one.question, one.options(), one.request_id or request_id, one.stream, one.background)

    def worded(self, question: str) -> None:
        """Raises `LimitExceeded` for a question that is too long."""
        size = len(question.encode("utf-8", "surrogatepass"))
        if size > self.limits.question_bytes:
            raise LimitExceeded(
                f"The question has {size} bytes; {self.limits.question_bytes} are taken.", mend="Ask in fewer words."
            )


def _complete(asked: Asked[bytes | Address]) -> Asked[bytes] | None:
    """The same where all images are there; else none."""
    there = all(isinstance(image, bytes) for image in asked.images)
    return cast(Asked[bytes], asked) if there else None


def _typed(name: str, text: str) -> Any:
    if name in TEXTS:
        return text
    try:
        return loads(text)
    except ValueError:
        return text  # what the field is checked for says what is wrong with it
