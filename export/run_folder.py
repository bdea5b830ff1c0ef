"""The run folder of a training: what was asked for, and what each category has reached.

``run.json`` and a copy of the sample's ``prepared.json`` say what is trained; a folder a category holds
``checkpoints/``, ``history.csv``, ``generator.weights.h5``, ``figure_of_merit.json`` and ``state.json``.
Several processes may train different categories in the same folder.
"""

from __future__ import annotations

import csv
import fcntl
import os
import shutil
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from shipgen.errors import InputError
from shipgen.files import complete_file, output_error, read_json, sha256, write_json
from shipgen.provenance import versions
from shipgen_export.sample import INDEX as PREPARED
from shipgen_export.sample import PreparedSample

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from shipgen.categories import Category

FORMAT = "shipgen-run"
FORMAT_VERSION = 1
INDEX = "run.json"

_LOCK = "lock"


@contextmanager
def _locked(folder: Path, *, wait: bool) -> Iterator[None]:
    """Hold the lock of `folder` against other processes; raise BlockingIOError when taken and not `wait`."""
    with (folder / _LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield


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
        Steps after which ``generator.weights.h5`` was written.
    weights_sha256 : str or None
        Its hash.
    """

    steps: int = 0
    seconds: float = 0.0
    weights_steps: int | None = None
    weights_sha256: str | None = None


@dataclass(frozen=True)
class CategoryFolder:
    """One category's part of a run folder."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """Folder of TensorFlow's checkpoints."""
        return self.path / "checkpoints"

    @property
    def weights(self) -> Path:
        """The generator's weights, in Keras' HDF5 form."""
        return self.path / "generator.weights.h5"

    @property
    def merit(self) -> Path:
        """The figure of merit of those weights."""
        return self.path / "figure_of_merit.json"

    @property
    def history(self) -> Path:
        """Losses over steps."""
        return self.path / "history.csv"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder and keep other processes out of it; raise `InputError` when one is in."""
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            with _locked(self.path, wait=False):
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
            write_json(part, {**state.__dict__})

    def read_history(self, steps: int) -> list[dict[str, str]]:
        """Return the rows up to `steps`; later ones belong to steps that were lost."""
        if not self.history.is_file():
            return []
        with self.history.open(newline="", encoding="utf-8") as file:
            try:
                return [row for row in csv.DictReader(file) if int(row["step"]) <= steps]
            except (KeyError, TypeError, ValueError) as error:
                raise InputError(f"{self.history} is damaged: remove it, training goes on without") from error

    def write_history(self, columns: Sequence[str], rows: list[dict[str, str]]) -> None:
        """Replace the history."""
        with (
            complete_file(self.history, force=True) as part,
            part.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)

    def write_weights(self, generator: Any) -> str:
        """Keep the weights of a Keras network; return their file's hash."""
        with complete_file(self.weights, force=True) as part:
            # Keras insists on its own ending.
            scratch = part.with_name("part.weights.h5")
            try:
                with warnings.catch_warnings():
                    # Keras copies its variables in a way that NumPy 2 deprecates.
                    warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
                    generator.save_weights(scratch)
                scratch.replace(part)
            finally:
                scratch.unlink(missing_ok=True)
        return sha256(self.weights)


@dataclass(frozen=True)
class Run:
    """A run folder.

    Attributes
    ----------
    path : Path
        The folder.
    index : dict
        Content of ``run.json``.
    """

    path: Path
    index: dict[str, Any]

    @property
    def model(self) -> str:
        """Name of what is trained, such as ``"gan"``."""
        return str(self.index["model"])

    @property
    def seed(self) -> int:
        """Seed of all categories."""
        return int(self.index["seed"])

    def category(self, category: Category) -> CategoryFolder:
        """Return the part of `category`, which need not exist."""
        return CategoryFolder(self.path / category.name)

    def sample(self) -> PreparedSample:
        """Return the copy of the sample's ``prepared.json``; it has no muons."""
        if (
            not (self.path / PREPARED).is_file()
            or sha256(self.path / PREPARED) != self.index["sample"]["sha256"]
        ):
            raise InputError(
                f"{self.path / PREPARED} is missing or was changed: copy it again from the prepared sample"
            )
        return PreparedSample.open(self.path)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read ``run.json``; raise `InputError` when it is missing or of another kind."""
        if not (path / INDEX).is_file():
            raise InputError(f"{path} is no run (no {INDEX} in it): make one with `shipgen train`")
        index = read_json(path / INDEX)
        if index.get("format") != FORMAT or index.get("format_version") != FORMAT_VERSION:
            raise InputError(
                f"{path / INDEX} is {index.get('format')!r} version {index.get('format_version')!r}, "
                f"not {FORMAT!r} version {FORMAT_VERSION}: train again"
            )
        return cls(path, index)

    @classmethod
    def start(
        cls, path: Path, sample: PreparedSample, *, model: str, config: dict[str, Any], seed: int
    ) -> Self:
        """Make the run folder `path`, or continue it when it is one of the same model, settings and sample.

        Raises
        ------
        InputError
            `path` is something else, or a run of other settings.
        """
        wanted = {
            "model": model,
            "seed": seed,
            "sample": {"sha256": sha256(sample.path / PREPARED)},
            "config": config,
        }
        try:
            path.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(f"the run folder {path} cannot be made: {error.strerror}") from error
        if not (path / INDEX).exists() and not {item.name for item in path.iterdir()} <= {_LOCK, PREPARED}:
            raise InputError(f"{path} is not empty and no run (no {INDEX} in it): choose another name")
        if not os.access(path, os.W_OK):
            raise InputError(f"the run folder {path} cannot be written to: choose another one")
        # Two processes started at the same time agree on who makes it.
        with _locked(path, wait=True):
            if not (path / INDEX).exists():
                cls._create(path, sample, wanted)
        run = cls.open(path)
        run.check_same(wanted)
        return run

    @staticmethod
    def _create(path: Path, sample: PreparedSample, wanted: dict[str, Any]) -> None:
        with complete_file(path / PREPARED, force=True) as part:
            try:
                shutil.copyfile(sample.path / PREPARED, part)
            except OSError as error:
                raise output_error(path / PREPARED, error) from error
        used = versions("shipgen", "tensorflow", "keras", "numpy", "scikit-learn")
        # Written last: with it the folder is a run.
        with complete_file(path / INDEX) as part:
            write_json(part, {"format": FORMAT, "format_version": FORMAT_VERSION, **wanted, "versions": used})

    def check_same(self, wanted: dict[str, Any]) -> None:
        """Raise `InputError` that names the first difference between the folder and what is asked for."""
        if wanted["sample"] != self.index["sample"]:
            raise InputError(
                f"{self.path} is a run on another prepared sample (its prepared.json differs): "
                "choose another folder"
            )
        found, asked = (
            {"model": index["model"], "seed": index["seed"], **index["config"]}
            for index in (self.index, wanted)
        )
        for name in [*asked, *found]:
            if found.get(name) != asked.get(name):
                raise InputError(
                    f"{self.path} was trained with {name} {found.get(name)}, but {asked.get(name)} is asked "
                    f"for: give the same {name} or choose another folder"
                )
