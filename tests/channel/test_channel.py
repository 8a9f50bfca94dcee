"""Both ends of the channel, over real sockets."""

from __future__ import annotations

import os
import queue
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from pixelis.errors import ServingError
from pixelis.schema import PolicyEvent, Sampling
from python_backends.channel.listener import Listener
from python_backends.channel.packet import MOST, Packet
from python_backends.channel.speaker import Speaker, SpokenTurn
from tests.waiting import until


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """So deep that its path is no socket's address."""
    return tmp_path / ("deep" * 30) / "channel"


@pytest.fixture
def listener(folder: Path) -> Iterator[Listener]:
    made = Listener(folder)
    yield made
    made.close()


def turn(folder: Path, listener: Listener, request_id: str = "a") -> SpokenTurn:
    found = Speaker(folder).turn(Sampling(request_id=request_id, channel=listener.name))
    assert found is not None
    return found


def one(token: int) -> PolicyEvent:
    return PolicyEvent(tokens=[token], logprobs=[-token / 10])


def test_tokens_come_one_by_one_and_the_turn_at_its_end(folder: Path, listener: Listener) -> None:
    heard: queue.SimpleQueue[Packet] = queue.SimpleQueue()
    spoken = turn(folder, listener)
    with listener.hear("a", heard.put):
        for i in range(3):
            assert spoken.take(one(i)) is None
            assert heard.get(timeout=5) == Packet("a", i, [i], [-i / 10])
        last = PolicyEvent(tokens=[3], logprobs=[-0.3], finish="stop", stop="x", text_length=1)
        assert spoken.take(last) == last.model_copy(
            update={"tokens": [0, 1, 2, 3], "logprobs": [0.0, -0.1, -0.2, -0.3]}
        )
    assert heard.empty()


def test_turns_do_not_hear_each_other(folder: Path, listener: Listener) -> None:
    heard: dict[str, list[int]] = {"a": [], "b": []}
    spoken = {name: turn(folder, listener, name) for name in "abc"}  # nobody listens to c

    def all_heard() -> bool:
        for name in "ab":
            spoken[name].take(PolicyEvent())  # what there was no room for before
        return all(len(found) == 50 for found in heard.values())

    with (
        listener.hear("a", lambda packet: heard["a"].extend(packet.tokens)),
        listener.hear("b", lambda packet: heard["b"].extend(packet.tokens)),
    ):
        for i in range(50):
            for number, name in enumerate("cab"):
                spoken[name].take(one(100 * number + i))
        assert until(all_heard)
    assert heard == {"a": list(range(100, 150)), "b": list(range(200, 250))}


def test_what_there_is_no_room_for_comes_with_the_tokens_after_it(folder: Path, listener: Listener) -> None:
    go_on = threading.Event()
    heard: list[Packet] = []

    def slow(packet: Packet) -> None:
        go_on.wait(10)
        heard.append(packet)

    def count() -> int:
        return sum(len(packet.tokens) for packet in heard)

    spoken = turn(folder, listener)
    with listener.hear("a", slow):
        for i in range(5000):
            spoken.take(one(i))
        go_on.set()
        while (before := count()) < 5000:
            spoken.take(PolicyEvent())
            assert until(lambda before=before: count() > before)  # type: ignore[misc]
    assert len(heard) < 5000  # it was full, or this shows nothing
    assert max(len(packet.tokens) for packet in heard) == MOST
    assert [token for packet in heard for token in packet.tokens] == list(range(5000))
    assert [packet.first for packet in heard[1:]] == [p.first + len(p.tokens) for p in heard[:-1]]


def test_a_listener_that_goes_costs_nothing_but_the_pace(folder: Path, listener: Listener) -> None:
    spoken, late = turn(folder, listener), turn(folder, listener, "late")
    spoken.take(one(1))
    listener.close()
    for begun in (spoken, late):
        assert begun.take(one(2)) is None
        ended = begun.take(PolicyEvent(finish="stop"))
        assert isinstance(ended, PolicyEvent)
        assert ended.tokens[-1] == 2
    assert list(folder.iterdir()) == []


def test_an_error_ends_a_turn_too(folder: Path, listener: Listener) -> None:
    spoken = turn(folder, listener)
    spoken.take(one(1))
    error = ServingError("no")
    assert spoken.take(error) is error


def test_noise_does_not_end_the_listener(folder: Path, listener: Listener) -> None:
    heard: queue.SimpleQueue[Packet] = queue.SimpleQueue()
    with listener.hear("a", heard.put), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as noise:
        here = os.open(folder, os.O_RDONLY)
        noise.connect(f"/proc/self/fd/{here}/{listener.name}")
        os.close(here)
        for data in (b"", b"noise", os.urandom(1000)):
            noise.send(data)
        turn(folder, listener).take(one(1))
        assert heard.get(timeout=5).tokens == [1]


def test_without_a_channel_a_turn_is_not_spoken(folder: Path) -> None:
    assert Speaker(folder).turn(Sampling(request_id="a")) is None


@pytest.mark.parametrize(
    "name", ["", "short", "../../../../etc/passwd", "a" * 15, "a" * 65, "A" * 20, "a" * 20 + "/", "a" * 20 + "\n"]
)
def test_a_channel_is_a_bare_name(name: str) -> None:
    with pytest.raises(ValidationError):
        Sampling(request_id="a", channel=name)


def test_sockets_of_dead_processes_are_removed_and_nothing_else(folder: Path, listener: Listener) -> None:
    here = os.open(folder, os.O_RDONLY)
    for name in ("dead", "living"):
        left = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        left.bind(f"/proc/self/fd/{here}/{name}")
        if name == "dead":
            left.close()
    os.close(here)
    (folder / "notes.txt").write_text("mine")
    second = Listener(folder)
    assert {path.name for path in folder.iterdir()} == {listener.name, second.name, "living", "notes.txt"}
    second.close()
    left.close()


def test_a_folder_that_others_may_look_into_is_refused(folder: Path, listener: Listener) -> None:
    folder.chmod(0o755)
    spoken = turn(folder, listener)
    spoken.take(one(1))
    assert spoken.take(PolicyEvent(finish="stop")) == PolicyEvent(tokens=[1], logprobs=[-0.1], finish="stop")
    with pytest.raises(PermissionError, match="alone"):
        Listener(folder)


def test_a_link_in_the_place_of_the_folder_is_refused(tmp_path: Path, folder: Path, listener: Listener) -> None:
    link = tmp_path / "link"
    link.symlink_to(folder)
    with pytest.raises(OSError, match="link"):
        Listener(link)


def test_where_there_can_be_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Listener(tmp_path / "file" / "channel")
