#!/usr/bin/env python3
"""Plot what a simulated sample looks like, and the hadrons and mean free paths behind it.

Usage: plot_simulation.py SAMPLE.root -o FOLDER      (pip install 'shipgen[plot,simulate]')

Makes the figures of docs/explanation/simulation.md, FOLDER/simulation_*.png. Rates are per proton on target.
Errors are from the sums of weights of each proton, because the muons of one proton are correlated. Slabs and
cross-sections are those of the target that the file states, or of that given by --target.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import uproot

from shipgen.files.layouts import PROVENANCE_KEY, VARIATION_COLUMNS
from shipgen.muons.categories import MUON_MASS
from shipgen.muons.quantities import Quantities
from shipgen.provenance import read_objects
from shipgen_export.simulation.muon_counts import parent_name
from shipgen_export.simulation.physics.hadron_weights import hadron_weights
from shipgen_export.simulation.physics.muon_range import MuonRange
from shipgen_export.simulation.physics.nuclei import CrossSections
from shipgen_export.simulation.physics.pythia import start_cascade
from shipgen_export.simulation.target import Target, read_target

mpl.use("Agg")
plt.rcParams.update({"font.size": 11, "legend.frameon": False, "axes.titlesize": 11})

#: Groups of parents -> (names in the tally, colour).
PARENTS = {
    r"$\pi$": (("pi",), "C0"),
    "K": (("K", "K_L"), "C1"),
    r"$\omega, \rho, \phi$": (("omega", "rho", "phi"), "C2"),
    r"$\eta, \eta'$": (("eta", "eta'"), "C4"),
    "charm": (("charm",), "C3"),
    r"$\gamma$": (("photon",), "C5"),
    r"J/$\psi$": (("J/psi",), "C6"),
    "beauty": (("beauty",), "C7"),
}
MATERIAL_COLOURS = {
    "TZM": "#7f9fc4", "tungsten": "#c49a7f", "tantalum": "#8fb08f", "water": "#ffffff", "helium": "#ffffff",
    "vacuum": "#ffffff", "copper": "#e0b080", "iron": "#d9d9d9",
}  # fmt: skip
#: Nuclear interaction lengths for protons, cm (PDG).
PDG_LENGTHS = {"iron": 16.77, "TZM": 15.25, "tungsten": 9.946}
#: The variation that exchanges data and Pythia.
OTHER_HADRONS = "vary_hadrons"
HADRONS = {"p": (2212, 0.93827, "-"), r"$\pi^+$": (211, 0.13957, "--"), "K$^+$": (321, 0.49368, ":")}


@dataclass(frozen=True)
class Sample:
    """Columns of a simulated sample; weights per proton on target."""

    columns: dict[str, np.ndarray]
    target: str

    @classmethod
    def read(cls, path: Path) -> Sample:
        """Read a file made by `shipgen simulate`."""
        with uproot.open(path) as file:
            columns: dict[str, np.ndarray] = file["muons"].arrays(library="np")
            (said,) = read_objects(file, PROVENANCE_KEY)
        return cls(columns, said["target"]["name"])

    @cached_property
    def quantities(self) -> Quantities:
        """Momentum, transverse momentum and the like."""
        return Quantities(self.columns)

    @cached_property
    def parent(self) -> np.ndarray:
        """Name of the parent's group."""
        codes, place = np.unique(np.abs(self.columns["parent"]), return_inverse=True)
        return np.array([parent_name(int(code)) for code in codes])[place]

    @cached_property
    def on_axis(self) -> np.ndarray:
        """Whether a muon starts on the axis."""
        return (self.columns["x"] == 0) & (self.columns["y"] == 0)

    def by_proton(
        self, values: np.ndarray, edges: np.ndarray, chosen: np.ndarray, factor: str | None = None
    ) -> tuple[Any, Any]:
        """Return sums of weights in bins, and their variances from the sums of each proton.

        `factor` is the column of a variation that the weights are multiplied with.
        """
        place = np.digitize(values, edges) - 1
        chosen = chosen & (place >= 0) & (place < len(edges) - 1)
        cells = self.columns["proton"][chosen].astype(np.int64) * (len(edges) - 1) + place[chosen]
        cells, inverse = np.unique(cells, return_inverse=True)
        weight = self.columns["weight"] * (1 if factor is None else self.columns[factor])
        sums = np.bincount(inverse, weight[chosen])
        total = np.bincount(cells % (len(edges) - 1), sums, minlength=len(edges) - 1)
        return total, np.bincount(cells % (len(edges) - 1), sums**2, minlength=len(edges) - 1)

    def density(self, values: np.ndarray, edges: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Return weight per unit of the axis, NaN in bins that are known to a half or worse.

        One muon of large weight would stand there like a peak.
        """
        total, variance = self.by_proton(values, edges, chosen)
        return np.where((total > 0) & (np.sqrt(variance) < total / 2), total / np.diff(edges), np.nan)


def spectra(sample: Sample, path: Path) -> None:
    """Draw momentum and transverse momentum: a line for all muons and one for each group of parents."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")
    cases = (
        (left, sample.quantities["p"], np.geomspace(10, 300, 50), "p [GeV]"),
        (
            right,
            sample.quantities["pt"],
            np.array([*np.arange(0, 2, 0.1), *np.arange(2, 5.1, 0.375)]),
            r"$p_\mathrm{T}$ [GeV]",
        ),
    )
    for axes, values, edges, label in cases:
        groups = {"all": (np.full(len(values), True), "black")} | {
            name: (np.isin(sample.parent, names), colour) for name, (names, colour) in PARENTS.items()
        }
        for name, (chosen, colour) in groups.items():
            density = sample.density(values, edges, chosen)
            axes.stairs(density, edges, baseline=None, label=name, color=colour, linewidth=1.3)
        axes.set(yscale="log", xlabel=label, ylabel="muons per POT and GeV", xlim=edges[[0, -1]])
        axes.margins(y=0.05)
    left.set(xscale="log", ylim=(1e-12, 1e-3))
    right.set(ylim=(1e-11, 2e-2))
    left.set_xticks([10, 20, 50, 100, 200], ["10", "20", "50", "100", "200"])
    left.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    right.legend(ncols=3, loc="upper right")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def starting_points(sample: Sample, target: Target, path: Path) -> None:
    """Draw z from the target's start over the slabs."""
    figure, axes = plt.subplots(figsize=(11, 4.4), layout="constrained")
    edges = np.linspace(0, 200, 401)
    z = sample.columns["z"] - target.start
    for label, chosen, colour in (
        ("off axis (decays in flight, photons, later collisions)", ~sample.on_axis, "C0"),
        ("on axis (prompt, at the first collision)", sample.on_axis, "C3"),
    ):
        density = sample.density(z, edges, chosen)
        axes.stairs(density, edges, baseline=None, label=label, color=colour, linewidth=1.3)
    named = set()
    faces = np.asarray(target.edges) - target.start
    for low, high, index in zip(faces[:-1], faces[1:], target.slab_materials, strict=True):
        name = target.materials[index].name
        label = name if name not in named else None
        named.add(name)
        colour = MATERIAL_COLOURS.get(name, "0.9")
        edge = "0.8" if name in ("water", "helium") else "none"
        axes.axvspan(
            low, high, facecolor=colour, alpha=0.45, edgecolor=edge, linewidth=0.5, label=label, zorder=0
        )
    axes.set(
        yscale="log", xlim=(0, 200), ylim=(1e-8, 1e-4), xlabel="z from the target's start [cm]",
        ylabel="muons per POT and cm",
    )  # fmt: skip
    axes.legend(ncols=3, loc="upper right", frameon=True, framealpha=0.9)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def charge_and_survival(sample: Sample, target: Target, path: Path) -> None:
    """Draw the charge ratio against momentum and the probability to get through against kinetic energy."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
    edges = np.array([10, 11, 12, 13, 14, 16, 18, 20, 23, 26, 30, 35, 40, 50, 60, 80, 110, 160])
    centres = np.sqrt(edges[1:] * edges[:-1])
    p, charge = sample.quantities["p"], sample.quantities["charge"]
    cases = [("off axis", ~sample.on_axis, "C0", None), ("on axis", sample.on_axis, "C3", None)]
    if OTHER_HADRONS in sample.columns:
        cases.append(("off axis, the other hadrons", ~sample.on_axis, "0.6", OTHER_HADRONS))
    for label, chosen, colour, factor in cases:
        plus, plus_variance = sample.by_proton(p, edges, chosen & (charge > 0), factor)
        minus, minus_variance = sample.by_proton(p, edges, chosen & (charge < 0), factor)
        ratio = plus / minus
        error = ratio * np.sqrt(plus_variance / plus**2 + minus_variance / minus**2)
        left.errorbar(centres, ratio, error, (centres - edges[:-1], edges[1:] - centres), "o", color=colour,
                      markersize=3.5, label=label)  # fmt: skip
    left.axhline(1, color="0.6", linewidth=0.8)
    left.set(xscale="log", xlabel="p [GeV]", ylabel=r"$\mu^+ / \mu^-$", xlim=(10, 160))
    left.set_ylim(bottom=0.8)
    left.set_xticks([10, 20, 50, 100], ["10", "20", "50", "100"])
    left.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    left.legend(loc="upper left")
    kinetic = np.linspace(8, 21, 600)
    momentum = np.zeros((len(kinetic), 3))
    momentum[:, 2] = np.sqrt((kinetic + MUON_MASS) ** 2 - MUON_MASS**2)
    muon_range = MuonRange(target)
    for depth, style in ((0.0, "-"), (50.0, "--"), (150.0, ":")):
        survival = muon_range.survival(np.full(len(kinetic), target.start + depth), momentum)
        right.plot(kinetic, survival, f"C0{style}", label=f"made {depth:.0f} cm behind the front face")
    if target.survival:
        right.plot(*target.survival, "ko", markersize=5, label="points of the target's file")
    right.axvline(muon_range.crossing_energy, color="0.6", linewidth=0.8)
    right.annotate("range = slabs", (muon_range.crossing_energy + 0.15, 0.04), color="0.4")
    right.set(xlabel="kinetic energy at the start, along z [GeV]", ylabel="probability to leave the absorber",
              ylim=(0, 1.05), xlim=(8, 21))  # fmt: skip
    right.legend(loc="lower right", bbox_to_anchor=(1, 0.12))
    figure.savefig(path, dpi=100)
    plt.close(figure)


def hadrons(path: Path) -> None:
    """Draw measured and Pythia's hadrons a collision against their share of the beam's momentum."""
    weights = hadron_weights()
    edges = np.array(weights.table["x_edges"])
    middle = np.sqrt(edges[1:] * edges[:-1])
    labels = {"pi+": r"$\pi^+$", "pi-": r"$\pi^-$", "K+": "K$^+$", "K-": "K$^-$"}
    figure, panels = plt.subplots(
        2, 2, figsize=(11, 6), sharex=True, layout="constrained", height_ratios=(2, 1)
    )
    for column, (nucleus, title) in enumerate((("9", "beryllium"), ("197", "gold"))):
        upper, lower = panels[:, column]
        for (species, label), colour in zip(labels.items(), ("C0", "C1", "C2", "C3"), strict=True):
            # Up to the transverse momentum that there are data of.
            last = np.searchsorted(weights.table["pt_edges"], 0.6)
            data, pythia = (y[:, :last].sum(axis=1) for y in weights.yields_of(int(nucleus), species))
            upper.plot(middle, middle * data / np.diff(edges), color=colour, label=label)
            upper.plot(middle, middle * pythia / np.diff(edges), "o", markersize=3.5, color=colour)
            error = 1 / np.sqrt(np.maximum(pythia * weights.table["nuclei"][nucleus]["collisions"], 1))
            known = pythia > 0
            lower.errorbar(
                middle[known], data[known] / pythia[known], (error * data)[known] / pythia[known], None, "-o",
                markersize=3, linewidth=0.8, color=colour,
            )  # fmt: skip
        upper.set(
            yscale="log", ylim=(1e-4, 2), title=f"400 GeV protons on {title}, $p_\\mathrm{{T}}$ < 0.6 GeV"
        )
        lower.axhline(1, color="0.6", linewidth=0.8)
        lower.set(
            xscale="log", ylim=(0, 2), xlim=edges[[0, -2]], xlabel="x = p / 400 GeV", ylabel="data / Pythia"
        )
        lower.set_xticks([0.02, 0.05, 0.1, 0.2, 0.5], ["0.02", "0.05", "0.1", "0.2", "0.5"])
        lower.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    panels[0, 0].set_ylabel("x dN/dx a collision")
    panels[0, 0].plot([], [], "k-", label="data (fit)")
    panels[0, 0].plot([], [], "ko", markersize=3.5, label="Pythia")
    panels[0, 0].legend(ncols=2, loc="lower left")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def variations(sample: Sample, path: Path) -> None:
    """Draw what the named variations make of the momentum spectra."""
    edges = np.array([10, 12, 14, 17, 20, 25, 30, 40, 50, 70, 100, 150, 250])
    figure, panels = plt.subplots(1, 2, figsize=(11, 4.4), sharey=True, layout="constrained")
    for axes, title, chosen in (
        (panels[0], "off axis", ~sample.on_axis),
        (panels[1], "on axis", sample.on_axis),
    ):
        usual, _ = sample.by_proton(sample.quantities["p"], edges, chosen)
        squares = np.zeros(len(usual))
        for number, name in enumerate(name for name in VARIATION_COLUMNS if name in sample.columns):
            varied, _ = sample.by_proton(sample.quantities["p"], edges, chosen, name)
            if name != OTHER_HADRONS:
                squares += np.square(varied / usual - 1)
            if np.abs(varied / usual - 1).max() > 0.003:
                label = name.removeprefix("vary_")
                axes.stairs(
                    varied / usual, edges, baseline=None, color=f"C{number}", linewidth=1.5, label=label
                )
        total = np.sqrt(squares)
        axes.stairs(
            1 + total, edges, baseline=1 - total, fill=True, color="#f2b84b", alpha=0.5, zorder=0,
            label="in quadrature,\nwithout hadrons",
        )  # fmt: skip
        axes.axhline(1, color="0.6", linewidth=0.8)
        axes.set(xscale="log", xlabel="p [GeV]", title=title, xlim=edges[[0, -1]], ylim=(0.5, 1.7))
        axes.set_xticks([10, 20, 50, 100, 200], ["10", "20", "50", "100", "200"])
        axes.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
        axes.legend(ncols=2, loc="upper left")
    panels[0].set_ylabel("varied / as it is")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def mean_free_paths(target: Target, path: Path) -> None:
    """Draw mean free paths against energy, and print those of protons beside the PDG's."""
    energies = np.geomspace(10, 400, 60)
    sections = CrossSections(start_cascade(1, 1, 10.0), target.materials, (10.0, 400.0))
    known = [i for i, material in enumerate(target.materials) if material.name in PDG_LENGTHS]
    figure, panels = plt.subplots(
        1, len(known), figsize=(3.7 * len(known), 4), layout="constrained", squeeze=False
    )
    for axes, index in zip(panels[0], known, strict=True):
        name = target.materials[index].name
        for label, (pdg, mass, style) in HADRONS.items():
            count = np.full(len(energies), 1)
            lengths = sections.mean_free_paths(pdg * count, mass * count, energies)[:, index]
            axes.plot(energies, lengths, style, color="C0", label=label)
            if label == "p":
                low, high = lengths.min(), lengths.max()
                print(f"{name}: {low:.2f} to {high:.2f} cm, PDG {PDG_LENGTHS[name]} cm")
        pdg_length = PDG_LENGTHS[name]
        axes.axhspan(0.95 * pdg_length, 1.05 * pdg_length, color="0.85", label="PDG, protons, 5 %")
        axes.axhline(pdg_length, color="0.5", linewidth=0.8)
        axes.set(title=name, xscale="log", xlabel="E [GeV]", xlim=(10, 400), ylim=(0, 2.2 * pdg_length))
        axes.set_xticks([10, 30, 100, 300], ["10", "30", "100", "300"])
        axes.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    panels[0, 0].set_ylabel("mean free path [cm]")
    panels[0, 0].legend(loc="lower left")
    figure.savefig(path, dpi=100)
    plt.close(figure)


def main() -> None:
    """Read the arguments, draw the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("sample", type=Path, metavar="SAMPLE.root")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--target", metavar="TARGET", help="a name or a file; the sample's own if not given")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    sample = Sample.read(options.sample)
    target = read_target(options.target or sample.target)
    spectra(sample, options.output / "simulation_spectra.png")
    starting_points(sample, target, options.output / "simulation_z.png")
    charge_and_survival(sample, target, options.output / "simulation_charge.png")
    hadrons(options.output / "simulation_hadrons.png")
    if OTHER_HADRONS in sample.columns:
        variations(sample, options.output / "simulation_variations.png")
    mean_free_paths(target, options.output / "simulation_paths.png")


if __name__ == "__main__":
    main()
