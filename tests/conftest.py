"""Fixtures that several rooms share."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hypothesis import settings

from tests.checkpoints import write_random_checkpoint

# Times of single examples say nothing on a busy machine; what must be fast is measured, not asserted here.
settings.register_profile("pixelis", deadline=None)
settings.load_profile("pixelis")

# A shell's background job ignores SIGINT and so would every child of it, which the tests of Ctrl-C could not interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

TESTS = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where tests on real servers run beside each other: what shares ports or a server stays in one process.

    Files of `tests/triton` have ports of their own, but for those that use its conftest's. Other folders share.
    """
    sharing = {item.path for item in items if _uses_the_conftest(item)}
    for item in items:
        room = item.path.relative_to(TESTS).parts[0]
        alone = room == "triton" and item.path not in sharing
        item.add_marker(pytest.mark.xdist_group(item.path.name if alone else room))


def _uses_the_conftest(item: pytest.Item) -> bool:
    return "nothing_left" in getattr(item, "fixturenames", ()) or hasattr(getattr(item, "module", None), "HTTP")


@pytest.fixture(scope="session")
def random_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Hugging Face directory of the nano's shape with random weights."""
    return write_random_checkpoint(tmp_path_factory.mktemp("random-nano"))


@pytest.fixture(scope="session")
def policy_artifact(random_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version folder of `policy`, built from the random checkpoint."""
    from builder.sources.decoder import Decoder

    directory = tmp_path_factory.mktemp("policy")
    Decoder(random_checkpoint).export_onnx(directory)
    return directory
