"""OpenAI's form: what becomes of a conversation, and what OpenAI's own client makes of the answers."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from clients.gateway import chat, keys
from clients.gateway.requests import validated
from pixelis.errors import RequestError
from pixelis.schema import Exchange, Finish, Options, PipelineResult, Provenance
from pixelis.settings import Limits
from tests.clients.conftest import picture
from tests.clients.gateway.conftest import PORT, Served, ask

PNG = picture(1)
URL = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
IMAGE = {"type": "image_url", "image_url": {"url": URL}}


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def body(*messages: tuple[str, Any], **rest: Any) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content} for role, content in messages], **rest}


def asked(said: dict[str, Any]) -> Any:
    return chat.asked(validated(chat.ChatRequest, said, "It"), Limits(), "name")


def test_a_conversation_is_a_question_with_its_history() -> None:
    found = asked(
        body(
            ("system", "Be brief."),
            ("user", [text("Two:"), IMAGE, IMAGE]),
            ("user", "Which is red?"),
            ("assistant", "The first."),
            ("user", "Sure?"),
            ("assistant", ""),
            ("user", [IMAGE, text("And here?")]),
            temperature=0.5,
            top_p=0.9,
            max_completion_tokens=7,
            stop="x",
            seed=3,
            model="large",
            pixelis={"k": 0, "timeout_s": 9},
        )
    )
    assert (found.question, found.images, found.stream) == ("And here?", [PNG] * 3, False)
    assert found.options == Options(
        system="Be brief.",
        history=[
            Exchange(question="Two:\nWhich is red?", answer="The first.", images=2),
            Exchange(question="Sure?", answer=""),
        ],
        temperature=0.5,
        top_p=0.9,
        max_tokens=7,
        stop=["x"],
        seed=3,
        model="large",
        k=0,
        timeout_s=9,
    )


def test_a_question_alone_says_no_more_than_it_does() -> None:
    found = asked(body(("user", [IMAGE, text("?")]), model="pixelis", temperature=None, n=1, user="me"))
    assert found.options.model_fields_set == set()
    assert found.options.alone


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (body(("user", [text("?"), IMAGE]), tools=[{"type": "function"}]), "agent has its own"),
        (body(("user", [text("?"), IMAGE]), n=2), "wrong at `n`"),
        (body(("user", [text("?"), IMAGE]), presence_penalty=1), "wrong at `presence_penalty`"),
        (body(("user", [text("?"), IMAGE]), response_format={"type": "json_object"}), "wrong at `response_format"),
        (body(("user", [text("?"), IMAGE]), logprobs=True), "wrong at `logprobs`"),
        (body(("user", [text("?"), IMAGE]), heat=1), "unknown key"),
        (body(("user", [text("?"), IMAGE]), pixelis={"kk": 1}), "unknown key `kk`"),
        (body(("user", [text("?"), IMAGE]), temperature=1, pixelis={"temperature": 1}), "said twice"),
        (body(("user", [text("?"), IMAGE]), pixelis={"k": 1000}), "wrong at `k`"),
        (body(("user", [IMAGE])), "no text"),
        (body(("user", "?")), "no image"),
        (body(("system", "?")), "no text"),
        (body(("assistant", "!"), ("user", [text("?"), IMAGE])), "before the user"),
        (body(("user", [text("?"), IMAGE]), ("assistant", "!")), "last message"),
        (body(("tool", "?")), "wrong at `messages.0.role`"),
        (body(("user", [{"type": "input_audio", "input_audio": {}}])), "wrong at `messages.0.content"),
        (body(("system", [IMAGE]), ("user", "?")), "image of the system"),
        (body(("user", [text("?"), {"type": "image_url", "image_url": {"url": "http://a/b"}}])), "not fetched"),
        ({"messages": []}, "wrong at `messages`"),
        (body(("user", "x" * 40_000), ("assistant", "!"), ("user", [text("?"), IMAGE])), "wrong at `question`"),
        (body(("user", "?"), ("assistant", "x" * 40_000), ("user", [text("?"), IMAGE])), "wrong at `answer`"),
    ],
)
def test_what_is_not_taken_is_refused_with_its_reason(said: dict[str, Any], reason: str) -> None:
    with pytest.raises(RequestError) as refused:
        asked(said)
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("finish", "said"),
    [("answer", "stop"), ("max_operations", "stop"), ("stop", "stop"), ("max_tokens", "length"), ("timeout", "length")],
)
def test_what_cut_an_answer_off_is_its_finish_reason(finish: Finish, said: str) -> None:
    provenance = Provenance(agent_answer="red", agent_confidence=0.5)
    result = PipelineResult(
        request_id="r",
        answer="red",
        confidence=0.5,
        trajectory=[],
        reward=None,
        provenance=provenance,
        timings_ms={},
        versions={},
        finish=finish,
    )
    assert chat.completion(result, "pixelis").choices[0].finish_reason == said


@pytest.fixture
def openai() -> Callable[..., Any]:
    """OpenAI's client."""
    made = pytest.importorskip("openai")
    return lambda key="none": made.OpenAI(base_url=f"http://127.0.0.1:{PORT}/v1", api_key=key, max_retries=0)


