"""The operations of a fuzz run."""

from __future__ import annotations

import json
from random import Random

import pytest

from perf.fuzz.operations import operation
from pixelis.schema import OperationName
from tests.operation_arguments import MODELS


@pytest.mark.parametrize("name", OperationName)
def test_every_argument_is_tried(name: OperationName) -> None:
    rng, tried = Random(1), set[str]()
    for _ in range(60):
        try:
            asked = json.loads(operation(rng, name.value, (100, 80)))
            tried |= asked["arguments"].keys()
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue  # one of those that are no JSON, or no operation
    assert tried >= MODELS[name].model_fields.keys()
