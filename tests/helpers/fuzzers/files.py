"""Files of muons with a flipped bit, cut, or with something behind them, through all that read them."""

from __future__ import annotations

import json
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import uproot

from helpers.bundles import write_test_bundle
from helpers.fuzzing import WrongError, command, flip, load
from helpers.muon_files import muon_columns
from helpers.rewrite import rewrite
from shipgen.files.layouts import KIND_TRAINING, PROVENANCE_KEY, TARGET_START_2018, TRAINING
from shipgen.files.tree_writer import RootWriter

if TYPE_CHECKING:
    from pathlib import Path

    from helpers.fuzzing import Ended

#: What reads a file, `{}`. `validate`, which compares it with another one, takes long: it is asked last, and
#: only to refuse what `plot`, which reads by the same functions, has refused.
READERS = {
    "info": ("info", "{}"),
    "convert": ("convert", "{}", "to.root", "--layout", "ttree"),
    "prepare": ("prepare", "{}", "-o", "prepared", "--workers", "1"),
    "plot": ("plot", "{}", "-o", "picture.svg"),
    "validate": ("validate", "{}", "{other}", "-o", "report", "--workers", "1"),
}

#: What commands import: once, not in the child that each of them is.
MODULES = (
    "shipgen.describe.describe",
    "shipgen.files.convert",
    "shipgen_export.reading.prepare",
    "shipgen_export.validation.plotting.plot",
    "shipgen_export.validation.validate",
    "h5py",
    "pyarrow.parquet",
    "pandas",
)

#: What takes each file.
TAKEN = {
    "muonback.root": tuple(READERS),
    "rntuple.root": ("info", "convert", "plot", "validate"),
    "converted.root": tuple(READERS),
    "rewritten.root": tuple(READERS),
    "sample.root": ("info", "prepare", "plot", "validate"),
    "muons.npz": tuple(READERS),
    "muons.npy": tuple(READERS),
    "muons.h5": tuple(READERS),
    "muons.parquet": tuple(READERS),
}


class Files:
    """Trials."""

    def __init__(self, folder: Path) -> None:
        load("produce", *READERS)
        for module in MODULES:
            import_module(module)
        self.other = folder / "other.root"
        bundle = write_test_bundle(folder / "bundle").path
        make = ("produce", "--bundle", bundle, "-n", "3000", "--workers", "1", "--seed")
        for words in (
            (*make, 2, "-o", self.other),
            (*make, 1, "-o", "muonback.root"),
            (*make, 1, "-o", "rntuple.root", "--layout", "rntuple"),
            ("convert", "rntuple.root", "converted.root", "--layout", "muonback"),
            *((*make, 1, "-o", name) for name in TAKEN if not name.endswith(".root")),
        ):
            ended = command(*words, folder=folder)
            if ended.code:
                raise RuntimeError(ended.stderr)
        rewrite(folder / "muonback.root", folder / "rewritten.root")
        write_sample(folder / "sample.root")
        self.good = {name: (folder / name).read_bytes() for name in TAKEN}
        self.folder, self.found = folder, dict[tuple[str, str], str]()

    def told(self, name: str, reader: str) -> str:
        """Return what a command finds in a file that is as it was."""
        if (name, reader) not in self.found:
            folder = self.folder / f"{name}-{reader}"
            ended = self._read(self.folder / name, reader, folder)
            if ended.code:
                raise RuntimeError(ended.stderr)
            self.found[name, reader] = _result(ended, folder)
        return self.found[name, reader]

    def _read(self, path: Path, reader: str, folder: Path) -> Ended:
        folder.mkdir()
        name = f"muons{path.suffix}"
        (folder / name).symlink_to(path)
        words = (word.format(name, other=self.other) for word in READERS[reader])
        return command(*words, folder=folder, memory=2**30)

    def trial(self, rng: np.random.Generator, folder: Path) -> str:
        """Damage one file and read it by all commands; what none of them refuses has to be all the same."""
        name = str(rng.choice(list(self.good)))
        damage = str(rng.choice(["bit"] * 8 + ["cut", "appended"]))
        data = self.good[name]
        match damage:
            case "bit":
                data = flip(data, rng)
            case "cut":
                data = data[: int(rng.integers(len(data)))]
            case _:
                data += rng.bytes(int(rng.integers(1, 5000)))
        path = (folder / "damaged").with_suffix(name[name.index(".") :])
        path.write_bytes(data)
        refused: list[str] = []
        for reader in TAKEN[name]:
            if reader == "validate" and "plot" not in refused:
                continue
            ended = self._read(path, reader, folder / reader)
            try:
                ended.check()
            except WrongError as error:
                raise WrongError(f"{name}, {damage}, {reader}: {error}") from error
            if ended.code:
                refused.append(reader)
            if not ended.code and (found := _result(ended, folder / reader)) != self.told(name, reader):
                raise WrongError(
                    f"{name}, {damage}: {reader} finds {_difference(found, self.told(name, reader))}"
                )
        if len(refused) == len(TAKEN[name]):
            return f"{damage} refused"
        return f"{damage} refused by {', '.join(refused)}" if refused else f"{damage} harmless"


def _result(ended: Ended, folder: Path) -> str:
    """Return all that a command found, and nothing that differs from run to run."""
    found: dict[str, Any] = {"stdout": ended.stdout}
    if (folder / "prepared" / "prepared.json").is_file():
        found = {"categories": json.loads((folder / "prepared" / "prepared.json").read_text())["categories"]}
    if (folder / "to.root").is_file():
        with uproot.open(folder / "to.root") as file:
            tree = file["converted_ntuple"].arrays(library="np")
            found["muons"] = {name: values.tobytes().hex() for name, values in tree.items()}
    return json.dumps(found)


def _difference(found: str, wanted: str) -> str:
    place = next((n for n, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b), 0)
    start = max(0, place - 60)
    return f"{found[start : place + 60]!r} where it was {wanted[start : place + 60]!r}"


def write_sample(path: Path) -> None:
    """Write a sample as `shipgen simulate` does."""
    columns = muon_columns(3000)
    with RootWriter(path, TRAINING, target_start=TARGET_START_2018) as writer:
        writer.extend(columns)
        facts = {
            "kind": KIND_TRAINING,
            "pot": 1000,
            "energy_cut": 10.0,
            "target_start": TARGET_START_2018,
            "muons": len(columns["weight"]),
            "sum_of_weights": float(np.sum(columns["weight"], dtype=np.float64)),
        }
        writer.write_json(PROVENANCE_KEY, facts)
