"""Events whose muons are rare; `test_fairship` has the others, under a stand-in for FairRoot."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pytest

from shipgen import MuonGenerator
from shipgen.errors import InputError
from shipgen.generate.event_options import EventOptions
from shipgen.generate.events import MuonEvents
from shipgen.muons.categories import MUON_MASS

if TYPE_CHECKING:
    from shipgen.bundle.bundle import Bundle

#: Place of px in `shipgen.generate.events.Track` and among the rows of a block.
PX = 1


def test_a_high_cut_leaves_no_block_empty(bundle: Bundle) -> None:
    """ROOT takes no empty array; the protons of blocks without a muon count."""
    batch = next(iter(MuonGenerator(bundle, n=3e5, seed=1)))
    momentum = np.sqrt(sum(getattr(batch, name).astype(float) ** 2 for name in ("px", "py", "pz")))
    cut = float(np.sort(momentum)[-5]) - MUON_MASS
    muons = MuonEvents(bundle, EventOptions(seed=1, energy_cut=cut))
    rows = [block.rows for block in islice(muons.blocks(), 5)]
    assert all(block.size for block in rows)
    passing = np.flatnonzero(np.hypot(momentum, MUON_MASS) - MUON_MASS > cut)
    assert 3 <= len(passing) <= 5
    found = np.concatenate([block[PX] for block in rows])
    np.testing.assert_array_equal(found[: len(passing)], batch.px[passing])
    events: list[tuple[float, ...]] = []
    muons = MuonEvents(bundle, EventOptions(seed=1, energy_cut=cut))
    muons.next_event(lambda *track: events.append(track))
    assert [event[PX] for event in events] == [batch.px[passing[0]]]
    assert muons.pot == pytest.approx((passing[0] + 1) / bundle.rate)


def test_a_cut_above_all_muons_is_told(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be an event without an end."""
    monkeypatch.setattr("shipgen.generate.events._MOST_BELOW", 100_000)
    with pytest.raises(InputError, match=r"muons in a row is above energy_cut = 1000 GeV: choose a lower"):
        MuonEvents(bundle, EventOptions(seed=1, energy_cut=1000)).next_event(print)
