"""One category's part of a run folder: its networks, tables and state, and the lock that guards them.

It holds ``checkpoints/``, ``history.csv``, ``figures_of_merit.csv``, the networks, their final
``figure_of_merit.json``, ``state.json``, and, where asked for, ``pictures/`` and ``tensorboard/``.
"""

from __future__ import annotations

import csv
import fcntl
import warnings
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypedDict

from shipgen.errors import InputError
from shipgen.files.outputs import complete_file, read_json, sha256, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from shipgen.muons.categories import Category
    from shipgen_export.maps.muon_map import MuonMap
    from shipgen_export.models.kinds import Model

LOCK = "lock"

#: Name of the network as it was at the end of training; the others are ``best_MEASURE``.
LAST = "last"


@contextmanager
def locked(folder: Path, *, wait: bool, name: str = LOCK) -> Iterator[None]:
    """Hold a lock of `folder` against other processes; raise BlockingIOError when taken and not `wait`."""
    with (folder / name).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield


class BestNetwork(TypedDict):
    """The best network by a measure: after how many steps, and its file's hash."""

    steps: int
    sha256: str


@dataclass(frozen=True)
class State:
    """What one category has reached.

    Attributes
    ----------
    steps : int
        Steps done at the last checkpoint.
    seconds : float
        Time they took.
    weights_steps : int or None
        Steps after which the last network was written.
    weights_sha256 : str or None
        Its file's hash.
    best : dict
        Measure -> the best network by that measure.
    companions : dict
        Name of a network -> part -> hash of the file of what was trained with it, such as an encoder.
    map_sha256 : str or None
        Hash of the map that the networks are trained in, for models that have one.
    teachers : list of str
        Hashes of the weights that a student learns from.
    settings : dict
        Settings of the run that are others for this category, by the size of its sample.
    ended : bool
        Training ended before its last step, for the muons held out became no likelier.
    calibrated : dict
        Of a student: hash of the weights -> that of their calibrated map.
    start : str or None
        Hash of the ``run.json`` of the flows that this one went on from.
    """

    steps: int = 0
    seconds: float = 0.0
    weights_steps: int | None = None
    weights_sha256: str | None = None
    best: dict[str, BestNetwork] = field(default_factory=dict)
    companions: dict[str, dict[str, str]] = field(default_factory=dict)
    map_sha256: str | None = None
    teachers: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    ended: bool = False
    calibrated: dict[str, str] = field(default_factory=dict)
    start: str | None = None

    def network(self, name: str) -> tuple[int, str] | None:
        """Return steps and hash of the network `name`, ``last`` or ``best_MEASURE``; ``None`` without it."""
        if name == LAST:
            if self.weights_steps is None or self.weights_sha256 is None:
                return None
            return self.weights_steps, self.weights_sha256
        entry = self.best.get(name.removeprefix("best_"))
        return None if entry is None else (entry["steps"], entry["sha256"])

    def default_network(self, model: Model) -> str:
        """Return the network of a `model` to measure and export when none is asked for."""
        return "best_auc" if "auc" in self.best and not model.planned else LAST

    def with_network(
        self, name: str, steps: int, digest: str, companions: Mapping[str, str] | None = None
    ) -> State:
        """Return the state with the network `name` and its companions, part -> hash, replaced."""
        state = replace(self, companions={**self.companions, name: dict(companions)}) if companions else self
        if name == LAST:
            return replace(state, weights_steps=steps, weights_sha256=digest)
        entry: BestNetwork = {"steps": steps, "sha256": digest}
        return replace(state, best={**self.best, name.removeprefix("best_"): entry})


