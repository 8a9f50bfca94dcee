"""What is sent to hurt: refused with a reason, and both processes live."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import time
from collections.abc import Iterator

import pytest
import uvicorn

from server.embedded import EmbeddedTriton
from tests.clients.gateway.conftest import PORT, Served, ask
from tests.clients.gateway.test_gateway import body

pytestmark = pytest.mark.triton


@pytest.fixture(autouse=True)
def both_live(served: EmbeddedTriton) -> Iterator[None]:
    """After every test the same Triton, and whatever gateway there is, answer."""
    yield
    assert served.running


def raw(*pieces: bytes, wait_s: float = 10, pause_s: float = 0) -> bytes:
    """What comes back upon bytes that are sent as they are, until the other side closes or `wait_s` are over."""
    found = b""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", PORT), timeout=wait_s) as connection:
        with contextlib.suppress(OSError):
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(pause_s)
        while chunk := connection.recv(65536):
            found += chunk
            if b"\r\n\r\n" in found and b"connection: close" not in found.lower():
                break
    return found


def head(length: int | None = None, *more: bytes, path: bytes = b"/infer") -> bytes:
    lines = [b"POST %s HTTP/1.1" % path, b"Host: x", b"Content-Type: application/json", *more]
    if length is not None:
        lines.append(b"Content-Length: %d" % length)
    return b"\r\n".join([*lines, b"", b""])


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def alive() -> None:
    assert ask("/infer", body())[0] == 200


@pytest.mark.parametrize("size", [4 * 2**20, 5 * 2**20, 40 * 2**20])
def test_a_large_json_body_in_any_segmentation(gateways: Served, size: int) -> None:
    data = json.dumps({"question": "?", "image": "A" * size}).encode()
    with gateways(body_bytes=64 * 2**20):
        for pieces in (1, 7, 1000):
            step = len(data) // pieces + 1
            found = raw(head(len(data)), *(data[at : at + step] for at in range(0, len(data), step)))
            assert status(found) == 413
        alive()


def test_a_body_that_is_larger_than_it_may_be_is_not_read(gateway: uvicorn.Server) -> None:
    assert status(raw(head(10**9))) == 413
    found = raw(head(None, b"Transfer-Encoding: chunked"), *[b"10000\r\n" + b"x" * 65536 + b"\r\n"] * 40)
    assert status(found) == 413
    alive()


def test_a_million_chunks(gateway: uvicorn.Server) -> None:
    data = json.dumps(body()).encode()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in data)
    found = raw(head(None, b"Transfer-Encoding: chunked"), chunks + b"0\r\n\r\n", wait_s=30)
    assert status(found) == 200
    spaces = b"1\r\n \r\n" * 1_000_000
    found = raw(head(None, b"Transfer-Encoding: chunked"), spaces + b"0\r\n\r\n", wait_s=60)
    assert status(found) in (400, 413)
    alive()


@pytest.mark.parametrize("inner", ["[", '{"a":'])
def test_deep_json(gateway: uvicorn.Server, inner: str) -> None:
    for depth in (9, 1000, 100_000):
        data = ('{"question":' + inner * depth).encode()
        assert status(raw(head(len(data)), data)) == 400
    alive()


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /infer HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /infer HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"POST /infer HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST /infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"X: a\r\n" * 20_000 + b"\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_http_that_is_none(gateway: uvicorn.Server, sent: bytes) -> None:
    found = raw(sent, wait_s=15)
    assert found == b"" or 400 <= status(found) < 500, found[:200]
    alive()


def test_headers_that_grow_are_cut_off(gateway: uvicorn.Server) -> None:
    found = raw(b"GET /health HTTP/1.1\r\nHost: x\r\n", *[b"X: " + b"a" * 1000 + b"\r\n"] * 100, pause_s=0.005)
    assert found == b"" or status(found) == 400
    alive()


def test_other_content_types(gateway: uvicorn.Server) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json2", "x" * 5000):
        assert ask("/infer", b"a=b", Content_Type=kind)[0] == 400
    assert ask("/infer", b"x", Content_Type="multipart/form-data")[0] == 400
    assert ask("/infer", b"x" * 1000, Content_Type="multipart/form-data; boundary=b")[0] == 400
    assert ask("/infer", json.dumps(body()).encode(), Content_Type="Application/JSON; charset=utf-8")[0] == 200


def test_headers_and_bodies_that_trickle_are_left(gateways: Served) -> None:
    with gateways(header_timeout_s=1, body_timeout_s=1):
        begun = time.monotonic()
        assert raw(*[b"GET /health HTTP/1.1\r\n"] + [b"X: y\r\n"] * 40, pause_s=0.1) == b""
        assert time.monotonic() - begun < 8
        found = raw(head(1000), *[b"x"] * 40, pause_s=0.1)
        assert status(found) == 504
        assert b"connection: close" in found
        alive()
        assert ask("/infer", body("sleep 2"))[0] == 200  # an answer may take longer


def test_clients_that_go_in_every_phase(gateway: uvicorn.Server) -> None:
    data, chance = json.dumps(body("sleep 0.2")).encode(), random.Random(1)
    whole = head(len(data)) + data
    cuts = [0, 1, 20, len(whole) - len(data), len(whole) - 1, *(chance.randrange(len(whole)) for _ in range(20))]
    for cut in [*cuts, *[len(whole)] * 5]:
        with socket.create_connection(("127.0.0.1", PORT)) as connection:
            connection.sendall(whole[:cut])
    time.sleep(0.5)  # on a busy machine the last ones have not begun yet
    end = time.monotonic() + 10
    while time.monotonic() < end and ask("/stats")[2]["in_flight"]:
        time.sleep(0.1)
    assert ask("/stats")[2]["in_flight"] == 0
    alive()


def test_more_connections_than_may_be_open(gateways: Served) -> None:
    with gateways(connections=8):
        with contextlib.ExitStack() as stack:
            for _ in range(12):
                stack.enter_context(socket.create_connection(("127.0.0.1", PORT)))
            time.sleep(0.2)
            assert ask("/health")[0] == 503
        time.sleep(0.2)
        alive()
