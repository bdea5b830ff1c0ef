"""Productions that are sent signals at random moments, start-up included, one or two; then gone on with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import uproot

from helpers.bundles import write_test_bundle
from helpers.fuzzing import PATIENCE, Ended, WrongError, command, wait

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

REQUEST = ("produce", "-o", "out.root", "--seed", "1", "-n", "8e5", "--workers", "2", "--resume")

#: What an interrupted run may say.
_SAID = ("interrupted; ", "muons are kept in out.root.work: go on by --resume", "nothing half-made was left")


class Signals:
    """Trials."""

    def __init__(self, folder: Path) -> None:
        self.bundle = write_test_bundle(folder / "bundle")
        self.seconds = {}
        # The first run of each kind fills caches.
        for number, started in enumerate((True, True, False, False)):
            whole = folder / f"whole{number}"
            whole.mkdir()
            before = os.times().elapsed
            ended = self._run(whole, started=started)
            self.seconds[started] = os.times().elapsed - before
            if ended.code:
                raise RuntimeError(ended.stderr)
        self.wanted = _content(whole / "out.root")

    def _run(self, folder: Path, signals: tuple[tuple[float, int], ...] = (), *, started: bool) -> Ended:
        """Run it: started anew as users do, or in a child of this process, which has all modules already."""
        if not started:
            return command(*REQUEST, "--bundle", self.bundle.path, folder=folder, signals=signals)
        with (folder / "stdout").open("w+") as out, (folder / "stderr").open("w+") as err:
            child = subprocess.Popen(
                [sys.executable, "-m", "shipgen", *REQUEST, "--bundle", str(self.bundle.path)],
                cwd=folder,
                stdout=out,
                stderr=err,
            )
            code = wait(child.pid, signals)
            child.returncode = 0 if code is None else code
            return Ended(code, *((folder / name).read_text() for name in ("stdout", "stderr")))

    def trial(self, rng: np.random.Generator, folder: Path) -> str:
        """Send a run one or two signals, and go on with what it left."""
        started = rng.random() < 0.3
        first = float(rng.uniform(0, self.seconds[started]))
        kinds = rng.choice([signal.SIGINT, signal.SIGTERM], 2).tolist()
        signals = [(first, kinds[0])]
        if pair := bool(rng.integers(2)):
            signals.append((first + float(rng.choice([0, rng.uniform(0, 0.3)])), kinds[1]))
        ended = self._run(folder, tuple(signals), started=started)
        how = self._check(ended, signals)
        if (folder / "out.root").exists() and _content(folder / "out.root") != self.wanted:
            raise WrongError("another file under the final name")
        again = self._run(folder, started=False)
        again.check(refused=False)
        names = sorted(path.name for path in folder.iterdir())
        if names != ["out.root", *["stderr", "stdout"][: 2 * started]]:
            raise WrongError(f"{names} are there")
        if _content(folder / "out.root") != self.wanted:
            raise WrongError("the resumed file differs from the uninterrupted one")
        return f"{how}, {'two' if pair else 'one'}{', started anew' if started else ''}"

    @staticmethod
    def _check(ended: Ended, signals: list[tuple[float, int]]) -> str:
        """Raise `WrongError` unless a run ended as it should; return how."""
        if ended.code is None:
            raise WrongError(f"hangs for {PATIENCE} s after {signals}")
        if ended.code == 0:
            ended.check()
            return "done before"
        if ended.code in (-signal.SIGTERM, -signal.SIGINT) and not ended.stderr:
            return "before Python"
        lines = ended.stderr.splitlines()
        outside = not any("site-packages" in line or "/shipgen/" in line for line in lines)
        if lines and lines[-1] == "KeyboardInterrupt" and outside:
            # Before any line of shipgen runs, Python itself has a traceback for it.
            return "in Python's start"
        if ended.code != 130 or len(lines) != 1 or not any(text in lines[0] for text in _SAID):
            raise WrongError(f"after {signals} code {ended.code}: {ended.stderr}")
        return "kept" if "are kept" in lines[0] else "nothing kept"


def _content(path: Path) -> tuple[object, ...]:
    with uproot.open(path) as file:
        columns = file["pythia8-Geant4"].arrays(library="np")
        # Without the seal, which covers when the file was written.
        facts = str(file["shipgen"]).partition('"seal"')[0]
    return (*(column.tobytes() for column in columns.values()), facts)
