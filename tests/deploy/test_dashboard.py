"""The dashboard as a file; its queries run in test_scraped.py, as no Grafana does here."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

import yaml

from tests.deploy.tools import DEPLOY

DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "dashboards" / "pixelis.json").read_text(encoding="utf-8"))
ROWS = ["Requests", "Queue against compute", "Batch sizes", "Cache tiers", "Search", "Tokens", "Operations"]


def queries() -> list[tuple[str, str]]:
    """Title of the panel and expression, of every query."""
    return [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]


def test_rows_are_the_promised_ones_and_none_is_empty() -> None:
    kinds = [(panel["type"], panel["title"]) for panel in DASHBOARD["panels"]]
    assert [title for kind, title in kinds if kind == "row"] == [*ROWS, "GPU and machine"]
    assert all(kinds[place + 1][0] == "timeseries" for place, (kind, _) in enumerate(kinds) if kind == "row")


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]


def test_every_panel_asks_the_source_that_is_provisioned() -> None:
    sources = DEPLOY / "grafana" / "provisioning" / "datasources" / "prometheus.yml"
    (source,) = yaml.safe_load(sources.read_text(encoding="utf-8"))["datasources"]
    used = {json.dumps(panel["datasource"]) for panel in DASHBOARD["panels"] if "targets" in panel}
    assert used == {json.dumps({"type": source["type"], "uid": source["uid"]})}
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((sources.parents[1] / "dashboards" / "pixelis.yml").read_text())["providers"]
    assert provider["options"]["path"] == "/etc/grafana/dashboards"


def test_every_query_has_a_legend() -> None:
    targets = [target for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]
    assert len(targets) == len(queries()) > 30
    assert all(target["legendFormat"] for target in targets)
