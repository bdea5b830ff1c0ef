"""Prepare files of simulated muons for training: read, clean, split into categories, normalise, write.

Files are looked into (`survey`), read by workers, each into a piece (`read_file`), and joined (`gather`).
Weights stay as they are but for two cases: training samples hold muons per proton on target (POT), so
several of them are merged by weight x POT of the file / POT of all files; and where a cap leaves muons out,
those that stay carry the weight of all.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from shipgen.errors import InputError, ShipgenError
from shipgen.files.inputs import expand, read_lines, take_out
from shipgen.files.outputs import check_output, complete_folder, work_folder
from shipgen.progress import progress
from shipgen_export.reading.beam_position import AUTO, CHOICES
from shipgen_export.reading.formats.array_files import ARRAYS
from shipgen_export.reading.formats.readers import STEP, as_produced
from shipgen_export.reading.gather import Share, gather, gather_beam
from shipgen_export.reading.prepared_facts import (
    Stated,
    Used,
    collect_facts,
    describe_beam,
    settle,
    total_dropped,
)
from shipgen_export.reading.read_file import INDEX as PIECE_INDEX
from shipgen_export.reading.read_file import ReadFile, ReadTask, read_file
from shipgen_export.reading.survey import skipped_file, take_in
from shipgen_export.reading.troubles import sample_warnings
from shipgen_export.reading.weights import Beside, scales, settle_pot
from shipgen_export.sample.sample import INDEX, PreparedSample, write_index
from shipgen_export.workers import in_order

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

    from shipgen.files.rootfile import Location
    from shipgen_export.reading.formats.array_files import ArrayChoice
    from shipgen_export.reading.survey import Taken

SEED = 1
#: Whether weights contain the probability to leave the absorber.
SURVIVAL_IN, SURVIVAL_OUT = SURVIVAL_CHOICES = ("in", "out")
#: Counted up whenever pieces of an earlier version cannot be used.
_PIECES = 6


def prepare(
    files: Sequence[Location],
    output: Path,
    *,
    pot: float | None = None,
    energy_cut: float | None = None,
    target_start: float | None = None,
    arrays: ArrayChoice | None = None,
    beam: str = AUTO,
    survival: str = SURVIVAL_IN,
    exclude: Sequence[str] = (),
    blacklist: Path | None = None,
    skip_bad: bool = False,
    cap: int | None = None,
    seed: int = SEED,
    span: float = 1.0,
    cores: int | None = None,
    force: bool = False,
    step: int | str = STEP,
) -> PreparedSample:
    """Prepare a training sample.

    A run that was interrupted or failed goes on when it is called again; the files it has read by then lie in
    ``OUTPUT.work``. The result depends neither on that nor on `cores`.

    Parameters
    ----------
    files : sequence of Path or str
        Files of one kind (see `readers.KINDS`), globs, URLs, and ``.txt`` lists of them (`inputs.expand`).
    output : Path
        The folder to make.
    pot : float, optional
        Protons on target that the sum of all weights stands for; wins over what the files state.
    energy_cut : float, optional
        Least energy of the muons, GeV; wins over what the files state.
    target_start : float, optional
        z of the target's start in the frame of the files, cm; wins over what the files state. If neither
        states it, that of 2018 is assumed and recorded as assumed.
    arrays : ArrayChoice, optional
        Unit, frame and columns of files of arrays, where these do not state them.
    beam : str
        ``"auto"``: x and y are taken relative to the beam's position, which is found out; ``"origin"``: as
        they are; ``"primary"``: relative to the first track of each event, whatever its mother.
    survival : str
        ``"in"``: weights count muons that leave the absorber, as files have them; ``"out"``: muons where they
        are produced, for those who track them through the absorber. Of `shipgen simulate`'s samples only.
    exclude : sequence of str
        Names or globs of files to leave out.
    blacklist : Path, optional
        A text file with one of them a line.
    skip_bad : bool
        List files that cannot be used instead of failing at the first.
    cap : int, optional
        Most muons a category; those kept are drawn fairly and carry the weight of all.
    seed : int
        Of that draw.
    span : float
        Features are normalised to [-span, span].
    cores : int, optional
        Processes that read; all cores by default.
    force : bool
        Replace an existing prepared sample.
    step : int or str
        Entries, or uncompressed size, that a process reads at a time.

    Returns
    -------
    PreparedSample
        With all that was found in its index.

    Raises
    ------
    InputError
        A file cannot be used, files do not fit together, or there is no muon.
    OutputError
        Writing failed.
    """
    _check_numbers(pot=pot, energy_cut=energy_cut, cap=cap, cores=cores)
    _check_arguments(files, output, target_start, beam, survival, span, force=force)
    patterns = [*exclude, *(read_lines(blacklist) if blacklist else ())]
    lists: dict[Location, str] = {}
    locations, left_out, notes = take_out(expand(files, lists), patterns)
    taken, skipped = take_in(locations, beam, skip_bad=skip_bad, lists=lists, choice=arrays)
    _check_frame(taken, target_start)
    if survival != SURVIVAL_IN:
        taken = [replace(one, source=as_produced(one.source)) for one in taken]
    settle([one.source for one in taken], energy_cut, target_start)
    settle_pot([(one.source, one.look.largest) for one in taken], pot)
    with work_folder(output, {"task": "prepare", "pieces": _PIECES}) as work, _kept(work):
        tasks = [_task(one, work, beam, survival, step) for one in taken]
        with closing(_make(tasks, cores)) as results:
            used, more = _use(taken, tasks, results, skip_bad=skip_bad)
        muons = sum(one.piece.tally.muons for one in used)
        if muons:
            stated = settle([one.source for one in used], energy_cut, target_start)
            skipped += more
            with complete_folder(output, index=INDEX, force=force) as folder:
                notes += _pot_of_skipped(pot, len(skipped), len(locations))
                facts = {"survival": survival, "excluded": left_out, "skipped": skipped, "notes": notes}
                _write(folder, used, stated, facts, pot=pot, beam=beam, cap=cap, seed=seed, span=span)
    if not muons:
        dropped = total_dropped(used).values()
        reasons = "; ".join(f"{entry.muons:,} dropped: {entry.reason}" for entry in dropped)
        names = ", ".join(str(one.source.path) for one in used)
        raise InputError(f"no muon to train on in {names} ({reasons or 'no muon was found'})")
    return PreparedSample.open(output)


@contextmanager
def _kept(work: Path) -> Iterator[None]:
    """Take away what is half read when the run fails, and say in its line what a later run can use."""
    try:
        yield
    except BaseException as error:
        # The workers are gone, and no other run is at work here.
        for half in (*work.glob("*.part"), *work.glob("*.lock")):
            half.unlink() if half.is_file() else shutil.rmtree(half, ignore_errors=True)
        if not isinstance(error, (ShipgenError, KeyboardInterrupt)):
            raise
        if done := len(list(work.glob(f"*/{PIECE_INDEX}"))):
            text = f"what was read of {done} file{'s' * (done > 1)} is kept in {work.name}: "
            text += (
                "run the same command again to go on"
                if isinstance(error, KeyboardInterrupt)
                else "a later run uses it, or remove the folder"
            )
            error.args = (f"{error}; {text}" if str(error) else text,)
        raise


def _pot_of_skipped(pot: float | None, skipped: int, files: int) -> list[str]:
    """Ask whether what the user says of all files holds for those that are left."""
    if pot is None or not skipped:
        return []
    text = (
        f"{skipped} of {files} files were skipped: is {pot:g} POT that of the others? If it is that of all "
        "files, all rates are too low: give the part of it"
    )
    return [text]


def _check_numbers(**numbers: float | None) -> None:
    for name, value in numbers.items():
        if value is not None and not 0 < value < math.inf:
            text = "POT" if name == "pot" else name.replace("_", " ")
            raise InputError(f"{text} of {value:g} is not a finite number above zero")


def _check_arguments(
    files: Sequence[Location],
    output: Path,
    target_start: float | None,
    beam: str,
    survival: str,
    span: float,
    *,
    force: bool,
) -> None:
    """Refuse what would fail, or destroy something, after the reading."""
    if not files:
        raise InputError("no file to prepare: give outputs of `shipgen simulate` or of FairShip")
    if not 0 < span <= 1:
        raise InputError(f"a span of {span:g} is not in (0, 1]")
    if target_start is not None and not math.isfinite(target_start):
        raise InputError(f"a target start of {target_start:g} cm is not a finite number")
    if survival not in SURVIVAL_CHOICES:
        raise InputError(f"no survival {survival!r}: choose from {', '.join(SURVIVAL_CHOICES)}")
    if beam not in CHOICES:
        raise InputError(f"no beam {beam!r}: choose from {', '.join(CHOICES)}")
    check_output(output, force=force, index=INDEX)


def _check_frame(taken: Sequence[Taken], target_start: float | None) -> None:
    """Refuse to say of arrays where the target starts but by their frame."""
    if target_start is not None and any(one.source.kind is ARRAYS for one in taken):
        raise InputError("z of arrays counts from where their frame says: give --frame, not --target-start")


def _task(one: Taken, work: Path, beam: str, survival: str, step: int | str) -> ReadTask:
    """Say what a worker has to do; the piece is named after all it depends on."""
    choice = asdict(one.source.choice) if one.source.choice else None
    what = [
        asdict(one.source.identity),
        choice,
        one.source.kind.name,
        one.look.case,
        beam,
        survival,
        str(step),
    ]
    text = json.dumps(what, sort_keys=True)
    folder = work / hashlib.sha256(text.encode()).hexdigest()[:16]
    return ReadTask(one.source, folder, one.look.case, beam, step)


def _make(tasks: Sequence[ReadTask], cores: int | None) -> Generator[str | None]:
    """Make the pieces that are not there yet; yield for each why its file cannot be used, or ``None``."""
    todo = [task for task in tasks if not (task.folder / PIECE_INDEX).is_file()]
    cores = min(cores or len(os.sched_getaffinity(0)), len(todo))
    entries = sum(task.source.entries for task in tasks)
    with progress("reading", entries, "entries") as advance:
        advance(entries - sum(task.source.entries for task in todo))
        if cores <= 1:
            for task in tasks:
                yield read_file(task, advance) if task in todo else None
            return
        with in_order(read_file, todo, cores) as results:
            for task in tasks:
                if task in todo:
                    yield next(results)
                    advance(task.source.entries)
                else:
                    yield None


def _use(
    taken: Sequence[Taken], tasks: Sequence[ReadTask], results: Iterator[str | None], *, skip_bad: bool
) -> tuple[list[Used], list[dict[str, str]]]:
    """Open the pieces; now that all weights are known, see again whether they fit together."""
    used: list[Used] = []
    skipped, beside = [], Beside()
    for one, task, error in zip(taken, tasks, results, strict=True):
        try:
            if error is not None:
                raise InputError(error)
            piece = ReadFile.open(task.folder)
            largest = piece.tally.largest
            beside.check(one.source, largest)
            beside.add(one.source, largest)
            used.append(Used.after_reading(one.source, one.look, piece))
        except InputError as problem:
            if not skip_bad:
                raise
            skipped.append(skipped_file(one.source.path, problem))
            last = problem
    if not used:
        raise InputError(f"none of {len(taken)} files can be used; the last: {last}")
    return used, skipped


def _shares(used: Sequence[Used]) -> list[Share]:
    """Give each piece its scale, and its groups numbers that no other piece has."""
    shares, first = [], 0
    for one, scale in zip(used, scales([one.source for one in used]), strict=True):
        shares.append(Share(one.piece, scale, first))
        first += one.piece.tally.highest_group - one.piece.tally.lowest_group + 1
    return shares


def _write(
    folder: Path,
    used: Sequence[Used],
    stated: Stated,
    facts: dict[str, Any],
    *,
    pot: float | None,
    beam: str,
    cap: int | None,
    seed: int,
    span: float,
) -> None:
    """Join the pieces into `folder` and say where everything comes from."""
    shares = _shares(used)
    categories = gather(folder, shares, target_start=stated.start, cap=cap, seed=seed, span=span)
    places = gather_beam(folder, [one.piece for one in used], seed)
    notes = facts.pop("notes")
    found = collect_facts(used, shares, categories, stated, pot)
    found["warnings"] += [*notes, *sample_warnings(categories, used, stated, places)]
    for entry in categories.values():
        del entry["files"]
    facts = {**found, "beam": describe_beam(used, beam, places), "cap": cap, "seed": seed, **facts}
    write_index(folder, categories, facts)