@dataclass(frozen=True)
class CategoryFolder:
    """One category's part of a run folder."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """Folder of TensorFlow's checkpoints."""
        return self.path / "checkpoints"

    @property
    def pictures(self) -> Path:
        """Folder of the pictures drawn during training."""
        return self.path / "pictures"

    @property
    def tensorboard(self) -> Path:
        """Folder of TensorBoard's event files."""
        return self.path / "tensorboard"

    @property
    def weights(self) -> Path:
        """The last generator's weights, in Keras' HDF5 form."""
        return self.path / "generator.weights.h5"

    @property
    def map(self) -> Path:
        """The map between muons and the normal numbers that flows and students are trained in."""
        return self.path / "map.npz"

    @property
    def calibrated(self) -> Path:
        """The map of a student's last network, with tables for what it makes."""
        return self.path / "calibrated.npz"

    @property
    def uncertainty(self) -> Path:
        """The spread of a student's teachers."""
        return self.path / "uncertainty.json"

    @property
    def merit(self) -> Path:
        """The figure of merit of the network that is exported by default."""
        return self.path / "figure_of_merit.json"

    @property
    def history(self) -> Path:
        """Losses over steps."""
        return self.path / "history.csv"

    @property
    def merits(self) -> Path:
        """Figures of merit over steps."""
        return self.path / "figures_of_merit.csv"

    def best(self, measure: str) -> Path:
        """Return the weights of the generator that was best by `measure`."""
        return self.path / f"best_{measure}.weights.h5"

    def network(self, name: str) -> Path:
        """Return the weights of the generator `name`, ``last`` or ``best_MEASURE``."""
        return self.weights if name == LAST else self.best(name.removeprefix("best_"))

    def companion(self, name: str, part: str) -> Path:
        """Return the weights of what was trained with that generator, such as the `part` ``encoder``."""
        return self.path / (f"{part}.weights.h5" if name == LAST else f"{name}_{part}.weights.h5")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder and keep other processes out of it; raise `InputError` when one is in."""
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            with locked(self.path, wait=False):
                yield
        except BlockingIOError as error:
            raise InputError(
                f"another process trains {self.path.name} in {self.path.parent}: wait for it or stop it"
            ) from error

    def state(self) -> State:
        """Return what was reached; nothing when there is no state."""
        file = self.path / "state.json"
        if not file.is_file():
            return State()
        content = read_json(file)
        try:
            return State(**content)
        except TypeError as error:
            raise InputError(f"{file} is no state of a run: remove {self.path} to start it again") from error

    def write_state(self, state: State) -> None:
        """Keep `state`."""
        with complete_file(self.path / "state.json", force=True) as part:
            write_json(part, asdict(state))

    @property
    def started(self) -> bool:
        """Whether there is anything that was trained."""
        there = (self.weights, self.checkpoints / "checkpoint")
        return self.state().steps > 0 or any(file.exists() for file in there)

    def keep_map(self, write: Callable[[Path], object]) -> None:
        """Let `write` make the file of the map, and record its hash."""
        with complete_file(self.map, force=True) as part:
            write(part)
        self.write_state(replace(self.state(), map_sha256=sha256(self.map)))

    def checked_map(self) -> Path:
        """Return the file of the map; raise `InputError` when it is not the one that training began with."""
        digest = self.state().map_sha256
        again = f"remove {self.path} to train {self.path.name} again"
        if digest is None:
            raise InputError(f"{self.path} does not record its map, an older version made it: {again}")
        if not self.map.is_file() or sha256(self.map) != digest:
            raise InputError(
                f"{self.map} is missing or not the file that training wrote: bring it back, or {again}"
            )
        return self.map

    def read_map(self, category: Category) -> MuonMap:
        """Return the map that the networks are trained in; raise `InputError` as `checked_map` does."""
        from shipgen_export.maps.muon_map import MuonMap

        return MuonMap.read(self.checked_map(), category)

    def map_of(self, category: Category, network: str) -> MuonMap:
        """Return the map of a network: the calibrated one where it has one; raises as `checked_map` does."""
        from shipgen_export.maps.muon_map import MuonMap

        self.checked_map()
        state = self.state()
        entry = state.network(network)
        digest = None if entry is None else state.calibrated.get(entry[1])
        if digest is None:
            return self.read_map(category)
        if not self.calibrated.is_file() or sha256(self.calibrated) != digest:
            raise InputError(
                f"{self.calibrated} is missing or not the file that training wrote: bring it back, or remove "
                f"{self.path} to train {self.path.name} again"
            )
        return MuonMap.read(self.calibrated, category)

    def keep_calibrated(self, write: Callable[[Path], object]) -> None:
        """Let `write` make the file of the last network's calibrated map, and record its hash."""
        with complete_file(self.calibrated, force=True) as part:
            write(part)
        state = self.state()
        if state.weights_sha256 is not None:
            hashes = {state.weights_sha256: sha256(self.calibrated)}
            self.write_state(replace(state, calibrated=hashes))

    def read_network(self, name: str, generator: Any) -> tuple[int, str]:
        """Give a Keras generator of the run's settings the weights of the network `name`.

        Returns
        -------
        int, str
            The steps it was trained for and its file's hash.

        Raises
        ------
        InputError
            It is not there, was changed, or does not fit.
        """
        file, entry = self.network(name), self.state().network(name)
        if entry is None or not file.is_file():
            raise InputError(f"{self.path} has no network {name}: train {self.path.name} first")
        self._read_weights(file, entry[1], generator)
        return entry

    def read_companion(self, name: str, part: str, network: Any) -> None:
        """Give a Keras model the weights of the `part`, such as ``encoder``, of the network `name`.

        Raises
        ------
        InputError
            It is not there, was changed, or does not fit.
        """
        file, digest = self.companion(name, part), self.state().companions.get(name, {}).get(part)
        if digest is None or not file.is_file():
            raise InputError(f"{self.path} has no {part} of network {name}: train {self.path.name} first")
        self._read_weights(file, digest, network)

    def _read_weights(self, file: Path, digest: str, network: Any) -> None:
        if sha256(file) != digest:
            raise InputError(f"{file} is not the file that training wrote: train {self.path.name} again")
        try:
            network.load_weights(file)
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                f"{file} does not fit the settings in {self.path.parent}: train {self.path.name} again"
            ) from error

    def write_network(self, name: str, generator: Any, companions: dict[str, Any]) -> str:
        """Keep a Keras generator's and its companions' weights; return the hash of the generator's."""
        for part, network in companions.items():
            _write_weights(self.companion(name, part), network)
        _write_weights(self.network(name), generator)
        return sha256(self.network(name))


def _write_weights(file: Path, network: Any) -> None:
    with complete_file(file, force=True) as part:
        # Keras insists on its own ending.
        scratch = part.with_name(f"part.{file.name}")
        try:
            with warnings.catch_warnings():
                # Keras copies its variables in a way that NumPy 2 deprecates.
                warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
                network.save_weights(scratch)
            scratch.replace(part)
        finally:
            scratch.unlink(missing_ok=True)


def read_table(file: Path, steps: int) -> list[dict[str, str]]:
    """Return the rows of a table over steps up to `steps`; later ones belong to steps that were lost."""
    if not file.is_file():
        return []
    with file.open(newline="", encoding="utf-8") as stream:
        try:
            return [row for row in csv.DictReader(stream) if int(row["step"]) <= steps]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{file} is damaged: remove it, training goes on without") from error


def write_table(file: Path, columns: Sequence[str], rows: list[dict[str, str]]) -> None:
    """Replace a table."""
    with complete_file(file, force=True) as part, part.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)
