"""The generator as a library: amounts, parts, batches, frames, and other processes."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from shipgen import Batch, MuonGenerator, Selection, generate_muons
from shipgen.errors import BundleError, InputError
from shipgen.muons.columns import CHUNK_SIZE

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen.bundle.bundle import Bundle

N = 2.5 * CHUNK_SIZE


@pytest.fixture(scope="module")
def generator(bundle: Bundle) -> MuonGenerator:
    return MuonGenerator(bundle, n=N, seed=1, workers=2)


@pytest.fixture(scope="module")
def rows(generator: MuonGenerator) -> np.ndarray:
    return rows_of(generator)


def rows_of(generator: Any) -> np.ndarray:
    return np.concatenate([batch.to_numpy() for batch in generator])


def test_one_call(bundle: Bundle, generator: MuonGenerator, rows: np.ndarray) -> None:
    found = generate_muons(N, bundle=bundle, seed=1)
    np.testing.assert_array_equal(found.to_numpy(), rows)
    assert found.target_start == bundle.target_start
    assert (generator.n, generator.seed, generator.muons) == (N, 1, len(rows))
    assert generator.pot == pytest.approx(N / bundle.rate)
    assert len(generator) == 3
    there = generate_muons(bundle, n=1000, seed=1, frame="shield", unit="m")
    assert (there.unit, there.target_start) == ("m", -2.14)
    np.testing.assert_array_equal(
        there.to_numpy(), generate_muons(bundle, n=1000, seed=1).in_frame("shield", "m").to_numpy()
    )
    assert generate_muons(bundle, n=1000, seed=1, unit="m").target_start == bundle.target_start / 100


def test_spills(bundle: Bundle) -> None:
    made = MuonGenerator(bundle, spills=2, protons_per_spill=1e5, seed=1)
    assert (made.pot, made.n) == (2e5, pytest.approx(2e5 * bundle.rate))
    assert MuonGenerator(bundle, spills=1e-9, seed=1).pot == pytest.approx(4e4)


@pytest.mark.parametrize("size", [1000, 2e5, CHUNK_SIZE, 300_000])
def test_batches_of_any_size(bundle: Bundle, rows: np.ndarray, size: float) -> None:
    made = MuonGenerator(bundle, n=N, seed=1, batch_size=size)
    sizes = [len(batch) for batch in made]
    assert len(sizes) == len(made)
    assert set(sizes[:-1]) == {size}
    np.testing.assert_array_equal(rows_of(made), rows)


@pytest.mark.parametrize("of", [2, 5])
def test_parts_are_the_whole(bundle: Bundle, rows: np.ndarray, of: int) -> None:
    parts = [
        MuonGenerator(bundle, n=N, seed=1, shard=(number, of), batch_size=100_000)
        for number in range(1, of + 1)
    ]
    np.testing.assert_array_equal(np.concatenate([rows_of(part) for part in parts]), rows)
    assert sum(part.muons for part in parts) == len(rows)
    np.testing.assert_array_equal(
        parts[1].to_batch().to_numpy(), rows_of(MuonGenerator(bundle, n=N, seed=1).part(f"2/{of}"))
    )


def test_without_an_end(bundle: Bundle, rows: np.ndarray) -> None:
    endless = MuonGenerator(bundle, endless=True, seed=1)
    found = np.concatenate([batch.to_numpy() for batch in islice(endless, 2)])
    np.testing.assert_array_equal(found, rows[: 2 * CHUNK_SIZE])
    odd, even = (iter(endless.part((number, 2))) for number in (1, 2))
    np.testing.assert_array_equal(next(odd).to_numpy(), rows[:CHUNK_SIZE])
    np.testing.assert_array_equal(next(even).to_numpy(), rows[CHUNK_SIZE : 2 * CHUNK_SIZE])
    assert endless.n == endless.pot == float("inf")
    for ask in (lambda: endless.muons, endless.to_batch):
        with pytest.raises(InputError, match="endless = True"):
            ask()
    with pytest.raises(TypeError, match="does not end"):
        len(endless)


def test_errors_name_the_argument(bundle: Bundle, tmp_path: Path) -> None:
    cases: tuple[tuple[tuple[Any, ...], dict[str, Any], type[Exception], str], ...] = (
        ((), {}, InputError, "one of n .muons., pot .protons on target. and spills, not by 0"),
        ((), {"n": 5, "spills": 1}, InputError, "not by 2 of them"),
        (("a",), {}, InputError, "'a' is a string, taken as a bundle: say how much by n, pot or spills"),
        ((5,), {"categories": "a"}, TypeError, r"selection=shipgen.Selection\(categories=...\)"),
        ((5,), {"number": 5}, TypeError, "generate_muons have no argument 'number'"),
        ((1e6,), {"n": 5}, InputError, "n is given twice: 1000000.0 and 5"),
        ((bundle,), {"n": 5, "bundle": bundle}, InputError, "bundle is given twice"),
        ((0.5,), {}, InputError, "n = 0.5 is not a whole number above zero"),
        ((), {"n": "many"}, InputError, "n = 'many' is not a whole number above zero"),
        ((), {"pot": -1}, InputError, "pot = -1"),
        ((), {"spills": 0}, InputError, "spills = 0 is not a finite number above zero"),
        ((), {"spills": 1, "protons_per_spill": "x"}, InputError, "protons_per_spill = 'x'"),
        ((5,), {"workers": "all"}, InputError, "workers = 'all' is not a whole number"),
        ((5,), {"batch_size": 0}, InputError, "batch_size = 0 is not a whole number"),
        ((5,), {"seed": "one"}, InputError, "seed 'one'"),
        ((5,), {"shard": "9/3"}, InputError, "shard '9/3' is not I/N"),
        ((5,), {"shard": 3}, InputError, "shard '3' is not I/N"),
        (
            (5,),
            {"selection": "muplus_onaxis"},
            InputError,
            "selection = 'muplus_onaxis' is no shipgen.Selection",
        ),
        ((5,), {"endless": True}, InputError, "endless = True takes no amount"),
        ((5,), {"frame": "cave"}, InputError, "frame = 'cave'"),
        ((5,), {"unit": "mm"}, InputError, "unit = 'mm'"),
        ((5,), {"bundle": 7}, InputError, "bundle = 7 is no bundle and no path"),
        ((5,), {"device": "tpu"}, InputError, "no device 'tpu'"),
        ((str(tmp_path),), {"n": 5}, BundleError, "is no bundle"),
    )
    for arguments, options, kind, message in cases:
        with pytest.raises(kind, match=message):
            MuonGenerator(*arguments, **options)


def test_how_they_show_themselves(bundle: Bundle) -> None:
    assert repr(MuonGenerator(bundle, n=1e6, seed=3, shard="2/4")).startswith(
        "<MuonGenerator: 1,000,000 muons for "
    )
    assert ", shard 2/4, seed 3, bundle " in repr(MuonGenerator(bundle, n=1e6, seed=3, shard="2/4"))
    assert len(repr(bundle)) < 200
    assert f"{bundle.rate:.4e} muons per POT" in repr(bundle)
    assert bundle._repr_html_().count("<tr>") == 5


def test_pickled(generator: MuonGenerator, rows: np.ndarray) -> None:
    text = pickle.dumps(generator)
    assert len(text) < 200_000
    np.testing.assert_array_equal(rows_of(pickle.loads(text)), rows)  # noqa: S301 (its own)
    chosen = MuonGenerator(
        generator.bundle, n=1000, seed=1, selection=Selection(categories=("muplus_onaxis",))
    )
    assert set(generate_all(pickle.loads(pickle.dumps(chosen))).pdg) == {-13}  # noqa: S301 (its own)


FORKED = """
import os, sys
from shipgen import MuonGenerator
batches = iter(MuonGenerator(sys.argv[1], n=6e5, exact=True, seed=1))
muons = len(next(batches))
child = os.fork()
if sys.argv[2] == "continue":
    muons += sum(map(len, batches))
