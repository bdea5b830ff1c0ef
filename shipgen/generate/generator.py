"""From a bundle and a plan to batches of muons: the library form of ``shipgen produce``."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Never, TypeVar

import numpy as np

from shipgen import interrupts
from shipgen.bundle.bundle import Bundle
from shipgen.bundle.network import choose_device
from shipgen.errors import InputError
from shipgen.generate.amount import PROTONS_PER_SPILL, pot_of
from shipgen.generate.chunks import ChunkMaker
from shipgen.generate.factors import FactorMaker
from shipgen.generate.plan import LARGEST, Plan
from shipgen.generate.selection import EVERYTHING, Selection, unknown_argument
from shipgen.generate.shards import as_shard
from shipgen.generate.streams import draw_seed
from shipgen.muons.batch import Batch, regrouped
from shipgen.muons.columns import CHUNK_SIZE
from shipgen.muons.frames import UNITS, check_unit, target_start_in
from shipgen.numbers import is_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from shipgen.bundle.network import Network
    from shipgen.generate.plan import Chunk
    from shipgen.generate.shards import Shard

Result = TypeVar("Result")

#: Networks that a parent process loaded: a child does not run them, and does not take them down either.
_INHERITED: list[tuple[Network, ...]] = []


class MuonGenerator:
    """Makes muons in batches; iterating again makes the same muons again.

    ``MuonGenerator(1e6)`` makes a million from the default bundle. It can be pickled, and used in processes
    that are forked or spawned, also in the middle of an iteration: the muons stay the same.

    Parameters
    ----------
    n_or_bundle : number, Bundle or path, optional
        Either of the two following.
    n : number, optional
        Expected number of muons.
    bundle : Bundle or path, optional
        The networks; the default bundle when not given.
    pot : float, optional
        Protons on target to produce muons for.
    spills : float, optional
        The same as spills of `protons_per_spill` protons; give this, `n` or `pot`.
    seed : int, optional
        0 to 2**63 - 1; drawn anew when not given, see `seed`.
    exact : bool
        Make exactly the expected number of muons instead of a Poisson number.
    endless : bool
        Go on without an end, in place of any amount; muons have a weight of 1 on average.
    shard : Shard, str or pair of int, optional
        Make this part alone, such as ``"3/8"`` or ``(3, 8)``: together the parts are all muons.
    batch_size : int, optional
        Muons a batch, the last one may have fewer; those of a chunk, 262,144, when not given.
    frame, unit : str
        Of lengths, such as ``shield`` and ``m``; see `Batch.in_frame`. The bundle's own when not given.
    workers : int, optional
        Threads; all available cores when not given. The muons do not depend on it. Productions of files
        have processes in their place where they are more than four.
    device : str
        Where networks run: ``cpu``, ``cuda``, or ``auto`` for CUDA where ONNX Runtime offers it.
    selection : Selection
        Which muons of the bundle, in which mixture, with which beam.
    variations : str or sequence of str
        As `Selection.variations`: batches have their factors in `Batch.variations`.

    Raises
    ------
    InputError
        A number is out of range.
    BundleError
        The bundle cannot be used.
    DeviceError
        The device or its software is not there.
    TypeError
        There is no such argument.

    Examples
    --------
    >>> for batch in MuonGenerator(1e6, seed=1):
    ...     print(len(batch), batch.pz.mean())
    """

    def __init__(
        self,
        n_or_bundle: float | Bundle | Path | str | None = None,
        /,
        *,
        n: float | None = None,
        bundle: Bundle | Path | str | None = None,
        pot: float | None = None,
        spills: float | None = None,
        protons_per_spill: float = PROTONS_PER_SPILL,
        seed: int | None = None,
        exact: bool = False,
        endless: bool = False,
        shard: Shard | str | tuple[int, int] | None = None,
        batch_size: float | None = None,
        frame: str | float | None = None,
        unit: str = "cm",
        workers: int | None = None,
        device: str = "cpu",
        selection: Selection = EVERYTHING,
        variations: str | Sequence[str] = (),
        **unknown: Never,
    ) -> None:
        if unknown:
            raise unknown_argument(next(iter(unknown)))
        first = n_or_bundle
        if isinstance(n_or_bundle, Bundle | Path | str):
            n_or_bundle, bundle = None, _once("bundle", n_or_bundle, bundle)
        elif n_or_bundle is not None:
            n = _once("n", n_or_bundle, n)
        for name, value in (("workers", workers), ("batch_size", batch_size)):
            if value is not None and not (is_number(value) and value == int(value) and value >= 1):
                raise InputError(f"{name} = {value!r} is not a whole number above zero")
        if not isinstance(selection, Selection):
            raise InputError(f"selection = {selection!r} is no shipgen.Selection")
        if variations:
            given: Any = variations
            selection = replace(
                selection, variations=_once("variations", given, selection.variations or None)
            )
        self.endless, self.selection = endless, selection
        # May have been written 1e5.
        self.batch_size = None if batch_size is None else int(batch_size)
        self.shard = as_shard(shard)
        if endless:
            if (n, pot, spills) != (None, None, None):
                raise InputError("endless = True takes no amount: leave n, pot and spills out")
            n, exact = LARGEST, True
        if isinstance(first, str) and (n, pot, spills) == (None, None, None):
            raise InputError(f"{first!r} is a string, taken as a bundle: say how much by n, pot or spills")
        pot = pot_of(n, pot, spills, protons_per_spill)
        check_unit(unit)
        self._place = None if frame is None and unit == "cm" else (frame, unit)
        if frame is not None:
            target_start_in(frame, unit)
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle.open(_path(bundle))
        self.plan = Plan.make(
            selection.rates(self.bundle),
            n=n,
            pot=pot,
            seed=draw_seed() if seed is None else seed,
            exact=exact,
        )
        self.workers = int(workers or len(os.sched_getaffinity(0)))
        self.device = choose_device(device)
        self._loaded = os.getpid(), self.bundle.load_networks(self.device)
        columns = selection.columns(self.bundle)
        self._factors = FactorMaker(self.bundle, columns, self.device) if columns else None

    @property
    def n(self) -> float:
        """Expected number of muons, of all shards; infinite where there is no end."""
        return float("inf") if self.endless else self.plan.expected

    @property
    def pot(self) -> float:
        """Protons on target that the muons stand for, those of all shards; infinite where there is no end."""
        return float("inf") if self.endless else self.plan.pot

    @property
    def seed(self) -> int:
        """The seed."""
        return self.plan.seed

    @property
    def variations(self) -> dict[str, str]:
        """Columns of factors that the batches have, and what each stands for."""
        columns = () if self._factors is None else self._factors.columns
        return {name: self.bundle.variations[name] for name in columns}

    @property
    def muons(self) -> int:
        """Number of muons that an iteration makes, which is drawn around `n` unless it is exact."""
        if self.endless:
            raise InputError("endless = True: there is no number of muons")
        first, stop = self._rows()
        return stop - first

    def __len__(self) -> int:
        """Return the number of batches that an iteration gives."""
        if self.endless:
            raise TypeError("endless = True: an iteration does not end")
        return len(self._chunks()) if self.batch_size is None else -(-self.muons // self.batch_size)

    def __repr__(self) -> str:
        amount = "endless" if self.endless else f"{self.n:,.10g} muons for {self.pot:.6g} POT"
        part = f", shard {self.shard}" if self.shard else ""
        return f"<MuonGenerator: {amount}{part}, seed {self.seed}, bundle {self.bundle.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave the networks behind: another process loads its own."""
        nothing: tuple[Network, ...] = ()
        return object.__new__, (type(self),), {**self.__dict__, "_loaded": (0, nothing)}

    def __copy__(self) -> MuonGenerator:
        """Return one of the same, and of the same networks."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made

    @property
    def networks(self) -> tuple[Network, ...]:
        """The networks, those of this process, in the order of the bundle's entries."""
        process, networks = self._loaded
        if process != os.getpid():
            if networks:
                # Threads of the parent may have been in them when it forked.
                _INHERITED.append(networks)
            self.networks = networks = replace(self.bundle).load_networks(self.device)
        return networks

    @networks.setter
    def networks(self, networks: tuple[Network, ...]) -> None:
        self._loaded = os.getpid(), networks

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches in the order of their chunks, made ahead of time by the workers."""
        batches = self._run(self._own, self._chunks(), reuse=False)
        return batches if self.batch_size is None else regrouped(batches, self.batch_size)

    def part(self, shard: Shard | str | tuple[int, int], *, workers: int | None = None) -> MuonGenerator:
        """Return what makes a part of the muons, as `shard` says; by so many `workers`, if given."""
        part = copy(self)
        part.shard = as_shard(shard)
        part.workers = workers or self.workers
        return part

    def to_batch(self) -> Batch:
        """Return all muons in one batch; raise `InputError` for an endless generator."""
        n, (first, _) = self.muons, self._rows()
        columns: dict[str, Any] = {
            name: np.empty(n, np.int32 if name == "pdg" else np.float32)
            for name in ("pdg", "x", "y", "z", "px", "py", "pz", "weight", *self.variations)
        }

        def fill(chunk: Chunk, batch: Batch) -> Batch:
            own = self._own(chunk, batch)
            start = max(chunk.index * CHUNK_SIZE - first, 0)
            for name, column in own.columns().items():
                columns[name][start : start + len(own)] = column
            return own[:0]

        made = list(self._run(fill, self._chunks(), reuse=True))
        if not made:
            raise InputError(
                "the Poisson draw gave no muon: ask for more, or for an exact number (exact=True)"
            )
        return made[-1].with_columns(columns)

    def run(
        self,
        work: Callable[[Chunk, Batch], Result],
        *,
        first: int = 0,
        stop: int | None = None,
        apart: bool = False,
    ) -> Iterator[Result]:
        """Yield what `work` makes of the batches of the chunks from number `first` to `stop`, in their order.

        `work` runs in the workers, side by side. It must not keep the batch, whose memory is used again.
        `apart` allows that many workers are processes of their own: then `work` and its results are pickled,
        and the results' arrays are overwritten as well, when the next one is asked for.
        """
        chunks = range(len(self.plan))[first:stop]
        if apart:
            from shipgen.generate import processes

            if processes.worthwhile(self.workers, len(chunks)):
                return processes.run(self, work, chunks)
        return self._run(work, chunks, reuse=True)

    def maker(self, work: Callable[[Chunk, Batch], Result]) -> Callable[[int], Result]:
        """Return what makes the chunk of a number, and of its batch what `work` does; see `run`."""
        make = self._maker(reuse=True)
        return lambda index: self._one(make, work, index)

    def make(self, chunk: Chunk) -> Batch:
        """Make the muons of one chunk, its categories mixed."""
        return self._make(self._maker(reuse=False), chunk)

    @property
    def weighted(self) -> bool:
        """Whether muons differ in weight."""
        return self.bundle.weighted or self.plan.weighted

    def _rows(self) -> tuple[int, int]:
        """Return the number in the plan of the first muon to make, and of the first behind the last one."""
        return self.shard.muons(self.plan.total) if self.shard and not self.endless else (0, self.plan.total)

    def _chunks(self) -> range:
        """Return the numbers of the chunks to make."""
        if self.endless and self.shard:
            # Side by side: shards that make as many each have made the first ones together.
            return range(self.shard.number - 1, len(self.plan), self.shard.of)
        first, stop = self._rows()
        return range(first // CHUNK_SIZE, -(-stop // CHUNK_SIZE))

    def _own(self, chunk: Chunk, batch: Batch) -> Batch:
        """Return those muons of a chunk that are asked for, in the frame that is asked for."""
        first, stop = (row - chunk.index * CHUNK_SIZE for row in self._rows())
        if first > 0 or stop < chunk.size:
            batch = batch[max(first, 0) : stop]
        if self._place is None:
            return batch
        frame, unit = self._place
        return batch.in_frame(self.bundle.target_start * UNITS[unit] if frame is None else frame, unit)

    def _maker(self, *, reuse: bool) -> ChunkMaker:
        plan = self.plan
        return ChunkMaker(self.bundle.entries, self.networks, plan.weight, factors=plan.factors, reuse=reuse)

    def _make(self, make: ChunkMaker, chunk: Chunk) -> Batch:
        batch = make(chunk)
        factors = {} if self._factors is None else self._factors(chunk, batch)
        self.selection.move(chunk, batch)
        return replace(batch, target_start=self.bundle.target_start, variations=factors)

    def _one(self, make: ChunkMaker, work: Callable[[Chunk, Batch], Result], index: int) -> Result:
        chunk = self.plan.chunk(index)
        return work(chunk, self._make(make, chunk))

    def _run(self, work: Callable[[Chunk, Batch], Result], chunks: range, *, reuse: bool) -> Iterator[Result]:
        """Yield what `work` makes of the batches of `chunks`, also in a child that is forked meanwhile."""
        done, forked = 0, True
        while forked:
            process, forked = os.getpid(), False
            for result in self._run_here(work, chunks[done:], reuse=reuse):
                done += 1
                yield result
                if os.getpid() != process:
                    # The threads stayed in the parent, with what they had made ahead.
                    forked = True
                    break

    def _run_here(
        self, work: Callable[[Chunk, Batch], Result], chunks: range, *, reuse: bool
    ) -> Iterator[Result]:
        """Do so in this process."""
        make, process = self._maker(reuse=reuse), os.getpid()

        waiting: deque[Future[Result]] = deque()
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="shipgen")
        try:
            for index in chunks:
                waiting.append(pool.submit(self._one, make, work, index))
                # Two more than the workers: none idles while the consumer is busy, and memory stays bounded.
                if len(waiting) > self.workers + 1:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            if os.getpid() == process:
                make.stop()
                # A network that does not end must not keep those that were told to.
                pool.shutdown(wait=not interrupts.seen(), cancel_futures=True)


def generate_muons(n_or_bundle: float | Bundle | Path | str | None = None, /, **options: Any) -> Batch:
    """Make muons and return all of them in one batch.

    Parameters
    ----------
    n_or_bundle, **options
        As for `MuonGenerator`: ``generate_muons(1e6, seed=1, frame="shield", unit="m")``.
    """
    return MuonGenerator(n_or_bundle, **options).to_batch()


def _once(name: str, value: Any, given: Any) -> Any:
    """Return `value`, the first argument; raise `InputError` where it is given by its name as well."""
    if given is not None:
        raise InputError(f"{name} is given twice: {value!r} and {given!r}")
    return value


def _path(bundle: Any) -> Path | str | None:
    """Return where a bundle is; raise `InputError` for what is no path."""
    if bundle is not None and not isinstance(bundle, Path | str):
        raise InputError(f"bundle = {bundle!r} is no bundle and no path of one")
    return bundle
