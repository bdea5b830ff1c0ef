"""Looking into all files before any is read: which can be used, and whether they fit together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shipgen.errors import InputError
from shipgen.files.outputs import sha256
from shipgen.files.rootfile import base_name, is_remote
from shipgen.provenance import without_folders
from shipgen_export.reading.beam_position import look
from shipgen_export.reading.formats.readers import open_source
from shipgen_export.reading.weights import Beside

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shipgen.files.rootfile import Location
    from shipgen_export.reading.beam_position import Look
    from shipgen_export.reading.formats.array_files import ArrayChoice
    from shipgen_export.reading.formats.sources import Source


@dataclass(frozen=True)
class Taken:
    """A file that was looked into and fits beside the others."""

    source: Source
    look: Look


def skipped_file(location: Location, error: object) -> dict[str, str]:
    """Describe a file that cannot be used, without the folders of this machine."""
    return {"name": base_name(location), "reason": without_folders(str(error))}


def take_in(
    locations: Sequence[Location],
    beam: str,
    *,
    skip_bad: bool,
    lists: Mapping[Location, str] | None = None,
    choice: ArrayChoice | None = None,
) -> tuple[list[Taken], list[dict[str, str]]]:
    """Look into files.

    Parameters
    ----------
    locations : sequence of Path or str
        The files; each is compared with those before it.
    beam : str
        One of `beam.CHOICES`.
    skip_bad : bool
        Whether to list files that cannot be used instead of failing at the first.
    lists : mapping of Path or str to str, optional
        For files that were named in a list: which.
    choice : ArrayChoice, optional
        What the user says of arrays.

    Returns
    -------
    list of Taken
        The files that can be used.
    list of dict
        ``name`` and ``reason`` of the others.

    Raises
    ------
    InputError
        A file cannot be used or does not fit; with `skip_bad` only if that is so of all.
    """
    taken: list[Taken] = []
    skipped: list[dict[str, str]] = []
    known, beside = _Known(), Beside()
    for location in locations:
        try:
            source = open_source(location, choice)
            known.check(source)
            one = Taken(source, look(source, beam))
            beside.check(source, one.look.largest)
        except InputError as problem:
            named = (lists or {}).get(location)
            error = InputError(f"{problem} (named in the list {named})") if named else problem
            if not skip_bad:
                raise error from problem
            skipped.append(skipped_file(location, error))
            last = error
        else:
            known.add(source)
            beside.add(source, one.look.largest)
            taken.append(one)
    if not taken:
        raise InputError(f"none of {len(skipped)} files can be used; the last: {last}")
    return taken, skipped


class _Known:
    """Refuses files whose muons are those of another."""

    def __init__(self) -> None:
        self._alike: dict[tuple[int, str], list[Source]] = {}
        self._seeds: dict[tuple[str, ...], Source] = {}

    def check(self, source: Source) -> None:
        """Raise `InputError` if another file has the same content, or was made with the same seed."""
        for other in self._alike.get(_alike(source), ()):
            if _same(source, other):
                raise InputError(f"{other.path} and {source.path} are the same file: give it once")
        seed = _seed(source)
        if seed is not None and seed in self._seeds:
            raise InputError(
                f"{self._seeds[seed].path} and {source.path} were made with the same seed {seed[0]} and "
                "share muons: make one with another --seed"
            )

    def add(self, source: Source) -> None:
        """Take a file up among those that the next ones are compared with."""
        self._alike.setdefault(_alike(source), []).append(source)
        if (seed := _seed(source)) is not None:
            self._seeds.setdefault(seed, source)


def _alike(source: Source) -> tuple[int, str]:
    """Return what files of the same content share; copies share ROOT's UUID, which others might too."""
    return source.identity.bytes, source.identity.uuid


def _same(a: Source, b: Source) -> bool:
    """Return whether two files that are alike have the same content."""
    if is_remote(a.path) or is_remote(b.path) or a.path == b.path:
        return True
    return sha256(a.path) == sha256(b.path)  # type: ignore[arg-type]


def _seed(source: Source) -> tuple[str, ...] | None:
    """Return what decides the muons that shipgen wrote into a file."""
    provenance = source.header.provenance or {}
    if "kind" not in provenance or provenance.get("seed") is None:
        return None
    return str(provenance["seed"]), str(provenance["kind"]), str(provenance.get("bundle"))
