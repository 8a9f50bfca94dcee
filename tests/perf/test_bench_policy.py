"""`pixelis bench policy`: its parts, one real run of every system over a small checkpoint, and Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any, ClassVar

import psutil
import pytest
from safetensors.numpy import load_file

from perf.formats.checkpoints import NANO, Checkpoint
from perf.policy.agreement import agreement
from perf.policy.bench import BESIDE, RUNTIME, RUNTIME_OPENVINO, SYSTEMS, TORCH, Asked, measure
from perf.policy.drive import drive
from perf.policy.figures import at_least, at_most, quantile, service, spread
from perf.policy.load import Answer, Job, Load, Run
from perf.policy.prompts import Prompts
from perf.policy.roofline import Arithmetic
from perf.policy.scenarios.stalls import _steady_gaps
from perf.policy.scenarios.throughput import LATE, better
from perf.policy.systems.base import BatchSystem, Piece, System
from perf.policy.words import parse_among, parse_levels
from pixelis.errors import InvalidRequest, Unavailable, code_of
from python_backends.policy.checkpoint import CheckpointConfig
from tests.policy.support import write_artifact

ROOT = Path(__file__).resolve().parents[2]


class Counting(System):
    """Says one token of every request at each step, and remembers how many it ever had at once."""

    def __init__(self, most: int = 100, step_s: float = 0.002) -> None:
        self.left: dict[int, int] = {}
        self.order: list[int] = []
        self.at_once = 0
        self._most, self._step_s = most, step_s

    def submit(self, number: int, job: Job) -> None:
        if len(self.left) >= self._most:
            raise Unavailable("Full.", mend="Try again in 0.1 s.")
        self.left[number] = job.tokens
        self.order.append(number)
        self.at_once = max(self.at_once, len(self.left))

    def wait(self, until: float) -> list[Piece]:
        time.sleep(self._step_s if self.left else max(until - time.perf_counter(), 0))
        now, pieces = time.perf_counter(), []
        for number in list(self.left):
            self.left[number] -= 1
            over = self.left[number] == 0
            pieces.append(Piece(number, [self.left[number]], now, finish="length" if over else None))
            if over:
                del self.left[number]
        return pieces


def jobs(count: int, tokens: int = 3, **columns: Any) -> list[Job]:
    return [Job(prompt=[1], tokens=tokens, **columns) for _ in range(count)]


def test_a_closed_loop_keeps_its_places_full_and_no_more() -> None:
    system = Counting()
    run = drive(system, Load(jobs=jobs(10), concurrency=4))
    assert system.at_once == 4
    assert [answer.tokens for answer in run.answers] == [[2, 1, 0]] * 10
    assert all(answer.error is None and answer.times == sorted(answer.times) for answer in run.answers)
    assert 0 < run.cpu_s < run.answers[9].times[-1]
    assert run.tokens_per_cpu_s > run.tokens_per_s
    assert run.answers[9].due > run.answers[0].times[-1] - 1e-3


def test_other_lanes_are_company_and_end_with_lane_0() -> None:
    system = Counting()
    asked = [*jobs(4, tokens=10), *jobs(50, tokens=2, lane=1)]
    run = drive(system, Load(jobs=asked, concurrency=2))
    assert system.at_once == 3
    done = [answer for answer in run.answers[4:] if answer.tokens]
    assert 5 <= len(done) < 50
    assert all(answer.error is None for answer in run.answers[:4])


def test_an_open_loop_does_not_wait_for_answers() -> None:
    system = Counting(step_s=0.01)
    asked = [Job(prompt=[1], tokens=20, at=0.01 * i) for i in range(5)]
    run = drive(system, Load(jobs=asked))
    assert system.at_once == 5
    assert [answer.due for answer in run.answers] == [job.at for job in asked]
    assert run.answers[4].first_s < 0.1


def test_a_conversation_goes_on_from_its_own_answers() -> None:
    class Noting(Counting):
        prompts: ClassVar[dict[int, list[int]]] = {}

        def submit(self, number: int, job: Job) -> None:
            self.prompts[number] = job.prompt
            super().submit(number, job)

    asked = [Job(prompt=[10 + i], tokens=2, after=i - 1 if i % 3 else None) for i in range(9)]
    system = Noting()
    run = drive(system, Load(jobs=asked, concurrency=2))
    assert system.at_once == 2
    assert system.prompts[2] == [10, 1, 0, 11, 1, 0, 12]
    assert all(answer.tokens == [1, 0] for answer in run.answers)
    assert run.answers[6].due >= min(run.answers[2].times[-1], run.answers[5].times[-1])


def test_a_conversation_ends_with_a_turn_that_fails() -> None:
    run = drive(Counting(most=0), Load(jobs=[*jobs(1), *jobs(1, after=0), *jobs(1, after=1)], concurrency=1))
    assert [code_of(answer.error or "") for answer in run.answers] == ["unavailable"] * 3


def test_refusals_and_what_takes_too_long_are_errors_of_their_requests() -> None:
    run = drive(Counting(most=2), Load(jobs=[Job(prompt=[1], tokens=3) for _ in range(4)]))
    assert [code_of(answer.error) if answer.error else None for answer in run.answers] == [None, None] + [
        "unavailable"
    ] * 2
    late = drive(Counting(), Load(jobs=jobs(2, tokens=10_000), concurrency=1, limit_s=0.05))
    assert [code_of(answer.error or "") for answer in late.answers] == ["deadline_exceeded", None]
    assert not late.answered


def test_a_batch_system_takes_what_waits() -> None:
    class Even(BatchSystem):
        sizes: ClassVar[list[int]] = []

        def generate(self, prompts: object, count: int) -> tuple[list[list[int]], list[float]]:
            assert isinstance(prompts, list)
            self.sizes.append(len(prompts))
            return [list(range(count)) for _ in prompts], [time.perf_counter() + i for i in range(count)]

    asked = [Job(prompt=[1], tokens=2 + i % 2) for i in range(6)]
    run = drive(Even(4), Load(jobs=asked, concurrency=5))
    assert Even.sizes == [4, 2]
    assert [answer.tokens for answer in run.answers] == [[0, 1], [0, 1, 2]] * 3


def answered(due: float, *times: float) -> Answer:
    return Answer(due=due, tokens=[7] * len(times), times=list(times))


def test_figures() -> None:
    run = Run(answers=[answered(0, 1, 2, 3), answered(1, 2, 4), Answer(due=0, error="unavailable: Full.")])
    assert run.tokens_per_s == pytest.approx(5 / 4)
    row = service([run])
    assert (row["requests"], row["failed"], row["errors"]) == (3, 1, ["unavailable: Full."])
    assert (row["first_token_p50_ms"], row["between_tokens_p50_ms"], row["latency_p50_ms"]) == (1000, 1000, 3000)
    assert quantile([1, 2, 3], 0.5) == 2
    assert spread("x", [3, 1, 2]) == {"x": 2, "x_rounds": [1, 3]}
    assert spread("x", []) == {"x": None}
    counted = Run(answers=[], before={"steps": 2}, after={"steps": 5})
    assert (counted.counted("steps"), counted.counted("drafted")) == (3, None)


def test_claims_are_on_the_median_and_say_the_spread() -> None:
    rounds = ([9.0, 1.0, 3.0], [2.0], [1.0, 1.0])
    assert [at_least("a", 2, values).met for values in rounds] == [True, True, False]
    assert [at_most("a", 2, values).met for values in rounds] == [False, True, True]
    assert [at_most("a", 2, values).claim for values in rounds[:2]] == ["a (1-9 over rounds)", "a"]


def test_the_better_executor_is_held_against_the_others() -> None:
    slow, fast = (Run(answers=[answered(0, seconds, 2 * seconds)], before={}, after={}) for seconds in (4, 1))
    runs = {("pixelis", 1): [slow, slow], ("pixelis-openvino", 1): [fast], ("openvino-genai", 1): [fast]}
    assert better(runs, 1) == "pixelis-openvino"
    assert better({**runs, ("pixelis", 1): [fast], ("pixelis-openvino", 1): [slow]}, 1) == "pixelis"
    assert better(runs, 16) is None


def test_operations_are_those_of_every_weight_and_of_every_pair_that_attends(random_checkpoint: Path) -> None:
    found, config = Arithmetic.load(random_checkpoint), CheckpointConfig.load(random_checkpoint)
    weights = load_file(random_checkpoint / "model.safetensors")
    layers = [one for name, one in weights.items() if ".layers." in name and "visual" not in name and one.ndim == 2]
    assert found.layers == 2 * sum(one.size for one in layers)
    assert found.head == 2 * config.vocabulary * config.hidden
    alone = found.layers + found.head + found.attended
    assert found.of(jobs(1, tokens=1)) == alone
    assert found.of(jobs(1, tokens=3)) == 3 * alone + 3 * found.attended  # the second looks at two, the third at three
    assert found.of(jobs(5, tokens=3)) == 5 * found.of(jobs(1, tokens=3))


def test_agreement_ends_where_two_part() -> None:
    reference = {(1,): [5, 6, 7], (2,): [5, 6, 8], (3,): [1, 1, 1]}
    found = agreement(reference, {(1,): [5, 6, 7], (2,): [5, 9, 8], (4,): [0, 0, 0]})
    assert (found.requests, found.equal, found.tokens, found.before, found.distinct) == (2, 1, 6, 4, 2)
    assert found.row()["equal_share"] == 0.5
    assert agreement(reference, {}).row()["equal_share"] is None


def test_gaps_count_while_all_steady_streams_run() -> None:
    run = Run(answers=[answered(0, 1, 2, 3, 9), answered(0, 2, 3, 5), answered(0, 4)])
    assert _steady_gaps(run, 2) == [1, 1, 2]


def test_prompts_are_plain_words_and_never_the_same() -> None:
    words, config = Prompts(NANO, 1, 2), CheckpointConfig.load(NANO)
    prompts = words.mixed(32)
    assert len({tuple(prompt) for prompt in prompts}) == 32
    assert not {config.image_token, *config.end_ids} & {token for prompt in prompts for token in prompt}
    assert prompts == Prompts(NANO, 1, 2).mixed(32)
    picture, tokens = words.picture(12)
    assert (picture.grid, len(tokens)) == ((1, 12, 12), 36)
    times = words.arrivals(2000, 10.0)
    assert times == sorted(times)
    assert mean(b - a for a, b in pairwise(times)) == pytest.approx(0.1, rel=0.1)


def test_names() -> None:
    assert parse_among("all", SYSTEMS, "system") == SYSTEMS
    assert parse_among("openvino-genai,pixelis", SYSTEMS, "system") == ("pixelis", "openvino-genai")
    with pytest.raises(InvalidRequest, match="no system 'vllm'"):
        parse_among("vllm", SYSTEMS, "system")
    assert parse_among(f"{TORCH},pixelis", SYSTEMS, "system", BESIDE) == ("pixelis", TORCH)
    assert parse_among("all", SYSTEMS, "system", BESIDE) == SYSTEMS
    assert parse_levels("64,1,16,1") == (1, 16, 64)
    for text in ("0", "many", "1,257"):
        with pytest.raises(InvalidRequest, match="no concurrency"):
            parse_levels(text)


@pytest.mark.long
@pytest.mark.slow
def test_every_system_writes_what_transformers_writes(
    random_checkpoint: Path, policy_artifact: Path, tmp_path: Path
) -> None:
    pytest.importorskip("openvino_genai")
    asked = Asked(
        SYSTEMS, ("fp32",), ("throughput", "turns", "padding", "agents"), 1, 8, 1, True, "pixelis bench policy"
    )
    checkpoint = Checkpoint("random", random_checkpoint, trained=False)
    made = {RUNTIME: policy_artifact, RUNTIME_OPENVINO: write_artifact("openvino", tmp_path / "own", random_checkpoint)}
    measured = measure(asked, [checkpoint], lambda one, system, form: made[system], tmp_path, lambda one, what: None)
    compared = {row["system"]: row for row in measured.rows if row["row"] == "agreement"}
    assert {system.removesuffix(LATE) for system in compared} == set(SYSTEMS) - {"transformers"}
    for row in compared.values():
        # logits of random weights come close together: another order of additions may decide otherwise
        assert row["equal_tokens_share"] > 0.9, row
        assert row["distinct_answers"] > row["compared"] / 2
        assert row["prompt_matters_share"] > 0.5
    served = [row for row in measured.rows if row["row"] == "throughput"]
    assert {(row["system"], row["concurrency"]) for row in served} >= {("pixelis", 16), ("openvino-genai", 16)}
    assert all(row["tokens_per_s"] > 0 and row["failed"] == 0 for row in served)
    assert [row["system"] for row in served if row["system"].endswith(LATE)], "held to the others' latency too"
    most = {row["concurrency"]: row["tokens_per_s_at_most"] for row in measured.rows if row["row"] == "roofline"}
    assert all(row["tokens_per_s"] < most[row["concurrency"]] for row in served)
    assert [row["turn"] for row in measured.rows if row["row"] == "turn"] == [1, 2, 3, 4]
    told = {row["system"]: row for row in measured.rows if row["row"] == "agents"}
    assert told.keys() == {*SYSTEMS, "openvino-genai-prefixes"} - {"openvino-genai"}
    assert all(row["failed"] == 0 for row in told.values())
    assert len(measured.claims) in (10, 11), "one more where it is the later one that is held against the others"


@pytest.mark.long
def test_ctrl_c_ends_the_systems_too(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pixelis", "bench", "policy", "--checkpoint", "nano", "--systems", "transformers"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PIXELIS_STATE": str(tmp_path)}
    bench = subprocess.Popen([*command, "--rounds", "500"], env=env, stderr=subprocess.PIPE, text=True)
    assert bench.stderr is not None
    for line in bench.stderr:
        if "throughput" in line:
            break
    children = psutil.Process(bench.pid).children(recursive=True)
    assert children
    bench.send_signal(signal.SIGINT)
    assert bench.wait(30) == 130
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive


def test_what_there_is_not_is_said() -> None:
    command = [sys.executable, "-m", "pixelis", "bench", "policy", "--scenarios", "magic"]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 1
    assert "There is no scenario 'magic'" in done.stderr
    assert "throughput" in done.stderr
