"""However a request is scheduled, it gets the tokens that it gets alone: the likeliest, or those that its seed draws.

On the trained nano in fp32, whatever executes it. Alone means: ONNX Runtime, one slot, prompts read whole, nothing
kept, no drafts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builder.candidate import FormatName
from pixelis.schema import Sampling
from python_backends.policy.request import PolicyRequest
from python_backends.policy.runtime import PolicyRuntime
from python_backends.policy.tokenizer import PolicyTokenizer
from tests.marked import long
from tests.policy.support import FORMATS, GRID, TOKENS, Caller, ask, write_artifact

WORDS = (
    "What colour is the star? ",
    "How many blue shapes does the image show? ",
    "Where is the small red ring? left of the green square ",
    "14 21 70 63 14 21 70 63 14 21 ",
    "Which label does the largest shape carry? Quay ",
)

DRAWN: dict[int, dict[str, Any]] = {
    2: {"temperature": 1.5, "seed": 5},
    5: {"temperature": 1.0, "seed": 6, "top_p": 0.95, "top_k": 50, "repetition_penalty": 1.2, "stop": ["3", '": ']},
    7: {"repetition_penalty": 1.4, "stop": ["never said"]},
}
"""How some of the requests choose their tokens; the others take the likeliest."""


Artifacts = Callable[[FormatName], Path]
SEEDS = [("onnx", 0), ("onnx", 1), ("onnx", 2), *((form, 0) for form in FORMATS[1:])]
"""The scheduler is the same for all: the others show that their executor does what it is told."""

WAYS: dict[str, tuple[dict[str, Any], int | None]] = {
    "batched": ({"prefix_bytes": 0, "speculation": False}, 4096),
    "chunked": ({"prefix_bytes": 0, "speculation": False}, 7),
    "prefixes shared": ({"speculation": False}, 64),
    "prefixes evicted": ({"prefix_bytes": 300_000, "speculation": False}, 16),
    "as it comes": ({}, None),
}
"""How prompts are read: limits of the runtime, tokens at a time."""


def _ways() -> Iterator[Any]:
    for name, (limits, chunk) in WAYS.items():
        for form, seed in SEEDS:
            case = pytest.param if form == "onnx" or name in ("batched", "as it comes") else long
            yield case(limits, chunk, form, seed, id=f"{name}-{form}-{seed}")


@pytest.fixture(scope="module")
def nanos(tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    """By format, written when it is asked for."""
    return cache(lambda form: write_artifact(form, tmp_path_factory.mktemp(f"nano-{form}")))


@pytest.fixture(scope="module")
def nano(nanos: Artifacts) -> Path:
    return nanos("onnx")


@pytest.fixture(scope="module")
def asked(nano: Path) -> list[PolicyRequest]:
    """Prompts of an agent: few images, questions that begin alike, later turns that go on from earlier ones."""
    rng = np.random.default_rng(7)
    tokenizer = PolicyTokenizer(nano)
    with PolicyRuntime(nano) as runtime:
        image, hidden = runtime.config.image_token, runtime.config.hidden
    images = [rng.standard_normal((TOKENS, hidden)).astype(np.float32) for _ in range(3)]
    requests = []
    for i in range(28):
        shown = [images[int(rng.integers(3))] for _ in range(int(rng.integers(1, 3)))]
        ids: list[int] = []
        for _ in shown:
            ids.extend([*tokenizer.encode("<|im_start|>user\n", []), *[image] * TOKENS])
        for _ in range(int(rng.integers(1, 7))):
            ids.extend(tokenizer.encode(WORDS[int(rng.integers(len(WORDS)))], []))
        sampling = Sampling(
            request_id=f"r{i}", max_tokens=int(rng.integers(1, 40)), grammar=bool(i % 2), **DRAWN.get(i % 9, {})
        )
        grids = np.tile(np.int32(GRID), len(shown))
        requests.append(PolicyRequest(np.array(ids), np.concatenate(shown), grids, sampling))
    return requests


@pytest.fixture(scope="module")
def alone(nano: Path, asked: list[PolicyRequest]) -> list[Caller]:
    with PolicyRuntime(nano, slots=1, max_len=1024, prefix_bytes=0, speculation=False) as runtime:
        runtime._scheduler._pacing.chunk = lambda decoding: 4096  # type: ignore[method-assign]
        callers = [ask(runtime, one).wait() for one in asked]
        assert runtime.metrics.prefills == len(asked)
    outputs = {tuple(caller.tokens) for caller in callers}
    assert len(outputs) > len(asked) // 2, "a policy that says the same to everybody shows nothing"
    return callers


def _check(alone: list[Caller], callers: list[Caller]) -> None:
    for one, other in zip(alone, callers, strict=True):
        other.wait()
        assert other.tokens == one.tokens
        assert other.finish == one.finish
        np.testing.assert_allclose(other.logprobs, one.logprobs, atol=2e-4)


def _arriving(runtime: PolicyRuntime, asked: list[PolicyRequest], seed: int) -> Iterator[Caller]:
    rng = np.random.default_rng(seed)
    for one in asked:
        yield ask(runtime, one)
        if rng.random() < 0.5:
            time.sleep(float(rng.exponential(0.004)))


@pytest.mark.parametrize(("limits", "chunk", "form", "seed"), list(_ways()))
def test_arrivals_at_random(
    nanos: Artifacts,
    asked: list[PolicyRequest],
    alone: list[Caller],
    limits: dict[str, Any],
    chunk: int | None,
    form: FormatName,
    seed: int,
) -> None:
    order = np.random.default_rng(seed).permutation(len(asked))
    with PolicyRuntime(nanos(form), **{"slots": 5, "max_len": 1024, **limits}) as runtime:
        if chunk is not None:
            runtime._scheduler._pacing.chunk = lambda decoding: chunk  # type: ignore[method-assign]
        callers = list(_arriving(runtime, [asked[i] for i in order], seed))
        _check([alone[i] for i in order], callers)
        metrics = runtime.metrics
    assert max(metrics.batch_sizes) > 1
    prompts = sum(len(one.prompt_ids) for one in asked)
    if limits.get("prefix_bytes") == 0:
        assert metrics.prefill_tokens == prompts
    else:
        assert metrics.prefix_found > prompts // 20
    assert (metrics.prefix_evicted > 0) == (limits.get("prefix_bytes") == 300_000)


@pytest.mark.parametrize("prefix_bytes", [0, 1 << 26], ids=["each alone", "prefixes shared"])
@pytest.mark.parametrize("seed", [0, 1])
def test_several_prompts_in_the_pass_of_a_step(
    nanos: Artifacts, asked: list[PolicyRequest], alone: list[Caller], prefix_bytes: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(asked))
    passes: list[tuple[int, int]] = []
    with PolicyRuntime(nanos("openvino"), slots=6, max_len=1024, prefix_bytes=prefix_bytes) as runtime:
        runtime._scheduler._pacing.chunk = lambda decoding: int(rng.integers(1, 400))  # type: ignore[method-assign]
        graph = runtime._scheduler._graph
        mixed = graph.mixed

        def counted(tokens: Any, positions: Any, lengths: Any, row: int, pieces: Any) -> Any:
            passes.append((len(tokens), len(pieces)))
            return mixed(tokens, positions, lengths, row, pieces)

        graph.mixed = counted  # type: ignore[method-assign]
        _check([alone[i] for i in order], [ask(runtime, asked[i]) for i in order])
        assert runtime.metrics.prefill_tokens + runtime.metrics.prefix_found == sum(len(o.prompt_ids) for o in asked)
    assert max(pieces for decoding, pieces in passes if decoding) > 1


def test_what_is_read_in_a_pass_is_not_read_beside_it_again(nanos: Artifacts, asked: list[PolicyRequest]) -> None:
    longest = max(asked, key=lambda one: len(one.prompt_ids))
    with PolicyRuntime(nanos("openvino"), slots=6, max_len=1024) as runtime:
        runtime._scheduler._pacing.chunk = lambda decoding: 4096  # type: ignore[method-assign]
        same = [longest.sampling.model_copy(update={"request_id": f"same{i}", "max_tokens": 2}) for i in range(4)]
        for sampling in same:
            ask(runtime, PolicyRequest(longest.prompt_ids, longest.visual, longest.grids, sampling))
        ask(runtime, PolicyRequest(longest.prompt_ids, longest.visual, longest.grids, longest.sampling)).wait()
        assert runtime.metrics.prefill_tokens == len(longest.prompt_ids) + 4


@pytest.mark.parametrize(
    ("prefix_bytes", "form"),
    [
        pytest.param(0, "onnx", id="read again-onnx"),
        *(long(0, form, id=f"read again-{form}") for form in FORMATS[1:]),
        *(pytest.param(1 << 26, form, id=f"copied back-{form}") for form in FORMATS),
    ],
)
def test_preempted(
    nanos: Artifacts, asked: list[PolicyRequest], alone: list[Caller], prefix_bytes: int, form: FormatName
) -> None:
    with PolicyRuntime(nanos(form), slots=2, max_len=1024, prefix_bytes=prefix_bytes) as runtime:
        for _ in range(5):  # on a busy machine ordinary requests may be over before an urgent one comes
            callers: dict[int, Caller] = {}
            for urgent in (False, True):
                for i, one in enumerate(asked):
                    if (i % 3 == 2) == urgent:
                        sampling = one.sampling.model_copy(update={"priority": 9 * urgent})
                        callers[i] = ask(runtime, PolicyRequest(one.prompt_ids, one.visual, one.grids, sampling))
                        time.sleep(0.01 * urgent)
                while not urgent and runtime.metrics.active < 2:
                    time.sleep(0.001)
            _check(alone, [callers[i] for i in range(len(asked))])
            if runtime.metrics.preemptions:
                break
        assert runtime.metrics.preemptions


@pytest.mark.parametrize("form", ["onnx", long("torchscript"), "openvino"])
def test_speculative(nanos: Artifacts, asked: list[PolicyRequest], alone: list[Caller], form: FormatName) -> None:
    with PolicyRuntime(nanos(form), slots=2, max_len=1024) as runtime:
        runtime._scheduler._speculation.checked = _counted(runtime)  # type: ignore[method-assign]
        _check(alone, [ask(runtime, one).wait() for one in asked])
        assert runtime.metrics.drafted > runtime.metrics.accepted > 20


def _counted(runtime: PolicyRuntime) -> Any:
    """Drafts are never switched off, whether they pay or not."""
    speculation = runtime._scheduler._speculation

    def checked(drafted: int, accepted: int, seconds: float) -> None:
        speculation.drafted += drafted
        speculation.accepted += accepted

    return checked
