"""Files of ours that another program wrote again: ROOT's ``rootcp`` and ``hadd``, a script with uproot.

Their bytes are others, so neither the hash of the clusters nor the seal can be compared with them. But the
same muons make the same clusters: these are made again, as they lay in the file at first, and have the hash
that is stated, or the file is not used. What the file says of itself has a hash of its own.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.errors import InputError
from shipgen.files.clusters import ClusterEncoder
from shipgen.files.compressions import parse_compression
from shipgen.files.layouts import KIND_TRAINING
from shipgen.files.root_storage import Stored, cluster_storage, content_hash
from shipgen.files.rootfile import readable
from shipgen.muons.stated import StatedMuons
from shipgen.numbers import plain_text, whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shipgen.files.clusters import Cluster
    from shipgen.files.layouts import Layout
    from shipgen.files.rootfile import Location
    from shipgen.muons.columns import Array

#: Entries of the seal that are of the bytes of the file, or of the statement itself.
_HASHES = ("facts", "xxh3")

#: No file is as large, in bytes.
_LARGEST = 2**50


def facts_hash(content: dict[str, Any]) -> str:
    """Return the hash of what a file says of itself, but for the two hashes that stand in its seal."""
    stated = {name: value for name, value in content["seal"].items() if name not in _HASHES}
    return object_hash({**content, "seal": stated})


def object_hash(content: dict[str, Any]) -> str:
    """Return the hash of a JSON object, however it is written."""
    import xxhash

    return str(xxhash.xxh3_64_hexdigest(json.dumps(content).encode()))


def says_the_same(content: dict[str, Any], summaries: list[dict[str, Any] | None]) -> bool:
    """Return whether a rewritten file's provenance, and its summary for FairShip if any is left, are ours."""
    stated = content["seal"]
    left = all(one is not None and object_hash(one) == stated.get("summary") for one in summaries)
    return left and facts_hash(content) == stated["facts"]


def restored(file: Any, location: Location, content: dict[str, Any], layout: Layout) -> Iterator[Cluster]:
    """Yield the clusters of a rewritten file as they were first stored.

    Parameters
    ----------
    file : uproot.ReadOnlyDirectory
        The open file.
    location : Path or str
        Where it is, for messages.
    content : dict
        What it says of itself, which has been found to be whole.
    layout : Layout
        Its tree and branches.

    Raises
    ------
    InputError
        They are not those that were written; that may come with the last one only.
    """
    with readable(location):
        runs = [
            (whole(number, "the muons of a cluster", low=1), whole(times, "the number of clusters"))
            for number, times in content["seal"]["rows"]
        ]
        begin = whole(content["seal"]["begin"], "begin", high=_LARGEST)
        compression = plain_text(content["seal"]["compression"], "the compression")
        tree = tree_of(file, location, layout, sum(number * times for number, times in runs))
    # Not before the tree has been found to have as many muons.
    rows = [number for number, times in runs for _ in range(times)]
    made = _Made(layout, compression, begin)
    seen, start = StatedMuons(location, content, strict=False), 0
    for number in rows:
        with readable(location):
            values = tree.arrays(
                [branch.name for branch in layout.branches],
                entry_start=start,
                entry_stop=start + number,
                library="np",
            )
            seen.see(layout.columns(values))
            cluster = made.again(location, values)
        yield cluster
        start += number
    seen.check()
    stated = content["clusters"]
    if (len(rows), content_hash(made.stored)) != (stated["number"], stated["xxh3"]):
        raise InputError(
            f"{location} was rewritten by another program, and its muons do not make the hash it states: "
            "their number, kinds and sum of weights are those stated, other values were changed, or this "
            f"machine has another version of {compression.partition(':')[0]}; get it as shipgen wrote it"
        )


class _Made:
    """Makes clusters of muons again, as they follow each other in a file from byte `begin` on."""

    def __init__(self, layout: Layout, compression: str, begin: int) -> None:
        self._layout, self._place = layout, begin
        self._encode = ClusterEncoder(layout, {}, 0.0, parse_compression(compression))
        self._storage = cluster_storage(layout)
        self.stored: list[Stored] = []

    def again(self, location: Location, values: dict[str, Array]) -> Cluster:
        """Return the cluster of the branches `values`, after those before it."""
        import xxhash

        for branch in self._layout.branches:
            if (found := values[branch.name].dtype.newbyteorder("=")) != branch.dtype:
                raise InputError(
                    f"{location} was rewritten by another program, with branch {branch.name} as {found} in "
                    f"place of {np.dtype(branch.dtype)}, so that hashes cannot be compared; get it as "
                    "shipgen wrote it"
                )
        cluster = self._encode.again(values)
        check, start = xxhash.xxh3_64(), self._place
        for column, block in enumerate(cluster.blocks):
            header = self._storage.header(column, cluster.rows, block.size, len(block), self._place)
            for piece in (header, block.head, block.data):
                check.update(piece)
            self._place += len(header) + len(block)
        sizes = tuple(len(block) for block in cluster.blocks)
        self.stored.append(Stored(start, self._place - start, cluster.rows, sizes, check.hexdigest()))
        return cluster


def tree_of(file: Any, location: Location, layout: Layout, muons: int) -> Any:
    """Return the tree of an open file; raise `InputError` where it is not that of so many `muons`."""
    if layout.tree not in file:
        raise InputError(
            f"{location} was rewritten by another program without {layout.tree}, its muons (ROOT's rootcp "
            "does not copy an RNTuple): get it as shipgen wrote it"
        )
    tree = file[layout.tree]
    if missing := {branch.name for branch in layout.branches} - set(tree.keys(recursive=False)):
        raise InputError(
            f"{location} was rewritten by another program, without {', '.join(sorted(missing))}: its "
            f"{tree.num_entries:,} entries are not all of what shipgen wrote; get it as shipgen wrote it"
        )
    if tree.num_entries != muons:
        raise InputError(
            f"{location} was rewritten by another program and has {tree.num_entries:,} of the {muons:,} "
            "muons that it states: which ones is not known, so that neither its POT nor its sum of weights "
            "hold; get it as shipgen wrote it"
        )
    return tree


def merged(found: list[dict[str, Any] | None]) -> str:
    """Say what holds for a file that ``hadd`` merged from those that stated `found`."""
    number = len(found)
    text = f"it was merged from {number} files by hadd: its muons are theirs, but "
    pots = [one.get("pot") if one else None for one in found]
    same = [json.dumps((one or {}).get("clusters")) for one in found]
    if (twice := number - len(set(same))) and "null" not in same:
        text += f"{twice} of the files are copies of others, so that muons are in it more than once; "
    if all(isinstance(pot, (int, float)) for pot in pots):
        total = sum(pots)  # type: ignore[arg-type]
        text += f"it states {pots[-1]:g} POT where their sum is {total:g}"
        if len(set(pots)) > 1 and any(one and one.get("kind") == KIND_TRAINING for one in found):
            text += ", and weights of different POT stand side by side"
    else:
        text += "how many POT they stand for is not stated"
    return f"{text}, and its hash cannot be compared: give the files apart, or merge by `shipgen merge`"
