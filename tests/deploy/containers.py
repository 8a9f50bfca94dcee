"""A container of the chart as a process of this machine: what Kubernetes would put in is put in here."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.deploy.chart import Object, environment

SECRETS = {
    "the-repository-key": "a-key-of-the-test",
    "the-cache-password": "a-word-of-the-cache",
    "the-log-password": "a-word-of-the-log",
}
"""What is in the Secrets that the tests name; each has one key."""
CPUS = "2"


def told(container: Object, places: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Its command line and its environment.

    Args:
        container: as it is rendered.
        places: what is exchanged in all of it, in this order: where things lie and listen.
    """
    variables: dict[str, str] = {}
    for name, variable in environment(container).items():
        source = variable.get("valueFrom", {})
        value = SECRETS[source["secretKeyRef"]["name"]] if "secretKeyRef" in source else CPUS
        variables[name] = value if source else _expanded(variable["value"], variables)
    words = [_expanded(word, variables) for word in [*container["command"], *container.get("args", [])]]
    exchanged = {name: placed(value, places) for name, value in variables.items()}
    return [placed(word, places) for word in words], exchanged


def placed(text: str, places: Mapping[str, str]) -> str:
    """A text with other places in it."""
    for there, here in places.items():
        text = text.replace(there, here)
    return text


def _expanded(text: str, variables: Mapping[str, str]) -> str:
    """`$(NAME)` of variables that were said before; others stay as they are."""
    return re.sub(r"\$\((\w+)\)", lambda found: variables.get(found[1], found[0]), text)


@contextmanager
def process(
    words: list[str], variables: Mapping[str, str], log: Path, grace_s: float = 20
) -> Iterator[subprocess.Popen[bytes]]:
    """It runs; at the end it is told to, and killed where it does not."""
    with log.open("wb") as out:
        made = subprocess.Popen(words, env=dict(variables), cwd=log.parent, stdout=out, stderr=out)
    try:
        yield made
    finally:
        made.terminate()
        try:
            made.wait(grace_s)
        finally:
            made.kill()


def until(so: Callable[[], bool], seconds: float = 60) -> bool:
    """Whether something came about in time."""
    end = time.monotonic() + seconds
    while not so():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
