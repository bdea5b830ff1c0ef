"""Productions for tests: one process a command or inside this one, stopped on request, and read again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import uproot

from shipgen.cli import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np

    from shipgen.bundle.bundle import Bundle

    Run = Callable[..., subprocess.CompletedProcess[str]]

N = 400_000


def read(path: Path) -> dict[str, np.ndarray]:
    columns: dict[str, np.ndarray] = uproot.open(path)["pythia8-Geant4"].arrays(library="np")
    return columns


def provenance(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(str(uproot.open(path)["shipgen"]))
    return content


#: `shipgen` that sends itself a signal in place of writing one more cluster than the given number.
STOPPED = """
import os, sys
from shipgen.cli import main
from shipgen.production.output_files import Production
append, (signal, left) = Production.append, map(int, sys.argv.pop(1).split(","))
def stopped(self, part):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal)
    append(self, part)
Production.append = stopped
main()
"""


def start(
    bundle: Bundle, folder: Path, *options: object, stop: tuple[signal.Signals, int] | None = None
) -> subprocess.Popen[str]:
    """Start a production; with `stop` it gets that signal when it has written so many clusters."""
    command = ["produce", "-o", "out.root", "--seed", "1", "--bundle", str(bundle.path), *map(str, options)]
    program = ["-m", "shipgen"] if stop is None else ["-c", STOPPED, f"{int(stop[0])},{stop[1]}"]
    return subprocess.Popen(
        [sys.executable, *program, *command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module", name="produced")
def produced_file(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("produced")
    process = start(bundle, folder, "--n", "4e5")
    _, error = process.communicate(timeout=120)
    assert (process.returncode, error) == (0, ""), error
    return folder / "out.root"


@pytest.fixture(name="inside")
def run_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line in an empty folder as `shipgen` does, but in this process: no time for imports."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(signal, "signal", lambda *_: None)

    def call(*arguments: object) -> subprocess.CompletedProcess[str]:
        words = ["shipgen", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", words)
        code = run(words[1:])
        return subprocess.CompletedProcess(words, code, *capsys.readouterr())

    return call
