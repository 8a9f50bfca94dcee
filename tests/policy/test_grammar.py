"""Calls under the grammar always parse; right calls pass it untouched; what it costs nobody else pays."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import TypeAdapter

from pixelis.errors import InvalidRequest, SetupError
from pixelis.schema import OperationName
from python_backends.pipeline.dialect import Answer, Call, operations, parse_turn
from python_backends.pipeline.dialects import default_dialect
from python_backends.pipeline.spaces import Frame
from python_backends.policy import conversation
from python_backends.policy.calls.forms import LARGEST_TARGET, LONGEST_QUERY, Bounds, forms
from python_backends.policy.checkpoint import CheckpointConfig
from python_backends.policy.grammar import CallGrammar, CallGuide
from python_backends.policy.profile import Profile
from python_backends.policy.runtime import PolicyRuntime
from python_backends.policy.tokenizer import PolicyTokenizer
from python_backends.visual_ops import arguments
from tests.policy import vocabularies
from tests.policy.support import ask, request

FRAMES = [Frame(i, (0, 0, 640, 480), (168, 168)) for i in range(99)]
KINDS = ("nano", "byte_level")
LONGEST = 9000


@dataclass
class Voice:
    """A vocabulary with its grammar."""

    config: CheckpointConfig
    tokenizer: PolicyTokenizer
    grammar: CallGrammar

    @classmethod
    def load(cls, directory: Path) -> Voice:
        config = CheckpointConfig.load(directory)
        return cls(config, PolicyTokenizer(directory), CallGrammar(directory, config))

    def ids(self, text: str) -> list[int]:
        return [int(i) for i in self.tokenizer.encode(text)]

    def guide(self, *stops: int, limit: int = LONGEST, images: int = len(FRAMES)) -> CallGuide:
        return self.grammar.guide(self.config.end_ids | set(stops), limit, images)

    def decode(self, logits: Any, first: list[int]) -> list[int]:
        """A turn whose first tokens are `first`, and then the likeliest of `logits(step)` that may come."""
        guide, tokens = self.guide(), []
        for step in range(LONGEST):
            row: NDArray[np.float32] = logits(step)
            if step < len(first):
                row[first[step]] = 1e4
            token, _ = guide.choose(row, int(row.argmax()), -1.0)
            tokens.append(token)
            if token in self.config.end_ids:
                return tokens
        raise AssertionError("the turn has no end")


@pytest.fixture(scope="session", params=KINDS)
def voice(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Voice:
    return Voice.load(getattr(vocabularies, request.param)(tmp_path_factory.mktemp(request.param)))


def pieces(voice: Voice, text: str) -> list[int]:
    """`text` in the smallest tokens that spell it."""
    return [token for character in text for token in voice.ids(character)]


def test_random_logits_always_write_calls_that_parse_and_plan(voice: Voice) -> None:
    names = set()
    for seed in range(300):
        rng = np.random.default_rng(seed)
        scale = (0.5, 3.0, 30.0)[seed % 3]

        def noise(_: int, rng: np.random.Generator = rng, scale: float = scale) -> NDArray[np.float32]:
            return (scale * rng.standard_normal(voice.config.vocabulary)).astype(np.float32)

        opened = (voice.ids("<tool_call>"), pieces(voice, "a<tool_call>"), voice.ids("red <tool_call>\n"))[seed % 3]
        turn = parse_turn(voice.tokenizer.decode(voice.decode(noise, opened)))
        assert isinstance(turn.act, Call), turn
        for operation, _ in operations(turn.act, FRAMES, "view_pixels"):
            assert operation.operation in OperationName
            operation.model_dump_json().encode()
        names.add(turn.act.name)
    assert names == set(default_dialect().tools)


def test_a_policy_that_repeats_itself_gets_to_the_end_of_its_call(voice: Voice) -> None:
    for favourite in range(0, voice.config.vocabulary, 7):
        row = np.zeros(voice.config.vocabulary, np.float32)
        row[favourite] = 9.0
        rng = np.random.default_rng(favourite)
        row += rng.random(len(row)).astype(np.float32)
        turn = parse_turn(voice.tokenizer.decode(voice.decode(lambda _, row=row: row.copy(), voice.ids("<tool_call>"))))
        assert isinstance(turn.act, Call), turn


def test_the_grammars_tools_are_the_dialects() -> None:
    assert {form.name for form in forms(Bounds(168, 168, 1))} == set(default_dialect().tools)


def test_the_grammars_limits_are_those_of_the_operations() -> None:
    query = arguments.LocalizeArguments.model_fields["query"]
    assert f'"maxLength": {LONGEST_QUERY}' in json.dumps(TypeAdapter(query.annotation).json_schema())
    assert LARGEST_TARGET == arguments.MAX_TARGET


RIGHT = [
    ("ZOOM_IN", {"region": [7, 14, 28, 35.5]}),
    ("ZOOM_IN", {"target_size": [336, 336], "zoom_factor": 2, "center": [30, 40]}),
    ("ZOOM_IN", {"region": [0.1, 0.2, 0.5, 0.875], "normalized": True, "target_image": 2}),
    ("SEGMENT_OBJECT_AT", {"point": [12, 160], "threshold": 0.5}),
    ("READ_TEXT", {}),
    ("READ_TEXT", {"return_boxes": False, "region": [0, 0, 100, 100]}),
    ("READ_TEXT", {"return_words": True, "return_boxes": False}),
    ("GET_PROPERTIES", {"bbox": [1, 2, 30, 40]}),
    ("GET_PROPERTIES", {"mask": {"size": [480, 640], "counts": "0PX`d0h1\\o[]^"}}),
    ("TRACK_OBJECT", {"init_bbox": [1, 2, 3, 4], "target_image": 3}),
    ("TEMPORAL_LOCALIZE", {"query": 'the "red" thing, \\ or thé one\n\U0001f600', "threshold": 0.25}),
    ("crop_image", {"bbox_2d": [100, 20, 168, 150.25], "target_image": 1}),
    ("crop_image_normalized", {"bbox_2d": [0.1, 0.2, 1, 0.5]}),
    ("select_frames", {"target_frames": [1, 5, 12]}),
]


@pytest.mark.parametrize(("name", "arguments"), RIGHT)
@pytest.mark.parametrize("compact", [False, True])
def test_right_calls_are_taken_token_by_token(
    voice: Voice, name: str, arguments: dict[str, Any], compact: bool
) -> None:
    call = conversation.tool_call(name, arguments)
    if compact:
        body = json.dumps({"name": name, "arguments": arguments}, separators=(",", ":"))
        call = f"<tool_call>{body}</tool_call>"
    rng = np.random.default_rng(0)
    for tokens in (voice.ids(f"I look.\n{call}<|im_end|>"), [*pieces(voice, call), min(voice.config.end_ids)]):
        guide = voice.guide()
        for token in tokens:
            assert guide.mask()[token]
            row = rng.standard_normal(voice.config.vocabulary).astype(np.float32)
            row[token] = 50.0
            assert guide.choose(row, token, -0.25) == (token, -0.25)
    assert isinstance(parse_turn(call).act, Call)


@pytest.mark.parametrize(
    "wrong",
    [
        '{"name": "PAINT"',
        '{"name": "ZOOM_IN", "arguments": {}',
        '{"name": "ZOOM_IN", "arguments": {"region": [1, 2, 3]',
        '{"name": "ZOOM_IN", "arguments": {"region": [-',
        '{"name": "ZOOM_IN", "arguments": {"region": [01',
        '{"name": "ZOOM_IN", "arguments": {"region": [1e',
        '{"name": "SEGMENT_OBJECT_AT", "arguments": {"point": [1, 2, ',
        '{"name": "READ_TEXT", "arguments": {"region": "',
        '{"name": "READ_TEXT", "arguments": {"colour',
        '{"name": "TRACK_OBJECT", "arguments": {"point',
        '{"name": "TEMPORAL_LOCALIZE", "arguments": {"query": "</',
        '{"name": "TEMPORAL_LOCALIZE", "arguments": {"query": ""',
        '{"name": "TEMPORAL_LOCALIZE", "arguments": {"query": "\\ud83d"',
        '{"name": "ZOOM_IN", "arguments": {"region": [169',
        '{"name": "ZOOM_IN", "arguments": {"region": [168.0, 3, 4, 168.1',
        '{"name": "ZOOM_IN", "arguments": {"center": [168',
        '{"name": "ZOOM_IN", "arguments": {"zoom_factor": 0,',
        '{"name": "ZOOM_IN", "arguments": {"target_size": [4097',
        '{"name": "READ_TEXT", "arguments": {"normalized": true, "region": [2',
        '{"name": "READ_TEXT", "arguments": {"region": [2, 0, 3, 4], "normalized": t',
        '{"name": "READ_TEXT", "arguments": {"target_image": 0',
        '{"name": "READ_TEXT", "arguments": {"target_image": 100',
        '{"name": "READ_TEXT", "arguments": {"return_boxes": true, "return_boxes',
        '{"name": "SEGMENT_OBJECT_AT", "arguments": {"point": [3, 4], "threshold": 1.5',
        '{"name": "TEMPORAL_LOCALIZE", "arguments": {"query": "' + "red " * 50 + "r",
        '{"name": "select_frames", "arguments": {"target_frames": [1, 2, 3, 4, 5, 6, 7, 8, ',
        '{"arguments"',
        "  {",
        "{'name",
        "</tool_call>",
    ],
)
def test_wrong_calls_are_stopped_where_they_go_wrong(voice: Voice, wrong: str) -> None:
    guide = voice.guide()
    row = np.zeros(voice.config.vocabulary, np.float32)
    masked = []
    for token in [*voice.ids("<tool_call>\n"), *pieces(voice, wrong)]:
        likely = row.copy()
        likely[token] = 3.0
        allowed = guide.mask()[token]
        chosen, logprob = guide.choose(likely, token, -0.5)
        masked.append(chosen != token)
        assert masked[-1] == (not allowed)
        if masked[-1]:
            assert logprob == pytest.approx(-3.5)
            break
    assert masked[-1]
    assert not any(masked[:-1])


@pytest.mark.parametrize(
    ("profile", "right", "wrong"),
    [
        ('{"view": [448, 56]}', "[448, 56, 0, 0]", "[0, 57"),
        ('{"coordinates": "relative_1000"}', "[1000, 999.5, 0, 0]", "[1001"),
        ('{"coordinates": "relative_1"}', "[1, 0.5, 1.0, 0]", "[2"),
    ],
)
def test_coordinates_are_those_of_the_checkpoint(tmp_path: Path, profile: str, right: str, wrong: str) -> None:
    directory = vocabularies.nano(tmp_path)
    (directory / "pixelis.json").write_text(profile)
    voice = Voice.load(directory)
    head = '<tool_call>{"name":"ZOOM_IN","arguments":{"region":'
    assert taken(voice, voice.guide(), f"{head}{right}}}}}</tool_call>") is None
    assert taken(voice, voice.guide(), f"{head}{wrong}") == wrong[-1]


def taken(voice: Voice, guide: CallGuide, text: str) -> str | None:
    """The first character that is not; nothing: all are."""
    return next((c for c, token in zip(text, pieces(voice, text), strict=True) if not guide.take(token)), None)


def test_only_images_of_the_conversation_can_be_called_for(tmp_path: Path) -> None:
    voice = Voice.load(vocabularies.nano(tmp_path))
    for images in (1, 3, 9, 12):
        for name, key, before in (("crop_image", "target_image", ""), ("select_frames", "target_frames", "[")):
            head = f'{{"name":"{name}","arguments":{{"{key}":{before}'
            last, beyond = f"{head}{images},", f"{head}{images + 1},"
            assert taken(voice, opened(voice, images=images), last) is None
            assert taken(voice, opened(voice, images=images), beyond) is not None


def opened(voice: Voice, **limits: int) -> CallGuide:
    guide = voice.guide(**limits)
    assert guide.take(voice.ids("<tool_call>")[0])
    assert guide.inside
    return guide


def test_without_images_there_is_nothing_to_call_for(voice: Voice) -> None:
    guide = voice.guide(images=0)
    opening = voice.ids("<tool_call>")[0]
    assert not guide.mask()[opening]
    assert not guide.take(opening)
    assert guide.mask().sum() == voice.config.vocabulary - 1


def test_a_call_is_opened_only_where_it_can_be_closed(tmp_path: Path) -> None:
    voice = Voice.load(vocabularies.nano(tmp_path))
    opening = voice.ids("<tool_call>")[0]
    shortest = ['{"name": "SEGMENT_OBJECT_AT", "arguments": {"point": [', "0", ", ", "0", "]}}", "</tool_call>"]
    for limit in range(1, 7):
        assert not voice.guide(limit=limit).mask()[opening]
        assert not voice.guide(limit=limit).take(opening)
        assert taken(voice, voice.guide(limit=limit), "<tool_call>") == ">"
    assert voice.guide(limit=7).mask()[opening]
    guide = opened(voice, limit=7)
    for text in shortest:
        assert not guide.mask()[voice.ids("{")[0]]
        assert guide.take(voice.ids(text)[0])
    assert not guide.inside
    late = voice.guide(limit=8)
    assert late.take(voice.ids("a")[0])
    assert late.take(voice.ids("a")[0])
    assert not late.mask()[opening]
    assert taken(voice, voice.guide(limit=16), "<tool_call>") == ">"
    assert taken(voice, voice.guide(limit=17), "<tool_call>") is None


def test_a_policy_that_wants_to_run_out_of_tokens_cannot(voice: Voice) -> None:
    """It always takes a token after which the end is as far as it can be."""
    opening = voice.ids("<tool_call>")
    for seed in range(60):
        rng = np.random.default_rng(seed)
        limit = int(rng.integers(30, 90))
        guide, tokens = voice.guide(limit=limit), []
        for token in opening:
            assert guide.take(token)
            tokens.append(token)
        while guide.inside:
            allowed = np.flatnonzero(guide.mask())
            if rng.random() < 0.3:
                token = int(rng.choice(allowed))
            else:
                token = max(allowed.tolist(), key=lambda token: far_after(voice, guide, token))
            assert guide.take(token)
            tokens.append(token)
        assert len(tokens) <= limit
        assert isinstance(parse_turn(voice.tokenizer.decode(tokens)).act, Call)


def far_after(voice: Voice, guide: CallGuide, token: int) -> int:
    distances = voice.grammar._distances
    return distances.tokens(distances.step(guide._place, voice.grammar.vocabulary.tokens[token]))


def test_what_ends_free_text_may_be_a_part_of_a_call(voice: Voice) -> None:
    comma = voice.ids(",")[0]
    guide = opened(voice)
    guide_with = voice.guide(comma)
    assert guide_with.take(voice.ids("<tool_call>")[0])
    assert (guide.mask() == guide_with.mask()).all()
    text = '{"name":"crop_image","arguments":{"target_image":1'
    assert taken(voice, guide_with, text) is None
    assert guide_with.take(comma)
    assert guide_with.inside


def test_free_text_goes_on_after_a_call_that_nothing_ends(voice: Voice) -> None:
    guide = voice.grammar.guide(frozenset(), LONGEST, 1)
    for _ in range(2):
        for token in voice.ids(conversation.tool_call("READ_TEXT", {})):
            assert guide.take(token)
        assert not guide.inside
        assert guide.mask().all()


def test_what_the_nano_is_taught_passes_untouched(tmp_path: Path) -> None:
    from builder.nano.episodes import training_episode
    from builder.nano.tokenizer import save

    vocabularies.nano(tmp_path)
    save(tmp_path)
    voice = Voice.load(tmp_path)
    row = np.zeros(voice.config.vocabulary, np.float32)
    calls = 0
    for seed in range(48):
        episode = training_episode("train", seed, Profile())
        guide = voice.guide()
        for token, learnt in zip(episode.ids, episode.learn, strict=True):
            if not learnt:
                continue
            assert guide.choose(row, token, -0.1) == (token, -0.1)
            calls += token == voice.ids("</tool_call>")[0]
            if token in voice.config.end_ids:
                guide = voice.guide()
    assert calls > 24


def test_after_a_call_the_turn_ends(voice: Voice) -> None:
    end = min(voice.config.end_ids)
    guide = voice.guide(5)
    row = np.zeros(voice.config.vocabulary, np.float32)
    for token in voice.ids(conversation.tool_call("READ_TEXT", {})):
        guide.choose(row, token, 0.0)
        ends = set(np.flatnonzero(guide.mask()).tolist()) >= voice.config.end_ids
        assert ends == (token == voice.ids("</tool_call>")[0])
    assert set(np.flatnonzero(guide.mask()).tolist()) == voice.config.end_ids | {5}
    row[end] = 1.0
    assert guide.choose(row, 40, -2.0) == (end, -1.0)


def test_free_text_is_free(voice: Voice) -> None:
    guide = voice.guide()
    row = np.zeros(voice.config.vocabulary, np.float32)
    for token in range(voice.config.vocabulary):
        if token in voice.ids("<tool_call>"):
            continue
        assert guide.choose(row, token, -1.0) == (token, -1.0)
    for token in pieces(voice, "<tool_cal l> <<tool_<call> 1 < 2 <tool"):
        assert guide.choose(row, token, -1.0) == (token, -1.0)


def test_a_token_that_ends_the_mark_and_begins_something_else_is_held_back(tmp_path: Path) -> None:
    directory = vocabularies.byte_level(tmp_path)
    found = json.loads((directory / "tokenizer.json").read_text())
    config = CheckpointConfig.load(directory)
    free = config.vocabulary - vocabularies.WIDER
    extra = {'>"': free, '>\n{"': free + 1, "x<tool_call>red": free + 2, '<tool_call>{"name': free + 3}
    found["added_tokens"] += [
        {**found["added_tokens"][-1], "id": token, "content": text} for text, token in extra.items()
    ]
    (directory / "tokenizer.json").write_text(json.dumps(found))
    grammar = CallGrammar(directory, config)
    voice = Voice(config, PolicyTokenizer(directory), grammar)
    guide = voice.guide()
    allowed = guide.mask()
    assert [bool(allowed[token]) for token in extra.values()] == [True, True, False, True]
    row = np.zeros(config.vocabulary, np.float32)
    for token in pieces(voice, "<tool_call"):
        guide.choose(row, token, 0.0)
    allowed = guide.mask()
    assert [bool(allowed[token]) for token in extra.values()] == [False, True, False, True]
    row[extra['>"']], row[extra['>\n{"']] = 2.0, 1.0
    assert guide.choose(row, extra['>"'], -1.0) == (extra['>\n{"'], -2.0)
    assert not guide.mask()[voice.ids("x")[0]]


def test_control_tokens_are_no_part_of_the_text(tmp_path: Path) -> None:
    voice = Voice.load(vocabularies.byte_level(tmp_path))
    guide = voice.guide()
    row = np.zeros(voice.config.vocabulary, np.float32)
    start = voice.ids("<|im_start|>")[0]
    for token in [*pieces(voice, "<tool_"), start, *pieces(voice, "call>")]:
        guide.choose(row, token, 0.0)
    assert not guide.mask()[start]
    assert not guide.mask()[voice.ids("x")[0]]


def test_tokenizers_that_cannot_be_spelt_are_refused_with_the_way_out(tmp_path: Path) -> None:
    directory = vocabularies.byte_level(tmp_path)
    config, path = CheckpointConfig.load(directory), directory / "tokenizer.json"
    whole = json.loads(path.read_text())
    path.write_text(json.dumps({**whole, "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True}}))
    with pytest.raises(SetupError, match=r"WordPiece.*\"grammar\": false"):
        CallGrammar(directory, config)
    del whole["model"]["vocab"]["{"]
    path.write_text(json.dumps(whole))
    with pytest.raises(SetupError, match=r"single '\{'"):
        CallGrammar(directory, config)


@pytest.fixture(scope="module")
def runtime(policy_artifact: Path) -> Any:
    with PolicyRuntime(policy_artifact, slots=8, max_len=1024) as made:
        yield made


@pytest.mark.long
def test_a_policy_with_random_weights_writes_calls_that_parse(runtime: PolicyRuntime, policy_artifact: Path) -> None:
    """Through the scheduler, eight at once. The prompts' random tokens make some turns call."""
    tokenizer = PolicyTokenizer(policy_artifact)
    callers = [ask(runtime, request(runtime, seed, max_tokens=300, grammar=True)) for seed in range(80)]
    called = 0
    for caller in callers:
        turn = parse_turn(tokenizer.decode(caller.wait().tokens))
        assert all(math.isfinite(value) and value <= 0 for value in caller.logprobs)
        if isinstance(turn.act, Answer) or caller.finish == "length":
            continue
        assert isinstance(turn.act, Call), turn
        operations(turn.act, FRAMES, "view_pixels")
        called += 1
    assert called >= 5
    assert runtime.metrics.masked_tokens > 0


