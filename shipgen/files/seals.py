"""A seal on a ROOT file of shipgen: whether all of it is as it was written, to the last bit.

A file consists of clusters, each with a hash of its own, and of what stands before and behind them: ROOT's
records, the description of the tree, what the file says of itself. The provenance states the hash of the
clusters' hashes and, as ``seal``, that of all the rest, counted with zeros in its own place. Nothing of a
file is used where either differs.

What another program has rewritten, such as ROOT's ``rootcp``, has another length than the seal states. Its
provenance has a hash of its own, and its muons that of the clusters which they make: see `rewritten`.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.errors import InputError
from shipgen.files.layouts import (
    FILE_SUMMARY_KEY,
    KIND_TRAINING,
    OUTPUT_LAYOUTS,
    PROVENANCE_KEY,
    TRAINING,
)
from shipgen.files.rewritten import facts_hash, merged, object_hash, restored, says_the_same
from shipgen.files.root_storage import Baskets, Pages, Stored, content_hash
from shipgen.files.rootfile import readable
from shipgen.files.variation_columns import stated_variations, with_variations
from shipgen.numbers import real, whole
from shipgen.provenance import read_objects

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from shipgen.files.layouts import Layout
    from shipgen.files.rootfile import Location
    from shipgen.muons.columns import Int64

#: Entry of the provenance.
SEAL = "seal"

#: What a seal begins with in the file, and its zeros.
_MARK, _ZEROS = b'"seal": {"begin": ', b"0" * 16

#: Characters for the length of a file.
_DIGITS = 16

#: Bytes at a file's ends that are looked through for a seal where its provenance is not found.
_HEAD, _TAIL = 2**14, 2**20

#: How far two statements of the POT may be apart, relatively.
_POT_ROUNDING = 1e-9

#: Bytes that are read at once.
_READ = 2**24


def with_room(texts: Mapping[str, str], stored: list[Stored], begin: int, end: int, compression: str) -> str:
    """Return a provenance with room for the seal, and the hash of the clusters where it has none.

    Parameters
    ----------
    texts : mapping of str to str
        JSON objects by name: the provenance, and the summary for FairShip if there is one.
    stored : list of Stored
        The clusters.
    begin, end : int
        Where they lie in the file: first byte, and first byte behind them.
    compression : str
        Theirs, such as ``zstd:1``.
    """
    content = json.loads(texts[PROVENANCE_KEY])
    summary = (
        {"summary": object_hash(json.loads(texts[FILE_SUMMARY_KEY]))} if FILE_SUMMARY_KEY in texts else {}
    )
    content.setdefault("clusters", {"number": len(stored), "xxh3": content_hash(stored)})
    rows = [[number, len(list(same))] for number, same in groupby(one.rows for one in stored)]
    return _sealed_text(
        {
            **content,
            SEAL: {
                "begin": begin,
                "end": end,
                "size": 0,
                "compression": compression,
                "rows": rows,
                **summary,
                "facts": _ZEROS.decode(),
                "xxh3": _ZEROS.decode(),
            },
        }
    )


def seal(path: Path, text: str) -> None:
    """Fill the room in the provenance `text`, which `with_room` made, in the finished file at `path`."""
    content = json.loads(text)
    stated = content[SEAL]
    begin, end = stated["begin"], stated["end"]
    with path.open("r+b") as file:
        head = file.read(begin)
        file.seek(end)
        tail = file.read()
        stated["size"] = end + len(tail)
        stated["facts"] = facts_hash(content)
        place, length = (head + tail).index(text.encode()), len(text.encode())
        rest = (head + tail)[:place] + _sealed_text(content).encode() + (head + tail)[place + length :]
        stated["xxh3"] = _rest_hash(rest, stated)
        file.seek(place if place < begin else place - begin + end)
        file.write(_sealed_text(content).encode())


def check_seal(file: Any, location: Location, content: dict[str, Any]) -> bool:
    """Check all but the clusters of the open uproot `file` whose provenance is `content`.

    Returns
    -------
    bool
        Whether it is sealed: files of earlier versions are not.

    Raises
    ------
    InputError
        It is not as it was written.
    """
    if SEAL not in content:
        return False
    size = int(file.file.source.num_bytes)
    if size > file.file.fEND:
        raise InputError(
            f"{location} has {size - file.file.fEND:,} bytes behind its end, as of files put together by "
            f"`cat`: its own are the first {file.file.fEND:,}, nothing reads the rest; give each file apart"
        )
    with readable(location):
        if is_rewritten(file, content):
            intact = says_the_same(content, read_objects(file, FILE_SUMMARY_KEY))
        else:
            stated = content[SEAL]
            begin = whole(stated["begin"], "begin", high=size)
            end = whole(stated["end"], "end", low=begin, high=size)
            rest = _bytes(file, 0, begin) + _bytes(file, end, size)
            intact = _open_seal(stated) in rest and _rest_hash(rest, stated) == stated["xxh3"]
    if not intact:
        raise InputError(
            f"{location} is damaged, or another program has rewritten it: its seal does not fit, so that "
            "neither its muons nor what it says of them can be trusted; get it again as shipgen wrote it"
        )
    return True


def is_rewritten(file: Any, content: dict[str, Any]) -> bool:
    """Return whether the open uproot `file`, as long as it says, is not what was sealed as `content`.

    Files that were sealed without their length are not told from damaged ones.
    """
    stated = content.get(SEAL)
    return isinstance(stated, dict) and stated.get("size", file.file.fEND) != file.file.fEND


def read_stated(file: Any, location: Location) -> dict[str, Any] | None:
    """Return what an open uproot `file` says of itself, ``None`` where it is not shipgen's; checks the seal.

    Raises
    ------
    InputError
        It is damaged, or was merged of several files by ``hadd``.
    """
    with readable(location):
        found = read_objects(file, PROVENANCE_KEY)
    if not found:
        _check_unsealed(file, location)
        return None
    if len(found) > 1:
        raise InputError(f"{location}: {merged(found)}")
    if found[0] is None:
        raise InputError(f"{location} is damaged: what it says of itself cannot be read; get it again")
    check_seal(file, location, found[0])
    with readable(location):
        summaries = read_objects(file, FILE_SUMMARY_KEY)
    check_pot(location, found[0], (summaries or [None])[-1] or {})
    return found[0]


def check_pot(location: Location, content: dict[str, Any], summary: dict[str, Any]) -> None:
    """Raise `InputError` where a file's provenance and its summary for FairShip state other POT or cuts."""
    for name, its, what, then in (
        ("pot", "PoT", "POT", "its rate"),
        ("energy_cut", "EnergyCut", "GeV as energy cut", "its cut"),
    ):
        if name not in content or its not in summary:
            continue
        with readable(location):
            stated, other = real(content[name], name), real(summary[its], its)
        if not math.isclose(stated, other, rel_tol=_POT_ROUNDING):
            raise InputError(
                f"{location} contradicts itself: its provenance states {stated:.12g} {what}, its "
                f"{FILE_SUMMARY_KEY} {other:.12g}, so that {then} is not known; get it again as shipgen "
                "wrote it"
            )


