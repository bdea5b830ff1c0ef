"""Fixtures that several test modules use."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from helpers.bundles import write_test_bundle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from shipgen.bundle.bundle import Bundle

# What a script starts in the background ignores Ctrl-C, and so would all that tests start to interrupt it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle of known muons."""
    return write_test_bundle(tmp_path_factory.mktemp("bundles") / "known")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Give TensorFlow its thread before the first test starts it; after that their number cannot change."""
    if "tensorflow" in sys.modules:
        from shipgen_export.backend import configure

        configure(1)


@pytest.fixture
def shipgen(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the installed command line in an empty folder."""

    def run(*arguments: object, timeout: float = 300, **options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "shipgen", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            timeout=timeout,
            env={**os.environ, "PYTHONWARNINGS": "error"},
            **options,  # type: ignore[call-overload]
        )

    return run
