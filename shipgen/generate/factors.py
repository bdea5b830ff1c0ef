"""Factors of variations for the muons of a chunk, from a bundle's networks, if they are asked for."""

from __future__ import annotations

import os
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.bundle.factors import FactorNetwork, load_factors
from shipgen.errors import BundleError
from shipgen.muons.categories import FEATURE_UNITS

if TYPE_CHECKING:
    from shipgen.bundle.bundle import Bundle
    from shipgen.generate.plan import Chunk
    from shipgen.muons.batch import Batch
    from shipgen.muons.columns import Float32

#: Muons whose factors are computed together: what a network makes of them stays in the cache. Part of what
#: makes results reproducible.
_BATCH = 4096

#: Networks that a parent process loaded: a child does not run them, and does not take them down either.
_INHERITED: list[tuple[FactorNetwork, ...]] = []


class FactorMaker:
    """Makes the factors of chunks; calls from several threads are independent.

    It can be pickled, and used in processes that are forked.

    Parameters
    ----------
    bundle : Bundle
        With networks of variations in all categories.
    columns : tuple of str
        The variations' columns.
    device : str
        Where networks run.

    Raises
    ------
    BundleError, DeviceError
        A network cannot be used.
    """

    def __init__(self, bundle: Bundle, columns: tuple[str, ...], device: str = "cpu") -> None:
        self.columns = columns
        self._bundle, self._device = bundle, device
        self._lock = Lock()
        self._loaded = os.getpid(), load_factors(bundle, device)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the networks behind: another process loads its own."""
        nothing: tuple[FactorNetwork, ...] = ()
        return {**self.__dict__, "_lock": None, "_loaded": (0, nothing)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=Lock())

    @property
    def _networks(self) -> tuple[FactorNetwork, ...]:
        process, networks = self._loaded
        if process == os.getpid():
            return networks
        if networks:
            _INHERITED.append(networks)
            # Held by a thread of the parent, perhaps, that is not here.
            self._lock, self._loaded = Lock(), (0, ())
        with self._lock:
            if self._loaded[0] != os.getpid():
                self._loaded = os.getpid(), load_factors(self._bundle, self._device)
        return self._loaded[1]

    def __call__(self, chunk: Chunk, batch: Batch) -> dict[str, Float32]:
        """Return the factors of all muons of a chunk, where their beam is not moved: float32[n] by column.

        Raises
        ------
        BundleError
            A factor is not finite or not above zero.
        """
        found = np.empty((len(self.columns), len(batch)), np.float32)
        features = [getattr(batch, name) for name in FEATURE_UNITS]
        for number, network in enumerate(self._networks):
            places = np.flatnonzero(chunk.labels == number)
            chosen = [network.columns.index(name) for name in self.columns]
            for first in range(0, len(places), _BATCH):
                here = places[first : first + _BATCH]
                muons = np.empty((network.features, len(here)), np.float32)
                for row, column in zip(muons, features[-network.features :], strict=True):
                    np.take(column, here, out=row, mode="clip")
                made = network(muons)
                for place, row in zip(chosen, found, strict=True):
                    row[here] = made[place]
        # NaN is not above zero either.
        if not (found > 0).all() or not np.isfinite(found.max(initial=1)):
            raise BundleError(
                f"variations of bundle {self._bundle.path} are not all finite and above zero (seed "
                f"{chunk.seed}, chunk {chunk.index}): train them again"
            )
        return dict(zip(self.columns, found, strict=True))
