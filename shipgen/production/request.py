"""A production as it is asked for, in plain values: what a command line, a batch job or a Dask task gets."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from shipgen.errors import InputError
from shipgen.files.arrays.choose import choose_layout
from shipgen.files.compressions import DEFAULT_COMPRESSION
from shipgen.files.precision import with_precision
from shipgen.files.remote import beside, check_upload, upload
from shipgen.files.rootfile import base_name, is_remote
from shipgen.generate.generator import MuonGenerator
from shipgen.generate.selection import EVERYTHING, Selection
from shipgen.muons.columns import CHUNK_SIZE
from shipgen.production.order import Order
from shipgen.production.preflight import (
    check_request,
    check_space,
    check_stale,
    earlier_seed,
    read_provenance,
)
from shipgen.production.produce import find_complete, fulfil, whole_or_nothing
from shipgen.production.produced_file import TOGETHER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shipgen.files.layouts import Layout
    from shipgen.files.rootfile import Location
    from shipgen.generate.shards import Shard
    from shipgen.production.produce import ProductionReport


@dataclass(frozen=True, slots=True)
class Request:
    """What to produce, from what and where to.

    Attributes
    ----------
    output : str
        The file or its URL, the same for all shards.
    n, pot, seed, exact, workers, device, selection
        As for `MuonGenerator`.
    bundle : str, optional
        The bundle's folder.
    layout, unit, frame
        As for `shipgen.files.arrays.choose.choose_layout`.
    compression, max_per_file, force, resume, command
        As for `produce`.
    precision : int, optional
        Bits of the mantissa that are kept of x, y and the momentum; all where not given.
    shard : Shard, optional
        The part to make.
    """

    output: str
    n: float | None = None
    pot: float | None = None
    bundle: str | None = None
    seed: int | None = None
    exact: bool = False
    layout: str | None = None
    unit: str | None = None
    frame: str | None = None
    compression: str = DEFAULT_COMPRESSION
    max_per_file: int | None = None
    precision: int | None = None
    shard: Shard | None = None
    workers: int | None = None
    device: str = "cpu"
    selection: Selection = EVERYTHING
    resume: bool = False
    force: bool = False
    command: str = ""

    @property
    def location(self) -> Location:
        """The file to make, of the shard where there is one."""
        name = base_name(self.output)
        if name in {"", ".", ".."}:
            raise InputError(f"the output {self.output!r} is no name of a file: give one, such as out.root")
        if self.shard:
            name = self.shard.name(name)
        if is_remote(self.output):
            return beside(self.output, name)
        return Path(self.output).with_name(name)

    @property
    def chosen(self) -> Layout:
        """The layout that output, `layout`, `unit`, `frame` and `precision` mean; `InputError` if none."""
        chosen = choose_layout(base_name(self.output), self.layout, unit=self.unit, frame=self.frame)
        return with_precision(chosen, self.precision)

    @property
    def root_layout(self) -> Layout:
        """The same, for what is put together of shards; raise `InputError` for arrays."""
        if self.chosen.kind != "root":
            raise InputError(
                f"{base_name(self.output)}: only ROOT files are made of shards by a batch system; produce "
                "those, and `shipgen convert` what they are merged to"
            )
        return self.chosen

    def generator(self) -> MuonGenerator:
        """Open the bundle and plan the production, all of it."""
        names = ("n", "pot", "seed", "exact", "workers", "device", "selection")
        return MuonGenerator(self.bundle, **{name: getattr(self, name) for name in names})


@dataclass(frozen=True, slots=True)
class Made:
    """What was produced.

    Attributes
    ----------
    report : ProductionReport
        Muons and weights.
    generator : MuonGenerator
        What made them.
    locations : tuple of Path or str
        The files.
    size : int
        Their bytes, 0 where they were found at a URL.
    """

    report: ProductionReport
    generator: MuonGenerator
    locations: tuple[Location, ...]
    size: int


def carry_out(request: Request, warn: Callable[[str], Any]) -> Made:
    """Produce what is asked for; errors as of `produce`.

    Parameters
    ----------
    request : Request
        What.
    warn : callable
        Takes a warning.
    """
    if request.shard and request.seed is None:
        raise InputError("a shard needs the seed that all shards share: give --seed")
    _ = request.chosen
    with _folder(request) as (path, at):
        check_request(
            path,
            request.chosen,
            request.compression,
            request.max_per_file,
            force=request.force,
            resume=request.resume,
        )
        if request.resume and request.seed is None:
            request = replace(request, seed=_earlier_seed(request, path))
        with whole_or_nothing(request.chosen):
            generator = request.generator()
        order = Order.of(
            generator,
            path,
            layout=request.chosen,
            compression=request.compression,
            max_per_file=request.max_per_file,
            shard=request.shard,
            force=request.force,
            command=request.command,
        )
        if request.resume and not request.force and (found := find_complete(order, at)):
            return _made(found, generator, at)
        for number in range(len(order.files)):
            if isinstance(location := at(order.files.name(number)), str):
                check_upload(location, force=request.force)
        _warn(request, order, path, warn)
        check_stale(order.files)
        report = fulfil(order, resume=request.resume, warn=warn)
        made = _made(report, generator, at)
        for file, location in zip(report.files, made.locations, strict=True):
            if isinstance(location, str):
                upload(file, location, force=request.force)
        return made


@contextmanager
def _folder(request: Request) -> Iterator[tuple[Path, Callable[[Path], Location]]]:
    """Give the path to produce at, and a function from a file there to where it shall be in the end."""
    location = request.location
    if isinstance(location, Path):
        yield location, lambda path: path
        return
    url = location
    # Where TMPDIR says: a batch job's own disk.
    with TemporaryDirectory(prefix="shipgen-") as folder:
        yield Path(folder) / base_name(url), lambda path: beside(url, path.name)


def _earlier_seed(request: Request, path: Path) -> int | None:
    """Return the seed of what stands or was begun where the output goes, ``None`` without it."""
    if is_remote(request.output):
        found = read_provenance(request.location)
        return found["seed"] if found and isinstance(found.get("seed"), int) else None
    return earlier_seed(path, split=request.max_per_file is not None)


def _warn(request: Request, order: Order, path: Path, warn: Callable[[str], Any]) -> None:
    """Say what the user would want to know before."""
    muons = order.files.total
    if request.chosen.kind != "root" and request.shard:
        warn(f"`shipgen merge` takes no arrays: {TOGETHER}")
    if warning := check_space(path, muons, order.layout, request.compression, resume=request.resume):
        warn(warning)
    chunks = len(order.generator.plan)
    if request.shard and request.shard.of > chunks:
        warn(
            f"{request.shard.of:,} shards of {chunks:,} chunks ({CHUNK_SIZE:,} muons): several make the same "
            f"chunk, each a part of it; at most {chunks:,} shards waste nothing"
        )


def _made(report: ProductionReport, generator: MuonGenerator, at: Callable[[Path], Location]) -> Made:
    size = sum(file.stat().st_size for file in report.files if file.exists())
    return Made(report, generator, tuple(at(file) for file in report.files), size)
