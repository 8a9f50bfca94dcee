"""Fixtures that several rooms share."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import Scheduling

from tests.beside import Servers
from tests.checkpoints import write_random_checkpoint

# Times of single examples say nothing on a busy machine; what must be fast is measured, not asserted here.
settings.register_profile("pixelis", deadline=None)
settings.load_profile("pixelis")

# A shell's background job ignores SIGINT and so would every child of it, which the tests of Ctrl-C could not interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling | None:
    """`--dist loadgroup` is by `Servers`."""
    return Servers(config, log) if config.getoption("dist") == "loadgroup" else None


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
