"""Orders over the socket: what is said, what comes of it, and what is refused."""

from __future__ import annotations

import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixelis.errors import InvalidRequest, ServingError, Unavailable
from server.fleet.orders import Orders, Taken, order


@pytest.fixture
def orders(tmp_path: Path) -> Iterator[Orders]:
    folder = tmp_path / ("deep" * 30)  # a socket's own address has 107 bytes
    folder.mkdir()
    made = Orders(folder / "orders.sock")
    yield made
    made.close()


def carried_out(orders: Orders, by: object) -> threading.Thread:
    def work() -> None:
        taken: Taken = orders.taken.get()
        by(taken)  # type: ignore[operator]

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_lines_come_as_they_are_said_and_what_came_of_it_last(orders: Orders) -> None:
    def by(taken: Taken) -> None:
        assert (taken.order.what, taken.order.numbers) == ("roll", [1, 2])
        taken.say("one")
        taken.say("two")
        taken.end({"done": 3})

    thread = carried_out(orders, by)
    assert list(order(orders._path, "roll", [1, 2])) == ["one", "two", {"done": 3}]
    thread.join()


def test_an_error_is_the_same_error_here(orders: Orders) -> None:
    thread = carried_out(orders, lambda taken: taken.end(error=InvalidRequest("There is one.", mend="Add one.")))
    with pytest.raises(InvalidRequest, match=r"There is one\. Add one\."):
        list(order(orders._path, "roll", []))
    thread.join()


def test_nobody_else_may_order(orders: Orders) -> None:
    assert stat.S_IMODE(orders._path.stat().st_mode) & 0o077 == 0


@pytest.mark.parametrize(
    "said", [b"{}\n", b"nonsense\n", b'{"what": "burn"}\n', b"\xff\n", b"\n", b'{"what": "roll", "numbers": ["a"]}\n']
)
def test_what_is_no_order_is_refused_and_the_next_one_taken(
    orders: Orders, said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(orders._path.parent)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect("orders.sock")
        connection.sendall(said)
        assert b"No order" in connection.makefile("rb").readline()
    thread = carried_out(orders, lambda taken: taken.end())
    assert list(order(orders._path, "status", [])) == [{}]
    thread.join()


def test_no_fleet_is_told_with_what_starts_one(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="pixelis up"):
        list(order(tmp_path / "orders.sock", "status", []))


def test_a_socket_that_a_dead_fleet_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "orders.sock"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    made = Orders(path)
    thread = carried_out(made, lambda taken: taken.end())
    assert list(order(path, "status", [])) == [{}]
    thread.join()
    made.close()


def test_a_fleet_that_ends_before_it_answers_is_told(tmp_path: Path) -> None:
    path = tmp_path / "orders.sock"
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()

    def end() -> None:
        connection, _ = listening.accept()
        connection.recv(4096)
        connection.close()

    thread = threading.Thread(target=end)
    thread.start()
    with pytest.raises(ServingError, match="ended before"):
        list(order(path, "add", []))
    thread.join()
    listening.close()
