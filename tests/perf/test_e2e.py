"""`pixelis bench e2e`: its parts, and a short run on a real Triton. Ports 18263 to 18268."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from builder.nano.questions import FAMILIES
from perf.e2e import report
from perf.e2e.agreement import accuracy
from perf.e2e.alone import servers
from perf.e2e.cores import bounded
from perf.e2e.counters import Counters
from perf.e2e.load import Answered, Block, closed_loop
from perf.e2e.processes import Usage, spent, usage
from perf.e2e.questions import Asked, Supply, families
from perf.e2e.repeats import repeated
from perf.e2e.run import Found
from perf.e2e.variants import Trial, Variant, choose, variants
from perf.repositories import batching
from pixelis.errors import InvalidRequest, SetupError, Unavailable
from pixelis.schema import Measurement, PipelineResult
from pixelis.settings import Settings
from server import remains

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def asked() -> list[Asked]:
    return Supply(["label", "leaves"])(2)


def result(answer: str, confidence: float = 0.9) -> PipelineResult:
    return PipelineResult.model_validate(
        {
            "request_id": "1",
            "answer": answer,
            "confidence": confidence,
            "trajectory": [{"type": "ANSWER", "text": answer}],
            "reward": None,
            "versions": {},
            "provenance": {"agent_answer": answer, "agent_confidence": confidence, "strategy": "weighted"},
            "timings_ms": {"prepare": 1.0, "recall": 2.0, "reason": 5.0, "finish": 1.0, "total": 9.0},
        }
    )


def block(asked: list[Asked], seconds: float, answer: str | None = None) -> Block:
    """Every question asked one after the other, each taking `seconds`."""
    return Block(
        tuple(
            Answered(one, i * seconds, (i + 1) * seconds, result(answer or one.question.answer))
            for i, one in enumerate(asked)
        )
    )


def found(asked: list[Asked], plain_s: float, served_s: float, plain_mib: int, served_mib: int) -> Found:
    variant = Variant(1, 1)
    trials = [Trial(variant, block(asked, plain_s), block(asked, plain_s))]
    made = Found(variant, variant, trials)
    made.blocks = {
        (side, level): [block(asked, seconds), block(asked, 2 * seconds)]
        for level in (1, 4)
        for side, seconds in (("plain", plain_s), ("served", served_s))
    }
    for level in (1, 4):
        for side, names, mib in (("plain", ["python"], plain_mib), ("served", ["knn", "tritonserver"], served_mib)):
            made.usage[side, level] = [
                (
                    [Usage(pid, name, 1.0, 0, 0) for pid, name in enumerate(names)],
                    [Usage(pid, name, 3.0, (mib << 20) // len(names), 0) for pid, name in enumerate(names)],
                )
            ]
    return made


def test_ratios_are_of_the_same_round_and_claims_are_judged_by_them(asked: list[Asked]) -> None:
    good, bad = found(asked, 4.0, 1.0, 1000, 600), found(asked, 1.0, 0.9, 1000, 2000)
    ratio = report.ratios(good, 1)
    assert (ratio["latency_ratio"], ratio["throughput_ratio"]) == (0.25, 4.0)
    assert ratio["latency_ratio_rounds"] == [0.25, 0.25]
    assert [claim.met for claim in report.claims(good, [1, 4])] == [True, False, True, True]
    assert [claim.measured for claim in report.claims(good, [1, 4])] == [0.75, 4.0, 0.4, 0.0]
    assert [claim.met for claim in report.claims(bad, [1, 4])] == [False, False, False, True]
    assert report.claims(bad, [1, 4])[2].measured == -1.0
    wrong = Answered(asked[0], 0.0, 1.0, result("something else", 0.4))
    good.blocks["served", 4][1] = Block((wrong, *block(asked[1:], 1.0).answered))
    lost = report.claims(good, [1, 4])[-1]
    assert (lost.measured, lost.unit, lost.met) == (25.0, "points", False)


def test_memory_of_models_is_of_those_that_are_known() -> None:
    known = {"row": "form", "model": "policy", "form": "onnx-int8", "alone_mib": 50.0, "original_alone_mib": 100.0}
    (claim,) = report.model_memory([known, {"row": "form", "model": "knn", "form": "files"}])
    assert (claim.measured, claim.met) == (0.5, True)
    assert "memory of policy under" in claim.claim
    assert report.model_memory([]) == []


def test_a_workload_in_which_questions_come_again() -> None:
    asked = repeated(Supply(["colour", "leaves"], 5), 40, seed=3)
    seen: set[int] = set()
    again = [id(one) in seen or seen.add(id(one)) is not None for one in asked]
    assert sum(again) == 32
    assert not again[0]
    assert all(one.options.use_cache for one in asked)
    assert [id(one) for one in asked] != [id(one) for one in repeated(Supply(["colour", "leaves"], 5), 40, seed=4)]


def test_a_server_without_any_and_with_each_alone() -> None:
    made = {server.name: server for server in servers(forms=False)}
    assert (made["all"].changes, made["all"].most, made["all"].wait_ms) == ({}, None, None)
    assert set(made["none"].changes) == {"cache", "decoding", "operations", "retrieval"}
    assert made["none"].changes["decoding"] == {"slots": 1, "prefix_bytes": 0, "speculation": False}
    assert ("cache" in made["caches"].changes, made["caches"].most) == (False, 1)
    assert ("slots" in made["batching"].changes["decoding"], made["batching"].most) == (False, None)
    assert made["batching, waiting 5 ms"].wait_ms == 5
    assert [server.name for server in servers(forms=True) if server.forms] == ["forms", "all"]
    assert all(Settings(**server.changes) for server in made.values())


def test_a_repository_with_other_batching(tmp_path: Path) -> None:
    here = ROOT / "model_repository"
    found = batching(here, tmp_path / "other", most=1, wait_ms=5)
    before, after = ((at / "knn" / "config.pbtxt").read_text() for at in (here, found))
    assert after == before.replace("max_batch_size: 64", "max_batch_size: 1").replace(
        "microseconds: 0", "microseconds: 5000"
    )
    agent = [(at / "agent" / "config.pbtxt").read_text() for at in (here, found)]
    assert agent[0] == agent[1]  # decoupled, and never batched
    assert (found / "agent" / "1" / "model.py").resolve() == here / "agent" / "1" / "model.py"


def test_rows_hold_every_kind(asked: list[Asked]) -> None:
    rows = report.rows(found(asked, 4.0, 1.0, 1000, 600), [1, 4])
    kinds = {row["row"] for row in rows}
    assert kinds == {"load", "ratio", "memory", "accuracy", "stage", "process", "plain variant"}
    load = next(row for row in rows if row["row"] == "load" and row["side"] == "plain")
    assert (load["p50_ms"], load["p95_ms"], load["requests"]) == (6000.0, 8000.0, 2 * len(asked))
    assert load["p50_ms_rounds"] == [4000.0, 8000.0]
    assert load["cpu_ms_per_request"] == round(2000 / load["requests"], 1)
    process = next(row for row in rows if row["row"] == "process" and row["process"] == "knn")
    assert (process["cpu_ms_per_request"], process["pss_mib"]) == (2000 / load["requests"], 300.0)
    stage = next(row for row in rows if row["row"] == "stage" and row["stage"] == "outside")
    assert stage["plain_ms"] == pytest.approx(6000 - 7)  # recall runs beside reason


def test_other_answers_on_one_side_and_failures_are_seen(asked: list[Asked]) -> None:
    made = found(asked, 4.0, 1.0, 1000, 600)
    first = asked[0]
    wrong = Answered(first, 0.0, 1.0, result("something else", 0.4))
    failed = Answered(first, 0.0, 1.0, None, "unavailable: gone")
    for odd in (wrong, failed):
        made.blocks["served", 4][1] = Block((odd, *block(asked[1:], 1.0).answered))
        label, leaves = accuracy(made)
        assert (label["plain"], label["served"], label["same_answers"]) == (1.0, 0.5, 0.5)
        assert (leaves["plain"], leaves["served"], leaves["same_answers"]) == (1.0, 1.0, 1.0)
        assert label["same_trajectories"] == 0.5
        assert label["confidence_apart"] == (0.5 if odd is wrong else 0.0)
    assert report.rows(made, [4])[1]["failed"] == 1
    assert report.rows(made, [4])[1]["errors"] == ["unavailable: gone"]


def test_questions_never_come_twice() -> None:
    supply = Supply(["label", "leaves"])
    first, second = supply(2), supply(1)
    assert [one.question.family for one in first] == ["label", "leaves", "label", "leaves"]
    assert len({one.images[0] for one in (*first, *second)}) == 6
    clip = first[1]
    assert len(clip.images) > 8
    assert clip.options.media == "video"
    assert not clip.options.use_cache


def test_the_loop_is_closed_and_keeps_failures(asked: list[Asked]) -> None:
    lock, now, most = threading.Lock(), 0, 0

    def ask(one: Asked) -> PipelineResult:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        with lock:
            now -= 1
        if one is asked[0]:
            raise Unavailable("Gone.")
        return result(one.question.answer)

    done = closed_loop(ask, asked * 3, 3)
    assert most == 3
    assert [one.asked for one in done.answered] == asked * 3
    assert len(done.latencies) == len(asked * 3) - 3
    assert {one.error for one in done.answered} == {None, "unavailable: Gone."}


def test_a_fault_of_the_benchmark_itself_is_not_a_failed_request(asked: list[Asked]) -> None:
    def ask(one: Asked) -> PipelineResult:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        closed_loop(ask, asked, 2)


def test_families_that_are_none() -> None:
    assert families("label, count") == ["label", "count"]
    for text in ("labels", "", "label,,x"):
        with pytest.raises(InvalidRequest, match="label, colour"):
            families(text)


def test_cores_are_bounded_and_given_back() -> None:
    before = os.sched_getaffinity(0)
    with bounded(1) as threads:
        assert (threads, len(os.sched_getaffinity(0))) == (1, 1)
        code = [sys.executable, "-c", "import os; print(len(os.sched_getaffinity(0)))"]
        child = subprocess.run(code, capture_output=True, check=True)
        assert child.stdout.strip() == b"1"
    assert os.sched_getaffinity(0) == before
    with pytest.raises(InvalidRequest, match="cores"), bounded(10_000):
        pass
    with bounded(None) as threads:
        assert threads == len(before)


def test_what_a_process_uses_and_what_none_does() -> None:
    ballast = np.ones(64 << 20, np.uint8)
    before = usage([os.getpid(), 2**22 + 1])  # the second is no process
    (one,) = before
    assert one.pss_bytes >= one.private_bytes >= ballast.nbytes
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass
    (name, seconds), *_ = spent(before, usage([os.getpid()])).items()
    assert name == one.name
    assert 0.15 < seconds < 30  # ticks of a hundredth
    with pytest.raises(SetupError):
        usage([2**22 + 1])


def test_counters_are_differences_by_model() -> None:
    def samples(requests: int, queue_us: int) -> dict[str, float]:
        return {
            'nv_inference_request_success{model="knn",version="6"}': requests,
            'nv_inference_count{model="knn",version="6"}': 4 * requests,
            'nv_inference_exec_count{model="knn",version="6"}': 2 * requests,
            'nv_inference_queue_duration_us{model="knn",version="6"}': queue_us,
            'nv_inference_request_success{model="idle",version="1"}': 7,
            "nv_cpu_utilization": 0.5,
        }

    counters = Counters()
    counters.add(samples(10, 1000), samples(12, 5000))
    counters.add(samples(20, 0), samples(22, 4000))
    (row,) = counters.rows()
    assert (row["model"], row["requests"], row["mean_batch"], row["queue_ms"]) == ("knn", 4, 2.0, 2.0)


def test_the_baseline_is_the_fastest_variant(asked: list[Asked]) -> None:
    assert variants(1) == [Variant(1, 1)]
    assert variants(2) == [Variant(1, 2), Variant(1, 1), Variant(2, 1)]
    quick, broad = Variant(1, 2), Variant(2, 1)
    trials = [Trial(quick, block(asked, 1.0), block(asked, 2.0)), Trial(broad, block(asked, 3.0), block(asked, 1.5))]
    assert choose(trials) == (quick, broad)


# -- the whole, on a real Triton ----------------------------------------------------------------------------------


def environment(state: Path, port: int) -> dict[str, str]:
    ports = {f"PIXELIS_SERVER__{name}_PORT": str(port + i) for i, name in enumerate(("HTTP", "GRPC", "METRICS"))}
    return {**os.environ, **ports, "PIXELIS_STATE": str(state), "PYTHONPATH": str(ROOT)}


def left(port: int) -> list[str]:
    """Servers on a port that still have a process or a region."""
    prefix = f"{remains.PREFIX}{port}-"
    names = [*remains.marked(), *(path.name for path in remains.SHM.glob(f"{prefix}*"))]
    return [name for name in names if name.startswith(prefix)]


def plain_processes(state: Path) -> list[int]:
    needle = f"PIXELIS_STATE={state}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (
                b"perf.plain.worker" in (folder / "cmdline").read_bytes()
                and needle in (folder / "environ").read_bytes()
            ):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def run(command: list[str], state: Path, port: int) -> subprocess.CompletedProcess[str]:
    variables = environment(state, port)
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)


COMMAND = [sys.executable, "-m", "pixelis", "bench", "e2e", "--rounds", "1", "--families", "label,colour", "--json"]


@pytest.mark.long
@pytest.mark.triton
def test_both_sides_answer_alike_and_the_report_says_all(tmp_path: Path) -> None:
    command = [*COMMAND, "--scenes", "2", "--concurrency", "2,1", "--threads", "1"]
    done = run(command, tmp_path, 18263)
    assert done.returncode == 0, done.stdout + done.stderr
    measured = Measurement.model_validate_json(done.stdout)
    assert (measured.name, measured.machine["threads"]) == ("bench e2e", 1)
    by_kind = {kind: [row for row in measured.rows if row["row"] == kind] for kind in {r["row"] for r in measured.rows}}
    kinds = {"load", "ratio", "repeated", "memory", "accuracy", "stage", "process", "model", "plain variant"}
    assert {*by_kind} == kinds | {"form"}
    assert all(0.6 <= row["from_cache"] <= 0.8 for row in by_kind["repeated"] if row["side"] == "served")
    assert [(row["concurrency"], row["side"], row["failed"]) for row in by_kind["load"]] == [
        (1, "plain", 0), (1, "served", 0), (2, "plain", 0), (2, "served", 0),
    ]  # fmt: skip
    assert [row["requests"] for row in by_kind["load"]] == [4, 4, 8, 8]
    for row in by_kind["accuracy"]:
        assert (row["same_answers"], row["same_trajectories"], row["scenes"]) == (1.0, 1.0, 6)
        assert row["confidence_apart"] <= 1e-3
    assert {row["side"]: row["processes"] > 1 for row in by_kind["memory"]} == {"plain": False, "served": True}
    models = {*(path.name for path in (ROOT / "model_repository").iterdir()), "tritonserver"} - {"pixelis"}
    assert {row["process"] for row in by_kind["process"]} == models
    assert all(row["cpu_ms_per_request"] > 0 for row in by_kind["load"])
    asked = {row["model"]: row["requests"] for row in by_kind["model"] if row["concurrency"] == 1}
    assert asked["pixelis"] == 4
    assert {"reason.policy", "outside"} <= {row["stage"] for row in by_kind["stage"]}
    assert all(row["asked_before"] == 0.8 for row in by_kind["repeated"])
    assert len(measured.claims) == 6
    for claim in measured.claims:
        assert claim.met == (
            claim.measured <= claim.target if claim.unit == "points" else claim.measured >= claim.target
        )
    assert (left(18263), plain_processes(tmp_path / "bench" / "plain")) == ([], [])


@pytest.mark.triton
@pytest.mark.long
def test_ctrl_c_ends_both_sides(tmp_path: Path) -> None:
    command = [*COMMAND, "--scenes", "8", "--concurrency", "1"]
    bench = subprocess.Popen(command, cwd=ROOT, env=environment(tmp_path, 18266), stdout=subprocess.PIPE)
    state = tmp_path / "bench" / "plain"
    end = time.monotonic() + 120
    while not plain_processes(state) and bench.poll() is None and time.monotonic() < end:
        time.sleep(0.1)
    assert plain_processes(state)
    assert left(18266)
    bench.send_signal(signal.SIGINT)
    bench.communicate(timeout=60)
    assert bench.returncode == 130
    assert (left(18266), plain_processes(state)) == ([], [])


def test_wrong_usage_is_said_before_anything_starts(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pixelis", "bench", "e2e", "--json", "--families", "colours"]
    done = run(command, tmp_path, 18263)
    assert done.returncode == 1
    assert ", ".join(FAMILIES) in json.loads(done.stdout)["mend"]
    assert not (tmp_path / "bench" / "logs").exists()


def test_a_goal_of_nothing_is_refused() -> None:
    command = [sys.executable, "-m", "pixelis", "bench", "e2e", "--goal", "memory"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "Give --best too" in done.stderr
