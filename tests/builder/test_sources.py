"""Encoders, OCR graphs and the dynamics network: the artifact answers what the source answers."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from builder.candidate import Candidate
from builder.formats.onnx import OnnxFormat, export_module
from builder.nano import dynamics
from builder.sources.base import Source, Tensors
from builder.sources.dynamics import Dynamics
from builder.sources.embed_image import EmbedImage
from builder.sources.embed_text import EmbedText
from builder.sources.ocr_detect import OcrDetect
from builder.sources.ocr_recognize import HEIGHT, OcrRecognize, batch
from builder.sources.packages import package_file
from builder.spec import pipeline
from pixelis.errors import BuildError
from python_backends.engine import Engine, load_engine
from tests.builder.exported import exported

FORMAT = OnnxFormat()
FP32 = Candidate(format="onnx")
TOLERANCE = {"PROBABILITY": 5e-4, "EMBEDDING": 1e-4, "FEATURES": 1e-5, "MAP": 1e-4, "NEXT_STATE": 1e-6}


def make(source: Source, directory: Path) -> Engine:
    """Exported anew."""
    FORMAT.export(source, directory, FP32)
    FORMAT.optimise(directory, FP32)
    return load_engine(directory, threads=1)


def made(source: Source, directory: Path) -> Engine:
    """Of a source as the pipeline has it: as it was built, where it was."""
    spec = pipeline()[source.name]
    return load_engine(exported(spec.as_candidate(FP32), source, directory), threads=1)


def assert_parity(source: Source, engine: Engine) -> None:
    for inputs in source.samples():
        found, wanted = engine.run(inputs), source.reference(inputs)
        assert found.keys() == wanted.keys()
        for name, value in wanted.items():
            assert found[name].dtype == value.dtype
            if name == "INDEX":
                np.testing.assert_array_equal(found[name], value)
            else:
                np.testing.assert_allclose(found[name], value, atol=TOLERANCE[name])


def rows(inputs: Tensors, row: int) -> Tensors:
    return {name: value[row : row + 1] for name, value in inputs.items()}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dynamics") / "weights.safetensors"
    dynamics.save_weights(dynamics.network().state_dict(), path)
    return path


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> tuple[EmbedText, Engine, Path]:
    directory = tmp_path_factory.mktemp("embed_text")
    source = EmbedText()
    return source, made(source, directory), directory


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> tuple[OcrRecognize, Engine, Path]:
    directory = tmp_path_factory.mktemp("ocr_recognize")
    source = OcrRecognize()
    return source, made(source, directory), directory


@pytest.mark.slow
def test_embed_image_answers_as_pytorch_at_every_batch_size(tmp_path: Path) -> None:
    source = EmbedImage()
    engine = made(source, tmp_path)
    assert_parity(source, engine)
    assert [len(sample["IMAGE"]) for sample in source.samples()][:3] == [1, 3, 8]
    described = FORMAT.describe(tmp_path)
    assert (described.inputs[0].name, described.inputs[0].dtype) == ("IMAGE", "UINT8")
    assert described.inputs[0].dims == (-1, 224, 224, 3)
    assert [(output.name, output.dims) for output in described.outputs] == [
        ("EMBEDDING", (-1, 1280)),
        ("FEATURES", (-1, 14, 14, 384)),
    ]


@pytest.mark.slow
def test_embed_text_answers_as_hugging_face(text: tuple[EmbedText, Engine, Path]) -> None:
    source, engine, directory = text
    assert_parity(source, engine)
    assert (directory / "tokenizer.json").read_bytes() == source.files()[1].read_bytes()


@pytest.mark.slow
def test_padding_changes_no_embedding(text: tuple[EmbedText, Engine, Path]) -> None:
    source, engine, _ = text
    sentences = ("What is written on the red label?", "42")
    short, long = (engine.run(source.tokens(sentences, bucket))["EMBEDDING"] for bucket in (32, 64))
    np.testing.assert_allclose(short, long, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(short, axis=1), 1.0, atol=1e-5)


@pytest.mark.slow
def test_company_in_the_batch_changes_no_embedding(text: tuple[EmbedText, Engine, Path]) -> None:
    source, engine, _ = text
    inputs = source.tokens(("What colour is the star?", "Read the label, please, and say what you see."), 64)
    together, alone = engine.run(inputs)["EMBEDDING"][0], engine.run(rows(inputs, 0))["EMBEDDING"][0]
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.slow
def test_meaning_is_in_the_embedding(text: tuple[EmbedText, Engine, Path]) -> None:
    source, engine, _ = text
    inputs = source.tokens(
        ("What color is the star?", "Which colour does the star have?", "The train leaves at nine."), 32
    )
    a, b, c = engine.run(inputs)["EMBEDDING"]
    assert a @ b > 0.8 > a @ c


def test_ocr_detect_is_the_packages_graph(tmp_path: Path) -> None:
    source = OcrDetect()
    engine = make(source, tmp_path)
    assert_parity(source, engine)
    assert [(tensor.name, tensor.dims) for tensor in FORMAT.describe(tmp_path).outputs] == [("MAP", (-1, -1, -1))]


def test_ocr_recognize_is_the_packages_graph(reader: tuple[OcrRecognize, Engine, Path]) -> None:
    source, engine, directory = reader
    assert_parity(source, engine)
    characters = json.loads((directory / "characters.json").read_text(encoding="utf-8"))
    classes = source.raw(np.zeros((1, 3, HEIGHT, 160), np.float32)).shape[2]
    assert (len(characters), characters[0], characters[-1]) == (classes, "", " ")


def test_what_lies_right_of_a_line_does_not_matter(reader: tuple[OcrRecognize, Engine, Path]) -> None:
    _, engine, _ = reader
    inputs = batch(("Kitchen", "No. 7"), 320)
    clean = engine.run(inputs)
    for row, width in enumerate(inputs["WIDTH"][:, 0]):
        inputs["LINE"][row, :, int(width) :] = np.random.default_rng(row).integers(
            0, 256, (HEIGHT, 320 - int(width), 3)
        )
    np.testing.assert_array_equal(engine.run(inputs)["PROBABILITY"], clean["PROBABILITY"])


def test_dynamics_answers_as_pytorch(weights: Path, tmp_path: Path) -> None:
    source = Dynamics(weights)
    assert_parity(source, make(source, tmp_path))


def test_untrained_dynamics_says_that_nothing_changes(weights: Path) -> None:
    source = Dynamics(weights)
    inputs = source.samples()[1]
    np.testing.assert_array_equal(source.reference(inputs)["NEXT_STATE"], inputs["STATE"])


def test_missing_dynamics_weights_say_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="nano train"):
        Dynamics(tmp_path / "none.safetensors").files()


def transitions(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """States that an action moves by a fixed linear map; three steps an episode."""
    rng = np.random.default_rng(5)
    states = rng.normal(size=(count, dynamics.STATE)) / dynamics.SCALE
    actions = rng.random((count, dynamics.ACTION))
    moved = states + actions @ rng.normal(size=(dynamics.ACTION, dynamics.STATE)) * 0.01
    return states.astype(np.float32), actions.astype(np.float32), moved.astype(np.float32), np.arange(count) // 3


@pytest.mark.slow
def test_trained_dynamics_beats_no_change_on_episodes_it_has_not_seen() -> None:
    states, actions, moved, episodes = transitions(300)
    weights, report = dynamics.train(states, actions, moved, seed=0, episodes=episodes, max_steps=200)
    assert report.beats_no_change
    assert report.held_out_mse < 0.8 * report.no_change_mse
    assert (report.transitions, report.held_out) == (240, 60)
    again, _ = dynamics.train(states, actions, moved, seed=0, episodes=episodes, max_steps=200)
    assert all((weights[name] == again[name]).all() for name in weights)


def test_an_episode_is_never_on_both_sides() -> None:
    episodes = np.repeat(np.arange(50), 4)
    held = dynamics._held_out(episodes, seed=3)
    assert 0 < held.sum() < len(held)
    assert not set(episodes[held]) & set(episodes[~held])


def test_dynamics_file_is_small(weights: Path) -> None:
    assert weights.stat().st_size < 1_000_000


def test_training_on_arrays_that_do_not_fit_is_refused() -> None:
    states, actions, moved, _ = transitions(30)
    with pytest.raises(BuildError, match="shapes"):
        dynamics.train(states, actions[:-1], moved, seed=0)
    with pytest.raises(BuildError, match="too few"):
        dynamics.train(states[:5], actions[:5], moved[:5], seed=0)


def test_an_export_is_the_same_bytes_twice(weights: Path, tmp_path: Path) -> None:
    digests = []
    for name in ("one", "two"):
        FORMAT.export(Dynamics(weights), tmp_path / name, FP32)
        digests.append(hashlib.sha256((tmp_path / name / "model.onnx").read_bytes()).hexdigest())
    assert digests[0] == digests[1]


def test_an_artifact_names_no_path_of_the_machine_that_made_it(weights: Path, tmp_path: Path) -> None:
    FORMAT.export(Dynamics(weights), tmp_path, FP32)
    graph = (tmp_path / "model.onnx").read_bytes()
    assert str(Path(dynamics.__file__).parent).encode() not in graph
    assert b"site-packages" not in graph


def test_a_module_in_training_mode_is_refused(tmp_path: Path) -> None:
    import torch

    module = torch.nn.Linear(2, 2)
    with pytest.raises(BuildError, match="training mode"):
        export_module(module, [torch.zeros(2, 2)], ["X"], ["Y"], {"X": {0: "batch"}}, tmp_path / "model.onnx")


def test_a_missing_package_says_what_to_install() -> None:
    with pytest.raises(BuildError, match="pip install"):
        package_file("no_such_package_here", "weights.bin")
    with pytest.raises(BuildError, match="has no"):
        package_file("rapidocr", "models/none.onnx")


def test_a_digest_depends_on_weights(weights: Path, tmp_path: Path) -> None:
    other = tmp_path / weights.name
    state = dynamics.network().state_dict()
    state["leave.bias"] += 1
    dynamics.save_weights(state, other)
    assert Dynamics(weights).digest() == Dynamics(weights).digest() != Dynamics(other).digest()
