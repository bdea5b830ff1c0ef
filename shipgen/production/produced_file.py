"""Files of one production that are to be merged: what each says of itself, and where its clusters lie.

Clusters are read as they were stored, compressed: that is as fast as the disk, and checks their hashes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np

from shipgen.errors import InputError
from shipgen.files.clusters import BranchBlock, Cluster
from shipgen.files.layouts import FILE_SUMMARY_KEY, KIND_PRODUCED, OUTPUT_LAYOUTS, PROVENANCE_KEY
from shipgen.files.root_storage import Stored, cluster_storage, content_hash
from shipgen.files.rootfile import open_root, readable
from shipgen.generate.shards import Shard
from shipgen.provenance import read_objects

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shipgen.files.layouts import Layout
    from shipgen.files.rootfile import Location
    from shipgen.muons.columns import Int64
    from shipgen.provenance import FileSummary, ProducedFacts


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
    """

    location: Location
    facts: ProducedFacts
    summary: FileSummary
    layout: Layout
    compression: str
    size: int

    @classmethod
    def open(cls, location: Location) -> Self:
        """Read what the file at `location` says of itself.

        Raises
        ------
        InputError
            It is missing, damaged or truncated, or not a file that can be merged with others.
        """
        with open_root(location) as file, readable(location):
            found = read_objects(file, PROVENANCE_KEY)
            if len(found) != 1 or not found[0] or found[0].get("kind") != KIND_PRODUCED:
                what = "merged by another program" if len(found) > 1 else "not made by `shipgen produce`"
                raise InputError(f"{location} is {what}: give files as `shipgen produce` wrote them")
            facts = cast("ProducedFacts", found[0])
            layout = OUTPUT_LAYOUTS.get(str(facts.get("layout")))
            if layout is None or "converted_from" in facts or not {"plan", "clusters"} <= set(facts):
                why = "converted" if "converted_from" in facts else "from another version of shipgen"
                raise InputError(f"{location} is {why}: give files as this `shipgen produce` wrote them")
            summary = cast("FileSummary", (read_objects(file, FILE_SUMMARY_KEY) or [None])[0] or {})
            entries, size = int(file[layout.tree].num_entries), int(file.file.source.num_bytes)
            if entries != facts["muons"]:
                raise InputError(f"{location} has {entries:,} of its {facts['muons']:,} muons: make it again")
            return cls(location, facts, summary, layout, str(file.file.compression), size)

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

        found, headers = [], self._headers()
        with open_root(self.location) as file, readable(self.location):
            for stored in self._stored(file, np.array(headers)):
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

    def _headers(self) -> list[int]:
        """Return the bytes before the block of each branch."""
        storage = cluster_storage(self.layout)
        return [len(storage.header(column, 0, 0, 0, 0)) for column in range(len(self.layout.branches))]

    def _stored(self, file: Any, headers: Int64) -> list[Stored]:
        """Return the clusters of the open `file`, without their hashes."""
        tree = file[self.layout.tree]
        if self.layout.rntuple:
            rows = np.array([cluster.num_entries for cluster in tree.cluster_summaries])
            pages = [[column.pages[0].locator for column in cluster] for cluster in tree.page_link_list]
            places = np.array([[page.offset for page in cluster] for cluster in pages]) - headers
            sizes = np.array([[page.num_bytes for page in cluster] for cluster in pages])
        else:
            branches = [tree[branch.name] for branch in self.layout.branches]
            number = branches[0].num_baskets
            rows = np.diff(branches[0].member("fBasketEntry")[: number + 1])
            places = np.stack([branch.member("fBasketSeek")[:number] for branch in branches], 1)
            sizes = np.stack([branch.member("fBasketBytes")[:number] for branch in branches], 1) - headers
        ends = places[:, :1] + np.cumsum(sizes + headers, 1)
        if (sizes < 0).any() or (places[:, 1:] != ends[:, :-1]).any() or rows.sum() != self.muons:
            raise InputError(f"{self.location} was rewritten by another program: make it again")
        return [
            Stored(int(place[0]), int(end[-1] - place[0]), int(number), tuple(size.tolist()), "")
            for place, end, number, size in zip(places, ends, rows, sizes, strict=True)
        ]

    def _blocks(self, stored: Stored, content: Any, headers: list[int]) -> tuple[BranchBlock, ...]:
        blocks, place = [], 0
        for header, size, branch in zip(headers, stored.sizes, self.layout.branches, strict=True):
            place += header
            whole = stored.rows * np.dtype(branch.dtype).itemsize
            blocks.append(BranchBlock(whole, memoryview(content)[place : place + size]))
            place += size
        return tuple(blocks)