def test_log_probabilities_are_those_before_the_mask(runtime: PolicyRuntime) -> None:
    """Up to the first replaced token, a turn under the grammar and one without it say the same."""
    before = runtime.metrics.masked_tokens
    seen = 0
    for seed in range(20):
        free = ask(runtime, request(runtime, seed, max_tokens=60)).wait()
        guided = ask(runtime, request(runtime, seed, max_tokens=60, grammar=True)).wait()
        parts = [i for i, (a, b) in enumerate(zip(free.tokens, guided.tokens, strict=False)) if a != b]
        at = parts[0] if parts else min(len(free.tokens), len(guided.tokens))
        assert free.logprobs[:at] == pytest.approx(guided.logprobs[:at], abs=1e-4)
        if parts:
            seen += 1
            assert guided.logprobs[at] < free.logprobs[at]
    assert seen
    assert runtime.metrics.masked_tokens > before


def test_a_checkpoint_that_is_decoded_without_one_says_so(policy_artifact: Path, tmp_path: Path) -> None:
    for path in policy_artifact.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "pixelis.json").unlink()
    (tmp_path / "pixelis.json").write_text('{"grammar": false}')
    with PolicyRuntime(tmp_path, slots=1, max_len=256) as plain:
        with pytest.raises(InvalidRequest, match="without a grammar"):
            ask(plain, request(plain, 1, grammar=True))
        assert ask(plain, request(plain, 1, max_tokens=2)).wait().finish == "length"
