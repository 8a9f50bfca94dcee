"""Row tables against a dictionary."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixelis.errors import InvalidRequest
from python_backends.experience.indexes.rows import RowTable

step = st.tuples(st.sampled_from(["append", "kill", "move"]), st.lists(st.integers(0, 60), max_size=8, unique=True))


@given(st.lists(step, max_size=25), st.booleans())
def test_rows_are_found_whatever_happened(steps: list[tuple[str, list[int]]], moves: bool) -> None:
    table, model, dead = RowTable(), [], set()  # type: RowTable, list[int], set[int]
    for what, numbers in steps:
        living = [n for n in numbers if n in model and n not in dead]
        if what == "append":
            if set(numbers) & set(model):
                with pytest.raises(InvalidRequest, match="given out before"):
                    table.check(np.array(numbers, np.int64))
            else:
                table.check(np.array(numbers, np.int64))
                table.append(np.array(numbers, np.int64))
                model += numbers
        elif what == "kill" and not moves:
            table.kill(table.rows(np.array(living, np.int64)))
            dead |= set(living)
        elif what == "move" and moves and living:
            row = model.index(living[0])
            table.move_last_to(row)
            last = model.pop()
            if row < len(model):
                model[row] = last
        assert (len(table), table.dead) == (len(model), len(dead))
        asked = np.arange(-1, 62)
        expected = [model.index(n) if n in model and n not in dead else -1 for n in asked.tolist()]
        assert table.rows(asked).tolist() == expected
        assert [int(table.rows(asked[i : i + 1])[0]) for i in range(len(asked))] == expected
    assert table.numbers.tolist() == model