def _check_unsealed(file: Any, location: Location) -> None:
    """Raise `InputError` where a file has a seal, but no provenance that it belongs to."""
    size = int(file.file.source.num_bytes)
    with readable(location):
        if any(
            _MARK in _bytes(file, start, stop)
            for start, stop in ((0, min(_HEAD, size)), (max(0, size - _TAIL), size))
        ):
            raise InputError(f"{location} is damaged: what it says of itself is not found; get it again")


def check_clusters(file: Any, location: Location, content: dict[str, Any], layout: Layout) -> None:
    """Read all clusters of an open uproot `file` and compare their hash with the one stated, if one is.

    Raises
    ------
    InputError
        They are not what was written.
    """
    stated = content.get("clusters")
    if not isinstance(stated, dict) or ("converted_from" in content and SEAL not in content):
        return
    if is_rewritten(file, content):
        for _ in restored(file, location, content, layout):
            pass
        return
    number, found = hashes(file, location, layout)
    if (number, found) != (stated.get("number"), stated.get("xxh3")):
        raise InputError(f"{location} is damaged, its hash is not the one it states: make it again")


def hashes(file: Any, location: Location, layout: Layout) -> tuple[int, str]:
    """Return how many clusters an open uproot `file` has, and the hash of their hashes as they are now."""
    import xxhash

    with readable(location):
        found: list[Stored] = []
        for one in stored_clusters(file, location, layout):
            check = xxhash.xxh3_64()
            for start in range(one.start, one.end, _READ):
                check.update(_bytes(file, start, min(start + _READ, one.end)))
            found.append(replace(one, check=check.hexdigest()))
        return len(found), content_hash(found)


