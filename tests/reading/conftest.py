"""Files as FairShip writes them, for several test modules."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with files of both generations; dictionaries are compiled once, both at a time."""
    folder = tmp_path_factory.mktemp("fairship")
    program = str(Path(__file__).parents[1] / "helpers" / "write_like_fairship.py")
    running = []
    for generation in ("2018", "2026"):
        (folder / generation).mkdir()
        command = [sys.executable, "-W", "ignore", program, generation, str(folder / generation)]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    for process in running:
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
    return folder
