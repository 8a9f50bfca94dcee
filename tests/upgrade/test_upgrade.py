"""What older commits wrote (see README.md beside): it is opened, and nothing is lost; what is newer is refused."""

from __future__ import annotations

import datetime
import json
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from builder.storing.chosen import Chosen
from builder.storing.manifest import Manifest
from builder.storing.rollback import rollback
from clients.gateway import keys as api_keys
from clients.gateway.keys import Keys
from clients.gateway.quotas import Quotas
from pixelis import published
from pixelis.errors import BuildError, IntegrityError, SetupError
from pixelis.renamed import RENAMED
from pixelis.settings import TUNED, Retrieval, Settings, settings
from python_backends.experience import ExperienceStore
from python_backends.experience.database import SCHEMA
from python_backends.experience.database.schema import version
from server.repository import scan
from server.verifying import verify_all
from tests.builder.conftest import Place, make_place
from tests.experience.conftest import WIDTH, experience, key

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FIXTURES = Path(__file__).parent / "fixtures"


def of(kind: str) -> list[str]:
    found = sorted(path.name for path in FIXTURES.glob(f"{kind}-*"))
    assert found
    return found


def brought(name: str, to: Path) -> dict[str, Any]:
    """A copy of a fixture at `to`, and what its code said of it."""
    shutil.copytree(FIXTURES / name, to, dirs_exist_ok=True)
    expected: dict[str, Any] = json.loads((to / "expected.json").read_text(encoding="utf-8"))
    assert name.endswith(expected["commit"])
    return expected


# Experiences


def opened(folder: Path) -> ExperienceStore:
    return ExperienceStore(folder / "experiences", Retrieval(cold_start_threshold=0), width=WIDTH)


@pytest.mark.parametrize("name", [*of("generations"), *of("store")])
def test_experiences_are_all_there(name: str, tmp_path: Path) -> None:
    expected = brought(name, tmp_path)
    for _ in range(2):  # as it was brought, and after today's code has written it
        store = opened(tmp_path)
        assert (len(store), store.stats()["faults"]) == (expected["count"], [])
        assert version(store._ledger.database.connection) == SCHEMA
        for identity, before in expected["experiences"].items():
            now = json.loads(store.get(identity).model_dump_json())
            assert {field: now[field] for field in before} == before
            assert now["tenant"] == ""
        found = store.search(key(3)[None], 100).neighbours[0]
        assert [one.experience_id for one in found] == expected["nearest"]
        assert store.verify().faults == []
        store.close()


@pytest.mark.parametrize("name", [*of("generations"), *of("store")])
def test_requests_still_take_feedback_and_learning_goes_on(name: str, tmp_path: Path) -> None:
    expected = brought(name, tmp_path)
    store = opened(tmp_path)
    for request in expected["asked"]:
        assert store.judge(request, None, "purple").right_answer == "purple"
    mine = store.insert(experience("own", tenant="alice"), key(40))
    everybody = store.insert(experience("shared"), key(41))
    store.close()
    again = opened(tmp_path)
    found = [again.search(key(40)[None], 100, tenant=who).neighbours[0] for who in ("alice", "")]
    hers, others = ({one.experience_id for one in neighbours} for neighbours in found)
    assert {mine, everybody} <= hers
    assert everybody in others
    assert mine not in others
    assert again.verify().faults == []
    again.close()


def test_experiences_of_a_newer_schema_are_refused_and_left_alone(tmp_path: Path) -> None:
    brought("store-d5738f5", tmp_path)
    path = tmp_path / "experiences" / "experiences.db"
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(SetupError, match=f"schema {SCHEMA + 1}, and this version knows {SCHEMA}"):
        opened(tmp_path)
    assert path.read_bytes() == before


# The repository


@pytest.fixture(params=of("repository"))
def moved(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Place, dict[str, Any]]:
    """A place of today whose model `alpha`, and what was chosen for it, are of an older commit."""
    (tmp_path / "place").mkdir()
    place = make_place(tmp_path / "place")
    expected = brought(request.param, tmp_path / "old")
    shutil.rmtree(place.store.repository / "alpha")
    shutil.copytree(tmp_path / "old" / "repository" / "alpha", place.store.repository / "alpha")
    place.store.state.mkdir(exist_ok=True)
    chosen = {str(place.store.repository.absolute()): expected["chosen"]}
    (place.store.state / "chosen.json").write_text(json.dumps(chosen), encoding="utf-8")
    return place, expected


def test_versions_are_whole_and_may_be_served(moved: tuple[Place, dict[str, Any]]) -> None:
    place, expected = moved
    for number, digest in expected["digests"].items():
        assert place.store.faults("alpha", int(number)) == []
        assert place.store.manifest("alpha", int(number)).digest == digest
    verify_all(scan(place.store.repository, ["alpha"]), None)


def test_what_was_rolled_back_to_stays_and_one_can_go_on(moved: tuple[Place, dict[str, Any]]) -> None:
    place, expected = moved
    choice = Chosen(place.store.repository, place.store.state).of("alpha")
    assert choice is not None
    assert choice.held
    (outcome,) = place.build("alpha").models
    assert outcome.state == "held"
    done = rollback("alpha", 3, repository=place.store.repository, state=place.store.state, spec=place.known)
    assert done.digest == expected["digests"]["3"]
    folder = place.store.folder("alpha", done.version)
    assert json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["schema_version"] == published.SCHEMA
    verify_all(scan(place.store.repository, ["alpha"]), None)
    (outcome,) = place.build("alpha", force=True).models
    assert outcome.state == "built", "and its sources can be built anew"


