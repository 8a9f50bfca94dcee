"""Rows of requests, and the contract that answers are held to."""

from __future__ import annotations

import numpy as np
import pytest

from pixelis.errors import InvalidRequest, ServingError
from pixelis.schema import Operation
from python_backends.rows import Contract, Row, Tensors, split, text

CONFIG = {
    "name": "m",
    "max_batch_size": 8,
    "output": [
        {"name": "RESULT", "data_type": "TYPE_STRING", "dims": ["1"]},
        {"name": "SCORES", "data_type": "TYPE_FP32", "dims": ["-1"]},
    ],
}


def scores(*values: float) -> Tensors:
    return {"RESULT": text("{}"), "SCORES": np.array(values, np.float32)}


def test_a_request_is_split_along_its_batch_axis() -> None:
    tensors = {"A": np.arange(6).reshape(2, 3), "B": np.array([[b"x"], [b"y"]], object)}
    rows = split(tensors, True, "id")
    assert [row.array("A").tolist() for row in rows] == [[0, 1, 2], [3, 4, 5]]
    assert [row.string("B") for row in rows] == [b"x", b"y"]
    assert rows[0].request_id == "id"
    assert split(tensors, False)[0].array("A").shape == (2, 3)
    with pytest.raises(InvalidRequest, match="batch sizes"):
        split({"A": np.zeros((2, 1)), "B": np.zeros((3, 1))}, True)


def test_what_a_row_lacks() -> None:
    row = Row({"A": text("x", "y"), "O": text('{"operation": "FLY"}')})
    assert "A" in row
    assert "B" not in row
    with pytest.raises(InvalidRequest, match="Input B is missing"):
        row.array("B")
    with pytest.raises(InvalidRequest, match="2 elements"):
        row.string("A")
    with pytest.raises(InvalidRequest, match="O is wrong at `operation`"):
        row.parsed("O", Operation)


def test_answers_that_fit_are_stacked() -> None:
    stacked = Contract(CONFIG).stack([scores(1, 2), scores(3, 4)])
    assert stacked["SCORES"].tolist() == [[1, 2], [3, 4]]
    assert stacked["RESULT"].shape == (2, 1)
    assert Contract(CONFIG).stack([scores()])["SCORES"].shape == (1, 0)
    assert Contract({**CONFIG, "max_batch_size": 0}).stack([scores(1)])["SCORES"].shape == (1,)


@pytest.mark.parametrize(
    "wrong",
    [
        {"RESULT": text("{}")},
        {**scores(1), "MORE": text("x")},
        {"RESULT": text("{}"), "SCORES": np.array([1.0])},
        {"RESULT": text("{}"), "SCORES": np.zeros((1, 1), np.float32)},
        {"RESULT": text("a", "b"), "SCORES": np.zeros(1, np.float32)},
    ],
)
def test_answers_that_do_not_fit_are_an_error(wrong: Tensors) -> None:
    with pytest.raises(ServingError, match=r"contract|Output"):
        Contract(CONFIG).stack([wrong])


def test_rows_of_different_shapes_cannot_be_one_answer() -> None:
    with pytest.raises(ServingError, match="one row a request"):
        Contract(CONFIG).stack([scores(1), scores(1, 2)])
