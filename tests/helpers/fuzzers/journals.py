"""Unfinished work that was damaged: bits of journal and work.json, lines, files that grow or are done."""

from __future__ import annotations

import shutil
import signal
from importlib import import_module
from typing import TYPE_CHECKING

import uproot

from helpers.bundles import write_test_bundle
from helpers.fuzzing import WrongError, command, flip, load
from helpers.production_runs import start

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

#: Clusters are cut where files end and chunks end, so that there are many.
AMOUNT = ("--workers", "1", "-n", "7e5", "--max-per-file", "2.7e5")
REQUEST = ("produce", "-o", "out.root", "--seed", "1", *AMOUNT)

#: Clusters on disk when the run was killed: the first file, and one of the second one's two.
KILLED = 3

#: What is damaged: a bit of six things, or a line.
KINDS = ("bit", "bit", "bit", "line", "line", "line", "work.json", "work.json", "data", "complete")


class Journals:
    """Trials."""

    def __init__(self, folder: Path) -> None:
        load("produce")
        import_module("shipgen.production.produce")
        self.bundle = write_test_bundle(folder / "bundle")
        self.left, self.whole = folder / "left", folder / "whole"
        for one, stop in ((self.left, (signal.SIGKILL, KILLED)), (self.whole, None)):
            one.mkdir()
            process = start(self.bundle, one, *AMOUNT, stop=stop)
            _, error = process.communicate(timeout=120)
            if process.returncode != (0 if stop is None else -signal.SIGKILL):
                raise RuntimeError(error)
        self.files = sorted(path.name for path in self.whole.iterdir())

    def trial(self, rng: np.random.Generator, folder: Path) -> str:
        """Damage what a killed run left, and go on with it."""
        shutil.copytree(self.left, folder, dirs_exist_ok=True)
        work = folder / "out.root.work"
        kind = str(rng.choice(KINDS))
        if kind == "data":
            path = next(iter(sorted(work.glob("*.growing"))))
            path.write_bytes(flip(path.read_bytes(), rng))
        elif kind == "complete":
            self._refused(folder, rng)
        elif kind == "line":
            path = work / "journal"
            path.write_bytes(_edited(path.read_bytes(), rng))
        else:
            path = work / ("journal" if kind == "bit" else "work.json")
            path.write_bytes(flip(path.read_bytes(), rng))
        ended = command(*REQUEST, "--bundle", self.bundle.path, "--resume", folder=folder)
        ended.check()
        names = sorted(path.name for path in folder.iterdir())
        if ended.code:
            raise WrongError(f"{kind}: does not go on: {ended.stderr}")
        if names != self.files:
            raise WrongError(f"{kind}: {names} are there")
        for name in names:
            self._compare(kind, folder / name, self.whole / name)
        return f"{kind}, {'told' if ended.stderr else 'silent'}"

    def _refused(self, folder: Path, rng: np.random.Generator) -> None:
        """Damage a complete file: no production goes on with that, or changes anything; then mend it."""
        path = folder / "out_000.root"
        good = path.read_bytes()
        path.write_bytes(flip(good, rng))
        before = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
        ended = command(*REQUEST, "--bundle", self.bundle.path, "--resume", folder=folder)
        ended.check(refused=True)
        if path.name not in ended.stderr:
            raise WrongError(f"complete: another reason: {ended.stderr}")
        after = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
        journal = folder / "out.root.work" / "journal"
        for changed in {path for path in before | after if before.get(path) != after.get(path)} - {journal}:
            raise WrongError(f"complete: {changed.name} was changed")
        path.write_bytes(good)

    @staticmethod
    def _compare(kind: str, made: Path, wanted: Path) -> None:
        try:
            with uproot.open(made) as one, uproot.open(wanted) as other:
                columns = [file["pythia8-Geant4"].arrays(library="np") for file in (one, other)]
                facts = [[str(file[name]) for name in ("shipgen", "FileSummary")] for file in (one, other)]
        except Exception as error:
            raise WrongError(f"{kind}: {made.name} cannot be read: {error}") from error
        for name, column in columns[1].items():
            if columns[0][name].tobytes() != column.tobytes():
                raise WrongError(f"{kind}: column {name} of {made.name} differs")
        # Without the command, and the seal, which covers when the file was written.
        made_of = [text[0].partition('"bundle"')[2].partition('"seal"')[0] for text in facts]
        if made_of[0] != made_of[1] or facts[0][1] != facts[1][1]:
            raise WrongError(f"{kind}: {made.name} says {made_of[0]}, not {made_of[1]}")


def _edited(text: bytes, rng: np.random.Generator) -> bytes:
    """Return a journal with lines left out, doubled, swapped, moved to another place, or numbers changed."""
    lines = text.splitlines(keepends=True)
    one, other = (int(number) for number in rng.integers(len(lines), size=2))
    match int(rng.integers(5)):
        case 0:
            del lines[one]
        case 1:
            lines.insert(other, lines[one])
        case 2:
            lines[one], lines[other] = lines[other], lines[one]
        case 3:
            digit = int(rng.integers(10))
            lines[one] = lines[one].replace(str(digit).encode(), str((digit + 1) % 10).encode(), 1)
        case _:
            lines[one:one] = [bytes(rng.integers(32, 127, int(rng.integers(1, 60)), "u1")) + b"\n"]
    return b"".join(lines)
