"""ONNX Runtime reports its use to its maker, libraries leave files in the user's home: not here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shipgen_export.silence import away_from_home

if TYPE_CHECKING:
    from collections.abc import Callable

    from shipgen.bundle.bundle import Bundle

#: A command line, run here with others in one process.
COMMANDS = """
import sys
from shipgen.cli import run

bundle = sys.argv[1]
assert run(["info", bundle]) == 0
assert run(["produce", "--bundle", bundle, "--n", "1000", "--seed", "1", "-o", "a.root"]) == 0
assert run(["info", "a.root"]) == 0
assert run(["convert", "a.root", "b.root", "--layout", "ttree"]) == 0
"""

LIBRARY = """
import sys
from shipgen import MuonGenerator

assert len(next(iter(MuonGenerator(sys.argv[1], n=1000, seed=1))))
"""

#: Here it runs already, and no variable helps.
LATE = """
import sys
import onnxruntime

told = []
onnxruntime.disable_telemetry_events = lambda: told.append(True)

from shipgen import Bundle

Bundle.open(sys.argv[1])
assert told
"""

#: What makes folders at home beside: what draws, and what trains.
PICTURES = """
from shipgen_export.plots import Figure

figure = Figure()
figure.add_subplot().set_title("words")
figure.savefig("a.svg")
figure.savefig("a.png")
"""

TRAINING = """
from shipgen_export.backend import keras

assert keras.layers.Dense(1)(keras.ops.ones((1, 1))).shape == (1, 1)
"""

#: What a worker of Dask does, in whose environment nobody set anything.
TASK = """
import sys
from pickle import loads

task = loads(bytes.fromhex(sys.argv[2]))
task(sys.argv[1])
"""


@pytest.fixture
def run(tmp_path: Path, bundle: Bundle) -> Callable[..., list[Path]]:
    """Run a program in Python and return the files that it left in an empty home."""
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    unset = ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
    unset += ("MPLCONFIGDIR", "KERAS_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in unset}

    def start(program: str, *arguments: str) -> list[Path]:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program, str(bundle.path), *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=work,
            env={**environment, "HOME": str(home)},
        )
        assert done.returncode == 0, done.stderr
        return sorted(home.rglob("*"))

    return start


@pytest.mark.parametrize("program", [COMMANDS, LIBRARY, PICTURES, TRAINING])
def test_home_stays_empty(run: Callable[..., list[Path]], program: str) -> None:
    assert run(program) == []


def test_folders_that_the_user_has_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MPLCONFIGDIR", "KERAS_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with away_from_home():
        there = [Path(os.environ[name]) for name in ("MPLCONFIGDIR", "KERAS_HOME")]
        assert all(folder.is_dir() for folder in there)
    assert not any(folder.exists() for folder in there)
    assert not {"MPLCONFIGDIR", "KERAS_HOME"} & os.environ.keys()
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".cache" / "matplotlib").mkdir(parents=True)
    with away_from_home():
        assert not {"MPLCONFIGDIR", "KERAS_HOME"} & os.environ.keys()
    monkeypatch.setenv("KERAS_HOME", "mine")
    with away_from_home():
        assert os.environ["KERAS_HOME"] == "mine"


def test_tasks_leave_nothing(run: Callable[..., list[Path]]) -> None:
    from pickle import dumps

    from shipgen.bundle.bundle import Bundle

    assert run(TASK, dumps(Bundle.open).hex()) == []


def test_it_is_told_where_it_runs_already(run: Callable[..., list[Path]]) -> None:
    run(LATE)


def test_it_is_imported_in_one_place_alone() -> None:
    """That which says again, of a program that had imported it before, that nothing is to be sent."""
    sources = Path(__file__).parents[2]
    files = [
        path for room in ("shipgen", "export", "bench", "macros") for path in (sources / room).rglob("*.py")
    ]
    assert len(files) > 200
    found = {path.relative_to(sources) for path in files if "import onnxruntime" in path.read_text()}
    assert found == {Path("shipgen/bundle/network.py")}