MESSAGES = [{"role": "user", "content": [text("Wörter?"), IMAGE]}]


@pytest.mark.triton
def test_openai_s_client_asks(gateway: uvicorn.Server, openai: Callable[..., Any]) -> None:
    found = openai().chat.completions.create(model="pixelis", messages=MESSAGES, extra_body={"pixelis": {"k": 0}})
    (choice,) = found.choices
    assert (choice.message.content, choice.finish_reason, found.id[:9]) == ("Wörter?", "stop", "chatcmpl-")
    assert found.pixelis["trajectory"][0]["operation"] == "ZOOM_IN"
    assert (found.usage.prompt_tokens, found.usage.completion_tokens, found.usage.total_tokens) == (11, 2, 13)


@pytest.mark.triton
def test_openai_s_client_streams(gateway: uvicorn.Server, openai: Callable[..., Any]) -> None:
    stream = openai().chat.completions.create(
        model="pixelis", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Wörter?"
    thoughts = [getattr(c.choices[0].delta, "reasoning_content", "") for c in chunks if c.choices]
    assert "".join(thought for thought in thoughts if thought) == "Looking. "
    steps = [c.pixelis["event"] for c in chunks if c.choices and getattr(c, "pixelis", None)]
    assert steps == ["tool_call", "observation"] * 2
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage.total_tokens == 13


@pytest.mark.triton
def test_openai_s_client_knows_the_errors(gateway: uvicorn.Server, openai: Callable[..., Any]) -> None:
    import openai as package

    def create(question: str, **rest: Any) -> Any:
        messages = [{"role": "user", "content": [text(question), IMAGE]}]
        return openai().chat.completions.create(model="pixelis", messages=messages, **rest)

    with pytest.raises(package.BadRequestError, match="not a picture") as refused:
        create("refuse")
    assert refused.value.code == "invalid_image"
    with pytest.raises(package.InternalServerError, match="not up"):
        create("fail")
    with pytest.raises(package.BadRequestError, match="agent has its own"):
        create("?", tools=[{"type": "function", "function": {"name": "f"}}])
    with pytest.raises(package.APIError, match="not up"):
        list(create("fail", stream=True))


@pytest.mark.triton
def test_openai_s_client_lists_models_with_a_key(gateways: Served, openai: Callable[..., Any], tmp_path: Path) -> None:
    import openai as package

    path = tmp_path / "keys.json"
    key = keys.add(path, "alice", None, None)
    with gateways(keys=path):
        assert [model.id for model in openai(key).models.list()] == ["pixelis"]
        with pytest.raises(package.AuthenticationError):
            openai("wrong").models.list()


@pytest.mark.triton
def test_a_stream_ends_as_openai_s_do(gateway: uvicorn.Server) -> None:
    _, headers, data = ask("/v1/chat/completions", body(("user", [text("?"), IMAGE]), stream=True))
    assert headers["content-type"].startswith("text/event-stream")
    lines = [line.removeprefix("data: ") for line in data.decode().split("\n") if line]
    assert lines[-1] == "[DONE]"
    assert all(json.loads(line)["object"] == "chat.completion.chunk" for line in lines[:-1])