def test_a_newer_manifest_and_a_newer_choice_are_refused(tmp_path: Path) -> None:
    brought("repository-d5738f5", tmp_path)
    folder = tmp_path / "repository" / "alpha" / "4"
    path = folder / "manifest.json"
    fields = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**fields, "schema_version": published.SCHEMA + 1, "new": 1}), encoding="utf-8")
    with pytest.raises(BuildError, match="is of layout"):
        Manifest.read(folder)
    with pytest.raises(IntegrityError, match="is of layout"):
        verify_all(scan(tmp_path / "repository", ["alpha"]), None)
    (tmp_path / "chosen.json").write_text('{"repository": {"alpha": {"label": "x", "why": "y", "new": 1}}}')
    with pytest.raises(BuildError, match=r"chosen\.json cannot be read"):
        Chosen(tmp_path / "repository", tmp_path).all()


# Settings


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    settings.cache_clear()
    yield monkeypatch
    settings.cache_clear()


def read(path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    settings.cache_clear()
    monkeypatch.setenv("PIXELIS_CONFIG", str(path))
    return settings()


def _without(values: dict[str, Any], name: str, take: bool = False) -> Any:
    *sections, field = name.split(".")
    for section in sections:
        values = values.get(section, {})
    return values.pop(field, None) if take else values.get(field)


def _with(values: dict[str, Any], name: str, value: Any) -> None:
    *sections, field = name.split(".")
    for section in sections:
        values = values.setdefault(section, {})
    values[field] = value


@pytest.mark.parametrize("name", of("settings"))
def test_settings_mean_what_they_meant(name: str, tmp_path: Path, fresh: pytest.MonkeyPatch) -> None:
    brought(name, tmp_path)
    path = tmp_path / "settings.toml"
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    renamed = [old for old in RENAMED if _without(values, old) is not None]
    for old in renamed:
        with pytest.raises(SetupError, match=f"setting {old} is called {RENAMED[old]} now"):
            read(path, fresh)
    for old in renamed:
        _with(values, RENAMED[old], _without(values, old, take=True))
    path.write_text(tomli_w.dumps(values), encoding="utf-8")
    found = read(path, fresh)
    assert (found.retrieval.capacity, found.limits.frames) == (4321, 12)
    assert found.cache.search.bytes == 8 * 2**20
    assert bool(renamed) == (name == "settings-4fb8437")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[decoding]\nfrom_tomorrow = 1\n", "decoding.from_tomorrow is wrong"),
        ("[from_tomorrow]\na = 1\n", "from_tomorrow is wrong"),
    ],
)
@pytest.mark.parametrize("where", ["file", "tuned"])
def test_a_setting_of_a_newer_version_is_named(
    text: str, says: str, where: str, tmp_path: Path, fresh: pytest.MonkeyPatch
) -> None:
    path = tmp_path / (TUNED if where == "tuned" else "settings.toml")
    path.write_text(text, encoding="utf-8")
    fresh.setenv("PIXELIS_STATE", str(tmp_path))
    if where == "file":
        fresh.setenv("PIXELIS_CONFIG", str(path))
    with pytest.raises(SetupError, match=says):
        settings()


# The gateway


@pytest.mark.parametrize("name", of("keys"))
def test_keys_open_and_their_tenants_are_their_own(name: str, tmp_path: Path) -> None:
    expected = brought(name, tmp_path)
    path = tmp_path / "keys.json"
    new = api_keys.add(path, "dora", 5.0, None, 20, "team")
    known = Keys(path, lambda: datetime.date(2999, 1, 1))
    for caller, secret in {**expected["keys"], "dora": new}.items():
        assert known.caller(f"Bearer {secret}").name == caller
    assert {key.name: key.whose for key in api_keys.read(path)} == {
        **{caller: caller for caller in expected["keys"]},
        "dora": "team",
    }
    alice = known.caller(f"Bearer {expected['keys']['alice']}")
    assert (alice.requests_per_minute, alice.expires) == (60.0, datetime.date(2999, 1, 31))


@pytest.mark.parametrize("name", [name for name in of("keys") if (FIXTURES / name / "quotas.sqlite").exists()])
def test_what_was_asked_today_is_still_counted(name: str, tmp_path: Path) -> None:
    expected = brought(name, tmp_path)
    quotas = Quotas(tmp_path / "quotas.sqlite", lambda: datetime.datetime(2999, 1, 1, 13, tzinfo=datetime.timezone.utc))
    left = quotas.left("carol", 10)
    assert left is not None
    assert left.remaining == 10 - expected["asked"]["carol"]
    quotas.close()


def test_keys_of_a_newer_version_are_refused(tmp_path: Path) -> None:
    brought("keys-d5738f5", tmp_path)
    path = tmp_path / "keys.json"
    fields = json.loads(path.read_text(encoding="utf-8"))
    fields["keys"][0]["from_tomorrow"] = 1
    path.write_text(json.dumps(fields), encoding="utf-8")
    with pytest.raises(SetupError, match=r"keys\.0\.from_tomorrow"):
        Keys(path)
