"""What networks make on a device, and how fast: the CPU's muons, and rates with several workers."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from shipgen.errors import BundleError
from shipgen.files.layouts import MUONBACK
from shipgen.generate.chunks import BATCH_SIZE, DEVICE_BATCH_SIZE, draw_latents
from shipgen.generate.generator import MuonGenerator
from shipgen.generate.streams import LATENT, stream
from shipgen.production.produce import produce
from shipgen_bench.measure import Stage, run_without_output

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from shipgen.bundle.bundle import Bundle
    from shipgen.bundle.network import Network

#: Share of muons of the same latents that may differ by more than `TOLERANCE` of a feature's spread, where
#: tables are steep, and that limit.
_STEEP, TOLERANCE = 1e-3, 1e-4


def differences(bundle: Bundle, device: str, muons: int = DEVICE_BATCH_SIZE) -> dict[str, float]:
    """Return the largest difference of the device's muons from the CPU's, of all but a few, by category.

    Parameters
    ----------
    bundle : Bundle
        The networks.
    device : str
        As for `MuonGenerator`.
    muons : int
        Of each category.

    Returns
    -------
    dict of str to float
        In units of a feature's standard deviation, the thousandth of the muons with the largest left out.

    Raises
    ------
    BundleError
        One of them is above `TOLERANCE`.
    DeviceError
        The device cannot be used.
    """
    found = {}
    pairs = zip(bundle.entries, bundle.networks, bundle.load_networks(device), strict=True)
    for entry, network, other in pairs:
        drawn = draw_latents(network, stream(1, 0, LATENT + entry.category.number), muons)
        known, made = (each.columns_of_drawn(drawn) for each in (network, other))
        spread = known.std(1, keepdims=True)
        apart = np.abs(made - known) / np.where(spread > 0, spread, 1)
        found[entry.category.name] = largest = float(np.quantile(apart.max(0), 1 - _STEEP))
        if not largest <= TOLERANCE:
            raise BundleError(
                f"muons of {entry.category.name} on {device} differ from the CPU's by {largest:.3g} of "
                f"their spread (allowed: {TOLERANCE:g})"
            )
    return found


def counts(most: int | None = None) -> list[int]:
    """Return the numbers of workers to try: 1, 2, 4 and so on, and all cores, or `most`."""
    cores = most or len(os.sched_getaffinity(0))
    return sorted({2**k for k in range(cores.bit_length())} | {cores})


def stages(bundle: Bundle, device: str, workers: Sequence[int], n: int, folder: Path) -> Iterator[Stage]:
    """Give the stages to measure: the networks in small and large batches, then production with workers.

    Parameters
    ----------
    bundle : Bundle
        The networks.
    device : str
        As for `MuonGenerator`.
    workers : sequence of int
        Threads; for each of them `n` muons are made and thrown away, and made and written.
    n : int
        Muons.
    folder : Path
        Where the files are written.
    """
    for size in (BATCH_SIZE, DEVICE_BATCH_SIZE):
        yield _networks(bundle, bundle.load_networks(device), size)
    for threads in workers:
        generator = MuonGenerator(bundle, n=n, seed=1, exact=True, workers=threads, device=device)
        yield Stage("no output", n, lambda one=generator: run_without_output(one), threads)  # type: ignore[misc]
        yield _written(generator, threads, folder / f"{threads}.root")


def _networks(bundle: Bundle, networks: Sequence[Network], size: int) -> Stage:
    """Return the stage of one batch of `size` muons, divided among the categories by their rates."""
    parts = []
    for entry, network in zip(bundle.entries, networks, strict=True):
        share = round(size * entry.rate / bundle.rate)
        parts.append((network, draw_latents(network, stream(1, 0, LATENT + entry.category.number), share)))

    def work() -> None:
        for network, drawn in parts:
            network.columns_of_drawn(drawn)

    return Stage(
        f"networks {size:,}", sum(drawn.shape[network.feature_major] for network, drawn in parts), work
    )


def _written(generator: MuonGenerator, threads: int, path: Path) -> Stage:
    def work() -> int:
        produce(generator, path, layout=MUONBACK)
        return path.stat().st_size

    return Stage("end to end", generator.plan.total, work, threads, lambda: path.unlink(missing_ok=True))
