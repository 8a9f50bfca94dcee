from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest
from license_expression import get_spdx_licensing

from tests.supply.packages import (
    ALLOWED,
    BUNDLED,
    CONSTRAINTS,
    LOCK,
    NOTICE,
    ROOT,
    WEIGHTS,
    Package,
    installed,
    pins,
    plain,
    serving,
)
from tests.supply.report import report

SPDX = get_spdx_licensing()


@pytest.mark.parametrize("name", [*sorted(pins(LOCK)), *WEIGHTS])
def test_every_licence_allows_use(name: str) -> None:
    judge(installed(name))


def judge(package: Package) -> None:
    parsed = SPDX.validate(package.licence)
    assert parsed.errors == [], f"{package.name} says {package.licence!r}"
    assert {str(one) for one in SPDX.license_symbols(package.licence)} <= ALLOWED.keys(), package


@pytest.mark.parametrize("licence", ["GPL-3.0-only", "MIT AND AGPL-3.0-only", "Proprietary", "none is said"])
def test_another_licence_is_found(licence: str) -> None:
    with pytest.raises(AssertionError):
        judge(Package("one", "1", licence))


def test_what_is_bundled_is_of_packages_that_are_installed() -> None:
    names = {package.name for package in serving()}
    assert BUNDLED.keys() <= names
    native = {
        plain(path.name.removesuffix(".libs")) for path in Path(sysconfig.get_path("platlib")).glob("*.libs")
    } & names
    assert native <= BUNDLED.keys(), "a wheel brings native libraries that nobody has looked at"


def test_the_page_is_up_to_date() -> None:
    assert (ROOT / "docs" / "licenses.md").read_text(encoding="utf-8") == report(), "run `make docs`"


def test_the_notice_names_every_package_of_weights_in_its_version() -> None:
    text, pinned = NOTICE.read_text(encoding="utf-8"), pins(CONSTRAINTS)
    for name in WEIGHTS:
        assert f"package {name} {pinned[name]}" in text
    assert f"package nvidia-pytriton {pinned['nvidia-pytriton']}" in " ".join(text.split())


def test_the_notice_names_every_model_that_holds_weights() -> None:
    from builder.spec import pipeline

    text = NOTICE.read_text(encoding="utf-8")
    built = [model.name for model in pipeline().models if model.built]
    assert len(built) >= 7
    assert [name for name in built if name not in text and name != "knn"] == [], "knn holds experiences, not weights"
