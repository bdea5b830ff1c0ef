"""Files of ours that another program wrote again: used where their hashes hold, else told what is gone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import uproot

from helpers.fuzzing import flip
from helpers.muon_files import muon_columns, write_training
from helpers.rewrite import rewrite
from shipgen.describe.describe import describe
from shipgen.errors import InputError
from shipgen.files.convert import convert
from shipgen.files.layouts import FILE_SUMMARY_KEY, PROVENANCE_KEY
from shipgen.files.rewritten import facts_hash
from shipgen.files.rootfile import open_root
from shipgen.files.seals import SEAL, check_open
from shipgen.production.merge import merge
from shipgen.production.request import Request, carry_out
from shipgen_export.reading.formats.readers import open_source, read_steps

if TYPE_CHECKING:
    from collections.abc import Callable

    from helpers.rewrite import Columns
    from shipgen.bundle.bundle import Bundle

N = 2000

UNLIKE = "do not make the hash it states: their number, kinds and sum of weights are those stated"

TOLD = "  another program has rewritten it, but its muons and what follows are as shipgen wrote them"


def check_file(path: Path) -> dict[str, Any] | None:
    with open_root(path) as file:
        return check_open(file, path)


def made(path: Path, bundle: Bundle, **options: Any) -> Path:
    carry_out(Request(str(path), n=N, seed=1, bundle=str(bundle.path), **options), lambda _: None)
    return path


def tree_of(path: Path) -> Columns:
    with uproot.open(path) as file:
        (name,) = (name for name, kind in file.classnames().items() if kind != "TObjString")
        return dict(file[name].arrays(library="np"))


@pytest.fixture(name="good", scope="module")
def produced_file(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("good") / "good.root", bundle)


@pytest.mark.parametrize("kind", ["muonback", "rntuple", "converted", "sample", "lz4:4", "none"])
def test_the_same_muons(bundle: Bundle, tmp_path: Path, kind: str) -> None:
    good = tmp_path / "good.root"
    if kind == "sample":
        write_training(good, muon_columns(N))
    elif kind == "converted":
        convert(made(tmp_path / "first.root", bundle), good, "ttree")
    else:
        made(good, bundle, **({"layout": kind} if kind in ("muonback", "rntuple") else {"compression": kind}))
    other = rewrite(good, tmp_path / "other.root")
    assert check_file(other) == check_file(good)
    lines, wanted = list(describe(other)), list(describe(good))
    (told,) = (line for line in lines if line.startswith(TOLD))
    assert told.endswith("it may be used like the file that it was made of, for the same POT")
    assert lines[lines.index(told) + 1 :] == wanted[wanted.index(wanted_word(wanted)) + 1 :]


def wanted_word(lines: list[str]) -> str:
    return next(line for line in lines if line.startswith("  it is as it was written"))


def test_all_readers_use_it(good: Path, tmp_path: Path) -> None:
    other = rewrite(good, tmp_path / "other.root")
    for path in (good, other):
        convert(path, tmp_path / f"{path.stem}-converted.root", "ttree")
        merge(tmp_path / f"{path.stem}-merged.root", [path])
    for step in ("converted", "merged"):
        wanted, found = (tree_of(tmp_path / f"{stem}-{step}.root") for stem in ("good", "other"))
        assert wanted.keys() == found.keys()
        assert all(wanted[name].tobytes() == found[name].tobytes() for name in wanted)
    # Merging puts the clusters back as they were.
    stated = [check_file(tmp_path / f"{stem}-merged.root") for stem in ("good", "other")]
    assert stated[0] is not None
    assert stated[1] is not None
    assert stated[0]["clusters"] == stated[1]["clusters"]
    assert stated[1]["seal"]["compression"] == "zstd:1"
    pieces = [list(read_steps(open_source(path))) for path in (good, other)]
    assert len(pieces[0]) == len(pieces[1]) > 0


def drop_rows(columns: Columns) -> Columns:
    return {name: values[:-5] for name, values in columns.items()}


def drop_branch(columns: Columns) -> Columns:
    return {name: values for name, values in columns.items() if name != "py"}


def widen(columns: Columns) -> Columns:
    return {**columns, "px": columns["px"].astype("f8")}


def turn_over(columns: Columns) -> Columns:
    return {name: values[::-1] for name, values in columns.items()}


def one_value(columns: Columns) -> Columns:
    px = columns["px"].copy()
    px[7] = np.nextafter(px[7], np.float32(9))
    return {**columns, "px": px}


def one_weight(columns: Columns) -> Columns:
    weights = columns["w"].copy()
    weights[7] *= 2
    return {**columns, "w": weights}


def one_kind(columns: Columns) -> Columns:
    kinds = columns["id"].copy()
    kinds[7] *= -1
    return {**columns, "id": kinds}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            drop_rows,
            r"has [\d,]+ of the [\d,]+ muons that it states: .* neither its POT nor its sum of weights",
        ),
        (drop_branch, "rewritten by another program, without py: its|has no branch py"),
        (widen, "with branch px as float64 in place of float32, so that hashes cannot be compared"),
        (
            turn_over,
            "do not make the hash it states: their number, kinds and sum of weights are those stated",
        ),
        (
            one_value,
            "do not make the hash it states: their number, kinds and sum of weights are those stated",
        ),
        (one_weight, "does not hold what it says: its weights sum to"),
        (one_kind, "muons have PDG code -13, and it says that"),
    ],
)
def test_other_muons(good: Path, tmp_path: Path, change: Callable[[Columns], Columns], message: str) -> None:
    other = rewrite(good, tmp_path / "other.root", columns=change)
    for reader in (
        check_file,
        lambda path: list(describe(path)),
        lambda path: convert(path, tmp_path / "converted.root", "ttree"),
        lambda path: merge(tmp_path / "merged.root", [path]),
        open_source,
    ):
        with pytest.raises(InputError, match=message):
            reader(other)
    assert [path.name for path in tmp_path.iterdir()] == ["other.root"]


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        (PROVENANCE_KEY, "pot", 1e9),
        (PROVENANCE_KEY, "energy_cut", 5.0),
        (PROVENANCE_KEY, "beam", "another"),
        (FILE_SUMMARY_KEY, "PoT", 1e9),
        (FILE_SUMMARY_KEY, "prodSite", "elsewhere"),
    ],
)
def test_other_statements(good: Path, tmp_path: Path, name: str, key: str, value: object) -> None:
    def change(texts: dict[str, str]) -> dict[str, str]:
        return {**texts, name: json.dumps({**json.loads(texts[name]), key: value})}

    with pytest.raises(InputError, match="or another program has rewritten it: its seal does not fit"):
        check_file(rewrite(good, tmp_path / "other.root", texts=change))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("begin", -5, "begin is -5"),
        ("begin", 2**62, "begin is 4611686018427387904"),
        # Which would not fit into any memory.
        ("rows", [[1927, 10**12]], r"of the 1,927,000,000,000,000 muons that it states"),
        ("rows", [[0, 10**12]], "the muons of a cluster is 0"),
        ("compression", "zip:1", "no compression 'zip:1'"),
    ],
)
def test_statements_that_are_forged(
    good: Path, tmp_path: Path, key: str, value: object, message: str
) -> None:
    """Their hash is no secret, so that anything may stand there."""

    def change(texts: dict[str, str]) -> dict[str, str]:
        content = json.loads(texts[PROVENANCE_KEY])
        content[SEAL][key] = value
        content[SEAL]["facts"] = facts_hash(content)
        return {**texts, PROVENANCE_KEY: json.dumps(content)}

    other = rewrite(good, tmp_path / "other.root", texts=change)
    for reader in (check_file, lambda path: convert(path, tmp_path / "converted.root", "ttree")):
        with pytest.raises(InputError, match=message):
            reader(other)


def test_what_is_gone(good: Path, tmp_path: Path) -> None:
    """The summary for FairShip need not be there, the muons have to."""
    other = tmp_path / "other.root"
    assert check_file(rewrite(good, other, texts=lambda all_: {PROVENANCE_KEY: all_[PROVENANCE_KEY]}))
    with uproot.open(good) as file, uproot.recreate(other) as copy:
        copy[PROVENANCE_KEY] = str(file[PROVENANCE_KEY])
    for reader in (
        check_file,
        lambda path: convert(path, tmp_path / "a.root", "ttree"),
        lambda path: merge(tmp_path / "a.root", [path]),
    ):
        with pytest.raises(InputError, match="rewritten by another program without pythia8-Geant4, its"):
            reader(other)


def test_bits_of_a_rewritten_file(good: Path, tmp_path: Path) -> None:
    """What is not refused has the same muons and says the same."""
    other = rewrite(good, tmp_path / "other.root")
    data, wanted, stated = other.read_bytes(), tree_of(other), check_file(other)
    rng, refused = np.random.default_rng(1), 0
    for _ in range(60):
        other.write_bytes(flip(data, rng))
        try:
            assert check_file(other) == stated
            found = tree_of(other)
        except InputError:
            refused += 1
            continue
        assert all(found[name].tobytes() == wanted[name].tobytes() for name in wanted)
    assert refused > 20


@pytest.mark.parametrize("program", ["hadd", "rootcp"])
def test_programs_of_root(good: Path, tmp_path: Path, program: str) -> None:
    other = tmp_path / "other.root"
    words = [other, good] if program == "hadd" else [f"{good}:*", other]
    subprocess.run([tool(program), *words], check=True, capture_output=True, timeout=100)
    assert check_file(other) == check_file(good)
    assert any(line.startswith(TOLD) for line in describe(other))


def tool(name: str) -> str:
    """Return a program of ROOT, which is not imported here: it would take over the process."""
    spec = find_spec("ROOT")
    places = [str(Path(spec.origin).parent / "bin")] if spec and spec.origin else []
    found = shutil.which(name, path=os.pathsep.join([*places, os.environ["PATH"]]))
    if found is None:
        pytest.skip(f"{name} of ROOT is not installed")
    return found
