"""A segmenter that somebody configured: found, tried, published, rolled back, taken away."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from typer.testing import CliRunner

from builder.building.build import build
from builder.building.outcome import BuildReport
from builder.commands.build import app
from builder.lint import lint
from builder.segmenting.attach import attach, detach
from builder.segmenting.find import find
from builder.segmenting.specs import specs_of, with_segmenter
from builder.spec import pipeline
from builder.store import Store
from builder.storing.manifest import Manifest
from builder.storing.prune import prune
from builder.storing.rollback import rollback
from builder.triton_config import parse
from pixelis.errors import BuildError, NotFound
from python_backends.visual_ops.pair import PAIR, is_one
from tests.visual_ops.segmenters import write_decoder, write_encoder, write_segmenter

BOTH = (*PAIR, "visual_ops")


def edited(path: Path, edit: Callable[[onnx.GraphProto], object]) -> None:
    model = onnx.load(str(path))
    edit(model.graph)
    onnx.save(model, str(path))


def low_resolution(graph: onnx.GraphProto) -> None:
    """Masks of the embedding's size, whatever the image's is."""
    resize = next(node for node in graph.node if node.op_type == "Resize")
    resize.CopyFrom(onnx.helper.make_node("Identity", ["unpadded"], list(resize.output)))


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (shutil.rmtree, "There is no folder"),
    "no decoder": (lambda folder: (folder / "decoder.onnx").unlink(), r"no decoder \(encoder.onnx: image float32"),
    "no file": (lambda folder: [path.unlink() for path in folder.iterdir()], r"no encoder \(no ONNX file\)"),
    "two": (
        lambda folder: write_decoder(folder / "decoder-2.onnx"),
        "2 graphs .* decoder: decoder-2.onnx, decoder.onnx",
    ),
    "no ONNX": (
        lambda folder: (folder / "encoder.onnx").write_bytes(b"no graph"),
        "encoder.onnx (cannot be read|is not)",
    ),
    "side": (lambda folder: write_encoder(folder / "encoder.onnx", 512), "encoder.onnx is no encoder that is known"),
    "input": (lambda folder: write_decoder(folder / "decoder.onnx", 3, ("box",)), "it takes box, which nobody gives"),
    "output": (
        lambda folder: edited(folder / "decoder.onnx", lambda graph: graph.output.pop(1)),
        "it lacks iou_predictions",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_no_segmenter_is_refused_with_a_way_to_mend_it(tmp_path: Path, fault: str) -> None:
    folder = tmp_path / "sam"
    folder.mkdir()
    spoil, said = FAULTS[fault]
    spoil(write_segmenter(folder))
    with pytest.raises(BuildError, match=said) as refused:
        find(folder)
    assert refused.value.mend


def sized(*dims: int | str) -> Callable[[onnx.GraphProto], object]:
    """The embedding that a decoder takes, of other sizes."""
    made = onnx.helper.make_tensor_value_info("image_embeddings", onnx.TensorProto.FLOAT, dims)
    return lambda graph: graph.input[0].CopyFrom(made)


def test_the_size_of_an_embedding_is_what_either_graph_says(tmp_path: Path) -> None:
    decoder = write_segmenter(tmp_path) / "decoder.onnx"
    edited(decoder, sized("batch", "channels", "rows", "columns"))
    assert specs_of(find(tmp_path))[1].inputs[0].dims == (3, 256, 256)
    edited(decoder, sized(1, 256, 64, 64))
    with pytest.raises(BuildError, match=r"image_embeddings float32\[1, 3, 256, 256\], the decoder takes .*256, 64"):
        specs_of(find(tmp_path))


def test_a_graph_that_is_refused_and_one_that_does_not_answer_are_published_nowhere(tmp_path: Path) -> None:
    folder, repository = tmp_path / "sam", tmp_path / "repository"
    folder.mkdir()
    place = {"repository": repository, "state": tmp_path / "state"}
    edited(write_segmenter(folder) / "encoder.onnx", lambda graph: setattr(graph.node[0], "op_type", "NoSuchOperator"))
    with pytest.raises(BuildError, match=r"encoder.onnx: ONNX Runtime .* cannot load") as refused:
        attach(folder, **place)
    assert "opset" in (refused.value.mend or "")
    edited(write_segmenter(folder) / "decoder.onnx", low_resolution)
    with pytest.raises(BuildError, match=r"encoder.onnx and decoder.onnx: .* for an image of 640x420"):
        attach(folder, **place)
    assert not [path for path in repository.rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("published")
    (root / "sam").mkdir()
    attached(root)
    return root


@pytest.fixture
def root(published: Path, tmp_path: Path) -> Path:
    shutil.copytree(published, tmp_path, dirs_exist_ok=True)
    return tmp_path


def attached(root: Path, logit: float = 3.0) -> BuildReport:
    return attach(write_segmenter(root / "sam", logit), repository=root / "repository", state=root / "state")


def store(root: Path) -> Store:
    return Store(root / "repository", root / "state")


def found_wrong(root: Path) -> list[str]:
    findings = lint(root / "repository", with_segmenter(pipeline(), store(root)))
    return [f"{one.model}: {one.message}" for one in findings if one.model in BOTH]


def states(report: BuildReport) -> list[str]:
    return [outcome.state for outcome in report.models]


def test_both_are_published_as_the_spec_says_and_a_second_time_nothing_is_done(root: Path) -> None:
    assert found_wrong(root) == []
    calls = parse((root / "repository" / "visual_ops" / "config.pbtxt").read_text()).parameters["calls"].string_value
    assert set(PAIR) < set(calls.split(","))
    again = attached(root)
    assert (states(again), again.worked, store(root).latest(PAIR[0])) == (["up to date"] * 2, False, 2)
    standing = build(PAIR, repository=root / "repository", state=root / "state")
    assert (states(standing), standing.worked) == (["up to date"] * 2, False)


def test_another_one_takes_its_place_and_a_rollback_of_either_takes_both_back(root: Path) -> None:
    assert states(attached(root, logit=2.0)) == ["built"] * 2
    assert [store(root).latest(name) for name in PAIR] == [3, 3]
    older = root / "repository" / PAIR[0] / "2"
    older.rename(root / "aside")
    with pytest.raises(NotFound, match="no whole version that belongs"):
        rollback(PAIR[1], repository=root / "repository", state=root / "state")
    (root / "aside").rename(older)
    done = rollback(PAIR[1], repository=root / "repository", state=root / "state")
    assert [(one.model, one.version, one.again) for one in (done, *done.beside)] == [(PAIR[1], 4, 2), (PAIR[0], 4, 2)]
    assert is_one(root / "repository")
    assert found_wrong(root) == []
    assert states(attached(root, logit=2.0)) == ["from cache"] * 2
    pruned = prune(PAIR, 1, repository=root / "repository", state=root / "state")
    assert pruned.kept == {name: [5] for name in PAIR}


def test_halves_of_two_are_found_by_lint(root: Path) -> None:
    other = store(root).manifest(PAIR[1]).model_copy(update={"source_digest": "another"})
    other.write(root / "repository" / PAIR[1] / "2")
    assert not is_one(root / "repository")
    assert any("other files" in finding for finding in found_wrong(root))


def test_a_damaged_one_is_mended_by_a_build_from_the_cache_or_says_how(root: Path) -> None:
    (root / "repository" / PAIR[0] / "2" / "model.onnx").write_bytes(b"")
    mended = build(PAIR, repository=root / "repository", state=root / "state")
    assert [(one.state, one.version) for one in mended.models] == [("from cache", 3), ("up to date", 2)]
    (root / "repository" / PAIR[0] / "3" / "model.onnx").write_bytes(b"")
    failed = build(PAIR, repository=root / "repository", state=root / "another").models[0]
    assert failed.state == "failed"
    assert "--segmenter DIR" in (failed.reason or "")


def test_it_is_taken_away_whole(root: Path) -> None:
    place = {"repository": root / "repository", "state": root / "state"}
    assert states(detach(**place)) == ["removed"] * 2
    assert not [path for name in PAIR for path in (root / "repository").glob(name)]
    assert "segment" not in (root / "repository" / "visual_ops" / "config.pbtxt").read_text()
    again = detach(**place)
    assert (states(again), again.worked) == (["absent"], False)
    assert states(attached(root)) == ["from cache"] * 2
    assert [store(root).latest(name) for name in PAIR] == [3, 3]  # a number does not come again


def test_a_build_that_ends_between_the_halves_leaves_no_model_that_a_server_would_load(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    detach(repository=root / "repository", state=root / "state")
    publish = Store.publish

    def full(self: Store, model: str, key: str, shimmed: bool = True) -> Manifest:
        if model == PAIR[1]:
            raise OSError(errno.ENOSPC, "No space left on device")
        return publish(self, model, key, shimmed)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "publish", full)
        with pytest.raises(BuildError, match="The disk is full while publishing the segmenter"):
            attached(root)
    assert not [path for name in PAIR for path in (root / "repository" / name).glob("config.pbtxt")]
    assert with_segmenter(pipeline(), store(root)) == pipeline()
    assert states(attached(root)) == ["up to date", "from cache"]
    assert found_wrong(root) == []


def test_the_command_says_what_it_did(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIXELIS_STATE", str(root / "state"))
    place = ["--repository", str(root / "repository")]
    write_segmenter(root / "sam")
    again = CliRunner().invoke(app, ["build", "--segmenter", str(root / "sam"), *place])
    assert again.exit_code == 0, again.output
    assert "Nothing to do: everything is up to date" in again.output
    gone = CliRunner().invoke(app, ["build", "--segmenter", "none", *place, "--json"])
    assert [one["state"] for one in json.loads(gone.stdout)["models"]] == ["removed"] * 2
    wrong = CliRunner().invoke(app, ["build", "dynamics", "--segmenter", str(root / "sam"), *place])
    assert wrong.exit_code == 2


def test_a_full_image_runs_both_without_python(root: Path) -> None:
    report = attach(root / "sam", repository=root / "ngc", state=root / "state", target="ngc")
    assert states(report) == ["from cache"] * 2
    for name in PAIR:
        config = parse((root / "ngc" / name / "config.pbtxt").read_text())
        assert (config.platform, config.max_batch_size) == ("onnxruntime_onnx", 1)
        assert sorted(path.name for path in (root / "ngc" / name / "2").iterdir()) == ["manifest.json", "model.onnx"]
    findings = lint(root / "ngc", with_segmenter(pipeline(), Store(root / "ngc", root / "state")), "ngc")
    assert [one.message for one in findings if one.model in PAIR] == []
