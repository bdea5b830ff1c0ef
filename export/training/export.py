"""Export: from a run folder to a model bundle of ONNX networks that give muons in physical units."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from shipgen.bundle.bundle import INDEX, Bundle, NetworkFacts, write_bundle
from shipgen.bundle.levels import NORMAL
from shipgen.errors import InputError
from shipgen.files.outputs import check_output, complete_folder, read_json, sha256
from shipgen.muons.categories import CATEGORIES, Category
from shipgen.progress import progress
from shipgen.provenance import versions
from shipgen_export.merit.evaluate import MEASURES
from shipgen_export.models.kinds import Model, model_by_name
from shipgen_export.sample.transforms import Normalisation
from shipgen_export.training.run.category_folder import LAST
from shipgen_export.training.run.run_folder import CategoryFolder, TrainingRun

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from shipgen.bundle.details import Details
    from shipgen.bundle.factors import FactorFacts
    from shipgen_export.sample.sample import PreparedSample

#: The networks of a category that can be exported.
NETWORKS = (*(f"best_{measure}" for measure in MEASURES), LAST)

_SMEARED = (
    "; on-axis muons start exactly at the beam, so where that was smeared, files with primary tracks are "
    "needed, prepared with --beam auto or --beam primary"
)


@dataclass(frozen=True)
class _Ready:
    """A trained category, as far as it can be checked before TensorFlow is loaded."""

    category: Category
    rate: float
    normalisation: Normalisation
    network: str
    steps: int
    merit: dict[str, Any] | None


def export(
    path: Path,
    output: Path,
    *,
    network: str | None = None,
    pot: float | None = None,
    name: str | None = None,
    force: bool = False,
    factors: Mapping[str, FactorFacts] | None = None,
    origin: dict[str, Any] | None = None,
) -> Bundle:
    """Export a run's networks with rates and provenance as a bundle; nothing is written unless all is well.

    Parameters
    ----------
    path : Path
        Run folder.
    output : Path
        Bundle to write.
    network : str, optional
        One of `NETWORKS`: the network as it was best on validation muons by a measure, or at the end of
        training. The best by AUC when not given, or the last of a run that was not evaluated on its way.
    pot : float, optional
        Protons on target that the sum of the training sample's weights stands for; needed when the sample
        does not say it.
    name : str, optional
        What to call the bundle; `output`'s name otherwise.
    force : bool
        Replace `output`.
    factors : mapping of str to FactorFacts, optional
        Networks of variations by category.
    origin : dict, optional
        What identifies the bundle that this one was adapted from.

    Raises
    ------
    InputError
        The run is damaged or has no networks, or the POT or energy cut is not known.
    BundleError
        A graph differs from its network by more than the tolerance.
    """
    check_output(output, force=force, index=INDEX)
    run = TrainingRun.open(path)
    model = model_by_name(run.model)
    if model.teaches:
        raise InputError(
            f"{path} is a run of a {run.model}, a teacher: export what `shipgen train distill PREPARED "
            f"--teacher {path} -o RUN` makes of it"
        )
    sample = run.sample()
    pot, energy_cut = check_sample(sample, pot)
    ready = _check_run(run, model, sample, pot, network)
    networks = []
    with progress("exporting", len(ready), "networks") as advance:
        for one in ready:
            made = _export_network(run, model, one)
            networks.append(replace(made, factors=(factors or {}).get(one.category.name)))
            advance(1)
    with complete_folder(output, index=INDEX, force=force) as folder:
        bundle = write_bundle(
            folder,
            networks,
            name=name or output.absolute().name,
            label=label(sample),
            target_start=sample.index["target_start"],
            energy_cut=energy_cut,
            provenance=_provenance(run, sample) | ({"adapted_from": origin} if origin else {}),
            missing=missing_rates(sample, [one.category for one in ready], pot),
        )
    return replace(bundle, path=output)


def missing_rates(sample: PreparedSample, there: Sequence[Category], pot: float) -> dict[str, float]:
    """Return the rates in the sample of the categories that are not `there`, by name; 0 without muons."""
    facts = sample.index["categories"]
    return {
        category.name: facts[category.name]["weight"] / pot if category.name in facts else 0.0
        for category in CATEGORIES
        if category not in there
    }


def lacking(sample: PreparedSample) -> str | None:
    """Say which categories the sample has no muons of, ``None`` when it has all."""
    missing = [category for category in CATEGORIES if category not in sample.categories]
    if not missing:
        return None
    smeared = any(category.on_axis for category in missing)
    return (
        f"the sample {sample.path} has no muons of {', '.join(category.name for category in missing)}: the "
        "bundle makes none of these" + _SMEARED * smeared
    )


def label(sample: PreparedSample) -> str:
    """Return in a few words what the sample's muons come from: its files' generators, or else their kinds."""
    words = []
    for source in sample.index["sources"]:
        stated = source.get("provenance") or {}
        words.append(str(stated.get("generator") or source.get("kind") or source.get("name")))
    return ", ".join(dict.fromkeys(words)) or "unknown sample"


def check_sample(sample: PreparedSample, pot: float | None = None) -> tuple[float, float]:
    """Return the protons that the sum of weights stands for and the energy cut, GeV, of a bundle's sample.

    Parameters
    ----------
    sample : PreparedSample
        To train on, or trained on.
    pot : float, optional
        As for `export`.

    Raises
    ------
    InputError
        One of the two is not known.
    """
    stated, energy_cut = _pot(sample, pot), sample.index["energy_cut"]
    if energy_cut is None:
        raise InputError(
            "the training sample's energy cut is not known: prepare it again with --energy-cut GEV"
        )
    return stated, float(energy_cut)


def _pot(sample: PreparedSample, given: float | None) -> float:
    """Return the protons that the sum of weights stands for: the sample's word or the user's."""
    stated: float | None = sample.index["pot"]
    if stated is None:
        if given is not None:
            return given
        raise InputError(
            "the training sample does not say how many protons on target its weights stand for: "
            "give --pot N (5e13 for all files of FairShip's 2018 production)"
        )
    if given is not None and not math.isclose(stated, given):
        raise InputError(
            f"the training sample's weights stand for {stated:g} protons on target, not {given:g}: "
            "leave out --pot, or prepare the sample again with the right one"
        )
    return stated


def _check_run(
    run: TrainingRun, model: Model, sample: PreparedSample, pot: float, network: str | None
) -> list[_Ready]:
    """Return the trained categories, ready to export; raise `InputError` naming what is damaged."""
    if network is not None and network not in NETWORKS:
        raise InputError(f"no network {network!r}: choose from {', '.join(NETWORKS)}")
    ready = []
    for category in sample.categories:
        found = _check_category(run, model, category, network)
        if found is None:
            continue
        entry = sample.index["categories"][category.name]
        normalisation = Normalisation.from_json(entry["normalisation"])
        ready.append(_Ready(category, entry["weight"] / pot, normalisation, *found))
    if not ready:
        raise InputError(
            f"{run.path} has no trained network: train it with `shipgen train {run.model} PREPARED -o "
            f"{run.path}`"
        )
    return ready


def _check_category(
    run: TrainingRun, model: Model, category: Category, network: str | None
) -> tuple[str, int, dict[str, Any] | None] | None:
    """Return name, steps and figure of merit of the network to export; ``None`` when untrained."""
    folder = run.category(category)
    state = folder.state()
    there = [name for name in NETWORKS if state.network(name) is not None and folder.network(name).is_file()]
    if not there:
        return None
    name = network or state.default_network(model)
    stated = state.network(name)
    if stated is None or name not in there:
        raise InputError(
            f"{folder.path} has no network {name}: it has {', '.join(there)}; the best ones come from "
            "evaluations during training"
        )
    steps, digest = stated
    if sha256(folder.network(name)) != digest:
        raise InputError(
            f"{folder.network(name)} is not the file that training wrote: train {category.name} again"
        )
    if network is None and (unfinished := run.unfinished(category)):
        raise InputError(f"{unfinished}, or export it as it is with --network {name}")
    merit = read_json(folder.merit) if folder.merit.is_file() else {}
    # Two networks of the same step have the same weights.
    merit = {key: value for key, value in merit.items() if key not in {"network", "sha256"}}
    return name, steps, merit if merit.pop("steps", None) == steps else None


def _export_network(run: TrainingRun, model: Model, ready: _Ready) -> NetworkFacts:
    """Rebuild a generator from settings and weights, turn it into a graph and compare the two."""
    from shipgen_export.backend import configure
    from shipgen_export.graphs.agreement import check_agreement
    from shipgen_export.graphs.onnx_graph import build_graph
    from shipgen_export.graphs.student_graph import STREAM, build_student_graph
    from shipgen_export.maps.muon_map import MuonMap

    configure()
    category = ready.category
    folder = run.category(category)
    form = folder.map_of(category, ready.network) if model.taught else ready.normalisation
    config = model.settings(**run.index["config"])
    generator = model.build(config, form.shape)
    folder.read_network(ready.network, generator)
    if isinstance(form, MuonMap):
        graph, stream = build_student_graph(generator.get_weights(), form), STREAM
    else:
        graph, stream = build_graph(generator, form), NORMAL
    agreement = check_agreement(category, generator, form, graph, stream=stream)
    low, high = ready.normalisation.minimum, ready.normalisation.maximum
    details: Details = {
        "training_range": {name: [float(low[i]), float(high[i])] for i, name in enumerate(category.features)},
        "network": ready.network,
        "steps": ready.steps,
        "agreement": agreement.to_json(),
        "figure_of_merit": ready.merit,
    }
    if config.condition_names:
        places = list(range(generator.input_shape[1]))[-len(config.condition_names) :]
        details["conditions"] = {"quantities": list(config.condition_names), "latents": places}
    if isinstance(form, MuonMap):
        details["coordinates"] = {**form.coordinates.to_json(), **form.facts}
    if uncertainty := stated_uncertainty(folder, ready.network):
        details["uncertainty"] = uncertainty
    return NetworkFacts(category, graph, generator.input_shape[1], ready.rate, details, stream=stream)


def stated_uncertainty(folder: CategoryFolder, network: str) -> dict[str, Any] | None:
    """Return what was found of a network's uncertainty, if it is of this one and not of one before it."""
    stated = read_json(folder.uncertainty) if folder.uncertainty.is_file() else {}
    return stated if stated.pop("sha256", None) == sha256(folder.network(network)) else None


def _provenance(run: TrainingRun, sample: PreparedSample) -> dict[str, Any]:
    """Say how the networks were made; no path of the machine."""
    index = sample.index
    return {
        "model": run.model,
        "config": run.index["config"],
        "seed": run.seed,
        "trained_with": run.index["versions"],
        "exported_with": versions(
            "shipgen", "tensorflow", "keras", "tf2onnx", "onnx", "onnxruntime", "numpy"
        ),
        "sample": {
            "sha256": run.index["sample"]["sha256"],
            **{
                key: value
                for key, value in index.items()
                if key not in {"categories", "format", "format_version"}
            },
        },
    }
