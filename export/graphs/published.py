"""Published generators: a Keras 2 file and the ranges its features were normalised by, put into a bundle.

A published network comes without rates, cut and companions. The bundle it goes into supplies them: it takes
the place of one category there, and the others stay as they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.bundle.bundle import INDEX, Bundle, NetworkFacts, write_bundle
from shipgen.bundle.factors import FactorFacts
from shipgen.errors import BundleError, InputError
from shipgen.files.layouts import TARGET_START_2018
from shipgen.files.outputs import check_output, complete_folder, read_json
from shipgen.muons.categories import Category, category_by_name
from shipgen.provenance import versions
from shipgen_export.graphs.keras2_file import read_keras2
from shipgen_export.sample.sample import INDEX as PREPARED
from shipgen_export.sample.sample import PreparedSample
from shipgen_export.sample.transforms import BROADENED, Normalisation

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from shipgen.bundle.details import Details
    from shipgen_export.graphs.keras2 import Keras2Generator

#: What the published networks' generation script scales to.
PUBLISHED_SPAN = 0.97

#: Bundle of the package that they go into: they are of the target of 2018, in its frame.
PUBLISHED_BASE = "pythia2018"

#: Largest difference allowed between the rebuilt network and NumPy, normalised features.
_TOLERANCE = 1e-5

_KEYS = {"features", "broadened", "span", "target_start"}


@dataclass(frozen=True)
class Ranges:
    """How a published network's features were normalised.

    Attributes
    ----------
    normalisation : Normalisation
        Of one category.
    target_start : float
        z of the target's start in the frame of these ranges, cm.
    """

    normalisation: Normalisation
    target_start: float


def read_ranges(path: Path, category: Category) -> Ranges:
    """Read the ranges of a category's features.

    Parameters
    ----------
    path : Path
        A prepared sample, whose normalisation is taken, or a JSON file::

            {"features": {"z": [-7084.9, -6460.8], "px": [-8.25, 8.25], "py": [-8.25, 8.25],
                          "pz": [10.3, 386.1]},
             "span": 0.97, "target_start": -7084.5}

        with minimum and maximum of each feature in cm and GeV. Off-axis categories also need
        ``"broadened": {"x": {"mean": m, "range": [low, high]}, "y": ...}``: mean and second range of the
        scaled values (`shipgen_export.sample.transforms`); the second range follows from the first where
        it is left out. Span and start of the target are those above where they are left out.
    category : Category
        Which one.

    Raises
    ------
    InputError
        Something is missing, not a number or unknown.
    """
    if (path / PREPARED).is_file():
        index = PreparedSample.open(path).index
        entry = index["categories"].get(category.name)
        if entry is None:
            raise InputError(f"{path} has no muons of category {category.name}, so no ranges for it")
        return Ranges(Normalisation.from_json(entry["normalisation"]), float(index["target_start"]))
    if not path.is_file():
        raise InputError(f"{path} is neither a prepared sample nor a JSON file of ranges")
    try:
        return _from_json(read_json(path), category)
    except (InputError, AttributeError, KeyError, TypeError, ValueError, ArithmeticError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise InputError(f"the ranges in {path} cannot be used for {category.name}: {reason}") from error


def _from_json(content: Mapping[str, Any], category: Category) -> Ranges:
    """Turn the content of a file of ranges into `Ranges`; raise what `read_ranges` catches."""
    ranges = content["features"]
    if unknown := sorted({*content} - _KEYS) + sorted({*ranges} - {*category.features}):
        raise ValueError(f"{', '.join(unknown)} is not known there")
    span = float(content.get("span", PUBLISHED_SPAN))
    low, high = np.array([_pair(ranges[name], name) for name in category.features]).T
    mean = np.zeros(len(low))
    broad = np.tile([[-span], [span]], len(low))
    for place, name in enumerate(category.features):
        if name in BROADENED:
            entry = content["broadened"][name]
            mean[place] = float(entry["mean"])
            # The square root of the distance to the mean, at both ends of the scaled range.
            ends = np.array([-span, span]) - mean[place]
            followed = mean[place] + np.sign(ends) * np.sqrt(np.abs(ends))
            broad[:, place] = _pair(entry["range"], f"{name} (broadened)") if "range" in entry else followed
    parts = {
        "minimum": low,
        "maximum": high,
        "mean": mean,
        "broad_minimum": broad[0],
        "broad_maximum": broad[1],
    }
    normalisation = Normalisation.from_json({"features": category.features, "span": span, **parts})
    target_start = float(content.get("target_start", TARGET_START_2018))
    if not math.isfinite(target_start):
        raise ValueError(f"target_start is {target_start}")
    return Ranges(normalisation, target_start)


def _pair(value: Any, name: str) -> tuple[float, float]:
    """Return minimum and maximum."""
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"{name} is {value!r}, not [minimum, maximum]")
    low, high = float(value[0]), float(value[1])
    if not low < high:
        raise ValueError(f"{name} goes from {low} to {high}")
    return low, high


def export_keras2(
    file: Path,
    ranges: Path,
    output: Path,
    *,
    category: str,
    base: Path | None = None,
    name: str | None = None,
    force: bool = False,
) -> Bundle:
    """Put a published Keras 2 generator into a copy of a bundle, in the place of one category's network.

    Parameters
    ----------
    file : Path
        The ``.h5`` file; see `shipgen_export.graphs.keras2_file.read_keras2`.
    ranges : Path
        See `read_ranges`.
    output : Path
        Bundle to write.
    category : str
        Name of the category that the network makes.
    base : Path, optional
        Bundle that the other networks, all rates and the energy cut come from; `PUBLISHED_BASE` when
        not given.
    name : str, optional
        What to call the new bundle; `output`'s name otherwise.
    force : bool
        Replace `output`.

    Raises
    ------
    InputError
        File or ranges cannot be used, or do not fit the category or the base.
    BundleError
        The base cannot be used, or the graph differs from the network by more than the tolerance.
    """
    check_output(output, force=force, index=INDEX)
    chosen = category_by_name(category)
    network = read_keras2(file)
    if network.features != len(chosen.features):
        raise InputError(
            f"{file} makes {network.features} features, but muons of {chosen.name} have "
            f"{len(chosen.features)} ({', '.join(chosen.features)}): choose the category it was trained on"
        )
    stated = read_ranges(ranges, chosen)
    bundle = Bundle.open(PUBLISHED_BASE if base is None else base)
    if chosen in {one.category for one in bundle.missing}:
        raise InputError(f"{bundle.path} has no {chosen.name}, and so no rate for it: choose another --base")
    # A NaN differs too.
    if not abs(stated.target_start - bundle.target_start) <= 1e-3:
        raise InputError(
            f"{ranges} counts z from a frame in which the target starts at {stated.target_start:g} cm, "
            f"{bundle.path} at {bundle.target_start:g} cm: shift z and target_start of the ranges, or choose "
            "another --base"
        )
    made = _graph(file, network, chosen, stated.normalisation)
    networks = [
        NetworkFacts(
            entry.category, made[0], network.latent_size, entry.rate, made[1], kept_factors(bundle, entry)
        )
        if entry.category == chosen
        else kept_network(bundle, entry)
        for entry in bundle.entries
    ]
    with complete_folder(output, index=INDEX, force=force) as folder:
        written = write_bundle(
            folder,
            networks,
            name=name or output.absolute().name,
            label=f"{bundle.label}; {chosen.name}: {file.name}",
            target_start=bundle.target_start,
            energy_cut=bundle.energy_cut,
            missing={one.category.name: one.rate for one in bundle.missing},
            provenance={
                "imported": {"category": chosen.name, "file": file.name, **made[1]["keras2"]},
                "exported_with": versions("shipgen", "tensorflow", "keras", "h5py", "tf2onnx", "onnx"),
                "base": {"name": bundle.name, "sha256": bundle.sha256, "provenance": bundle.provenance},
            },
        )
    return replace(written, path=output)


def kept_network(bundle: Bundle, entry: Any) -> NetworkFacts:
    """Return an entry of `bundle`, whose network was checked when it was opened, to be written again."""
    model = (bundle.path / entry.file).read_bytes()
    return NetworkFacts(
        entry.category,
        model,
        entry.latent_size,
        entry.rate,
        entry.details,
        kept_factors(bundle, entry),
        entry.stream,
    )


def kept_factors(bundle: Bundle, entry: Any) -> FactorFacts | None:
    """Return the network of variations of an entry of `bundle`, if it has one, to be written again."""
    if entry.factors is None:
        return None
    model = (bundle.path / entry.factors.file).read_bytes()
    return FactorFacts(model, entry.factors.columns, entry.factors.facts)


def _graph(
    file: Path, network: Keras2Generator, category: Category, normalisation: Normalisation
) -> tuple[bytes, Details]:
    """Return the checked graph and what the bundle says of it."""
    from shipgen_export.backend import configure
    from shipgen_export.graphs.agreement import check_agreement, comparison_latents
    from shipgen_export.graphs.onnx_graph import build_graph

    configure()
    generator = network.rebuild()
    latent = comparison_latents(network.latent_size, seed=2)
    difference = float(np.abs(np.asarray(generator(latent, training=False)) - network(latent)).max())
    if not difference <= _TOLERANCE:
        raise BundleError(
            f"the network rebuilt from {file} differs from NumPy by {difference:.3g} (allowed: "
            f"{_TOLERANCE:g}): its weights are too large for float32"
        )
    graph = build_graph(generator, normalisation)
    agreement = check_agreement(category, generator, normalisation, graph)
    low, high = normalisation.minimum, normalisation.maximum
    return graph, {
        "training_range": {name: [float(low[i]), float(high[i])] for i, name in enumerate(category.features)},
        "agreement": agreement.to_json(),
        "figure_of_merit": None,
        "keras2": {
            "sha256": network.sha256,
            "keras_version": network.keras_version,
            "widths": list(network.widths),
            "normalisation": normalisation.to_json(),
        },
    }
