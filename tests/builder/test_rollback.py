"""A rollback serves an older artifact again, and no later build undoes it unasked."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from builder.building.build import BuildReport, Outcome, build
from builder.storing.chosen import Choice, Chosen
from builder.storing.prune import Pruned, prune
from builder.storing.rollback import Rollback, rollback
from pixelis.errors import BuildError, NotFound
from tests.builder.conftest import Place
from tests.builder.tiny import write_weights


def back(place: Place, to: int | None = None) -> Rollback:
    return rollback("alpha", to, repository=place.store.repository, state=place.store.state, spec=place.known)


def again(place: Place, **options: object) -> Outcome:
    (outcome,) = report(place, **options).models
    return outcome


def report(place: Place, **options: object) -> BuildReport:
    where = {"repository": place.store.repository, "state": place.store.state, "spec": place.known}
    return build(["alpha"], **where, **options)  # type: ignore[arg-type]


def tidy(place: Place, *models: str, **options: object) -> Pruned:
    where = {"repository": place.store.repository, "state": place.store.state, "spec": place.known}
    return prune(models, **where, **options)  # type: ignore[arg-type]


@pytest.fixture
def grown(built: Place) -> Place:
    """alpha in versions 2, 3 and 4, each of other weights."""
    for seed in (7, 8):
        write_weights(built.root / "alpha.npy", seed)
        built.build("alpha")
    assert built.store.versions("alpha") == [1, 2, 3, 4]
    return built


def digest(place: Place, version: int) -> str:
    return place.store.manifest("alpha", version).digest


def test_the_older_artifact_is_published_again_and_held(grown: Place) -> None:
    done = back(grown)
    assert (done.version, done.again, done.left) == (5, 3, 4)
    assert digest(grown, 5) == digest(grown, 3) != digest(grown, 4)
    assert not grown.store.faults("alpha", 5)
    assert grown.store.manifest("alpha", 5).notes["rollback"] == "the artifact of version 3 again"
    assert grown.store.versions("alpha") == [1, 2, 3, 4, 5]
    outcome = again(grown)
    assert outcome.state == "held"
    assert "rolled back from version 4 to the artifact of version 3" in (outcome.reason or "")
    assert "pixelis build --default alpha" in (outcome.reason or "")
    assert not report(grown).worked
    assert grown.store.latest("alpha") == 5


def test_further_back_each_time_and_never_to_what_was_left(grown: Place) -> None:
    back(grown)
    done = back(grown)
    assert (done.version, done.again) == (6, 2)
    with pytest.raises(NotFound, match="no earlier version"):
        back(grown)
    assert back(grown, 4).again == 4, "by name anything goes"
    assert again(grown).state == "held"


def test_a_damaged_version_gives_way_to_the_same_artifact_where_it_is_whole(grown: Place) -> None:
    back(grown)
    (grown.store.folder("alpha", 5) / "model.onnx").write_bytes(b"x")
    done = back(grown)
    assert (done.version, done.again, done.left) == (6, 3, 5)
    assert not grown.store.faults("alpha", 6)


@pytest.mark.parametrize("how", [{"default": True}, {"force": True}])
def test_what_ends_a_hold(grown: Place, how: dict[str, bool]) -> None:
    newest = digest(grown, 4)
    back(grown)
    outcome = again(grown, **how)
    assert (outcome.version, outcome.digest) == (6, newest)
    assert "no longer held" in (outcome.reason or "")
    assert again(grown).state == "up to date"


def test_a_hold_survives_a_changed_source_and_a_damaged_version(grown: Place) -> None:
    back(grown)
    write_weights(grown.root / "alpha.npy", 9)
    assert again(grown).state == "held"
    (grown.store.folder("alpha", 5) / "model.onnx").write_bytes(b"x")
    outcome = again(grown)
    assert (outcome.version, outcome.digest) == (6, digest(grown, 3))
    assert "version 5 is not whole" in (outcome.reason or "")
    shutil.rmtree(grown.store.builds)
    (grown.store.folder("alpha", 6) / "model.onnx").write_bytes(b"x")
    assert again(grown).digest == digest(grown, 3), "version 3 still has it"
    for version in (3, 7):
        shutil.rmtree(grown.store.folder("alpha", version))
    failed = again(grown)
    assert failed.state == "failed"
    assert "no whole copy of that artifact is left" in (failed.reason or "")
    assert again(grown, default=True).state == "built"


def test_a_new_shim_is_published_with_the_held_artifact(grown: Place) -> None:
    back(grown)
    shim = grown.store.shim("alpha")
    shim.write_text(f"# another comment\n{shim.read_text()}")
    outcome = again(grown)
    assert (outcome.version, outcome.digest) == (6, digest(grown, 3))
    assert again(grown).state == "held"


def test_a_changed_or_refused_version_is_not_published_again(grown: Place) -> None:
    (grown.store.folder("alpha", 2) / "model.onnx").write_bytes(b"x")
    with pytest.raises(BuildError, match=r"model\.onnx is not the file that was published.*--to"):
        back(grown, 2)
    manifest = grown.store.manifest("alpha", 3)
    refused = manifest.gate.model_copy(update={"passed": False, "reasons": ["SCORES is off"]})
    manifest.model_copy(update={"gate": refused}).write(grown.store.folder("alpha", 3))
    with pytest.raises(BuildError, match="its gate did not pass: SCORES is off"):
        back(grown, 3)
    with pytest.raises(NotFound, match="no earlier version"):
        back(grown)
    with pytest.raises(BuildError, match="is the newest one"):
        back(grown, 4)
    with pytest.raises(NotFound, match="no version 9"):
        back(grown, 9)
    assert grown.store.latest("alpha") == 4
    assert again(grown).state == "up to date"


def test_a_choice_is_one_repository_s_and_one_that_cannot_be_read_is_an_error(grown: Place) -> None:
    back(grown)
    other = Chosen(grown.root / "elsewhere", grown.store.state)
    assert other.all() == {}
    other.put("alpha", Choice(label="onnx-fp32", why="a test"))
    mine = Chosen(grown.store.repository, grown.store.state)
    assert mine.of("alpha") is not None
    other.drop("alpha")
    assert again(grown).state == "held"
    mine.path.write_text("{")
    failed = again(grown)
    assert failed.state == "failed"
    assert "chosen.json cannot be read" in (failed.reason or "")


def test_prune_keeps_what_serves_and_what_is_held(grown: Place) -> None:
    back(grown)
    before = tidy(grown, keep=1, dry_run=True)
    assert [(one.model, one.version) for one in before.removed] == [("alpha", 2), ("alpha", 4)]
    assert grown.store.versions("alpha") == [1, 2, 3, 4, 5]
    done = tidy(grown, keep=1)
    assert done.removed == before.removed
    assert grown.store.versions("alpha") == [1, 3, 5]
    assert grown.store.versions("beta") == [1, 2]
    assert not grown.store.faults("alpha", 5)
    assert not grown.leftovers()
    with pytest.raises(BuildError, match="at least 1"):
        tidy(grown, keep=0)
    with pytest.raises(NotFound):
        tidy(grown, "gamma")


def test_prune_of_the_cache_keeps_what_a_version_is_made_of(grown: Place) -> None:
    keys = {version: grown.store.manifest("alpha", version).key for version in (2, 3, 4)}
    assert tidy(grown, cache=True).removed == []
    done = tidy(grown, "alpha", keep=1, cache=True)
    assert {one.key for one in done.removed} == {None, keys[2], keys[3]}
    assert grown.store.cached(keys[4]) is not None
    beta = grown.store.manifest("beta").key
    shutil.rmtree(grown.store.folder("beta", 2))
    assert tidy(grown, "alpha", cache=True).removed == []
    assert [one.key for one in tidy(grown, cache=True).removed] == [beta]


def test_unreadable_manifests_stop_nobody(grown: Place) -> None:
    for version in (3, 4):
        (grown.store.folder("alpha", version) / "manifest.json").write_text('{"schema": 0}')
    outcome = again(grown)
    assert (outcome.state, outcome.version) == ("from cache", 5)
    assert "version 4 is not whole" in (outcome.reason or "")
    assert back(grown).again == 2
    assert [one.version for one in tidy(grown, "alpha", keep=1).removed] == [3, 4, 5]


def test_the_weights_are_really_the_old_ones(grown: Place, tmp_path: Path) -> None:
    import numpy as np

    from python_backends.engine import load_engine

    one = {"X": np.eye(6, dtype=np.float32)}
    back(grown, 2)
    with load_engine(grown.store.folder("alpha", 5), 1) as engine:
        answer = engine.run(one)["SCORES"]
    write_weights(tmp_path / "first.npy", 0)
    np.testing.assert_allclose(answer, np.load(tmp_path / "first.npy"), rtol=1e-6)
