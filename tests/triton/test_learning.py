"""What a real server learns: feedback through the command line, over a restart; nothing where it may only read; and no
wrong answer from neighbours that are near. Ports 18240 to 18243.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from builder.nano.pictures import encoded
from builder.nano.questions import Question
from builder.nano.questions import ask as nano_question
from clients import PixelisClient
from clients.gateway import keys as api_keys
from clients.wire import data_url
from perf.adversaries import Adversary, adversaries, keys
from pixelis.cli import app
from pixelis.errors import NotFound
from pixelis.schema import Experience, KnnCommand, PipelineResult
from pixelis.settings import Settings
from python_backends.artifacts import latest
from python_backends.pipeline.local import LocalModels
from server.embedded import EmbeddedTriton
from tests.triton.built import configured, link_repository
from tests.triton.gateways import gateway, posted

pytestmark = [pytest.mark.triton, pytest.mark.timeout(300)]

PORT = 18240
URL = f"127.0.0.1:{PORT + 1}"
WRONG = "none of these"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("learning")
    return configured(PORT, link_repository(folder / "repository"), folder / "state")


@pytest.fixture(scope="module")
def triton(config: Settings) -> Iterator[EmbeddedTriton]:
    with EmbeddedTriton(config=config) as running:
        yield running


@pytest.fixture
def client(triton: EmbeddedTriton) -> Iterator[PixelisClient]:
    with PixelisClient(triton.grpc_url) as made:
        yield made


def question(seed: int) -> Question:
    return nano_question("colour", "held_out", seed)


def ask(client: PixelisClient, asked: Question, **options: Any) -> PipelineResult:
    return client.ask(encoded(asked), asked.text, **options)


def feedback(*words: str) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["feedback", *words, "--json", "--url", URL])
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_fed_back_experience_changes_the_next_answer_and_is_named(client: PixelisClient) -> None:
    asked = question(1)
    first = ask(client, asked, read_only=False)
    assert first.answer == first.provenance.agent_answer != WRONG
    judged = feedback(first.request_id, "--answer", WRONG)["judgement"]
    assert (judged["correct"], judged["right_answer"], judged["answer"]) == (False, WRONG, first.answer)
    for options in ({}, {"read_only": False}, {"strategy": "majority"}, {"k": 1}):
        again = ask(client, asked, **options)
        assert (again.answer, again.provenance.agent_answer) == (WRONG, first.answer)
        assert again.provenance.reason == "confirmed_by_feedback"
        assert again.provenance.decided_by == judged["experience_id"]
        assert again.provenance.decided_by in [n.experience_id for n in again.provenance.neighbours]
        assert again.provenance.learned is None
    assert ask(client, question(2)).provenance.decided_by is None
    other = nano_question("where", "held_out", 1)
    assert ask(client, other).answer != WRONG, "another question about the same picture"


def test_correct_grows_the_success_and_wrong_takes_it_back(client: PixelisClient) -> None:
    asked = question(3)
    first = ask(client, asked, read_only=False)
    experience = feedback(first.request_id, "--correct")["experience_id"]
    again = ask(client, asked)
    assert (again.answer, again.provenance.decided_by) == (first.answer, experience)
    (own,) = [n for n in again.provenance.neighbours if n.experience_id == experience]
    assert (own.success_count, own.confidence, own.confirmed) == (1, 1.0, True)
    feedback(first.request_id, "--wrong")
    last = ask(client, asked)
    assert last.provenance.decided_by is None
    assert last.answer == first.answer, "what is right is not known"


def test_a_request_that_may_only_read_changes_nothing_and_takes_no_feedback(client: PixelisClient) -> None:
    before = client.stats()
    result = ask(client, question(1))
    assert result.provenance.neighbours
    after = client.stats()
    assert (after.stats, after.epoch) == (before.stats, before.epoch)
    with pytest.raises(NotFound, match="read_only: false"):
        client.feedback(result.request_id, correct=True)
    done = CliRunner().invoke(app, ["feedback", result.request_id, "--correct", "--url", URL])
    assert done.exit_code == 1
    assert "read_only: false" in done.stderr


def test_confident_wrong_neighbours_that_are_near_do_not_outvote_the_agent(
    client: PixelisClient, config: Settings, tmp_path: Path
) -> None:
    asked = nano_question("label", "held_out", 5)
    alone = ask(client, asked, k=0)
    near: list[Adversary] = adversaries(asked, strangers=1)
    with LocalModels(config.model_copy(update={"state": tmp_path})) as models:
        made = keys(models, [(one.picture, one.question) for one in near])
    for one, key in zip(near, made, strict=True):
        for _ in range(3):
            said = Experience(
                experience_id="", question=one.question, answer=one.answer, confidence=1.0, reward=5.0,
                created_at=time.time(),
            )  # fmt: skip
            client.knn(KnnCommand(command="insert", experience=said), key)
    result = ask(client, asked, k=len(near))
    assert [n.occurrences for n in result.provenance.neighbours] == [3] * len(near)
    assert result.provenance.neighbours[0].similarity > 0.95
    assert {n.answer for n in result.provenance.neighbours}.isdisjoint({alone.answer})
    assert (result.answer, result.confidence) == (alone.answer, pytest.approx(alone.confidence, abs=1e-6))


def test_a_reward_says_what_each_step_brought_and_is_the_same_from_the_cache(client: PixelisClient) -> None:
    first, again = (ask(client, question(4)) for _ in range(2))
    assert first.reward is not None
    assert first.provenance.reasons == []
    assert len(first.reward.steps) == len(first.trajectory)
    assert [step.curiosity for step in first.reward.steps if step.curiosity is not None] == first.reward.curiosity_steps
    assert first.reward.curiosity_steps
    assert again.reward == first.reward


def test_a_version_that_is_there_and_not_loaded_yet_costs_no_reward(client: PixelisClient, config: Settings) -> None:
    served = latest(config.repository, "dynamics")
    newer = served.with_name(str(int(served.name) + 1))
    before = ask(client, question(7)).reward
    shutil.copytree(served, newer, symlinks=True)
    try:
        result = ask(client, question(7))
    finally:
        shutil.rmtree(newer)
    assert result.provenance.reasons == []
    assert result.reward is not None
    assert before is not None
    assert result.reward.curiosity == pytest.approx(before.curiosity)


def test_experience_stats(client: PixelisClient) -> None:
    done = CliRunner().invoke(app, ["experience", "stats", "--json", "--url", URL])
    assert json.loads(done.stdout) == client.stats().stats
    shown = CliRunner().invoke(app, ["experience", "stats", "--url", URL])
    assert "feedback_requests" in shown.stdout


def test_what_one_key_taught_another_never_sees(triton: EmbeddedTriton, config: Settings, tmp_path: Path) -> None:
    path, taught = tmp_path / "keys.json", question(41)
    secrets = {name: api_keys.add(path, name, None, None) for name in ("alice", "bob")}
    secrets["carol"] = api_keys.add(path, "carol", None, None, tenant="alice")
    said = {"image": data_url(encoded(taught)[0]), "question": taught.text, "request_id": "same-name"}
    with gateway(PORT + 3, triton, config.state, "--keys", str(path)) as url:

        def post(who: str, route: str, **changes: Any) -> tuple[int, Any]:
            return posted(url, route, changes, secrets[who])

        status, first = post("alice", "/infer", **said, read_only=False)
        assert (status, first["answer"]) == (200, first["provenance"]["agent_answer"])
        for who, status in (("bob", 404), ("alice", 200)):
            assert post(who, "/feedback", request_id="same-name", answer=WRONG)[0] == status
        answers = {}
        for who in secrets:
            found = PipelineResult.model_validate(post(who, "/infer", **said)[1])
            answers[who] = found.answer
            whose = {one.tenant for one in found.provenance.neighbours}
            assert whose <= ({""} if who == "bob" else {"", "alice"})
        assert answers == {"alice": WRONG, "carol": WRONG, "bob": first["answer"]}
        assert post("bob", "/infer", **said, tenant="alice")[0] == 400
        content = [{"type": "image_url", "image_url": {"url": said["image"]}}, {"type": "text", "text": taught.text}]
        chat = {"messages": [{"role": "user", "content": content}], "pixelis": {"tenant": "alice"}}
        assert post("bob", "/v1/chat/completions", **chat)[0] == 400
        assert post("bob", "/v1/chat/completions", messages=chat["messages"])[1]["pixelis"]["answer"] != WRONG
    with PixelisClient(triton.grpc_url) as client:
        assert ask(client, taught).answer == first["answer"]
        assert ask(client, taught, tenant="alice").answer == WRONG
        assert client.stats().stats["tenants"] == {"alice": 1}


def test_feedback_works_after_a_restart(triton: EmbeddedTriton, config: Settings) -> None:
    asked = question(6)
    with PixelisClient(triton.grpc_url) as client:
        first = ask(client, asked, read_only=False, request_id="asked-before")
    triton.stop()
    with EmbeddedTriton(config=config) as again, PixelisClient(again.grpc_url) as client:
        judged = client.feedback("asked-before", answer=WRONG).judgement
        assert judged is not None
        assert judged.question == asked.text
        result = ask(client, asked)
        assert (result.answer, result.provenance.agent_answer) == (WRONG, first.answer)
        assert ask(client, question(1)).answer == WRONG, "what was said before the restart holds"
