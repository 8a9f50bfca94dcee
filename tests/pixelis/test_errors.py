"""An error crosses Triton as text and comes back as itself."""

from __future__ import annotations

import pytest

from pixelis import errors


def _leaves(root: type[errors.PixelisError]) -> list[type[errors.PixelisError]]:
    return [root, *(leaf for child in root.__subclasses__() for leaf in _leaves(child))]


@pytest.mark.parametrize("cls", _leaves(errors.PixelisError))
def test_every_class_comes_back_through_tritons_own_words(cls: type[errors.PixelisError]) -> None:
    error = cls("Point (150, 60) is outside image bounds (100x100).", mend="Give a point inside.")
    back = errors.from_wire(f"in ensemble 'pixelis', {error.wire()}")
    assert type(back) is cls
    assert str(back) == str(error)
    assert back.status == cls.status


def test_codes_are_unique() -> None:
    codes = [cls.code for cls in _leaves(errors.PixelisError)]
    assert len(codes) == len(set(codes))


def test_text_without_a_code_is_the_servers_fault() -> None:
    assert type(errors.from_wire("Stub process is not healthy")) is errors.ServingError


def test_no_error_says_nothing() -> None:
    """A server's error without words was printed as an empty line."""
    assert [str(errors.from_wire(text)) for text in ("", " ", "unavailable: ")] == [
        "The server gave no reason.",
        "The server gave no reason.",
        "unavailable: ",
    ]


def test_when_to_come_again_crosses_in_the_text() -> None:
    error = errors.Unavailable("9 requests wait.", mend="Try again in 2.5 s.", retry_after_s=2.53)
    back = errors.from_wire(f"in ensemble 'pixelis', {error.wire()}")
    assert isinstance(back, errors.Unavailable)
    assert (error.retry_after_s, back.retry_after_s) == (2.53, 2.5)
    for said in ("Try again.", "Try again in a moment.", "Try again in 2.5 seconds."):
        assert errors.Unavailable("Down.", mend=said).retry_after_s is None


def test_what_an_error_says_can_travel() -> None:
    """A lone surrogate in a key, or a megabyte of one, came back as the refusal, which could not be sent."""
    error = errors.NotFound("\ud800" + "x" * 10**6, mend="\udfff" + "y" * 10**6)
    assert len(error.wire().encode()) < 8200
    assert error.message.endswith("xxx...")
    assert str(errors.NotFound("größer \N{GRINNING FACE}")) == "größer \N{GRINNING FACE}"
