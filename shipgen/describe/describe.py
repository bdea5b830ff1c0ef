"""What a bundle, a ROOT file or a prepared sample is, in lines of text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from shipgen.bundle.bundle import INDEX, SURVIVAL, Bundle
from shipgen.bundle.library import locate
from shipgen.bundle.sample_notes import sample_notes
from shipgen.describe.muon_files import describe_file, describe_provenance, per_spill
from shipgen.describe.prepared import describe_prepared
from shipgen.errors import InputError
from shipgen.files.outputs import read_json
from shipgen.muons.categories import CATEGORIES
from shipgen.numbers import real

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Index of a prepared sample, of a run folder and of a report; the training side, which writes them, may not
#: be installed.
_PREPARED, _RUN, _REPORT = "prepared.json", "run.json", "report.json"

#: Relative differences that are shown.
_MOST = 100.0

#: In a folder of unfinished work.
_WORK = "work.json"


def describe(path: Path, *, check: bool = False) -> Iterator[str]:
    """Yield lines that say what `path` holds and how it was made; `check` as for `describe_file`.

    Raises
    ------
    InputError
        It does not exist or is nothing that shipgen reads or writes.
    BundleError
        It is a bundle that cannot be used.
    """
    for line in _lines(path, check=check):
        # What files say may hold anything, and does nothing to a terminal.
        yield (
            line
            if line.isprintable()
            else "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in line)
        )


def _lines(path: Path, *, check: bool) -> Iterator[str]:
    path = locate(path)
    if not path.exists():
        raise InputError(
            f"{path} does not exist: give a ROOT file, arrays, a bundle, a prepared sample or a run"
        )
    if not path.is_dir():
        if not path.is_file():
            raise InputError(f"{path} is neither a file nor a folder: give one of those")
        yield from describe_file(path, check=check)
    elif (path / INDEX).exists():
        yield from describe_bundle(Bundle.open(path))
    elif (path / _RUN).exists():
        yield from _describe_run(path)
    elif (path / _PREPARED).exists():
        yield from describe_prepared(read_json(path / _PREPARED))
    elif any((path / name / _RUN).exists() for name in _runs(path)):
        yield from _describe_best(path)
    elif (path / _REPORT).exists():
        yield from _describe_report(path)
    else:
        unfinished = path.name.endswith(".work") and (path / _WORK).exists()
        raise InputError(
            f"{path} holds unfinished work: run the command that made it again, and it goes on"
            if unfinished
            else f"{path} is no bundle, prepared sample, run or report "
            f"(no {INDEX}, {_PREPARED}, {_RUN} or {_REPORT})"
        )


def describe_bundle(bundle: Bundle) -> Iterator[str]:
    """Yield a bundle's rates, networks, figures of merit and provenance."""
    yield f"bundle {bundle.name}: {bundle.label}"
    yield f"  {bundle.rate:.4e} muons per proton on target, energy cut {bundle.energy_cut:g} GeV"
    yield f"  {per_spill(bundle.rate)}"
    yield f"  target starts at z = {bundle.target_start:g} cm, sha256 {bundle.sha256}"
    yield f"  survival {bundle.survival}: {SURVIVAL[bundle.survival]}"
    merits = [entry.details.get("figure_of_merit") for entry in bundle.entries]
    hard = [_part(merit, "hard") for merit in merits]
    columns = ["AUC", "of simulated"] + ["hard AUC", "of simulated"] * any(hard)
    titles = "".join(f" {column:>15}" for column in columns)
    yield f"  {'category':16} {'muons/POT':>11} {'share':>7} {'latent':>7}{titles}"
    for entry, merit, harder in zip(bundle.entries, merits, hard, strict=True):
        found = [merit, _part(merit, "control"), harder, _part(harder, "control")][: len(columns)]
        row = f"  {entry.category.name:16} {entry.rate:11.4e} {entry.rate / bundle.rate:7.2%}"
        yield f"{row} {entry.latent_size:7}" + "".join(f" {_with_error(figure):>15}" for figure in found)
    for one in bundle.missing:
        why = f"its sample has {one.rate:.4e} a proton" if one.rate else "its sample has none"
        yield f"  {one.category.name:16} no network, so no muons of it are made; {why}"
    yield "  AUC: a classifier's power to tell generated from simulated muons, and simulated from simulated;"
    yield "  0.5 is none, 1 is all" + "; the hard one has more trees and derived features" * any(hard)
    yield from _proposals(bundle)
    yield from _uncertainty(bundle)
    yield from _adapted(bundle)
    yield from _variations(bundle)
    for entry in bundle.entries:
        facts = entry.details.get("coordinates", {})
        for note in sample_notes(facts):
            yield f"  {entry.category.name}: {note}"
    yield from describe_provenance(bundle.provenance)


