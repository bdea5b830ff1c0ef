"""Batches: what they give, in which form, frame and unit."""

from __future__ import annotations

import pickle
import sys
from dataclasses import replace

import numpy as np
import pytest

import shipgen
from shipgen.errors import InputError, MissingExtraError
from shipgen.muons.batch import Batch, regrouped
from shipgen.muons.columns import ROW

START = -7084.5


def make(n: int = 1000, seed: int = 1) -> Batch:
    random = np.random.default_rng(seed)
    pdg = random.choice([13, -13], n).astype(np.int32)
    place = [random.normal(0, 1, n).astype("f4") for _ in "xy"]
    z = (START + random.exponential(30, n)).astype("f4")
    momentum = [random.normal(scale, 1, n).astype("f4") for scale in (0, 0, 30)]
    return Batch(pdg, *place, z, *momentum, random.random(n).astype("f4"), START)


BATCH = make()


def test_quantities_by_name() -> None:
    np.testing.assert_array_equal(BATCH["px"], BATCH.px)
    np.testing.assert_array_equal(BATCH["weight"], BATCH.weight)
    np.testing.assert_allclose(BATCH.pt, np.hypot(BATCH.px, BATCH.py), rtol=1e-6)
    np.testing.assert_allclose(BATCH["p"] ** 2, BATCH.pt**2 + BATCH.pz.astype(float) ** 2)
    np.testing.assert_allclose(BATCH.r, np.hypot(BATCH.x, BATCH.y), rtol=1e-6)
    np.testing.assert_array_equal(BATCH.charge, np.where(BATCH.pdg == 13, -1, 1))
    np.testing.assert_array_equal(BATCH["charge"], BATCH.charge)
    with pytest.raises(KeyError, match="no quantity 'eta': there are x, y, z"):
        BATCH["eta"]


def test_parts() -> None:
    np.testing.assert_array_equal(BATCH[10:20].z, BATCH.z[10:20])
    fast = BATCH[BATCH.p > 31]
    np.testing.assert_array_equal(fast.pz, BATCH.pz[BATCH.p > 31])
    assert 0 < len(fast) < len(BATCH)
    assert fast.target_start == START
    np.testing.assert_array_equal(BATCH[[3, 1]].x, BATCH.x[[3, 1]])
    assert len(BATCH[[]]) == 0
    for odd in (..., np.True_, np.zeros((2, 2), int)):
        with pytest.raises(IndexError, match="by a slice, a mask or places"):
            BATCH[odd]  # type: ignore[call-overload]
    assert BATCH[-1] == {name: column[-1].item() for name, column in BATCH.columns().items()}
    assert sum(1 for _ in BATCH[:7]) == 7
    together = Batch.concatenate([BATCH[:100], BATCH[100:].in_frame("shield", "m")])
    np.testing.assert_allclose(together.to_numpy(), BATCH.to_numpy(), rtol=1e-6, atol=1e-3)


def test_rows_records_and_others() -> None:
    rows = BATCH.to_numpy()
    assert (rows.shape, rows.dtype) == ((1000, 8), np.float32)
    for place, name in enumerate(ROW):
        np.testing.assert_array_equal(rows[:, place], BATCH[name])
    np.testing.assert_array_equal(np.asarray(BATCH), rows)
    assert np.asarray(BATCH, float).dtype == np.float64
    with pytest.raises(ValueError, match="is a copy"):
        np.asarray(BATCH, copy=False)
    records = BATCH.to_numpy(structured=True)
    assert records.dtype.names == ROW
    assert records["pdg"].dtype == np.int32
    np.testing.assert_array_equal(records["pdg"], BATCH.pdg)
    frame = BATCH.to_pandas()
    assert tuple(frame.columns) == ROW
    np.testing.assert_array_equal(frame.pz, BATCH.pz)
    np.testing.assert_array_equal(BATCH.to_awkward().pz.to_numpy(), BATCH.pz)


def test_without_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(
        MissingExtraError, match="a DataFrame needs pandas: install shipgen with its extra 'arrays'"
    ):
        BATCH.to_pandas()
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match="a tensor needs PyTorch"):
        BATCH.to_torch()


def test_frames_and_units() -> None:
    there = BATCH.in_frame("shield", unit="m")
    np.testing.assert_allclose(there.z, (BATCH.z.astype(float) - START) / 100 - 2.14, rtol=1e-6)
    np.testing.assert_allclose(there.x, BATCH.x / 100, rtol=1e-6)
    np.testing.assert_array_equal(there.px, BATCH.px)
    assert (there.unit, there.target_start) == ("m", -2.14)
    np.testing.assert_allclose(there.in_frame("fairship").z, BATCH.z, atol=1e-3)
    assert BATCH.in_frame("fairship") is BATCH
    np.testing.assert_allclose(BATCH.in_frame(50.0).z, BATCH.z.astype(float) - START + 50, atol=1e-5)
    for frame, unit, message in (
        ("cave", "cm", "frame = 'cave' is none: choose from target, shield, fairship, global"),
        ("shield", "mm", "unit = 'mm' is none for lengths: choose from cm, m"),
    ):
        with pytest.raises(InputError, match=message):
            BATCH.in_frame(frame, unit)
    with pytest.raises(InputError, match="target_start = None: the batch does not say"):
        Batch(*BATCH.columns().values()).in_frame("shield")


def test_how_it_shows_itself() -> None:
    weight = BATCH.weight.sum(dtype=float)
    assert repr(BATCH) == f"<Batch of 1,000 muons, sum of weights {weight:.9g}; cm, frame fairship>"
    assert repr(BATCH.in_frame(3.0, "m")).endswith("; m, target from z = 3 m>")
    assert repr(replace(BATCH, target_start=None)).endswith("; cm>")
    assert BATCH.frame == "fairship"
    assert BATCH.in_frame("shield", "m").frame == "shield"
    assert BATCH.in_frame(3.0, "m").frame is replace(BATCH, target_start=None).frame is None
    html = BATCH._repr_html_()
    assert html.count("<tr>") == 6
    assert "&lt;Batch of 1,000 muons" in html
    assert f"<td>{BATCH.px[0]:.5g}</td>" in html


def test_pickled() -> None:
    again = pickle.loads(pickle.dumps(BATCH))  # noqa: S301 (its own)
    np.testing.assert_array_equal(again.to_numpy(), BATCH.to_numpy())
    assert again.target_start == START


@pytest.mark.parametrize("size", [1, 99, 100, 250, 1000, 5000])
def test_regrouped(size: int) -> None:
    parts = [BATCH[:100], BATCH[100:101], BATCH[101:700], BATCH[700:]]
    found = list(regrouped(iter(parts), size))
    assert [len(batch) for batch in found[:-1]] == [size] * (len(found) - 1)
    assert 0 < len(found[-1]) <= size
    np.testing.assert_array_equal(np.concatenate([batch.to_numpy() for batch in found]), BATCH.to_numpy())


def test_names_of_the_package() -> None:
    assert set(dir(shipgen)) >= {"Batch", "Bundle", "MuonGenerator", "Selection", "enhance", "generate_muons"}
    assert shipgen.Selection(categories=("muplus_onaxis",)).categories
    assert shipgen.enhance.__module__ == "shipgen_export.enhance.enhance"
    with pytest.raises(AttributeError, match="no attribute 'muon_generator'"):
        shipgen.muon_generator  # noqa: B018
