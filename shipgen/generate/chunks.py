"""From a chunk of the plan to its muons: latents, networks, mixing of the categories."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING

import numpy as np

from shipgen.bundle.levels import EIGHT, LEVELLED, fill
from shipgen.bundle.network import run_options
from shipgen.errors import BundleError
from shipgen.generate.streams import LATENT, stream
from shipgen.muons.batch import Batch
from shipgen.muons.categories import FEATURE_UNITS
from shipgen.muons.columns import CHUNK_SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from shipgen.bundle.entries import Entry
    from shipgen.bundle.network import Network
    from shipgen.generate.plan import Chunk
    from shipgen.muons.columns import Float32

#: Muons whose latents are drawn together. Part of what makes results reproducible: a feature-major network's
#: latents are columns of this length.
BATCH_SIZE = 4096

#: Muons a call of a network on a GPU: larger, since a call costs more than a few thousand muons.
DEVICE_BATCH_SIZE = 2**17

_WIDTH = len(FEATURE_UNITS)


class _Buffers:
    """Memory for a chunk; pages that are never touched cost nothing.

    Attributes
    ----------
    columns, mixed : float32[6 (+ 1), CHUNK_SIZE]
        Features, and the weight if any network says one: category after category and mixed.
    order : intp[CHUNK_SIZE]
        Where each muon of `mixed` is in `columns`.
    pdg, weight : int32 and float32[CHUNK_SIZE]
        The other columns of a batch.
    latents : dict of tuple to float32[tuple]
        Latents of a full batch, by their shape.
    """

    def __init__(self, width: int, weight: np.float32) -> None:
        self.columns = np.empty((width, CHUNK_SIZE), np.float32)
        self.mixed = np.empty((width, CHUNK_SIZE), np.float32)
        self.order = np.empty(CHUNK_SIZE, np.intp)
        self.pdg = np.empty(CHUNK_SIZE, np.int32)
        self.weight = np.full(CHUNK_SIZE, weight) if width == _WIDTH else self.mixed[_WIDTH]
        self.latents: dict[tuple[int, int], Float32] = {}


class ChunkMaker:
    """Makes the muons of chunks; calls from several threads are independent.

    Parameters
    ----------
    entries : sequence of Entry
        The bundle's categories.
    networks : sequence of Network
        Their networks.
    weight : float
        Each muon's weight, but for the factors that a network and a plan may say.
    factors : sequence of float
        Those of the plan, one a category; none: 1.
    reuse : bool
        Whether a batch lies in the thread's buffers, to be overwritten by that thread's next one; new memory
        for every batch costs a tenth of a small network's time.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        networks: Sequence[Network],
        weight: float,
        *,
        factors: Sequence[float] = (),
        reuse: bool = False,
    ) -> None:
        self._entries = entries
        self._networks = networks
        self._weight = np.float32(weight)
        self._reuse = reuse
        self._pdg = np.array([entry.category.pdg for entry in entries], np.int32)
        self._count = np.arange(CHUNK_SIZE)
        self._factors = tuple(factors) or (1.0,) * len(entries)
        weighted = any(network.weighted for network in networks) or any(one != 1 for one in self._factors)
        self._width = _WIDTH + weighted
        self._local = threading.local()
        self._stopped = threading.Event()
        self._options = run_options()

    def stop(self) -> None:
        """Let the calls that run in other threads end early, with an exception; within a network, too."""
        self._stopped.set()
        self._options.terminate = True

    def __call__(self, chunk: Chunk) -> Batch:
        """Make the muons of `chunk`."""
        self.generate(chunk)
        return self.mix(chunk)

    def generate(self, chunk: Chunk) -> None:
        """Fill this thread's columns with the muons of `chunk`, category after category.

        Raises
        ------
        BundleError
            A network fails.
        """
        columns, start = self._scratch().columns, 0
        counts = chunk.counts(len(self._entries))
        parts = zip(self._entries, self._networks, counts, self._factors, strict=True)
        for entry, network, count, factor in parts:
            rng = stream(chunk.seed, chunk.index, LATENT + entry.category.number)
            made = columns[:, start : start + count]
            self._fill(made, network, rng)
            if factor != 1:
                made[_WIDTH] *= np.float32(factor)
            start += count

    def mix(self, chunk: Chunk) -> Batch:
        """Return what `generate` made, its categories mixed.

        Since muons of a category are alike, that needs no random order: each place takes the next muon of its
        category.

        Raises
        ------
        BundleError
            There is a number that is not finite, or a weight that is not above zero.
        """
        scratch, n, start = self._scratch(), chunk.size, 0
        order = scratch.order[:n]
        for number in range(len(self._entries)):
            places = np.flatnonzero(chunk.labels == number)
            order[places] = self._count[start : start + len(places)]
            start += len(places)
        made = scratch if self._reuse else self._buffers()
        mixed, pdg, weight = made.mixed[:, :n], made.pdg[:n], made.weight[:n]
        for column, place in zip(scratch.columns[:, :n], mixed, strict=True):
            # Without a mode, `take` would fill a copy of `out` first.
            np.take(column, order, mode="clip", out=place)
            # Looked at while it is near: in the end it would cost twice as much.
            self._check(np.isfinite(place), "a number that is not finite", chunk)
        np.take(self._pdg, chunk.labels, mode="clip", out=pdg)
        if self._width > _WIDTH:
            self._check(weight > 0, "a weight that is not above zero", chunk)
            weight *= self._weight
        x, y, z, px, py, pz = mixed[:_WIDTH]
        return Batch(pdg, x, y, z, px, py, pz, weight)

    def _check(self, good: npt.NDArray[np.bool_], what: str, chunk: Chunk) -> None:
        """Raise `BundleError` unless all muons of `chunk` are `good`, bool[n]."""
        if not good.all():
            number = chunk.labels[np.argmin(good)]
            bad = int(np.count_nonzero(~good & (chunk.labels == number)))
            raise BundleError(
                f"the network {self._networks[number].path} made {bad:,} of "
                f"{chunk.counts(len(self._entries))[number]:,} muons with {what} (seed {chunk.seed}, chunk "
                f"{chunk.index}): use another bundle, or train again"
            )

    def _scratch(self) -> _Buffers:
        """Return this thread's buffers."""
        if not hasattr(self._local, "buffers"):
            self._local.buffers = self._buffers()
        buffers: _Buffers = self._local.buffers
        return buffers

    def _buffers(self) -> _Buffers:
        return _Buffers(self._width, self._weight)

    def _fill(self, columns: Float32, network: Network, rng: np.random.Generator) -> None:
        """Fill `columns`, float32[6 (+ 1), n], with the muons of one category."""
        n = columns.shape[1]
        # On axis there are four features, and x = y = 0.
        columns[: _WIDTH - network.features] = 0
        columns[_WIDTH + network.weighted :] = 1
        made = columns[_WIDTH - network.features : _WIDTH + network.weighted]
        step = BATCH_SIZE if network.device == "cpu" else DEVICE_BATCH_SIZE
        for start in range(0, n, step):
            if self._stopped.is_set():
                raise CancelledError
            stop = min(start + step, n)
            memory = self._latent(network) if stop - start == BATCH_SIZE else None
            drawn = draw_latents(network, rng, stop - start, memory)
            made[:, start:stop] = network.columns_of_drawn(drawn, self._options)

    def _latent(self, network: Network) -> Float32:
        """Return this thread's memory for a full batch of latents of `network`."""
        shape, latents = network.drawn_shape(BATCH_SIZE), self._scratch().latents
        if shape not in latents:
            latents[shape] = np.empty(shape, np.float32)
        return latents[shape]


def draw_latents(network: Network, rng: np.random.Generator, n: int, out: Float32 | None = None) -> Float32:
    """Return `n` latents in the network's layout, drawn in pieces of `BATCH_SIZE`; in `out` if given.

    Or their levels, where the network's graph takes these: `network.drawn_shape` is the shape.
    """
    if network.stream == LEVELLED:
        levels = np.empty(network.drawn_shape(n), np.float32) if out is None else out
        for start in range(0, n, BATCH_SIZE):
            part = levels[:, start : start + BATCH_SIZE]
            fill(rng.bit_generator.random_raw(part.size // EIGHT), part)
        return levels
    if out is not None:
        return rng.standard_normal(out=out, dtype=np.float32)
    if n <= BATCH_SIZE or not network.feature_major:
        return rng.standard_normal(network.latent_shape(n), np.float32)
    pieces = [
        rng.standard_normal(network.latent_shape(min(BATCH_SIZE, n - start)), np.float32)
        for start in range(0, n, BATCH_SIZE)
    ]
    return np.concatenate(pieces, axis=1)
