"""Columns with fewer bits: rounded to nearest and nothing else, stated, the same however they are made."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from helpers.bundles import write_test_bundle
from shipgen.cli import run
from shipgen.describe.describe import describe
from shipgen.errors import InputError
from shipgen.files.arrays.choose import LAYOUTS
from shipgen.files.convert import convert, open_muons
from shipgen.files.layouts import MUONBACK, SHIELD
from shipgen.files.precision import COLUMNS, precision_of, rounded, with_precision
from shipgen.generate.generator import MuonGenerator
from shipgen.generate.shards import Shard
from shipgen.production.merge import merge
from shipgen.production.produce import produce
from shipgen.production.request import Request, carry_out

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen.bundle.bundle import Bundle

#: Any bits that make a number: of all sizes and both signs, subnormal ones and those next to infinity too.
RNG = np.random.default_rng(1)
SINGLES = RNG.integers(0, 2**32, 20_000, np.uint32).view(np.float32)
DOUBLES = RNG.integers(0, 2**64, 20_000, np.uint64).view(np.float64)
NUMBERS = [
    np.concatenate([values[np.isfinite(values)], [0, -0.0, np.finfo(kind).max, np.finfo(kind).min]]).astype(
        kind
    )
    for values, kind in ((SINGLES, np.float32), (DOUBLES, np.float64))
]


@pytest.mark.parametrize("values", NUMBERS, ids=["float32", "float64"])
@pytest.mark.parametrize("bits", [1, 7, 16, 22, 23])
def test_rounding_is_to_nearest(values: np.ndarray, bits: int) -> None:
    before = values.copy()
    found = rounded(values, bits)
    assert (values == before).all()
    assert found.dtype == values.dtype
    assert np.isfinite(found).all()
    assert (np.signbit(found) == np.signbit(values)).all()
    assert (rounded(found, bits) == found).all()
    assert (np.diff(found[np.argsort(values)]) >= 0).all()
    fraction, exponent = np.frexp(values)
    normal = np.abs(values) >= np.finfo(values.dtype).tiny
    with np.errstate(over="ignore"):
        exact = np.ldexp(np.round(np.ldexp(fraction, bits + 1)), exponent - bits - 1)
    plain = normal & np.isfinite(exact)
    assert plain.sum() > 19_000
    assert (found[plain] == exact[plain]).all()
    # What would be infinite is the largest number with so many bits.
    beyond = ~np.isfinite(exact)
    largest = np.ldexp(2 - 2.0**-bits, np.finfo(values.dtype).maxexp - 1)
    assert (np.abs(found[beyond]) == largest).all()
    nothing = values == 0
    assert nothing.sum() == 2
    assert (found[nothing] == 0).all()


def test_all_bits_are_kept_at_23() -> None:
    assert rounded(NUMBERS[0], 23) is NUMBERS[0]


@pytest.mark.parametrize("bits", [0, -1, 24, 12.5, True, "12"])
def test_odd_numbers_of_bits(bits: Any) -> None:
    with pytest.raises(InputError, match=f"precision = {bits!r} is no number of bits from 1 to 23"):
        with_precision(MUONBACK, bits)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_test_bundle(tmp_path_factory.mktemp("bundles") / "plain")


def make(bundle: Bundle, path: Path, layout: str, bits: int | None, n: float = 3000) -> Path:
    produce(MuonGenerator(n, bundle=bundle, seed=5), path, layout=with_precision(LAYOUTS[layout], bits))
    return path


def stored(path: Path) -> dict[str, np.ndarray]:
    with open_muons(path) as muons:
        muons.check()
        pieces = list(muons.columns([branch.column for branch in muons.layout.branches]))
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


@pytest.mark.parametrize(
    ("layout", "ending"),
    [("muonback", "root"), ("ttree", "root"), ("rntuple", "root"), ("npz", "npz"), ("npy", "npy")],
)
def test_files_are_rounded_and_say_so(bundle: Bundle, tmp_path: Path, layout: str, ending: str) -> None:
    whole = stored(make(bundle, tmp_path / f"a.{ending}", layout, None))
    found = stored(make(bundle, tmp_path / f"b.{ending}", layout, 10))
    assert found.keys() == whole.keys()
    for name in whole:
        if name in COLUMNS:
            assert (found[name] != whole[name]).mean() > 0.5
            np.testing.assert_allclose(found[name], whole[name], rtol=2**-10.999, atol=0)
            assert (np.sign(found[name]) == np.sign(whole[name])).all()
        else:
            np.testing.assert_array_equal(found[name], whole[name])
    text = "\n".join(describe(tmp_path / f"b.{ending}"))
    fields = [branch.name for branch in LAYOUTS[layout].branches if branch.column in COLUMNS]
    assert f"precision: {json.dumps({'mantissa_bits': 10, 'fields': fields})}" in text
    assert "precision" not in "\n".join(describe(tmp_path / f"a.{ending}"))


def test_fewer_bits_take_less_room(bundle: Bundle, tmp_path: Path) -> None:
    sizes = [
        make(bundle, tmp_path / f"{bits}.root", "muonback", bits, 50_000).stat().st_size
        for bits in (None, 16, 10)
    ]
    assert sizes[1] < 0.9 * sizes[0]
    assert sizes[2] < 0.75 * sizes[0]


def test_a_shield_is_one_with_fewer_bits(bundle: Bundle, tmp_path: Path) -> None:
    assert precision_of(with_precision(SHIELD, 12)) == 12
    assert with_precision(with_precision(SHIELD, 12), None) == SHIELD
    path = tmp_path / "s.npz"
    carry_out(
        Request(str(path), n=3000, seed=5, bundle=str(bundle.path), layout="shield", precision=12), print
    )
    with np.load(path) as file:
        # Rows, the momentum first.
        px = np.ascontiguousarray(file["muons"][:, 0])
    assert (rounded(px, 12) == px).all()
    assert (rounded(px, 11) != px).any()


def test_shards_merge_to_what_one_run_writes(bundle: Bundle, tmp_path: Path) -> None:
    """And not with those of another precision; what is converted says it still."""
    path, parts = tmp_path / "s.root", []
    request = Request(str(path), n=3000, seed=5, bundle=str(bundle.path), precision=12)
    for number in (1, 2):
        parts += carry_out(replace(request, shard=Shard(number, 2)), print).locations
    merge(tmp_path / "merged.root", parts)
    merged, one = (
        stored(tmp_path / "merged.root"),
        stored(make(bundle, tmp_path / "one.root", "muonback", 12)),
    )
    for name in one:
        np.testing.assert_array_equal(merged[name], one[name])
    assert '"mantissa_bits": 12' in "\n".join(describe(tmp_path / "merged.root"))
    convert(tmp_path / "merged.root", tmp_path / "c.npz", LAYOUTS["npz"])
    assert '"mantissa_bits": 12' in "\n".join(describe(tmp_path / "c.npz"))
    other = replace(request, output=str(tmp_path / "p.root"), precision=13, shard=Shard(2, 2))
    parts[1:] = carry_out(other, print).locations
    with pytest.raises(InputError, match="the precision differs: 12 and 13"):
        merge(tmp_path / "no.root", parts)


def test_resumed_with_the_same_precision_only(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = f"produce --n 3000 --seed 5 -o {tmp_path / 'f.root'} --bundle {bundle.path} --resume".split()
    assert run([*command, "--precision", "16"]) == 0
    assert run([*command, "--precision", "16"]) == 0
    assert "nothing was done" in capsys.readouterr().out
    for other in (["--precision", "15"], []):
        assert run([*command, *other]) == InputError.exit_code
        assert "exists" in capsys.readouterr().err
    assert run([*command, "--precision", "24"]) == 2
    assert "24 is not in the range" in capsys.readouterr().err
