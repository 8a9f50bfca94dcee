"""A streamed answer in OpenAI's form.

What the agent writes comes as `delta.reasoning_content`, each step that it took as `pixelis` (an event of `agent`), and
the answer as `delta.content` in one piece at the end: neighbours vote on it after the agent has spoken, so that a token
shown before might not be the answer.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from clients.gateway import chat
from clients.gateway.answers import detail
from pixelis.errors import PixelisError
from pixelis.schema import Event

DONE = b"data: [DONE]\n\n"


class Chunks:
    """Chunks of one completion.

    Args:
        request_id: the request's name.
        model: as the caller named it.
        with_usage: whether tokens are told at the end.
    """

    def __init__(self, request_id: str, model: str, *, with_usage: bool) -> None:
        self._request_id, self._with_usage = request_id, with_usage
        self._head = {
            "id": chat.named(request_id),
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
        }

    async def written(
        self, first: Event, events: AsyncIterator[Event], failed: Callable[[BaseException], None]
    ) -> AsyncIterator[bytes]:
        """All chunks; an error is the last one.

        Args:
            first: the first event, which was waited for so that an error before it has its own status.
            events: those that follow.
            failed: told what it ended with, where that is no answer.
        """
        try:
            async with aclosing(events):  # type: ignore[type-var]
                yield self._chunk({"role": "assistant", "content": ""})
                for chunk in self._of(first):
                    yield chunk
                async for event in events:
                    for chunk in self._of(event):
                        yield chunk
            yield DONE
        except PixelisError as error:
            failed(error)
            yield _data({"error": detail(error, self._request_id).model_dump(mode="json")})
        except BaseException as error:
            failed(error)
            raise

    def _of(self, event: Event) -> list[bytes]:
        if event.event == "token":
            return [self._chunk({"reasoning_content": event.text})]
        if event.result is None:
            return [self._chunk({}, pixelis=event.model_dump(mode="json", exclude_defaults=True))]
        result = event.result
        found = [self._chunk({"content": result.answer}), self._chunk({}, finish=chat.finish(result))]
        if self._with_usage:
            used = chat.usage(result)
            told = None if used is None else used.model_dump()
            found.append(_data({**self._head, "choices": [], "usage": told, "pixelis": result.model_dump(mode="json")}))
        return found

    def _chunk(self, delta: dict[str, str], finish: str | None = None, **beside: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return _data({**self._head, "choices": [choice], **beside})


def _data(value: Any) -> bytes:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()
