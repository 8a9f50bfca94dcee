"""Alerts: promtool's checks and tests, and a page of the runbook for each, with commands that there are."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Any

import click
import pytest
import typer
import yaml

from pixelis import cli
from tests.deploy.compose import config, rules
from tests.deploy.tools import DEPLOY, ROOT, said

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
PAGES = dict(re.findall(r"(?ms)^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOK))
ALERTS = rules()


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "deploy/prometheus/prometheus.yml"),
        ("check", "rules", "deploy/prometheus/alerts.yml"),
        ("test", "rules", "deploy/prometheus/alerts_test.yml"),
    ],
)
def test_promtool(arguments: tuple[str, ...]) -> None:
    done = said("promtool", *arguments)
    assert (done.returncode, "SUCCESS" in done.stdout) == (0, True), done.stdout + done.stderr


def test_every_alert_is_tested_to_fire_and_not_to_fire() -> None:
    tests = yaml.safe_load((DEPLOY / "prometheus" / "alerts_test.yml").read_text(encoding="utf-8"))["tests"]
    wanted = {name: {True, False} for name in ALERTS}
    found: dict[str, set[bool]] = {}
    for one in (checked for test in tests for checked in test["alert_rule_test"]):
        found.setdefault(one["alertname"], set()).add(bool(one.get("exp_alerts")))
    assert found == wanted


def test_every_alert_says_how_bad_it_is_and_where_its_page_is() -> None:
    for name, rule in ALERTS.items():
        assert rule["labels"]["severity"] in ("critical", "warning"), name
        assert rule["annotations"].keys() == {"summary", "runbook"}, name
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{name.lower()}"
        assert "for" in rule or "[1h]" in rule["expr"], name


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    assert PAGES.keys() == ALERTS.keys()
    for name, page in PAGES.items():
        assert [part in page for part in ("**Users see**", "**Shows it.**", "**Mends it.**")] == [True] * 3, name
        shows, mends = page.split("**Mends it.**")
        assert "```" in shows, name
        assert "```" in mends, name
    tables = re.findall(r"(?m)^\| (\[.+) \| (\[.+) \|$", RUNBOOK)
    listed = [set(re.findall(r"\[(\w+)\]", cell)) for cell in tables[0]]
    severe = [{name for name in ALERTS if ALERTS[name]["labels"]["severity"] == s} for s in ("critical", "warning")]
    assert listed == severe


def test_links_within_the_runbook_lead_somewhere() -> None:
    assert set(re.findall(r"\]\(#(\w+)\)", RUNBOOK)) == {name.lower() for name in ALERTS}


def commands() -> list[str]:
    """Every command line of the runbook."""
    blocks = re.findall(r"(?ms)^```\n(.*?)^```", RUNBOOK)
    return sorted({line for block in blocks for line in block.splitlines()})


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = config("cpu", "gpu", "load")["services"]
    return found


def test_commands_name_services_that_there_are(services: dict[str, Any]) -> None:
    for line in commands():
        words = [word for word in shlex.split(line) if not re.fullmatch(r"PIXELIS_\w+=.*", word)]
        if words[:2] != ["docker", "compose"]:
            continue
        verb = next(word for word in words[2:] if word in ("ps", "up", "exec", "logs", "restart", "stop"))
        rest = words[words.index(verb) + 1 :]
        named = rest[:1] if verb == "exec" else [word for word in rest if re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", word)]
        assert set(named) <= services.keys(), line
        assert named or verb in ("ps", "up"), line


def ours() -> Iterator[list[str]]:
    """The commands of ours, wherever they run."""
    for line in commands():
        words = shlex.split(line)
        if "pixelis" in words:
            yield words[words.index("pixelis") + 1 :]


@pytest.mark.parametrize("words", list(ours()), ids=" ".join)
def test_commands_of_ours_exist_with_their_options(words: list[str]) -> None:
    command: Any = typer.main.get_command(cli.app)
    context, rest = click.Context(command), list(words)
    while hasattr(command, "get_command"):
        command = command.get_command(context, rest.pop(0))
        assert command is not None
    known = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in rest if word.startswith("--")} <= known


def test_what_is_set_for_a_command_is_read_by_the_compose_file() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    said_of = set(re.findall(r"`(PIXELIS_[A-Z_0-9]+)(?:=\d+)?`", RUNBOOK)) | {
        found for line in commands() if "docker" in line for found in re.findall(r"(PIXELIS_\w+)=", line)
    }
    assert said_of
    assert [name for name in said_of if f"${{{name}" not in text] == []
