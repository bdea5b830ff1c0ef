"""Factors of variations beside the muons: the right ones, and the muons as without them."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import numpy as np
import pytest

from helpers.bundles import VARIED, known_factors, write_test_bundle
from shipgen.errors import InputError
from shipgen.generate.event_options import EventOptions
from shipgen.generate.events import MuonEvents
from shipgen.generate.generator import MuonGenerator, generate_muons
from shipgen.generate.selection import Selection
from shipgen.muons.batch import Batch

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen.bundle.bundle import Bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_test_bundle(tmp_path_factory.mktemp("bundles") / "varied", variations=1)


def test_factors_are_those_of_the_muons(bundle: Bundle) -> None:
    # The beam is moved afterwards, and lengths are in another frame.
    moved = Selection(smear_beam=1.0, variations=("all",))
    generator = MuonGenerator(
        3e5, bundle=bundle, seed=1, workers=2, frame="target", unit="m", selection=moved
    )
    assert generator.variations == VARIED
    batch = generator.to_batch()
    for name, factors in known_factors(batch.pz).items():
        assert batch.variations[name].dtype == np.float32
        assert np.allclose(batch[name], factors, rtol=1e-5)
    plain = generate_muons(
        3e5, bundle=bundle, seed=1, frame="target", unit="m", selection=Selection(smear_beam=1.0)
    )
    assert plain.variations == {}
    assert all((plain[name] == batch[name]).all() for name in plain.columns())
    pieces = Batch.concatenate(
        list(MuonGenerator(3e5, bundle=bundle, seed=1, batch_size=70_000, variations="all"))
    )
    assert all((pieces[name] == batch[name]).all() for name in VARIED)
    copied = pickle.loads(pickle.dumps(generator))  # noqa: S301
    assert (copied.to_batch()["vary_kaons"] == batch["vary_kaons"]).all()


def test_batches_carry_them(bundle: Bundle) -> None:
    batch = generate_muons(5000, bundle=bundle, seed=2, variations=["mine"])
    assert tuple(batch.variations) == ("vary_mine",)
    some = batch[batch.pz > 40]
    assert np.allclose(some["vary_mine"], np.exp(-some.pz / 50), rtol=1e-5)
    assert batch[3]["vary_mine"] == batch["vary_mine"][3]
    assert batch.to_numpy().shape == (len(batch), 8)
    assert (batch.to_numpy(structured=True)["vary_mine"] == batch["vary_mine"]).all()
    assert list(batch.to_pandas())[-1] == "vary_mine"
    assert (batch.in_frame("shield", "m")["vary_mine"] == batch["vary_mine"]).all()
    with pytest.raises(KeyError, match="vary_mine"):
        batch["vary_kaons"]


def test_what_is_not_there_is_told(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no variation 'tails': choose from kaons, mine"):
        MuonGenerator(10, bundle=bundle, variations=("mine", "tails"))
    with pytest.raises(InputError, match="variations is given twice"):
        MuonGenerator(10, bundle=bundle, variations="mine", selection=Selection(variations=("kaons",)))
    with pytest.raises(InputError, match=r"has no variations: .*shipgen train variations"):
        MuonGenerator(10, bundle=write_test_bundle(tmp_path / "plain"), variations="all")


def test_events_have_the_weights_of_a_variation(bundle: Bundle) -> None:
    plain, varied = (
        next(MuonEvents(bundle, EventOptions(seed=3, variation=name)).blocks()).rows
        for name in (None, "kaons")
    )
    assert (plain[:7] == varied[:7]).all()
    assert np.allclose(varied[7], plain[7] * np.exp(plain[3] / 100), rtol=1e-5)
    events = MuonEvents(bundle, EventOptions(seed=3, variation="vary_kaons"))
    tracks: list[tuple[float, ...]] = []
    events.next_event(lambda *track: tracks.append(track))
    assert tracks[0][-1] == varied[7][0]
    assert events.provenance()["variation"] == "vary_kaons"
    assert "variation" not in MuonEvents(bundle, EventOptions(seed=3)).provenance()
    # All of them are no weights either.
    for name in ("bad", "all", ""):
        with pytest.raises(InputError, match=f"no variation '{name}': choose from kaons, mine"):
            MuonEvents(bundle, EventOptions(variation=name)).open()
