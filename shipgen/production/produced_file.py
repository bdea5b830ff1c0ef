"""Files of one production that are to be merged: what each says of itself, and where its clusters lie.

Clusters are read as they were stored, compressed: that is as fast as the disk, and checks their hashes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np

from shipgen.errors import InputError
from shipgen.files.arrays.file_kinds import ENDINGS, kind_of
from shipgen.files.clusters import BranchBlock, Cluster
from shipgen.files.layouts import FILE_SUMMARY_KEY, KIND_PRODUCED
from shipgen.files.rewritten import restored, tree_of
from shipgen.files.root_storage import content_hash
from shipgen.files.rootfile import is_remote, open_root, readable
from shipgen.files.seals import SEAL, header_sizes, is_rewritten, layout_of, read_stated, stored_clusters
from shipgen.generate.shards import Shard
from shipgen.provenance import read_objects

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shipgen.files.layouts import Layout
    from shipgen.files.root_storage import Stored
    from shipgen.files.rootfile import Location
    from shipgen.provenance import FileSummary, ProducedFacts

#: What to do with the shards of a production of arrays.
TOGETHER = (
    "concatenate the arrays of all shards, in their order, where they are used; or produce ROOT files, and "
    "`shipgen convert` what they are merged to"
)


@dataclass(frozen=True, eq=False)
class ProducedFile:
    """A file of `shipgen produce`: a whole production, a shard, or a part of either.

    Attributes
    ----------
    location : Path or str
        The file or its URL.
    facts, summary : mapping
        What it says of itself, and FairShip's part of that.
    layout : Layout
        Tree and branches.
    compression : str
        As ROOT knows it, such as ``ZSTD(1)``.
    size : int
        Bytes.
    rewritten : bool
        Whether another program wrote it again, so that its clusters have to be made from its muons.
    """

    location: Location
    facts: ProducedFacts
    summary: FileSummary
    layout: Layout
    compression: str
    size: int
    rewritten: bool = False

    @classmethod
    def open(cls, location: Location) -> Self:
        """Read what the file at `location` says of itself.

        Raises
        ------
        InputError
            It is missing, damaged or truncated, or not a file that can be merged with others.
        """
        if not is_remote(location) and not Path(location).exists():
            raise InputError(f"{location} does not exist: give ROOT files of `shipgen produce`")
        if kind := _arrays(location):
            raise InputError(
                f"{location} is a file of arrays ({kind}), and only ROOT files are merged: {TOGETHER}"
            )
        with open_root(location) as file, readable(location):
            found = read_stated(file, location)
            if found is None or found.get("kind") != KIND_PRODUCED:
                raise InputError(
                    f"{location} is not made by `shipgen produce`: give files as `shipgen produce` wrote them"
                )
            facts = cast("ProducedFacts", found)
            layout = layout_of(found)
            if layout is None or "converted_from" in facts or not {"plan", "clusters"} <= set(facts):
                why = "converted" if "converted_from" in facts else "from another version of shipgen"
                raise InputError(f"{location} is {why}: give files as this `shipgen produce` wrote them")
            summary = cast("FileSummary", (read_objects(file, FILE_SUMMARY_KEY) or [None])[0] or {})
            rewritten = is_rewritten(file, found)
            tree = tree_of(file, location, layout, facts["muons"]) if rewritten else file[layout.tree]
            entries, size = int(tree.num_entries), int(file.file.source.num_bytes)
            if entries != facts["muons"]:
                raise InputError(f"{location} has {entries:,} of its {facts['muons']:,} muons: make it again")
            compression = str(file.file.compression)
            if rewritten:
                name, _, level = str(found[SEAL]["compression"]).partition(":")
                compression = f"{name.upper()}({level})" if level else "None"
            return cls(location, facts, summary, layout, compression, size, rewritten)

    @property
    def muons(self) -> int:
        """How many it has."""
        return int(self.facts["muons"])

    @property
    def first(self) -> int:
        """Number of its first muon in the plan."""
        return int(self.facts["file"]["first_muon"])

    @property
    def stop(self) -> int:
        """Number of the first muon behind it."""
        return self.first + self.muons

    @property
    def shard(self) -> Shard | None:
        """Which shard it is of, if it is of one."""
        stated = self.facts.get("shard")
        return Shard(int(stated["number"]), int(stated["of"])) if stated else None

    def clusters(self) -> Iterator[Cluster]:
        """Yield the clusters as they are stored; their data is good until the next one is asked for.

        Raises
        ------
        InputError
            The file is damaged; that may come with the last cluster only.
        """
        import xxhash

        if self.rewritten:
            with open_root(self.location) as file:
                yield from restored(file, self.location, cast("dict[str, Any]", self.facts), self.layout)
            return
        found, headers = [], header_sizes(self.layout)
        with open_root(self.location) as file, readable(self.location):
            for stored in self._stored(file):
                content = file.file.source.chunk(stored.start, stored.end).raw_data
                found.append(replace(stored, check=xxhash.xxh3_64_hexdigest(content)))
                yield Cluster(stored.rows, self._blocks(stored, content, headers))
        stated = self.facts["clusters"]
        if (len(found), content_hash(found)) != (stated["number"], stated["xxh3"]):
            raise InputError(f"{self.location} is damaged, its hash is not the one it states: make it again")

    def check(self) -> Self:
        """Read the whole file; raise `InputError` where it is not what was written."""
        for _ in self.clusters():
            pass
        return self

    def _stored(self, file: Any) -> list[Stored]:
        """Return the clusters of the open `file`, without their hashes."""
        stored = stored_clusters(file, self.location, self.layout)
        if sum(one.rows for one in stored) != self.muons:
            raise InputError(f"{self.location} was rewritten by another program: make it again")
        return stored

    def _blocks(self, stored: Stored, content: Any, headers: list[int]) -> tuple[BranchBlock, ...]:
        blocks, place = [], 0
        for header, size, branch in zip(headers, stored.sizes, self.layout.branches, strict=True):
            place += header
            whole = stored.rows * np.dtype(branch.dtype).itemsize
            blocks.append(BranchBlock(whole, memoryview(content)[place : place + size]))
            place += size
        return tuple(blocks)


def _arrays(location: Location) -> str | None:
    """Return the kind of a file of arrays, ``None`` for what is none or cannot be read."""
    if is_remote(location):
        kind = ENDINGS.get(Path(location).suffix)
        return None if kind == "root" else kind
    try:
        return kind_of(Path(location)) if Path(location).is_file() else None
    except OSError:
        return None