def _proposals(bundle: Bundle) -> Iterator[str]:
    """Yield what muons an enhanced bundle makes more of, where one is."""
    for entry in bundle.entries:
        proposal = entry.details.get("proposal", {})
        share, inside = proposal.get("share"), proposal.get("share_of_region")
        components = proposal.get("components")
        if (
            isinstance(share, float)
            and 0 < share < 0.999
            and isinstance(inside, float)
            and isinstance(components, list)
        ):
            yield (
                f"  {entry.category.name}: {share:.0%} drawn by {len(components)} components towards "
                f"{proposal.get('region')}, which holds {inside:.3g} of the plain muons; weights up to "
                f"{1 / (1 - share):.3g}"
            )


def _uncertainty(bundle: Bundle) -> Iterator[str]:
    """Yield how far networks are from their samples in some quantities, where that is stated."""
    stated = [entry.details.get("uncertainty", {}).get("quantities", {}) for entry in bundle.entries]
    stated = [found if isinstance(found, dict) else {} for found in stated]
    names = list(dict.fromkeys(name for found in stated for name in found))
    if not names:
        return
    head = f"  {'':26}" + "".join(f" {entry.category.name:>16}" for entry in bundle.entries)
    # Bundles of old state all of the sample, and not what was learnt from.
    known = any(_part(figures, "train_error") for found in stated for figures in found.values())
    yield (
        f"  networks over {'held-out muons' if known else 'their sample'}, minus 1, in per cent; "
        "+- the errors of sample and network"
    )
    yield head
    for name in names:
        yield f"  {name:26}" + "".join(f" {difference(found.get(name)):>16}" for found in stated)
    if not known:
        return
    yield "  uncertainty of the networks from the number of protons they learnt from, in per cent"
    yield head
    for name in names:
        yield f"  {name:26}" + "".join(f" {own_error(found.get(name)):>16}" for found in stated)


def _adapted(bundle: Bundle) -> Iterator[str]:
    """Yield which networks started from another bundle, and what their uncertainty lacks."""
    stated = bundle.provenance.get("adapted_from")
    if not isinstance(stated, dict) or not isinstance(stated.get("categories"), list):
        return
    names = ", ".join(str(name) for name in stated["categories"])
    yield f"  {names}: started from the bundle {stated.get('name')} ({stated.get('label')});"
    yield "  how far that is from the sample in how quantities depend on each other is not in the uncertainty"


def _variations(bundle: Bundle) -> Iterator[str]:
    """Yield by how much each variation changes the rate of each category, and what it stands for."""
    if not bundle.variations:
        return
    yield "  variations, `shipgen produce --variations`: change of the rate in per cent"
    yield f"  {'':26}" + "".join(f" {entry.category.name:>16}" for entry in bundle.entries)
    for name, meaning in bundle.variations.items():
        changes = []
        for entry in bundle.entries:
            closures = entry.factors.facts.get("closure") if entry.factors else None
            changes.append(_change(_part(closures, name)))
        yield f"  {name:26}" + "".join(f" {change:>16}" for change in changes) + f"  {meaning}".rstrip()


def _change(closure: Any) -> str:
    """Return by how much a variation changes a rate, in per cent, as far as it is stated."""
    try:
        return f"{100 * (real(closure['mean'], 'mean', low=0) - 1):+.2f}"
    except (KeyError, TypeError, ValueError):
        return "not stated"


