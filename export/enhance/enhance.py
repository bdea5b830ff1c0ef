"""A bundle that makes more of a region's muons, with weights: the library form of `shipgen enhance`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.bundle.bundle import INDEX, Bundle, NetworkFacts, write_bundle
from shipgen.errors import InputError
from shipgen.files.outputs import check_output, complete_folder
from shipgen.muons.quantities import Quantities
from shipgen.progress import progress
from shipgen.provenance import versions
from shipgen_export.enhance.adapt import Learned, learn
from shipgen_export.enhance.gain import MUONS as MEASURED
from shipgen_export.enhance.gain import Gain, measure_gain
from shipgen_export.enhance.graph import build_enhanced_graph, load_graph
from shipgen_export.graphs.published import kept_factors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from shipgen.bundle.entries import Entry
    from shipgen.bundle.network import Network
    from shipgen.muons.columns import Float64
    from shipgen_export.enhance.regions.targets import Wanted

#: Muons looked at in a round of learning, for networks with small latents.
MUONS = 200_000

#: Numbers of latents in a round, at most: bounds the memory for wide latents.
_LATENTS = 4_000_000

#: Latents of a call of a network.
_SLICE = 16_384

#: Largest share of muons that may be drawn from the mixture: weights are at most 1 / (1 - share).
LARGEST_SHARE = 0.999

_UNITS = "check units (GeV, cm, rad; z from the target's start)"

#: Streams of random numbers.
_LEARN, _MEASURE = range(2)


@dataclass(frozen=True)
class Enhanced:
    """What `enhance` made.

    Attributes
    ----------
    bundle : Bundle
        The enhanced bundle.
    learned : tuple of Learned
        One a category.
    gain : Gain
        Measured with the enhanced networks.
    """

    bundle: Bundle
    learned: tuple[Learned, ...]
    gain: Gain


def maker(entry: Entry, network: Network, target_start: float) -> Callable[[Float64], Quantities]:
    """Return what makes the quantities of a network's muons from latents, float64[n, L]."""

    def make(points: Float64) -> Quantities:
        parts = []
        for first in range(0, len(points), _SLICE):
            latent = points[first : first + _SLICE].astype(np.float32)
            columns = network.columns(np.ascontiguousarray(latent.T) if network.feature_major else latent)
            # Without the weight that an enhanced network's muons have.
            parts.append(columns[: network.features])
        return Quantities.of_features(entry.category, np.concatenate(parts, axis=1), target_start)

    return make


def enhance(
    region: Wanted,
    output: Path,
    *,
    bundle: Bundle,
    share: float = 0.5,
    components: int = 4,
    muons: int = MUONS,
    measured: int = MEASURED,
    seed: int = 1,
    name: str | None = None,
    force: bool = False,
) -> Enhanced:
    """Write a bundle whose muons lie more often in a region, with weights; rates stay as they are.

    Parameters
    ----------
    region : Wanted
        See `shipgen_export.enhance.regions.region_file.read_region`.
    output : Path
        Bundle to write.
    bundle : Bundle
        The plain one.
    share : float
        Share of the muons of each category that is drawn from the proposal; the others are plain ones, and no
        muon has a weight above 1 / (1 - share).
    components : int
        Normal distributions of each proposal, at most; two wide ones come with them.
    muons : int
        Looked at in each round of learning.
    measured : int
        Muons a category that the gain is measured with.
    seed : int
        Decides everything random.
    name : str, optional
        What to call the new bundle; `output`'s name otherwise.
    force : bool
        Replace `output`.

    Raises
    ------
    InputError
        An option is out of range, the bundle is enhanced already, or the region has no muon, or all.
    BundleError
        A network's operators are too old to build on.
    """
    check_output(output, force=force, index=INDEX)
    if not 0 < share <= LARGEST_SHARE:
        raise InputError(
            f"share = {share!r}: the share of enhanced muons is above 0, at most {LARGEST_SHARE}"
        )
    if components < 1 or muons < 1000:
        raise InputError(f"components = {components}, muons = {muons}: at least 1 and 1000 are needed")
    # Told now, not after the search.
    plain = [_plain(bundle, entry) for entry in bundle.entries]
    learned = _learn_all(bundle, region, share=share, components=components, muons=muons, seed=seed)
    _check_found(bundle, region, learned)
    facts = [
        replace(_enhanced(entry, network, model, found, region), factors=kept_factors(bundle, entry))
        for entry, network, model, found in zip(bundle.entries, bundle.networks, plain, learned, strict=True)
    ]
    with complete_folder(output, index=INDEX, force=force) as folder:
        stated = {"region": region.text, "share": share, "components": components, "seed": seed}
        arguments: dict[str, Any] = {
            "name": name or output.absolute().name,
            "label": f"{bundle.label}; enhanced: {region.text}",
            "target_start": bundle.target_start,
            "energy_cut": bundle.energy_cut,
            "missing": {one.category.name: one.rate for one in bundle.missing},
        }
        provenance = {
            "enhanced": {
                **stated,
                "muons": muons,
                "base": {"name": bundle.name, "sha256": bundle.sha256},
                "versions": versions("shipgen", "numpy", "onnx", "onnxruntime"),
            },
            **bundle.provenance,
        }
        written = write_bundle(folder, facts, provenance=provenance, **arguments)
        gain = measure_gain(written, learned, seed=(seed, _MEASURE), muons=measured)
    return Enhanced(replace(written, path=output), learned, gain)


