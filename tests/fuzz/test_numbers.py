"""Arrays, values in caches, datagrams, and what servers answer."""

from __future__ import annotations

import io
import json
import struct
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray

from clients import rest, wire
from clients.tensors import datatype, pack, unpack
from clients.wire import Call
from pixelis.array_file import read_array
from pixelis.cache_config import Cached
from pixelis.errors import PixelisError, ServingError
from pixelis.schema import Neighbour, Options, PipelineResult
from python_backends.caching import snapshot
from python_backends.caching.codec import Codec, FloatsCodec, JsonCodec, NumbersCodec
from python_backends.caching.envelope import unwrap, wrap
from python_backends.caching.key import Key
from python_backends.caching.memory import MemoryTier
from python_backends.channel.packet import Packet
from python_backends.policy.vllm.reply import Reply
from tests.fuzz import said
from tests.fuzz.odd import JSON, PIECES, damaged, how_often, json_bytes, odd, randoms, tampered
from tests.fuzz.run import Fuzz, parsed

pytestmark = pytest.mark.filterwarnings("ignore")  # of numpy, at heads of Python 2
ARRAYS: list[NDArray[Any]] = [
    np.zeros(0, np.float32),
    np.arange(6, dtype="<i8").reshape(2, 3),
    np.array([True, False]),
    np.float64(0.5) * np.ones((1, 1, 2)),
    np.array(["a", "é"]),
    np.asfortranarray(np.ones((2, 3), np.float16)),
    np.zeros(2, [("a", "<i4"), ("b", "<f8")]),
    np.array(7, np.uint8),
]
_HEADS = (*b"(3,) () (1000000000000,) (-1,) '|O' '<f8' '<U9' True 'fortran_order' ( )".split(), b"1" * 5000, *PIECES)


def _array(rng: Random) -> bytes:
    out = io.BytesIO()
    np.save(out, rng.choice(ARRAYS))
    return damaged(rng, out.getvalue(), rng.choice((0, 1, 1, 2)), _HEADS)


def test_arrays(fuzz: Fuzz, tmp_path: Path) -> None:
    path = tmp_path / "array.npy"

    def holds(data: bytes) -> bool:
        path.write_bytes(data)
        found = [parsed(partial(read_array, source), ValueError) for source in (data, path)]
        if found[0] is None:
            return False
        assert isinstance(found[0], np.ndarray)
        assert not found[0].dtype.hasobject
        assert found[1] is None or found[0].shape == found[1].shape
        return True

    fuzz.loop(_array, holds)


CODECS: dict[str, tuple[Codec[Any], list[Any]]] = {
    "floats": (FloatsCodec(), [np.ones((2, 3), np.float32), np.zeros((0, 2), np.float32), np.array(0.5, np.float32)]),
    "numbers": (NumbersCodec(2), [(0.5, -1.0)]),
    "json": (
        JsonCodec(list[Neighbour]),
        [[], [Neighbour(experience_id="é", answer="a", similarity=0.5, confidence=1)]],
    ),
}


def test_values_in_caches(fuzz: Fuzz) -> None:
    def make(rng: Random) -> tuple[str, bytes]:
        kind = rng.choice(list(CODECS))
        codec, values = CODECS[kind]
        return kind, damaged(rng, codec.encode(rng.choice(values)), how_often(rng))

    def holds(case: tuple[str, bytes]) -> bool:
        kind, data = case
        codec = CODECS[kind][0]
        value = parsed(lambda: [codec.decode(data)], ValueError)
        if value is None:
            return False
        again = codec.encode(value[0])
        assert again == data or kind == "json"
        assert codec.encode(codec.decode(again)) == again
        return True

    fuzz.loop(make, holds)


def test_envelopes(fuzz: Fuzz) -> None:
    whole = wrap("a", b"value", 1000.0)

    def holds(data: bytes) -> bool:
        found = parsed(lambda: unwrap("a", data, 1007.0), ValueError)
        assert found is None or (data == whole and found == (b"value", 7.0))
        return found is not None

    fuzz.loop(lambda rng: damaged(rng, whole, rng.choice((0, 1, 1, 2))), holds)


def test_caches_that_were_kept(fuzz: Fuzz, tmp_path: Path) -> None:
    path, config = tmp_path / "kept", Cached()
    names = [Key("a", "policy-1", bytes([i] * 20)).name for i in range(3)]
    parts = [part for name in names for part in (name.encode(), wrap(name, b"x" * 9, 1000.0))]
    whole = b"".join(struct.pack("<I", len(part)) + part for part in parts)

    def holds(data: bytes) -> bool:
        path.write_bytes(data)
        memory = MemoryTier(config)
        taken = snapshot.load(memory, path, 1001.0, lambda versions: True)
        entries = memory.entries()
        assert {entry.name for entry, _ in entries} <= set(names)
        assert {entry.value for entry, _ in entries} <= {b"x" * 9}
        return taken == len(names)

    fuzz.loop(lambda rng: damaged(rng, whole, rng.choice((0, 1, 1))), holds)


def _packet(name: str, first: int, tokens: list[int], rng: Random) -> bytes:
    made = Packet(name, first, tokens, [-0.5] * len(tokens))
    assert Packet.decode(made.encode()) == made
    return damaged(rng, made.encode(), how_often(rng))


def test_packets(fuzz: Fuzz) -> None:
    def holds(data: bytes) -> bool:
        found = parsed(lambda: Packet.decode(data), ValueError)
        if found is None:
            return False
        assert len(found.tokens) == len(found.logprobs)
        assert found.encode() == data
        return True

    numbers = st.integers(0, 2**32 - 1)
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
    fuzz.given(st.builds(_packet, text, numbers, st.lists(numbers, max_size=5), randoms()), holds)


