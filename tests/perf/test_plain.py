"""The plain pipeline: its models answer like the artifacts that are served, and its process behaves."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from builder.nano.pictures import encoded, media
from builder.nano.questions import FAMILIES, Question, ask
from builder.sources.checkpoint import checkpoint_directory
from builder.sources.pictures import line, scene
from builder.sources.vision_encoder import VisionEncoder
from perf.plain.frames import read_frame, write_frame
from perf.plain.models import PlainModels, plainly
from perf.plain.ocr import PlainOcr
from perf.plain.policy import PlainPolicy
from perf.plain.process import PlainProcess
from perf.plain.text import PlainText
from pixelis.errors import InvalidImage, InvalidRequest, LimitExceeded, NotFound, SetupError, Unavailable
from pixelis.schema import Operation, OperationName, Options, PolicyEvent, Sampling
from pixelis.settings import Settings, settings
from python_backends.artifacts import artifact
from python_backends.engine import load_engine
from python_backends.pipeline.agent import Agent
from python_backends.pipeline.local import LocalModels
from python_backends.pipeline.memory import Voice
from python_backends.pipeline.neural import Neural
from python_backends.pipeline.words import TextTokens
from python_backends.policy import conversation
from python_backends.policy.request import PolicyRequest
from python_backends.policy.runtime import PolicyRuntime
from python_backends.policy.tokenizer import PolicyTokenizer
from python_backends.visual_ops.ocr import EngineOcr
from tests.policy.support import ask as ask_policy

FAR = time.time() + 3600
GRID = np.array([1, 12, 12], np.int32)


def built() -> Settings:
    """The settings of the built repository."""
    found = settings()
    try:
        artifact(found.repository.absolute(), "policy")
    except NotFound as error:
        pytest.skip(str(error))
    return found.model_copy(update={"repository": found.repository.absolute()})


def prompt(directory: Path, text: str, images: int) -> np.ndarray:
    voice = Voice.load(directory)
    return PolicyTokenizer(directory).encode(conversation.opening(voice.profile, text, images), [36] * images)


@pytest.fixture(scope="module")
def policy(random_checkpoint: Path) -> PlainPolicy:
    return PlainPolicy(random_checkpoint)


def turn(
    policy: PlainPolicy, directory: Path, views: np.ndarray, sampling: Sampling, stop: bool = False
) -> PolicyEvent:
    ids = prompt(directory, "What colour is the star?", len(views))
    return policy.turn(
        ids, policy.patches(views, FAR).reshape(36 * len(views), -1), np.tile(GRID, len(views)), sampling, lambda: stop
    )


@pytest.mark.parametrize("grammar", [False, True])
@pytest.mark.parametrize("images", [1, 2])
def test_a_turn_equals_the_served_policy(
    policy: PlainPolicy, random_checkpoint: Path, policy_artifact: Path, images: int, grammar: bool
) -> None:
    views = np.stack([scene(168, 168, seed=i) for i in range(images)])
    sampling = Sampling(request_id="1", max_tokens=24, grammar=grammar, stream=False)
    plain = turn(policy, random_checkpoint, views, sampling)
    visual = VisionEncoder(random_checkpoint).reference({"VIEW": views})["TOKENS"]
    ids = prompt(random_checkpoint, "What colour is the star?", images)
    with PolicyRuntime(policy_artifact, slots=2, max_len=512) as runtime:
        flat = visual.reshape(-1, visual.shape[-1]).astype(np.float32)
        served = ask_policy(runtime, PolicyRequest(ids, flat, np.tile(GRID, images), sampling)).wait()
    assert plain.tokens == served.tokens
    assert plain.finish == served.finish
    assert plain.logprobs == pytest.approx(served.logprobs, abs=1e-3)


def test_a_turn_ends_at_its_deadline_or_by_a_cancel(policy: PlainPolicy, random_checkpoint: Path) -> None:
    views = scene(168, 168, seed=1)[None]
    late = Sampling(request_id="1", max_tokens=500, deadline=time.time() - 1)
    assert turn(policy, random_checkpoint, views, late).finish == "deadline"
    assert (
        turn(policy, random_checkpoint, views, Sampling(request_id="2", max_tokens=500), stop=True).finish
        == "cancelled"
    )
    some = turn(policy, random_checkpoint, views, Sampling(request_id="3", max_tokens=3))
    assert (some.finish, len(some.tokens)) == ("length", 3)


def test_what_is_not_served_is_not_plain_either(policy: PlainPolicy, random_checkpoint: Path) -> None:
    views = scene(168, 168, seed=1)[None]
    with pytest.raises(InvalidRequest, match="greedily"):
        turn(policy, random_checkpoint, views, Sampling(request_id="1", temperature=0.5))
    with pytest.raises(InvalidRequest, match="greedily"):
        turn(policy, random_checkpoint, views, Sampling(request_id="1", repetition_penalty=1.1))
    with pytest.raises(LimitExceeded, match="5000 tokens"):
        policy.turn(
            np.ones(5000, np.int64), np.zeros((0, 1), np.float32), GRID[:0], Sampling(request_id="1"), lambda: False
        )


def test_threads_do_not_share_positions(policy: PlainPolicy, random_checkpoint: Path) -> None:
    """`generate` keeps the offset of positions in the model: two threads must not write into the same one."""
    from concurrent.futures import ThreadPoolExecutor

    batches = [np.stack([scene(168, 168, seed=n * 10 + i) for i in range(n)]) for n in (1, 2, 3, 1)]
    sampling = Sampling(request_id="1", max_tokens=24)
    alone = [turn(policy, random_checkpoint, views, sampling).tokens for views in batches]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda views: turn(policy, random_checkpoint, views, sampling).tokens, batches * 3))
    assert together == alone * 3


def test_texts_are_embedded_as_they_are_served() -> None:
    config = built()
    directory = artifact(config.repository, "embed_text")
    engine = load_engine(directory, 1)
    served = Neural(
        lambda _, inputs, out, __: np.asarray(engine.run(inputs)[out], np.float32), TextTokens(directory), 8
    )
    texts = ["Where is the star?", "a much longer text " * 12, "x"]
    np.testing.assert_allclose(PlainText().embed(texts, FAR), served.embed_text(texts, FAR), atol=1e-5)


def test_text_is_read_as_it_is_served() -> None:
    config = built()
    served = EngineOcr(artifact(config.repository, "ocr_detect"), artifact(config.repository, "ocr_recognize"))
    plain = PlainOcr(1)
    assert plain.characters == served.characters
    picture = scene(320, 192, seed=3)
    np.testing.assert_allclose(plain.detect(picture), served.detect(picture), atol=1e-4)
    lines = np.full((2, 48, 320, 3), 200, np.uint8)
    widths = np.zeros(2, np.int32)
    for row, text in enumerate(("harbour 42", "Quay")):
        pixels = line(text, seed=row)[:, :320]
        lines[row, :, : pixels.shape[1]], widths[row] = pixels, pixels.shape[1]
    (plain_index, plain_p), (served_index, served_p) = (ocr.recognize(lines, widths) for ocr in (plain, served))
    np.testing.assert_array_equal(plain_index, served_index)
    np.testing.assert_allclose(plain_p, served_p, atol=1e-3)


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlainProcess]:
    with PlainProcess(built().model_copy(update={"state": tmp_path_factory.mktemp("plain")})) as running:
        running.use(2, 1)
        yield running


def questions(scenes: int) -> list[Question]:
    return [ask(family, "held_out", 910_000 + i) for family in FAMILIES for i in range(scenes)]


def test_answers_equal_those_of_the_artifacts(process: PlainProcess, tmp_path: Path) -> None:
    config = plainly(built()).model_copy(update={"state": tmp_path})
    with LocalModels(config) as models:
        agent = Agent.wire(models, Voice.load(artifact(config.repository, "policy")), config)
        for question in questions(2):
            options = Options.model_validate({"timeout_s": 300, **media(question)})
            images = encoded(question)
            plain = process.ask(images, question.text, options)
            *_, last = agent.run(images, question.text.encode(), options.model_dump_json().encode(), stream=False)
            assert last.result is not None
            assert plain.answer == last.result.answer
            fields = {"type", "operation", "arguments", "text", "error"}
            assert [a.model_dump(include=fields) for a in plain.trajectory] == [
                a.model_dump(include=fields) for a in last.result.trajectory
            ]
            assert plain.confidence == pytest.approx(last.result.confidence, abs=1e-3)
            assert plain.reward is not None
            assert last.result.reward is not None
            assert plain.reward.total == pytest.approx(last.result.reward.total, abs=1e-3)
            assert [n.experience_id for n in plain.provenance.neighbours] == [
                n.experience_id for n in last.result.provenance.neighbours
            ]


def test_operations_find_what_they_find_when_served(tmp_path: Path) -> None:
    where, clip = ask("where", "held_out", 910_003), ask("leaves", "held_out", 910_003)
    images, frames, box = encoded(where), encoded(clip), list(where.things[0].box)
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    cases = [
        (images, Operation(operation=OperationName.SEGMENT_OBJECT_AT, arguments={"point": [x, y]})),
        (images, Operation(operation=OperationName.READ_TEXT, arguments={})),
        (images, Operation(operation=OperationName.GET_PROPERTIES, arguments={"bbox": box})),
        (frames, Operation(operation=OperationName.TRACK_OBJECT, arguments={"init_bbox": list(clip.things[0].box)})),
    ]
    config = plainly(built())
    with (
        LocalModels(config.model_copy(update={"state": tmp_path / "local"})) as served,
        PlainModels(config.model_copy(update={"state": tmp_path / "plain"}), threads=1) as plain,
    ):
        for pictures, operation in cases:
            found = [models.operate(pictures, operation, FAR) for models in (served, plain)]
            assert found[0].error is None
            assert found[0].result
            assert _near(found[1].result, found[0].result), operation


def _near(one: object, other: object) -> bool:
    """Equal, but for the last digits of numbers that a model has measured."""
    if isinstance(one, float) and isinstance(other, float | int):
        return one == pytest.approx(other, rel=1e-2, abs=1e-2)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_near(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_near, one, other))
    return one == other


def test_a_bad_request_is_refused_as_by_a_server_and_leaves_the_others_alone(process: PlainProcess) -> None:
    question = questions(1)[0]
    with pytest.raises(InvalidImage):
        process.ask([b"no picture"], question.text, Options())
    with pytest.raises(InvalidRequest, match="empty"):
        process.ask(encoded(question), " ", Options())
    assert process.ask(encoded(question), question.text, Options()).trajectory


def test_a_process_that_has_ended_says_so(tmp_path: Path) -> None:
    config = built().model_copy(update={"state": tmp_path})
    process = PlainProcess(config)
    with pytest.raises(Unavailable):
        process.ask([b""], "?", Options())
    with process:
        pid = process.pid
    assert not Path(f"/proc/{pid}").exists()
    with pytest.raises(Unavailable):
        process.ask([b""], "?", Options())


def test_what_keeps_it_from_loading_is_said_with_its_mend(tmp_path: Path) -> None:
    config = Settings(state=tmp_path / "state", repository=tmp_path, checkpoint=tmp_path)
    with pytest.raises(SetupError, match="embed_text"), PlainProcess(config):
        pass


def test_frames_cross_a_pipe_whole_or_not_at_all() -> None:
    pipe = io.BytesIO()
    write_frame(pipe, {"id": 1}, [b"a\nb", b"", bytes(range(256))])
    write_frame(pipe, {"id": 2})
    whole = pipe.getvalue()
    read = io.BytesIO(whole)
    assert read_frame(read) == ({"id": 1, "lengths": [3, 0, 256]}, [b"a\nb", b"", bytes(range(256))])
    assert read_frame(read) == ({"id": 2, "lengths": []}, [])
    assert read_frame(read) is None
    for cut in (1, 20, 60, 200):
        assert read_frame(io.BytesIO(whole[:cut])) is None


def test_the_baseline_runs_as_it_says() -> None:
    from builder.sources.checkpoint import load_model

    directory = checkpoint_directory()
    PlainPolicy(directory)
    model = load_model(directory)
    assert (str(model.dtype), model.config._attn_implementation) == ("torch.float32", "sdpa")
    assert PlainText()._bert.config._attn_implementation == "sdpa"
