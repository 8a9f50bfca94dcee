"""Tests that `make test` runs beside each other: do they leave each other alone?"""

from __future__ import annotations

import re
from collections import defaultdict

import pytest

from tests.beside import TESTS, together

PORT = re.compile(r"(?<![\w.])18[1-9]\d\d(?![\w.]*\d)")


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ("tests/triton/test_load.py::test_it[0]", "tests/triton/test_load.py"),
        ("tests/triton/tiny/test_watchdog.py::test_it", "tests/triton/tiny"),
        ("tests/clients/gateway/test_tls.py::test_it", "tests/clients"),
        ("tests/test_house.py::test_it", "tests/test_house.py"),
    ],
)
def test_what_runs_in_one_process(test: str, expected: str) -> None:
    assert together(test) == expected


def test_no_two_of_them_name_the_same_port() -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for path in [*TESTS.rglob("test_*.py"), *TESTS.rglob("conftest.py")]:
        for port in PORT.findall(path.read_text(encoding="utf-8")):
            found[port].add(together(path.relative_to(TESTS.parent).as_posix()))
    assert len(found) > 20
    assert {port: where for port, where in found.items() if len(where) > 1} == {}