def _plain(bundle: Bundle, entry: Entry) -> bytes:
    """Return the graph of an entry's network; raise `InputError` if it has a proposal already."""
    model = (bundle.path / entry.file).read_bytes()
    if "proposal" in entry.details or len(load_graph(model).graph.output) > 1:
        raise InputError(f"bundle {bundle.path} is enhanced already: give the plain bundle that it came from")
    return model


def _learn_all(
    bundle: Bundle, region: Wanted, *, share: float, components: int, muons: int, seed: int
) -> tuple[Learned, ...]:
    """Return what was learnt for each category."""
    learned = []
    with progress("learning", len(bundle.entries), "categories") as advance:
        for entry, network in zip(bundle.entries, bundle.networks, strict=True):
            random = np.random.default_rng(np.random.SeedSequence((seed, entry.category.number, _LEARN)))
            make = maker(entry, network, bundle.target_start)
            count = max(1000, min(muons, _LATENTS // network.latent_size))
            learned.append(
                learn(
                    make, network.latent_size, region, random, share=share, components=components, muons=count
                )
            )
            advance(1)
    return tuple(learned)


def _check_found(bundle: Bundle, region: Wanted, learned: Sequence[Learned]) -> None:
    """Raise `InputError` when the region has no muon, or all of them."""
    rates = [entry.rate for entry in bundle.entries]
    if any(found.proposal is not None and rate > 0 for found, rate in zip(learned, rates, strict=True)):
        return
    drawn = sum(found.drawn for found in learned)
    if not any(found.share and rate for found, rate in zip(learned, rates, strict=True)):
        raise InputError(
            f"no muon of bundle {bundle.name} is in the region {region.text!r}: {drawn:,} were looked at, "
            f"drawn ever nearer to it; {_UNITS} and limits, or widen it"
        )
    inside = [
        entry.category.name for entry, found in zip(bundle.entries, learned, strict=True) if found.share
    ]
    if len(inside) < len(learned):
        raise InputError(
            f"the region {region.text!r} is all of {', '.join(inside)} and nothing else: `shipgen produce "
            f"--category {','.join(inside)}` makes these alone, or narrow it"
        )
    raise InputError(
        f"all muons of bundle {bundle.name} are in the region {region.text!r} ({drawn:,} were looked at): "
        f"there is nothing to enhance; {_UNITS}, or narrow it"
    )


def _enhanced(entry: Entry, network: Network, model: bytes, found: Learned, region: Wanted) -> NetworkFacts:
    """Return an entry with its proposal, or as it was where it has none."""
    if found.proposal is None:
        stated: dict[str, Any] = {"region": region.text, "share_of_region": found.share}
        return NetworkFacts(
            entry.category,
            model,
            entry.latent_size,
            entry.rate,
            {**entry.details, "enhanced": stated},
            stream=entry.stream,
        )
    graph = build_enhanced_graph(
        model, found.proposal, feature_major=network.feature_major, stream=entry.stream
    )
    latent_size = entry.latent_size + found.proposal.extra
    proposal = {
        "region": region.text,
        "share_of_region": found.share,
        "share_of_region_error": found.error,
        "muons_looked_at": found.drawn,
        "plain_latent_size": entry.latent_size,
        "plain_sha256": entry.sha256,
        **found.proposal.to_json(),
    }
    return NetworkFacts(
        entry.category, graph, latent_size, entry.rate, {**entry.details, "proposal": proposal}
    )
