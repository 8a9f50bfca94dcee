"""Every executor on its cache: ragged batches and rows in the middle answer as a sequence alone does."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from pixelis.errors import SetupError
from python_backends.policy.executors import open_decoder
from python_backends.policy.graph import DecoderGraph, Piece
from tests.policy.support import FORMATS, write_artifact

LENGTHS = (11, 70, 8, 130)


@pytest.fixture(scope="module", params=FORMATS)
def artifact(request: pytest.FixtureRequest, random_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_artifact(request.param, tmp_path_factory.mktemp("graph"), random_checkpoint)


@pytest.fixture(scope="module")
def graph(artifact: Path) -> DecoderGraph:
    return open_decoder(artifact, slots=8, max_len=256, threads=1)


def _prompts(graph: DecoderGraph) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(1)
    embeds = [rng.standard_normal((n, graph.config.hidden)).astype(np.float32) for n in LENGTHS]
    return embeds, [np.tile(np.arange(n), (3, 1)) for n in LENGTHS]


def _alone(graph: DecoderGraph, steps: int) -> list[list[np.ndarray]]:
    out = []
    for embeds, positions in zip(*_prompts(graph), strict=True):
        logits = [graph.prefill(0, [embeds], [positions])[0]]
        for step in range(steps):
            at = np.array([len(embeds) + step])
            logits.append(graph.decode(np.array([20 + step]), at, at)[0].copy())
        out.append(logits)
    return out


def test_a_ragged_batch_answers_as_each_row_alone(graph: DecoderGraph) -> None:
    wanted = _alone(graph, steps=70)
    embeds, positions = _prompts(graph)
    got = [graph.prefill(0, embeds, positions)]
    for step in range(70):  # over a step of the mask's width
        at = np.array(LENGTHS) + step
        got.append(graph.decode(np.full(4, 20 + step), at, at).copy())
    for row in range(4):
        np.testing.assert_allclose([step[row] for step in got], wanted[row], atol=2e-5)


def test_rows_join_and_move_without_touching_others(graph: DecoderGraph) -> None:
    wanted = _alone(graph, steps=1)
    embeds, positions = _prompts(graph)
    graph.prefill(0, embeds[:2], positions[:2])
    late = graph.prefill(2, embeds[2:], positions[2:])
    np.testing.assert_allclose(late, [wanted[2][0], wanted[3][0]], atol=2e-5)
    graph.move(3, 0, LENGTHS[3])
    at = np.array([LENGTHS[3], LENGTHS[1], LENGTHS[2]])
    got = graph.decode(np.full(3, 20), at, at)
    np.testing.assert_allclose(got, [wanted[row][1] for row in (3, 1, 2)], atol=2e-5)


def test_what_an_earlier_sequence_left_behind_is_not_seen(graph: DecoderGraph) -> None:
    wanted = _alone(graph, steps=1)
    spoiled = np.full((graph.max_len, graph.config.hidden), np.nan, np.float32)
    spoiled[::2] = 1e3  # a number that is as wrong
    for row in range(graph.slots):
        graph.prefill(row, [spoiled], [np.tile(np.arange(graph.max_len), (3, 1))])
    embeds, positions = _prompts(graph)
    graph.prefill(0, embeds, positions)
    at = np.array(LENGTHS)
    got = graph.decode(np.full(4, 20), at, at)
    np.testing.assert_allclose(got, [row[1] for row in wanted], atol=2e-5)


def test_several_tokens_behind_a_past_answer_as_one_after_the_other(graph: DecoderGraph) -> None:
    wanted = _alone(graph, steps=4)[0]
    (embeds, *_), (positions, *_) = _prompts(graph)
    graph.extend(3, 0, embeds[:5], positions[:, :5])
    first = graph.extend(3, 5, embeds[5:], positions[:, 5:])
    at = LENGTHS[0] + np.arange(4)
    got = graph.extend(3, LENGTHS[0], graph.embeddings[20 + np.arange(4)], np.tile(at, (3, 1)), logits=4)
    np.testing.assert_allclose([first[0], *got], wanted, atol=2e-5)


def test_chunks_beside_a_step_answer_as_each_alone(graph: DecoderGraph) -> None:
    none = np.zeros(0, np.int64)
    if not graph.mixes:
        with pytest.raises(NotImplementedError, match="no pass for both"):
            graph.mixed(none, none, none, 1, [Piece(0, np.zeros((1, 8), np.float32), np.zeros((3, 1), np.int64))])
        return
    wanted = _alone(graph, steps=1)
    embeds, positions = _prompts(graph)

    def piece(prompt: int, past: int, stop: int) -> Piece:
        return Piece(past, embeds[prompt][past:stop], positions[prompt][:, past:stop])

    graph.prefill(0, embeds[:1], positions[:1])
    graph.mixed(none, none, none, 1, [piece(3, 0, 50)])
    at = np.array(LENGTHS[:1])
    pieces = [piece(3, 50, LENGTHS[3]), piece(1, 0, LENGTHS[1]), piece(2, 0, 5)]
    got = graph.mixed(np.full(1, 20), at, at, 1, pieces)
    np.testing.assert_allclose(got[:3], [wanted[0][1], wanted[3][0], wanted[1][0]], atol=2e-5)
    got = graph.mixed(none, none, none, 3, [piece(2, 5, LENGTHS[2])])
    np.testing.assert_allclose(got, [wanted[2][0]], atol=2e-5)
    graph.move(3, 0, LENGTHS[2])
    at = np.array([LENGTHS[2], LENGTHS[3], LENGTHS[1]])
    got = graph.decode(np.full(3, 20), at, at)
    np.testing.assert_allclose(got, [wanted[row][1] for row in (2, 3, 1)], atol=2e-5)


def test_rows_are_exchanged_and_come_back_from_what_was_read(graph: DecoderGraph) -> None:
    wanted = _alone(graph, steps=1)
    embeds, positions = _prompts(graph)
    graph.prefill(0, embeds[:2], positions[:2])
    cells = graph.read(1, 0, LENGTHS[1])
    assert cells.shape == (2 * graph.config.layers, graph.config.kv_heads, LENGTHS[1], graph.config.head_dim)
    assert cells.nbytes == LENGTHS[1] * graph.token_bytes
    graph.swap(0, 1, LENGTHS[1])
    graph.write(2, 0, cells[:, :, :40])
    graph.write(2, 40, cells[:, :, 40:])
    at = np.array([LENGTHS[1], LENGTHS[0], LENGTHS[1]])
    got = graph.decode(np.full(3, 20), at, at)
    np.testing.assert_allclose(got, [wanted[row][1] for row in (1, 0, 1)], atol=2e-5)


def test_what_was_read_is_there_when_it_is_written_elsewhere(graph: DecoderGraph) -> None:
    embeds, positions = _prompts(graph)
    wanted = graph.prefill(0, embeds[1:2], positions[1:2])
    cells = graph.read(0, 0, 69)
    assert cells.shape == (2 * graph.config.layers, graph.config.kv_heads, 69, graph.config.head_dim)
    assert cells[:, :, 0].nbytes == graph.token_bytes
    for at in range(0, 69, 23):  # pieces that begin and end in the middle of a block
        graph.write(5, at, cells[:, :, at : at + 23])
    graph.swap(5, 2, 69)
    np.testing.assert_array_equal(graph.read(2, 40, 69), cells[:, :, 40:])
    got = graph.extend(2, 69, embeds[1][69:], positions[1][:, 69:])
    np.testing.assert_allclose(got, wanted, atol=2e-5)


def test_a_full_row_can_be_used_to_its_last_place(artifact: Path) -> None:
    graph = open_decoder(artifact, slots=1, max_len=100, threads=1)
    embeds = np.zeros((99, graph.config.hidden), np.float32)
    graph.prefill(0, [embeds], [np.tile(np.arange(99), (3, 1))])
    assert np.isfinite(graph.decode(np.array([20]), np.array([99]), np.array([99]))).all()


def test_max_len_stays_within_the_rotary_tables(artifact: Path) -> None:
    assert open_decoder(artifact, slots=1, max_len=10**6, threads=1).max_len == 2048


def test_files_that_do_not_fit_are_found_at_load(artifact: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(artifact, broken)
    np.save(broken / "embed_tokens.npy", np.zeros((3, 3), np.float32))
    with pytest.raises(SetupError, match=r"float32\[3, 3\]"):
        open_decoder(broken, slots=1, max_len=64, threads=1)
    (broken / "embed_tokens.npy").unlink()
    with pytest.raises(SetupError, match=r"has no embed_tokens\.npy"):
        open_decoder(broken, slots=1, max_len=64, threads=1)
