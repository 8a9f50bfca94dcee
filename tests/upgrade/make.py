"""Writes state as an older commit of this project did; run with that commit's code, see README.md beside.

python make.py store|settings|keys|repository OUT COMMIT
"""

from __future__ import annotations

import datetime
import importlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

CREATED = 1_790_000_000.0


def store(out: Path) -> dict[str, Any]:
    """Experiences that were inserted, learned, judged, counted, deleted; a snapshot in between."""
    from pixelis.settings import Retrieval
    from python_backends.experience import ExperienceStore
    from tests.experience.conftest import WIDTH, experience, key

    made = ExperienceStore(out / "experiences", Retrieval(cold_start_threshold=0), width=WIDTH, snapshot_every=1000)
    plain = [
        made.insert(experience(f"a{i}", confidence=0.5 + i / 20, created_at=CREATED + i), key(i)) for i in range(6)
    ]
    for i, (answer, learn) in enumerate((("red", True), ("blue", False), ("größer", True))):
        made.asked(f"r{i}", experience(answer, created_at=CREATED + 10 + i), key(20 + i), answer, [], learn=learn)
    made.snapshot()
    made.search(key(1)[None], 2, count=True)
    made.feedback(plain[2], True)
    made.delete(plain[0])
    judged = made.judge("r0", None, "green").experience_id
    made.judge("r2", True, None)
    named = [*plain[1:], judged, "r2"]
    found = {name: json.loads(made.get(name).model_dump_json()) for name in named if name is not None}
    order = [one.experience_id for one in made.search(key(3)[None], 100).neighbours[0]]
    assert set(order) <= found.keys(), (order, list(found))
    count = len(made)
    made.close()
    return {"experiences": found, "count": count, "nearest": order, "asked": ["r0", "r1", "r2"]}


def settings(out: Path) -> dict[str, Any]:
    """Every setting that there was, with its default; two of another value."""
    import tomli_w

    from pixelis.settings import Settings

    values = Settings().model_dump(mode="json", exclude_none=True)
    values["retrieval"]["capacity"], values["limits"]["frames"] = 4321, 12
    for name in ("threads", "state", "repository"):  # of the machine
        values.pop(name, None)
    values.get("cache", {}).pop("redis_url", None)  # printed as asterisks
    (out / "settings.toml").write_text(tomli_w.dumps(values), encoding="utf-8")
    return {"sections": sorted(values)}


def keys(out: Path) -> dict[str, Any]:
    """API keys, and what one of them has asked."""
    from clients.gateway import keys as known

    path, day = out / "keys.json", datetime.date(2999, 1, 31)
    made = {"alice": known.add(path, "alice", 60.0, day), "bob": known.add(path, "bob", None, None)}
    try:
        from clients.gateway.quotas import Quotas
    except ImportError:
        return {"keys": made}
    noon = datetime.datetime(2999, 1, 1, 12, tzinfo=datetime.timezone.utc)
    made["carol"] = known.add(path, "carol", None, None, 10)
    quotas = Quotas(out / "quotas.sqlite", lambda: noon)
    quotas.take("carol", 10, 7)
    quotas.close()
    return {"keys": made, "asked": {"carol": 7}}


def repository(out: Path) -> dict[str, Any]:
    """A tiny model in three versions: built, built of other weights, rolled back."""
    import tempfile

    older = Path("builder/rollback.py").is_file()  # before its rooms were made
    rollback = importlib.import_module("builder.rollback" if older else "builder.storing.rollback").rollback
    from tests.builder.conftest import make_place
    from tests.builder.tiny import write_weights

    with tempfile.TemporaryDirectory() as folder:
        place = make_place(Path(folder))
        for seed in (0, 7):
            write_weights(place.root / "alpha.npy", seed)
            assert not place.build("alpha").failed
        rollback("alpha", repository=place.store.repository, state=place.store.state, spec=place.known)
        digests = {version: place.store.manifest("alpha", version).digest for version in (2, 3, 4)}
        shutil.copytree(place.store.repository / "alpha", out / "repository" / "alpha")
        chosen = json.loads((place.store.state / "chosen.json").read_text(encoding="utf-8"))
    (choices,) = chosen.values()
    return {"digests": digests, "chosen": choices}


if __name__ == "__main__":
    kind, where, commit = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    shutil.rmtree(where, ignore_errors=True)
    where.mkdir(parents=True)
    facts = {"commit": commit, **globals()[kind](where)}
    (where / "expected.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
