"""`GET /`: the page for people, and its files."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import FileResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Message, Receive, Scope, Send

FOLDER = Path(__file__).parent.parent / "page"
SAFE = {
    b"content-security-policy": b"default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    b"img-src 'self' data: blob:; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cache-control": b"no-cache",
}
"""Headers of a page that asks nobody but its own gateway."""


class Page(StaticFiles):
    """The page's files, which load nothing from elsewhere."""

    def __init__(self) -> None:
        super().__init__(directory=FOLDER)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One file."""
        await super().__call__(scope, receive, _safe(send))


def _safe(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *SAFE.items()]
        await send(message)

    return sending


def routes() -> APIRouter:
    """The page itself."""
    router = APIRouter(include_in_schema=False)
    headers = {name.decode(): value.decode() for name, value in SAFE.items()}

    @router.get("/")
    async def page() -> FileResponse:
        return FileResponse(FOLDER / "index.html", headers=headers)

    return router
