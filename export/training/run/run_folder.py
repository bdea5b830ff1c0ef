"""The run folder of a training: what was asked for, and what each category has reached.

``run.json`` and a copy of the sample's ``prepared.json`` say what is trained; a folder a category holds the
rest (`CategoryFolder`). Several processes may train different categories in the same folder.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self, TypedDict, cast

import numpy as np

from shipgen.errors import InputError
from shipgen.files.outputs import complete_file, output_error, read_json, sha256, write_json
from shipgen.provenance import versions
from shipgen_export.models.kinds import model_by_name
from shipgen_export.sample.sample import INDEX as PREPARED
from shipgen_export.sample.sample import CategorySample, PreparedSample
from shipgen_export.sample.transforms import Normalisation
from shipgen_export.training.run.category_folder import LOCK, CategoryFolder, State, locked

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from shipgen.muons.categories import Category

__all__ = ["CategoryFolder", "State", "TrainingRun", "with_span"]

FORMAT = "shipgen-run"
FORMAT_VERSION = 3
INDEX = "run.json"


def with_span(normalisation: Normalisation, span: float | None) -> Normalisation:
    """Return the normalisation of the same muons to [-span, span]; the same one for ``None``.

    What it gives is what the other gives times the ratio of the spans: of the broadened features, distances
    to the mean before the root scale with that ratio, and after it with its square root.
    """
    if span is None:
        return normalisation
    n, ratio = normalisation, span / normalisation.span
    low, high = (
        np.where(n.broadened, ratio * n.mean + np.sqrt(ratio) * (bound - n.mean), ratio * bound)
        for bound in (n.broad_minimum, n.broad_maximum)
    )
    return replace(n, mean=ratio * n.mean, broad_minimum=low, broad_maximum=high, span=span)


class SampleDigest(TypedDict):
    """Which sample a run is on: the hash of its ``prepared.json``."""

    sha256: str


class Asked(TypedDict):
    """What decides a run: a folder is continued with the same only.

    ``config`` has all settings of the model, ``teachers`` the hashes of their ``run.json``. What flows go on
    from is kept by category.
    """

    model: str
    seed: int
    evaluate_every: int | None
    sample: SampleDigest
    config: dict[str, Any]
    teachers: list[str]


class RunFacts(Asked):
    """Content of ``run.json``; folders of before 1.0 may have ``start``, the same for all categories."""

    format: str
    format_version: int
    device: str
    versions: dict[str, str]


@dataclass(frozen=True)
class TrainingRun:
    """A run folder.

    Attributes
    ----------
    path : Path
        The folder.
    index : RunFacts
        Content of ``run.json``.
    """

    path: Path
    index: RunFacts

    @property
    def model(self) -> str:
        """Name of what is trained, such as ``"gan"``."""
        return self.index["model"]

    @property
    def seed(self) -> int:
        """Seed of all categories."""
        return self.index["seed"]

    def category(self, category: Category) -> CategoryFolder:
        """Return the part of `category`, which need not exist."""
        return CategoryFolder(self.path / category.name)

    def config(self, category: Category) -> dict[str, Any]:
        """Return the settings of a category: those of the run but for what goes by the size of its sample."""
        return {**self.index["config"], **self.category(category).state().settings}

    def start_of(self, category: Category) -> str | None:
        """Return the hash of the run that a category's flow went on from, ``None`` for nothing."""
        before: Any = self.index.get("start")
        return self.category(category).state().start or before

    def unfinished(self, category: Category) -> str | None:
        """Say how far a category is and how it goes on, ``None`` when all steps of its schedule are done.

        A network whose learning rate did not fall to its end is no result.
        """
        state, planned = self.category(category).state(), self.config(category).get("steps")
        complete = state.ended or state.steps == planned
        if planned is None or (complete and state.steps == state.weights_steps):
            return None
        return (
            f"{self.path / category.name} is at step {state.steps:,} of {planned:,}: go on with "
            f"`{self.command(category)}`"
        )

    def command(self, category: Category) -> str:
        """Return the command that trains `category` as this run was started."""
        model, config = model_by_name(self.model), self.index["config"]
        words = ["shipgen train", self.model, "PREPARED -o", str(self.path), "--category", category.name]
        given = {"seed": self.seed, "steps": config.get("steps")}
        if model.planned:
            given["evaluate_every"] = self.index["evaluate_every"]
        for setting in fields(model.settings):
            if config.get(setting.name) != setting.default and setting.name not in given:
                given[setting.name] = config.get(setting.name)
        for name, value in given.items():
            if value is not None:
                words.append(f"--{name.replace('_', '-')}" + ("" if value is True else f" {value}"))
        return " ".join(words + ["--teacher RUN"] * len(self.index["teachers"]))

    def normalised(self, sample: CategorySample) -> CategorySample:
        """Return the category's sample with the normalisation that the run's networks use."""
        return replace(sample, normalisation=with_span(sample.normalisation, self._span))

    @property
    def _span(self) -> float | None:
        span: float | None = self.index["config"].get("span")
        return span

    def sample(self) -> PreparedSample:
        """Return the copy of the sample's ``prepared.json``, normalised as in this run; it has no muons."""
        if (
            not (self.path / PREPARED).is_file()
            or sha256(self.path / PREPARED) != self.index["sample"]["sha256"]
        ):
            raise InputError(
                f"{self.path / PREPARED} is missing or was changed: copy it again from the prepared sample"
            )
        sample = PreparedSample.open(self.path)
        for entry in sample.index["categories"].values():
            own = with_span(Normalisation.from_json(entry["normalisation"]), self._span)
            entry["normalisation"] = own.to_json()
        return sample

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
        return cls(path, cast("RunFacts", index))

    @classmethod
    def start(
        cls,
        path: Path,
        sample: PreparedSample,
        *,
        model: str,
        config: dict[str, Any],
        seed: int,
        evaluate_every: int | None = None,
        device: str = "cpu",
        teachers: Sequence[str] = (),
    ) -> Self:
        """Make the run folder `path`, or continue it when it is one of the same model, settings and sample.

        Steps between evaluations decide which networks are kept as the best, so they are settings as well,
        and so are a student's teachers; the device is only noted.

        Raises
        ------
        InputError
            `path` is something else, or a run of other settings.
        """
        wanted: Asked = {
            "model": model,
            "seed": seed,
            "evaluate_every": evaluate_every,
            "sample": {"sha256": sha256(sample.path / PREPARED)},
            "config": config,
            "teachers": list(teachers),
        }
        try:
            path.mkdir(exist_ok=True)
        except OSError as error:
            raise InputError(f"the run folder {path} cannot be made: {error.strerror}") from error
        # What another process that makes the run at this moment has there is no reason to refuse.
        own = (LOCK, PREPARED, INDEX)
        foreign = [item.name for item in path.iterdir() if not item.name.startswith(own)]
        if not (path / INDEX).exists() and foreign:
            raise InputError(f"{path} is not empty and no run (no {INDEX} in it): choose another name")
        if not os.access(path, os.W_OK):
            raise InputError(f"the run folder {path} cannot be written to: choose another one")
        # Two processes started at the same time agree on who makes it.
        with locked(path, wait=True):
            if not (path / INDEX).exists():
                cls._create(path, sample, wanted, device)
        run = cls.open(path)
        run.check_same(wanted)
        return run

    @staticmethod
    def _create(path: Path, sample: PreparedSample, wanted: Asked, device: str) -> None:
        with complete_file(path / PREPARED, force=True) as part:
            try:
                shutil.copyfile(sample.path / PREPARED, part)
            except OSError as error:
                raise output_error(path / PREPARED, error) from error
        used = versions("shipgen", "tensorflow", "keras", "numpy", "scikit-learn")
        # Written last: with it the folder is a run.
        with complete_file(path / INDEX) as part:
            known = {"format": FORMAT, "format_version": FORMAT_VERSION, **wanted, "device": device}
            write_json(part, {**known, "versions": used})

    def check_sample(self, sample: PreparedSample) -> None:
        """Raise `InputError` when the run is not one on `sample`."""
        self._check_sample({"sha256": sha256(sample.path / PREPARED)})

    def _check_sample(self, wanted: SampleDigest) -> None:
        if wanted != self.index["sample"]:
            raise InputError(
                f"{self.path} is a run on another prepared sample (its prepared.json differs): "
                "choose another folder"
            )

    def check_same(self, wanted: Asked) -> None:
        """Raise `InputError` that names the first difference between the folder and what is asked for."""
        self._check_sample(wanted["sample"])
        if wanted["teachers"] != self.index["teachers"]:
            raise InputError(f"{self.path} had other teachers: choose another folder")
        found, asked = (
            {**{name: index[name] for name in ("model", "seed", "evaluate_every")}, **index["config"]}
            for index in (self.index, wanted)
        )
        for name in [*asked, *found]:
            if found.get(name) != asked.get(name):
                raise InputError(
                    f"{self.path} was trained with {name} {found.get(name)}, but {asked.get(name)} is asked "
                    f"for: give the same {name} or choose another folder"
                )
