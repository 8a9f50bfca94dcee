"""A request's events, for a client that lost its stream."""

from __future__ import annotations

import http.client
import json
import time
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from clients.gateway import keys
from clients.metrics import read_metrics
from tests.clients.conftest import PORTS
from tests.clients.gateway.conftest import PORT, Served, ask
from tests.clients.gateway.test_gateway import body, parsed, stream

pytestmark = pytest.mark.triton


def cancelled() -> float:
    return read_metrics(f"127.0.0.1:{PORTS['metrics']}").get("pixelis_test_cancelled_total", 0.0)


def has_cancelled(more_than: float) -> bool:
    """Whether Triton was told within ten seconds to leave one more request."""
    end = time.monotonic() + 10
    while cancelled() == more_than and time.monotonic() < end:
        time.sleep(0.1)
    return cancelled() == more_than + 1


class Stream:
    """A stream that can be left.

    Args:
        path: where.
        said: a body; none = GET.
        headers: beside the usual ones.
    """

    def __init__(self, path: str, said: dict[str, Any] | None = None, **headers: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=20)
        data = None if said is None else json.dumps(said).encode()
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        kind = {"Content-Type": "application/json"} if said is not None else {}
        self._connection.request("GET" if said is None else "POST", path, data, {**kind, **names})
        self._response = self._connection.getresponse()
        self.status = self._response.status

    def event(self) -> tuple[int, str]:
        """The next one's number and name."""
        lines = []
        while (line := self._response.readline()) not in (b"\n", b""):
            lines.append(line.decode().strip())
        return int(lines[0].removeprefix("id: ")), lines[1].removeprefix("event: ")

    def rest(self) -> bytes:
        """All that is still to come."""
        return self._response.read()

    def leave(self) -> None:
        """Go without a word."""
        self._response.close()
        self._connection.close()


def test_what_has_ended_is_read_again_and_from_anywhere(gateway: uvicorn.Server) -> None:
    events = stream(body("Wörter?", request_id="ended"))
    status, headers, data = ask("/v1/events/ended")
    assert (status, headers["content-type"].partition(";")[0]) == (200, "text/event-stream")
    assert parsed(data) == events
    status, _, data = ask("/v1/events/ended", Last_Event_ID="4")
    assert data.startswith(b"id: 5\nevent: observation")
    assert data.count(b"\n\n") == 2
    assert ask("/v1/events/ended", Last_Event_ID="6")[0] == 204
    for wrong in ("-1", "x", "²", "1" * 10, ""):
        assert ask("/v1/events/ended", Last_Event_ID=wrong.encode().decode("latin-1"))[0] == 400
    for unknown in ("never", "%2e%2e", "a%20b", "%ff"):
        status, _, found = ask(f"/v1/events/{unknown}")
        assert (status, found["error"]["code"]) == (404, "not_found")


def test_chat_streams_are_kept_in_the_same_form(gateway: uvicorn.Server) -> None:
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{body()['image']}"}}
    said = {"messages": [{"role": "user", "content": [{"type": "text", "text": "?"}, image]}], "stream": True}
    assert ask("/v1/chat/completions", said, X_Request_Id="chat")[0] == 200
    assert [name for name, _ in parsed(ask("/v1/events/chat")[2])][-1] == "answer"


def test_while_it_runs_others_of_its_caller_follow(gateway: uvicorn.Server) -> None:
    before = cancelled()
    running = Stream("/infer", body("forever", stream=True, request_id="runs"))
    assert [running.event() for _ in range(2)] == [(1, "token"), (2, "token")]
    follows = Stream("/v1/events/runs")
    assert [follows.event() for _ in range(4)] == [(number, "token") for number in (1, 2, 3, 4)]
    resumed = Stream("/v1/events/runs", Last_Event_ID="3")
    assert [resumed.event() for _ in range(2)] == [(4, "token"), (5, "token")]
    resumed.leave()
    running.leave()  # which ends the request, as it is not in the background
    assert b"event: error" in follows.rest()
    assert has_cancelled(before)
    assert b"has gone" in ask("/v1/events/runs")[2]


def test_in_the_background_it_goes_on_when_its_client_goes(gateway: uvicorn.Server) -> None:
    first = Stream("/infer", body("sleep 1", stream=True, background=True, request_id="lost"))
    assert first.event() == (1, "token")
    first.leave()
    again = Stream("/v1/events/lost", Last_Event_ID="1")
    assert again.event()[0] == 2
    assert b"event: answer" in again.rest()
    whole = parsed(ask("/v1/events/lost")[2])
    assert whole[-1][1]["result"]["answer"] == "sleep 1"
    assert stream(body("?", background=True))[-1][0] == "answer"


def test_an_error_in_the_background_has_its_status_or_is_the_last_event(gateway: uvicorn.Server) -> None:
    name, event = stream(body("fail", background=True, request_id="fails"))[-1]
    assert (name, event["error"]["code"]) == ("error", "unavailable")
    assert ask("/stats")[2]["requests"]["/infer"] == {"unavailable": 1}
    assert parsed(ask("/v1/events/fails")[2])[-1][1]["error"]["code"] == "unavailable"
    status, _, found = ask("/infer", body(background=True))
    assert (status, "of a stream" in found["error"]["message"]) == (400, True)


def test_a_stream_that_never_began_says_why(gateways: Served) -> None:
    with gateways(triton="127.0.0.1:18139"):
        assert ask("/infer", body(stream=True, background=True, request_id="r"))[0] == 503
        assert parsed(ask("/v1/events/r")[2])[-1][1]["error"]["code"] == "unavailable"


def test_only_the_caller_s_own_key_finds_it(gateways: Served, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    alice, bob = (f"Bearer {keys.add(path, name, None, None)}" for name in ("alice", "bob"))
    with gateways(keys=path):
        assert ask("/infer", body(stream=True, request_id="hers"), Authorization=alice)[0] == 200
        assert ask("/v1/events/hers", Authorization=alice)[0] == 200
        foreign, unknown = ask("/v1/events/hers", Authorization=bob), ask("/v1/events/none", Authorization=bob)
        assert foreign[0] == unknown[0] == 404
        assert foreign[2]["error"]["message"] == unknown[2]["error"]["message"]
        assert ask("/v1/events/hers")[0] == 401


def test_they_are_kept_within_bounds(gateways: Served) -> None:
    with gateways(events_bytes=20_000, events_s=1):
        for number in range(20):
            assert ask("/infer", body(stream=True, request_id=f"r{number}"))[0] == 200
        assert ask("/v1/events/r0")[0] == 404
        assert ask("/v1/events/r19")[0] == 200
        time.sleep(1.1)
        assert ask("/v1/events/r19")[0] == 404
    with gateways(events_bytes=0):
        assert ask("/infer", body(stream=True, request_id="r"))[0] == 200
        assert ask("/v1/events/r")[0] == 404
        status, _, found = ask("/infer", body(stream=True, background=True))
        assert (status, "no events are kept" in found["error"]["message"]) == (400, True)


def test_what_is_in_the_background_ends_before_the_gateway_does(gateways: Served) -> None:
    before = cancelled()
    with gateways(drain_s=1) as server:
        first = Stream("/infer", body("forever", stream=True, background=True))
        first.event()
        first.leave()
        server.should_exit = True
    assert has_cancelled(before)
