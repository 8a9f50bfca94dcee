"""Work beside something else."""

from __future__ import annotations

import threading

import pytest

from perf.meanwhile import meanwhile


@pytest.mark.parametrize("fails", [False, True])
def test_all_work_while_it_lasts_and_none_after_it(fails: bool) -> None:
    under_way, ended = threading.Barrier(3), list[str]()

    def work(over: threading.Event) -> None:
        under_way.wait(10)
        over.wait(10)
        ended.append(threading.current_thread().name)

    def block() -> None:
        with meanwhile(work, work, name="test"):
            under_way.wait(10)
            assert ended == []
            if fails:
                raise KeyError

    if fails:
        with pytest.raises(KeyError):
            block()
    else:
        block()
    assert sorted(ended) == ["test-0", "test-1"]