def check_open(file: Any, location: Location) -> dict[str, Any] | None:
    """Compare all of an open uproot `file` with what it states; return that, ``None`` if it is not ours.

    Raises
    ------
    InputError
        It is damaged, or was merged of several files by ``hadd``.
    """
    content = read_stated(file, location)
    if content is not None and (layout := layout_of(content)) is not None:
        check_clusters(file, location, content, layout)
    return content


def layout_of(content: dict[str, Any]) -> Layout | None:
    """Return the layout of a ROOT file of that provenance, ``None`` where it states none that is known."""
    if content.get("kind") == KIND_TRAINING:
        return TRAINING
    known = OUTPUT_LAYOUTS.get(str(content.get("layout")))
    if known is None:
        return None
    try:
        known = with_variations(known, stated_variations(content))
    except ValueError as error:
        raise InputError(f"what the file says of itself is damaged: {error}") from error
    names = content.get("names")
    return known.renamed(names) if isinstance(names, dict) else known


def header_sizes(layout: Layout) -> list[int]:
    """Return the bytes before the block of each branch."""
    records = (Pages if layout.rntuple else Baskets)(layout)
    return [len(records.header(column, 0, 0, 0, 0)) for column in range(len(layout.branches))]


def stored_clusters(file: Any, location: Location, layout: Layout) -> list[Stored]:
    """Return the clusters of an open uproot `file`, without their hashes.

    Raises
    ------
    InputError
        They do not lie as shipgen stores them.
    """
    headers = np.array(header_sizes(layout))
    rows, places, sizes = _places(file[layout.tree], layout, headers)
    ends = places[:, :1] + np.cumsum(sizes + headers, 1)
    if (sizes < 0).any() or (rows < 1).any() or (places[:, 1:] != ends[:, :-1]).any():
        raise InputError(f"{location} was rewritten by another program: make it again")
    if (places[1:, 0] != ends[:-1, -1]).any():
        raise InputError(f"{location} was rewritten by another program: make it again")
    return [
        Stored(int(place[0]), int(end[-1] - place[0]), int(number), tuple(size.tolist()), "")
        for place, end, number, size in zip(places, ends, rows, sizes, strict=True)
    ]


def _places(tree: Any, layout: Layout, headers: Int64) -> tuple[Int64, Int64, Int64]:
    """Return the clusters' muons, and of each of their blocks the place of its header and its size."""
    if layout.rntuple:
        rows = np.array([cluster.num_entries for cluster in tree.cluster_summaries])
        pages = [[column.pages[0].locator for column in cluster] for cluster in tree.page_link_list]
        places = np.array([[page.offset for page in cluster] for cluster in pages]) - headers
        return rows, places, np.array([[page.num_bytes for page in cluster] for cluster in pages])
    branches = [tree[branch.name] for branch in layout.branches]
    number = branches[0].num_baskets
    rows = np.diff(branches[0].member("fBasketEntry")[: number + 1])
    places = np.stack([branch.member("fBasketSeek")[:number] for branch in branches], 1)
    return (
        rows,
        places,
        np.stack([branch.member("fBasketBytes")[:number] for branch in branches], 1) - headers,
    )


def _bytes(file: Any, start: int, stop: int) -> bytes:
    if start == stop:
        return b""
    return bytes(file.file.source.chunk(start, stop).raw_data)


def _sealed_text(content: dict[str, Any]) -> str:
    """Return a provenance as text, with room for the length of any file."""
    text, size = json.dumps(content, allow_nan=False), content[SEAL]["size"]
    return f'"size": {size:<{_DIGITS}}'.join(text.rsplit(f'"size": {size}', 1))


def _open_seal(stated: dict[str, Any]) -> bytes:
    """Return what stands in a file up to the hash of its seal."""
    parts = [
        f'"{key}": ' + (f"{value:<{_DIGITS}}" if key == "size" else json.dumps(value))
        for key, value in stated.items()
        if key != "xxh3"
    ]
    return f'"{SEAL}": {{{", ".join(parts)}, "xxh3": "'.encode()


def _rest_hash(rest: bytes, stated: dict[str, Any]) -> str:
    """Return the hash of what stands before and behind the clusters, with zeros for the seal itself."""
    import xxhash

    first, mark, last = rest.partition(_open_seal(stated))
    return str(xxhash.xxh3_64_hexdigest(first + mark + _ZEROS + last[len(_ZEROS) :]))
