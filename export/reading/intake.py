"""Looking into all files before any is read: which can be used, and whether they fit together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shipgen.errors import InputError
from shipgen.files import sha256
from shipgen.provenance import without_folders
from shipgen.rootfile import base_name, is_remote
from shipgen_export.reading.beam import look
from shipgen_export.reading.readers import open_source
from shipgen_export.reading.weights import check_beside

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shipgen.rootfile import Location
    from shipgen_export.reading.beam import Look
    from shipgen_export.reading.sources import Source


@dataclass(frozen=True)
class Taken:
    """A file that was looked into and fits beside the others."""

    source: Source
    look: Look


def skipped_file(location: Location, error: object) -> dict[str, str]:
    """Describe a file that cannot be used, without the folders of this machine."""
    return {"name": base_name(location), "reason": without_folders(str(error))}


def take_in(
    locations: Sequence[Location], beam: str, *, skip_bad: bool
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
    for location in locations:
        try:
            source = open_source(location)
            _check_new(source, [other.source for other in taken])
            one = Taken(source, look(source, beam))
            check_beside(source, one.look.largest, [(other.source, other.look.largest) for other in taken])
        except InputError as error:
            if not skip_bad:
                raise
            skipped.append(skipped_file(location, error))
            last = error
        else:
            taken.append(one)
    if not taken:
        raise InputError(f"none of {len(skipped)} files can be used; the last: {last}")
    return taken, skipped


def _check_new(source: Source, others: Sequence[Source]) -> None:
    """Refuse a file whose muons are those of another."""
    for other in others:
        if _same(source, other):
            raise InputError(f"{other.path} and {source.path} are the same file: give it once")
        seed = _seed(source)
        if seed is not None and seed == _seed(other):
            raise InputError(
                f"{other.path} and {source.path} were made with the same seed {seed[0]} and share muons: "
                "make one with another --seed"
            )


def _same(a: Source, b: Source) -> bool:
    """Return whether two files have the same content; copies share ROOT's UUID, which others might too."""
    if any(a.identity[what] != b.identity[what] for what in ("bytes", "uuid")):
        return False
    if is_remote(a.path) or is_remote(b.path) or a.path == b.path:
        return True
    return sha256(a.path) == sha256(b.path)  # type: ignore[arg-type]


def _seed(source: Source) -> tuple[Any, ...] | None:
    """Return what decides the muons that shipgen wrote into a file."""
    provenance = source.header.provenance or {}
    if "kind" not in provenance or provenance.get("seed") is None:
        return None
    return provenance["seed"], provenance["kind"], str(provenance.get("bundle"))