def test_tensors(fuzz: Fuzz) -> None:
    def make(rng: Random) -> tuple[bytes, str, list[int]]:
        array = rng.choice(
            (
                np.array([b"a", b"", b"\xff" * 9], object),
                np.ones((2, 3), np.float32),
                np.array([True]),
                np.zeros(0, np.int64),
            )
        )
        shape, kind = list(array.shape), datatype(array)
        if rng.random() < 0.3:
            shape = rng.choice(([], [-1], [3], [1, 3], [2**40, 2**40], [0]))
        if rng.random() < 0.2:
            kind = rng.choice(("BYTES", "FP32", "INT64", "BF16", ""))
        return damaged(rng, pack(array), rng.choice((0, 0, 1))), kind, shape

    def holds(case: tuple[bytes, str, list[int]]) -> bool:
        raw, kind, shape = case
        found = parsed(lambda: unpack(raw, kind, shape), ValueError)
        if found is None:
            return False
        assert (list(found.shape), datatype(found), pack(found)) == (shape, kind, raw)
        return True

    fuzz.loop(make, holds)


RESULT: dict[str, Any] = {
    "request_id": "r",
    "answer": "é",
    "confidence": 0.5,
    "trajectory": [said.action(Random(1))],
    "reward": {"total": 0.5},
    "provenance": {"agent_answer": "a", "agent_confidence": 1},
    "timings_ms": {"reason": 5},
    "versions": {"policy": "1"},
    "usage": {"prompt_tokens": 5, "completion_tokens": 6},
    "finish": "answer",
}


def _answer(rng: Random, more: Any) -> tuple[bytes, str]:
    """An answer of Triton over HTTP, and the length of its head."""
    result = tampered(rng, RESULT, rng.choice((0, 0, 1)), ["answer"])
    raw = pack(np.array([json_bytes(rng, more if rng.random() < 0.1 else result)], object))
    output = {"name": "RESULT", "datatype": "BYTES", "shape": [1, 1], "parameters": {"binary_data_size": len(raw)}}
    head = json_bytes(
        rng, tampered(rng, {"model_name": "pixelis", "outputs": [output]}, rng.choice((0, 0, 0, 1, 2)), ["outputs"])
    )
    length = str(len(head)) if rng.random() < 0.9 else rng.choice(("", "-1", "5", "a", "9" * 30, "٣"))
    return damaged(rng, head + raw, rng.choice((0, 0, 0, 1, 2))), length


def test_answers(fuzz: Fuzz) -> None:
    call: Call[Any] = wire.ask([b""], "q", Options())

    def holds(case: tuple[bytes, str]) -> bool:
        data, length = case
        tensors = parsed(lambda: rest.outputs(data, length), ServingError)
        if tensors is None:
            return False
        made = parsed(lambda: call.parse(tensors), ServingError)
        if made is not None:
            text = tensors["RESULT"].item()
            assert made.answer == PipelineResult.model_validate_json(text).answer
        return made is not None

    fuzz.given(st.builds(_answer, randoms(), JSON), holds)


def test_events(fuzz: Fuzz) -> None:
    """Lines of a stream."""
    call: Call[Any] = wire.stream([b""], "q", Options())
    good = {"event": "token", "step": 1, "text": "é"}

    def make(rng: Random) -> bytes:
        event = tampered(rng, good, rng.choice((0, 0, 1)), ["event", "operation", "code"])
        line: dict[str, Any] = {"model_name": "agent", "EVENT": json.dumps(event)}
        if rng.random() < 0.1:
            line["error"] = rng.choice(("unavailable: try again in 2 s", "x", odd(rng)))
        data = b"data: " + json_bytes(rng, tampered(rng, line, rng.choice((0, 0, 1)), ["EVENT"])).replace(b"\n", b" ")
        return damaged(rng, data, 1) if rng.random() < 0.2 else data

    def holds(line: bytes) -> bool:
        tensors = parsed(lambda: rest.event(line), PixelisError)
        return tensors is not None and parsed(lambda: call.parse(tensors), PixelisError) is not None

    fuzz.loop(make, holds)


def test_refusals(fuzz: Fuzz) -> None:
    """Whatever a server says with an error becomes one of ours."""

    def holds(case: tuple[int, bytes]) -> bool:
        status, data = case
        try:
            rest.refuse(status, data)
        except PixelisError as error:
            return type(error) is not ServingError

    def make(rng: Random) -> tuple[int, bytes]:
        text = rng.choice(
            ("invalid_request: no", "unknown model x", "is not ready", "rate_limited: Try again in 2 s.", "x")
        )
        return 500, damaged(rng, json_bytes(rng, {"error": text}), how_often(rng))

    fuzz.loop(make, holds)


def test_replies_of_vllm(fuzz: Fuzz) -> None:
    good = [{"5": {"logprob": -0.5, "rank": 1}, "7": {"logprob": -1}}, {"9": {"logprob": 0}}]

    def make(rng: Random) -> tuple[bytes, bytes]:
        said = json_bytes(rng, tampered(rng, good, how_often(rng), ["logprob", "5"]))
        return rng.choice((b"None", b"stop", b"length", b"\xff")), damaged(rng, said, rng.choice((0, 0, 0, 1)))

    def holds(case: tuple[bytes, bytes]) -> bool:
        tensors = {"finish_reason": np.array([case[0]], object), "logprobs": np.array([case[1]], object)}
        found = parsed(lambda: Reply.read(tensors), ServingError)
        if found is None:
            return False
        assert len(found.tokens) == len(found.logprobs)
        assert all(-9999 <= value <= 0 for value in found.logprobs)
        return True

    fuzz.loop(make, holds)
