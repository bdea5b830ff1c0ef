"""From a bundle and a plan to batches of muons: the library form of ``shipgen produce``."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from shipgen.bundle.bundle import Bundle
from shipgen.bundle.network import choose_device
from shipgen.errors import InputError
from shipgen.generate.chunks import ChunkMaker
from shipgen.generate.plan import Plan
from shipgen.generate.selection import EVERYTHING
from shipgen.generate.streams import draw_seed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from shipgen.generate.plan import Chunk
    from shipgen.generate.selection import Selection
    from shipgen.muons.batch import Batch

Result = TypeVar("Result")


class MuonGenerator:
    """Makes muons in batches; iterating again makes the same muons again.

    Parameters
    ----------
    bundle : Bundle or path, optional
        The networks; the default bundle when not given.
    n : number, optional
        Expected number of muons.
    pot : float, optional
        Protons on target to produce muons for; give this or `n`.
    seed : int, optional
        0 to 2**63 - 1; drawn anew when not given, see `plan.seed`.
    exact : bool
        Make exactly the expected number of muons instead of a Poisson number.
    workers : int, optional
        Threads; all available cores when not given. The muons do not depend on it.
    device : str
        Where networks run: ``cpu``, ``cuda``, or ``auto`` for CUDA where ONNX Runtime offers it.
    selection : Selection
        Which muons of the bundle, in which mixture, with which beam.

    Raises
    ------
    InputError
        A number is out of range.
    BundleError
        The bundle cannot be used.
    DeviceError
        The device or its software is not there.

    Examples
    --------
    >>> for batch in MuonGenerator(n=1e6, seed=1):
    ...     print(len(batch), batch.pz.mean())
    """

    def __init__(
        self,
        bundle: Bundle | Path | str | None = None,
        *,
        n: float | None = None,
        pot: float | None = None,
        seed: int | None = None,
        exact: bool = False,
        workers: int | None = None,
        device: str = "cpu",
        selection: Selection = EVERYTHING,
    ) -> None:
        self.selection = selection
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(bundle)
        self.plan = Plan.make(
            selection.rates(self.bundle),
            n=n,
            pot=pot,
            seed=draw_seed() if seed is None else seed,
            exact=exact,
        )
        if workers is not None and (workers != int(workers) or workers < 1):
            raise InputError(f"workers = {workers!r} is not a whole number above zero")
        self.workers = workers or len(os.sched_getaffinity(0))
        self.device = choose_device(device)
        self.networks = self.bundle.load_networks(self.device)

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches in the order of their chunks, made ahead of time by the workers."""
        return self._run(lambda _, batch: batch, range(len(self.plan)), reuse=False)

    def run(
        self, work: Callable[[Chunk, Batch], Result], *, first: int = 0, stop: int | None = None
    ) -> Iterator[Result]:
        """Yield what `work` makes of the batches of the chunks from number `first` to `stop`, in their order.

        `work` runs in the workers, side by side. It must not keep the batch, whose memory is used again.
        """
        return self._run(work, range(len(self.plan))[first:stop], reuse=True)

    def _run(self, work: Callable[[Chunk, Batch], Result], chunks: range, *, reuse: bool) -> Iterator[Result]:
        make = self._maker(reuse=reuse)

        def one(index: int) -> Result:
            chunk = self.plan.chunk(index)
            batch = make(chunk)
            self.selection.move(chunk, batch)
            return work(chunk, batch)

        waiting: deque[Future[Result]] = deque()
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="shipgen")
        try:
            for index in chunks:
                waiting.append(pool.submit(one, index))
                # Two more than the workers: none idles while the consumer is busy, and memory stays bounded.
                if len(waiting) > self.workers + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            make.stop()
            pool.shutdown(cancel_futures=True)

    def make(self, chunk: Chunk) -> Batch:
        """Make the muons of one chunk, its categories mixed."""
        batch = self._maker(reuse=False)(chunk)
        self.selection.move(chunk, batch)
        return batch

    @property
    def weighted(self) -> bool:
        """Whether muons differ in weight."""
        return self.bundle.weighted or self.plan.weighted

    def _maker(self, *, reuse: bool) -> ChunkMaker:
        plan = self.plan
        return ChunkMaker(self.bundle.entries, self.networks, plan.weight, factors=plan.factors, reuse=reuse)
