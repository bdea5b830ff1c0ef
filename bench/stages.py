"""The stages of `shipgen produce`, each to be timed alone, and all of them together."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from shipgen.files.cluster_file import ClusterFile
from shipgen.files.clusters import ClusterEncoder
from shipgen.files.compressions import parse_compression
from shipgen.generate.chunks import BATCH_SIZE, ChunkMaker, draw_latents
from shipgen.generate.generator import MuonGenerator
from shipgen.generate.streams import LATENT, stream
from shipgen.muons.columns import CHUNK_SIZE
from shipgen.production.produce import produce
from shipgen_bench.measure import Stage, run_without_output, side_by_side

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen.bundle.bundle import Bundle
    from shipgen.files.layouts import Layout

#: Chunks that are mixed at a time, and that the writers write to a file.
CHUNKS = 8

#: The stages that `shipgen produce` consists of.
PARTS = ("latents", "networks", "mixing", "encoding", "writing")


class Stages:
    """Stages of producing with one bundle into one layout.

    Single stages handle one chunk in one thread; `produce` handles `n` muons in several.

    Parameters
    ----------
    bundle : Bundle
        The networks.
    n : int
        Muons of the stages that use several threads.
    workers : int, optional
        Their threads; all cores when not given.
    folder : Path
        Where test files are written.
    layout : Layout
        Of the test files.
    compression : str
        As for `shipgen.production.produce.produce`.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        n: int,
        workers: int | None,
        folder: Path,
        layout: Layout,
        compression: str,
    ) -> None:
        self._bundle, self._folder, self._layout, self._compression = bundle, folder, layout, compression
        self._generator = MuonGenerator(bundle, n=n, seed=1, exact=True, workers=workers)
        # No more than asked for: with slow networks a chunk takes a minute.
        single = MuonGenerator(bundle, n=min(n, CHUNK_SIZE), seed=1, exact=True, workers=1)
        self._chunk = single.plan.chunk(0)
        self._plan, self._size = single.plan, self._chunk.size
        self.columns = single.make(self._chunk).columns()
        if not bundle.weighted:
            # The same for all muons: stored as a constant.
            del self.columns["weight"]
        self._files, self.workers = itertools.count(), self._generator.workers

    def stages(self, *names: str) -> list[Stage]:
        """Return the stages called so, in that order."""
        return [getattr(self, f"_{name.replace(' ', '_').replace('-', '_')}")() for name in names]

    def side_by_side(self, *names: str) -> list[Stage]:
        """Return single stages, each in as many threads at once as production has workers."""
        return [side_by_side([self.stages(name)[0] for _ in range(self.workers)]) for name in names]

    def _latents(self) -> Stage:
        counts = self._chunk.counts(len(self._bundle.entries))
        memory = [np.empty(one.drawn_shape(BATCH_SIZE), np.float32) for one in self._bundle.networks]

        def work() -> None:
            for entry, network, count, out in zip(
                self._bundle.entries, self._bundle.networks, counts, memory, strict=True
            ):
                rng = stream(1, 0, LATENT + entry.category.number)
                for start in range(0, count, BATCH_SIZE):
                    rest = min(BATCH_SIZE, count - start)
                    draw_latents(network, rng, rest, out if rest == BATCH_SIZE else None)

        return Stage("latents", self._size, work)

    def _networks(self) -> Stage:
        """Time the networks on latents drawn beforehand; zeros would cost less in some layers."""
        counts = self._chunk.counts(len(self._bundle.entries))
        rng = np.random.default_rng(1)
        whole = [draw_latents(network, rng, BATCH_SIZE) for network in self._bundle.networks]

        def work() -> None:
            for network, count, latent in zip(self._bundle.networks, counts, whole, strict=True):
                for start in range(0, count, BATCH_SIZE):
                    rest = min(BATCH_SIZE, count - start)
                    part = latent[:, :rest] if network.feature_major else latent[:rest]
                    network.columns_of_drawn(np.ascontiguousarray(part))

        return Stage("networks", self._size, work)

    def _mixing(self) -> Stage:
        """Time the plan of a chunk and its mixing."""
        make = ChunkMaker(self._bundle.entries, self._bundle.networks, 1.0, reuse=True)

        def work() -> None:
            for _ in range(CHUNKS):
                make.mix(self._plan.chunk(0))

        return Stage("mixing", CHUNKS * self._size, work, prepare=lambda: make.generate(self._chunk))

    def _path(self, name: str) -> Path:
        """Return the path of a test file of its own."""
        return self._folder / f"{name}_{next(self._files)}.root"

    def _encoder(self) -> ClusterEncoder:
        constants = {"energy_cut": self._bundle.energy_cut, "weight": 1.0}
        compression = parse_compression(self._compression)
        return ClusterEncoder(self._layout, constants, self._bundle.target_start, compression)

    def _encoding(self) -> Stage:
        encode = self._encoder()

        def work() -> int:
            return sum(len(block) for block in encode(self.columns).blocks)

        return Stage("encoding", self._size, work)

    def _writing(self) -> Stage:
        cluster = self._encoder()(self.columns)
        path = self._path("clusters")

        def work() -> int:
            with ClusterFile(path, self._layout, None) as file:
                return sum(file.append(cluster).length for _ in range(CHUNKS))

        return Stage("writing", CHUNKS * self._size, work, prepare=lambda: path.unlink(missing_ok=True))

    def _no_output(self) -> Stage:
        generator = self._generator
        return Stage(
            "no output", generator.plan.total, lambda: run_without_output(generator), generator.workers
        )

    def _end_to_end(self) -> Stage:
        return self._production("end to end", self._generator)

    def _start_up(self) -> Stage:
        """Time what does not depend on the number of muons: a production of one."""
        one = MuonGenerator(self._bundle, n=1, seed=1, exact=True, workers=self._generator.workers)
        return self._production("start-up", one)

    def _production(self, name: str, generator: MuonGenerator) -> Stage:
        path = self._path("produced")

        def work() -> int:
            produce(generator, path, layout=self._layout, compression=self._compression)
            return path.stat().st_size

        return Stage(
            name, generator.plan.total, work, generator.workers, lambda: path.unlink(missing_ok=True)
        )

    def _writer(self) -> Stage:
        """Time encoding and writing to a whole file in one thread: what a writer of columns costs."""
        encode, path = self._encoder(), self._path("writer")

        def work() -> int:
            with ClusterFile(path, self._layout, parse_compression(self._compression)) as file:
                for _ in range(CHUNKS):
                    file.append(encode(self.columns))
                file.finish({})
            return path.stat().st_size

        return Stage("writer", CHUNKS * self._size, work, prepare=lambda: path.unlink(missing_ok=True))

    def _uproots_writer(self) -> Stage:
        """Time uproot's own writing of the same columns."""
        import uproot

        constants = {"energy_cut": self._bundle.energy_cut, "weight": 1.0}
        branches = self._layout.fill(self.columns, constants, self._bundle.target_start)
        path, chosen = self._path("uproot"), parse_compression(self._compression)
        compression = chosen.uproots() if chosen else None

        def work() -> int:
            with uproot.recreate(path, compression=compression) as file:
                make = file.mkrntuple if self._layout.rntuple else file.mktree
                tree = make(self._layout.tree, self._layout.branch_types())
                for _ in range(CHUNKS):
                    tree.extend(branches)
            return path.stat().st_size

        return Stage(
            "uproots writer", CHUNKS * self._size, work, prepare=lambda: path.unlink(missing_ok=True)
        )

    def _reading(self) -> Stage:
        import uproot

        path = self._path("read")
        produce(self._generator, path, layout=self._layout, compression=self._compression, force=True)

        def work() -> int:
            with uproot.open(path, object_cache=None, array_cache=None) as file:
                file[self._layout.tree].arrays(library="np")
            return path.stat().st_size

        return Stage("reading", self._generator.plan.total, work)
