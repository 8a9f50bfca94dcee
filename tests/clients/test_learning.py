"""`pixelis feedback`, `pixelis experience`, and the clients' own methods, against the real server."""

from __future__ import annotations

import itertools
import json
import time

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from clients import AsyncPixelisClient, PixelisClient
from clients.connection import Protocol
from pixelis.cli import app
from pixelis.errors import InvalidRequest, NotFound
from pixelis.schema import Experience, KnnCommand, KnnResult
from tests.clients.conftest import DEAD

NUMBERS = itertools.count()


def pixelis(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


@pytest.fixture
def asked(client: PixelisClient) -> str:
    """Id of a request that was answered `red`."""
    request_id = f"request-{next(NUMBERS)}"
    made = Experience(
        experience_id="", question="What colour?", answer="red", confidence=0.9, created_at=time.time()
    )  # fmt: skip
    key = np.random.default_rng(next(NUMBERS)).standard_normal(8)
    command = KnnCommand(command="asked", request_id=request_id, experience=made, answer="red", learn=True)
    assert client.knn(command, key / np.linalg.norm(key)).experience_id == request_id
    return request_id


@pytest.mark.triton
def test_feedback(url: str, protocol: Protocol, asked: str) -> None:
    common = ["--url", url, "--protocol", protocol]
    done = pixelis("feedback", asked, "--correct", *common)
    assert done.exit_code == 0, done.output
    assert "What colour?  'red' was right" in done.stdout
    assert f"experience {asked}" in done.stdout
    done = pixelis("feedback", asked, "--answer", "dark blue", "--json", *common)
    judged = KnnResult.model_validate_json(done.stdout).judgement
    assert judged is not None
    assert (judged.correct, judged.right_answer, judged.request_id) == (False, "dark blue", asked)
    done = pixelis("feedback", asked, "--wrong", *common)
    assert "'red' was wrong" in done.stdout
    assert "right:" not in done.stdout


@pytest.mark.triton
def test_a_request_that_is_not_known(url: str, protocol: Protocol) -> None:
    common = ["--url", url, "--protocol", protocol]
    done = pixelis("feedback", "never-asked", "--correct", *common)
    assert done.exit_code == 1
    assert "read_only: false" in done.stderr
    done = pixelis("feedback", "never-asked", "--correct", "--json", *common)
    assert (done.exit_code, json.loads(done.stdout)["code"]) == (1, "not_found")


@pytest.mark.triton
async def test_the_clients_methods(url: str, protocol: Protocol, client: PixelisClient, asked: str) -> None:
    result = client.feedback(asked, answer="blue")
    async with AsyncPixelisClient(url, protocol) as other:
        assert (await other.feedback(asked, answer="blue")).judgement == result.judgement
        with pytest.raises(NotFound):
            await other.feedback("never-asked", correct=False)
    for said in ({}, {"correct": True, "answer": "blue"}):
        with pytest.raises(InvalidRequest, match="one of the two"):
            client.feedback(asked, **said)  # type: ignore[arg-type]


@pytest.mark.triton
def test_experience_stats(url: str, protocol: Protocol, client: PixelisClient) -> None:
    common = ["--url", url, "--protocol", protocol]
    done = pixelis("experience", "stats", "--json", *common)
    assert json.loads(done.stdout) == client.stats().stats
    assert "capacity" in pixelis("experience", "stats", *common).stdout
    verified = json.loads(pixelis("experience", "verify", "--json", *common).stdout)
    assert (verified["experiences"], verified["faults"]) == (client.stats().count, [])


@pytest.mark.parametrize(
    "words", [[], ["r"], ["r", "--correct", "--wrong"], ["r", "--correct", "--answer", "x"], ["r", "--right"]]
)
def test_wrong_usage(words: list[str]) -> None:
    assert pixelis("feedback", *words).exit_code == 2


def test_nobody_there_and_help() -> None:
    for command in (["feedback", "r", "--correct"], ["experience", "stats"]):
        done = pixelis(*command, "--url", DEAD)
        assert done.exit_code == 1
        assert "`pixelis serve`" in done.stderr
    assert "pixelis feedback 3f0c2b --answer" in pixelis("feedback", "--help").stdout
    assert "stats" in pixelis("experience", "--help").stdout
    assert "votes" in pixelis("tune", "--help").stdout