def difference(figures: Any) -> str:
    """Return a relative difference with its error, as far as it is stated."""
    try:
        sample = real(figures["sample"], "sample")
        parts = [real(figures[name], name) for name in ("error", "spread", "made_error")]
        error = math.hypot(*parts, real(figures.get("train_error", 0), "train_error")) / abs(sample)
        # Of so few muons that the error is as large as what it is of, nothing is known.
        if error >= 1:
            return "too few muons"
        return _per_cent(real(figures["student"], "student") / sample - 1, error)
    except (AttributeError, KeyError, TypeError, ValueError, ZeroDivisionError):
        return "none"


def _per_cent(difference: float, error: float) -> str:
    """Return both in per cent; raise ValueError where one is none that a network has."""
    shown = [100 * real(value, "difference", low=-_MOST, high=_MOST) for value in (difference, error)]
    return "{:+.2f} +- {:.2f}".format(*shown)


def own_error(figures: Any) -> str:
    """Return a quantity's relative uncertainty: that of the training muons, and the spread of teachers."""
    try:
        error = math.hypot(*(real(figures[name], name) for name in ("train_error", "spread")))
        return f"{100 * real(error / abs(real(figures['train'], 'train')), 'error', high=_MOST):.2f}"
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return "none"


def _part(merit: Any, name: str) -> Any:
    """Return a part of a figure of merit, ``None`` where it is not stated."""
    return merit.get(name) if isinstance(merit, dict) else None


def _with_error(merit: Any) -> str:
    """Return an AUC with its error, as far as it is stated."""
    try:
        found = [real(merit[name], name, low=0, high=1) for name in ("auc", "auc_error")]
        return "{:.3f} +- {:.3f}".format(*found)
    except (KeyError, TypeError, ValueError):
        return "not measured"


def _describe_run(path: Path) -> Iterator[str]:
    yield f"run folder; `shipgen export {path} -o BUNDLE` makes a bundle of it"
    yield from describe_provenance(read_json(path / _RUN))
    for category in CATEGORIES:
        state, merit = (path / category.name / name for name in ("state.json", "figure_of_merit.json"))
        if state.is_file():
            auc = _with_error(read_json(merit) if merit.is_file() else None)
            yield f"  {category.name:16} {read_json(state).get('steps'):10,} steps, AUC {auc}"
        else:
            yield f"  {category.name:16} not trained"


def _runs(path: Path) -> list[str]:
    """Return the names of the runs of `shipgen train best` in its folder."""
    return [*sorted(entry.name for entry in path.glob("teacher-*")), "student"]


def _describe_best(path: Path) -> Iterator[str]:
    """Yield how far `shipgen train best` has come."""
    bundle = path / "bundle"
    if (bundle / INDEX).exists():
        yield f"folder of `shipgen train best`, done: `shipgen info {bundle}` describes its bundle"
    else:
        yield "folder of `shipgen train best`, not finished: the same command again goes on"
    for name in _runs(path):
        steps = []
        for category in CATEGORIES:
            state = path / name / category.name / "state.json"
            found = read_json(state).get("steps") if state.is_file() else None
            steps.append(f"{category.name} {found:,}" if isinstance(found, int) else f"{category.name} none")
        yield f"  {name:10} steps: {', '.join(steps)}"


def _describe_report(path: Path) -> Iterator[str]:
    """Yield what a report of `shipgen validate` compared and found."""
    numbers = read_json(path / _REPORT)
    try:
        sides = [f"{numbers[side]['kind']} {numbers[side]['name']}" for side in ("generated", "reference")]
        failed, tests = len(numbers["failed"]), len(numbers["tests"])
        yield f"report of `shipgen validate`: {sides[0]} against {sides[1]}"
        yield f"  {failed} of {tests} tests fail at level {numbers['level']:g}; see {path / 'report.html'}"
        for test in numbers["failed"][:5]:
            yield f"  {test['family']}, {test['category']}, {test['quantity']}: {test['text']}"
        yield f"  command: {numbers['command']}"
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{path / _REPORT} is no report of `shipgen validate`: {error} is missing"
        ) from error
