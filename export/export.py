"""Export: from a run folder to a model bundle of ONNX networks that give muons in physical units."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shipgen.bundle import INDEX, Bundle, NetworkFacts, write_bundle
from shipgen.categories import CATEGORIES, Category
from shipgen.errors import InputError
from shipgen.files import check_output, complete_folder, read_json, sha256
from shipgen.progress import progress
from shipgen.provenance import versions
from shipgen_export.run_folder import Run
from shipgen_export.train import Model, model_by_name
from shipgen_export.transforms import Normalisation

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen_export.sample import PreparedSample


@dataclass(frozen=True)
class _Ready:
    """A trained category, as far as it can be checked before TensorFlow is loaded."""

    category: Category
    rate: float
    normalisation: Normalisation
    weights: Path
    steps: int
    merit: dict[str, Any] | None


def export(
    path: Path, output: Path, *, pot: float | None = None, name: str | None = None, force: bool = False
) -> Bundle:
    """Export a run's networks with rates and provenance as a bundle; nothing is written unless all is well.

    Parameters
    ----------
    path : Path
        Run folder.
    output : Path
        Bundle to write.
    pot : float, optional
        Protons on target that the sum of the training sample's weights stands for; needed when the sample
        does not say it.
    name : str, optional
        What to call the bundle; `output`'s name otherwise.
    force : bool
        Replace `output`.

    Raises
    ------
    InputError
        The run is damaged or lacks categories, or the POT or energy cut is not known.
    BundleError
        A graph differs from its network by more than the tolerance.
    """
    check_output(output, force=force, index=INDEX)
    run = Run.open(path)
    model = model_by_name(run.model)
    sample = run.sample()
    ready = _check_run(run, sample, _pot(sample, pot))
    energy_cut = sample.index["energy_cut"]
    if energy_cut is None:
        raise InputError(
            "the training sample's energy cut is not known: prepare it again with --energy-cut GEV"
        )
    networks = []
    with progress("exporting", len(ready), "networks") as advance:
        for one in ready:
            networks.append(_export_network(run, model, one))
            advance(1)
    with complete_folder(output, index=INDEX, force=force) as folder:
        return write_bundle(
            folder,
            networks,
            name=name or output.absolute().name,
            label=label(sample),
            target_start=sample.index["target_start"],
            energy_cut=energy_cut,
            provenance=_provenance(run, sample),
        )


def label(sample: PreparedSample) -> str:
    """Return in a few words what the sample's muons come from: its files' generators, or else their kinds."""
    words = []
    for source in sample.index["sources"]:
        stated = source.get("provenance") or {}
        words.append(str(stated.get("generator") or source.get("kind") or source.get("name")))
    return ", ".join(dict.fromkeys(words)) or "unknown sample"


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


def _check_run(run: Run, sample: PreparedSample, pot: float) -> list[_Ready]:
    """Return the four categories, ready to export; raise `InputError` naming what is missing or damaged."""
    missing = []
    ready = []
    for category in CATEGORIES:
        if category not in sample.categories:
            raise InputError(
                f"the training sample of {run.path} has no muons of category {category.name}, and a bundle "
                "needs all four: prepare a larger sample"
            )
        folder = run.category(category)
        state = folder.state()
        if state.weights_steps is None or not folder.weights.is_file():
            missing.append(category.name)
            continue
        if sha256(folder.weights) != state.weights_sha256:
            raise InputError(
                f"{folder.weights} is not the file that training wrote: train {category.name} again"
            )
        entry = sample.index["categories"][category.name]
        merit = read_json(folder.merit) if folder.merit.is_file() else None
        if merit is not None and merit.pop("steps", None) != state.weights_steps:
            merit = None
        ready.append(
            _Ready(
                category,
                entry["weight"] / pot,
                Normalisation.from_json(entry["normalisation"]),
                folder.weights,
                state.weights_steps,
                merit,
            )
        )
    if missing:
        options = " ".join(f"--category {name}" for name in missing)
        raise InputError(
            f"{run.path} has no trained network of {', '.join(missing)}: train it with "
            f"`shipgen train {run.model} PREPARED -o {run.path} {options}`"
        )
    return ready


def _export_network(run: Run, model: Model, ready: _Ready) -> NetworkFacts:
    """Rebuild a generator from settings and weights, turn it into a graph and compare the two."""
    from shipgen_export.agreement import check_agreement
    from shipgen_export.backend import configure
    from shipgen_export.onnx_graph import build_graph

    configure()
    category = ready.category
    config = model.load(model.config)(**run.index["config"])
    generator = model.load(model.generator)(config, len(category.features))
    try:
        generator.load_weights(ready.weights)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{ready.weights} does not fit the settings in {run.path}: train {category.name} again"
        ) from error
    graph = build_graph(generator, ready.normalisation)
    agreement = check_agreement(category, generator, ready.normalisation, graph)
    low, high = ready.normalisation.minimum, ready.normalisation.maximum
    details = {
        "training_range": {name: [float(low[i]), float(high[i])] for i, name in enumerate(category.features)},
        "steps": ready.steps,
        "agreement": agreement.to_json(),
        "figure_of_merit": ready.merit,
    }
    return NetworkFacts(category, graph, generator.input_shape[1], ready.rate, details)


def _provenance(run: Run, sample: PreparedSample) -> dict[str, Any]:
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