if child:
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), muons)
else:
    print("child", muons)
    sys.exit(3)
"""


@pytest.mark.parametrize(("what", "muons"), [("continue", 600_000), ("leave", 2**18)])
def test_forked_child_ends_as_programs_end(bundle: Bundle, what: str, muons: int) -> None:
    """By its own exit code, with what it printed, and not waiting for threads that stayed in the parent."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED, bundle.path, what],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert sorted(done.stdout.splitlines()) == [f"3 {muons}", f"child {muons}"]
    assert (done.returncode, done.stderr) == (0, "")


def generate_all(generator: MuonGenerator) -> Batch:
    return generator.to_batch()


@pytest.mark.parametrize("way", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_in_other_processes(generator: MuonGenerator, rows: np.ndarray, way: str) -> None:
    with multiprocessing.get_context(way).Pool(2) as pool:
        parts = pool.map(generate_all, [generator.part((number, 2), workers=1) for number in (1, 2)])
    np.testing.assert_array_equal(Batch.concatenate(parts).to_numpy(), rows)


@pytest.mark.parametrize("what", ["continue", "again", "leave"])
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_forked_in_the_middle(generator: MuonGenerator, rows: np.ndarray, tmp_path: Path, what: str) -> None:
    """A child that goes on makes what the parent makes; one that ends does end."""
    batches = iter(generator)
    first = next(batches)
    child = os.fork()
    if child == 0:
        signal.alarm(100)
        status = 1
        try:
            if what != "leave":
                found = [first, *batches] if what == "continue" else list(generator)
                np.save(tmp_path / "child.npy", np.concatenate([batch.to_numpy() for batch in found]))
            status = 0
        finally:
            batches.close()
            os._exit(status)
    mine = np.concatenate([first.to_numpy(), rows_of(batches)])
    assert os.waitpid(child, 0)[1] == 0
    np.testing.assert_array_equal(mine, rows)
    if what != "leave":
        np.testing.assert_array_equal(np.load(tmp_path / "child.npy"), rows)
