"""Training in coordinates made normal: a category's map, its training weights, and teachers of a student."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.errors import InputError
from shipgen.files.outputs import sha256
from shipgen_export.maps.muon_map import MuonMap, tame, without_upstream
from shipgen_export.models.by_size import flow_of_size
from shipgen_export.models.kinds import model_by_name
from shipgen_export.models.settings import FlowConfig
from shipgen_export.sample.sample import SPLITS, effective_size
from shipgen_export.training.run.category_folder import LAST
from shipgen_export.training.run.run_folder import TrainingRun

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from shipgen.muons.categories import Category
    from shipgen.muons.columns import Float32, Float64, Int64
    from shipgen_export.sample.sample import CategorySample, PreparedSample
    from shipgen_export.training.run.category_folder import CategoryFolder

#: Streams of random numbers.
_BOOTSTRAP, _HELD_OUT = 3, 5

#: Muons that a flow's best step is found by, at most.
_MOST_HELD_OUT = 30_000


def material_edges(sample: PreparedSample) -> tuple[float, ...]:
    """Return z where materials meet, cm, when all files of the sample state the same; else nothing."""
    stated = []
    for source in sample.index["sources"]:
        target = (source.get("provenance") or {}).get("target")
        edges = target.get("edges") if isinstance(target, dict) else None
        stated.append(tuple(float(edge) for edge in edges) if edges else ())
    return stated[0] if stated and len(set(stated)) == 1 else ()


def slab_materials(sample: PreparedSample) -> tuple[int, ...]:
    """Return the material between each two of `material_edges`, as numbers; nothing where it is not known."""
    edges = material_edges(sample)
    if not edges:
        return ()
    # Where files state edges, each has a target.
    targets = [(source["provenance"] or {})["target"] for source in sample.index["sources"]]
    stated = [target.get("slab_materials") for target in targets]
    materials = stated[0]
    if not isinstance(materials, list) or any(other != materials for other in stated):
        return ()
    known = len(materials) == len(edges) - 1 and all(isinstance(one, int) and one >= 0 for one in materials)
    return tuple(materials) if known else ()


def with_map(
    muons: CategorySample, folder: CategoryFolder, sample: PreparedSample, origin: MuonMap | None = None
) -> CategorySample:
    """Return the category's sample with its map, which is made once, then kept; see `MuonMap.fit`."""
    if not folder.started:
        edges, materials = material_edges(sample), slab_materials(sample)
        folder.keep_map(MuonMap.fit(muons, sample.index["target_start"], edges, materials, origin).write)
    # Read back, so that a run which goes on has what the first one had.
    return with_kept_map(muons, folder)


def with_kept_map(muons: CategorySample, folder: CategoryFolder) -> CategorySample:
    """Return the category's sample, without what its map leaves out, with the map that is there."""
    return replace(without_upstream(muons)[0], map=folder.read_map(muons.category))


def training_weights(muons: CategorySample, seed: int, *, bootstrap: bool) -> Float64:
    """Return the weights that muons of the part ``train`` are drawn by, float64[n].

    Parameters
    ----------
    muons : CategorySample
        The category's muons.
    seed : int
        Of the bootstrap sample.
    bootstrap : bool
        Count each proton as often as a Poisson number of mean 1 says: B. Efron, Ann. Statist. 7 (1979) 1.
    """
    weights, _ = tame(muons.part("train")[1])
    if not bootstrap:
        return weights
    key = np.random.SeedSequence((seed, muons.category.number, _BOOTSTRAP))
    protons, of_muon = np.unique(muons.group[muons.split == 0], return_inverse=True)
    return np.asarray(weights * np.random.default_rng(key).poisson(1.0, len(protons))[of_muon])


def by_size(
    run: TrainingRun, category: Category, config: FlowConfig, muons: CategorySample, origin: Origin | None
) -> dict[str, Any]:
    """Return a flow's settings for the size of a category's sample; what differs is kept in its folder."""
    folder = run.category(category)
    if not folder.started:
        start = None if origin is None else FlowConfig(**origin.run.config(category))
        own = asdict(flow_of_size(config, effective_size(tame(muons.part("train")[1])[0]), start))
        changed = {name: value for name, value in own.items() if value != run.index["config"][name]}
        folder.write_state(replace(folder.state(), settings=changed))
    return run.config(category)


def held_out(muons: CategorySample, seed: int) -> tuple[Float32, Int64]:
    """Return muons by which a flow's best step is found, float32[n, d], and their protons, int64[n].

    They are of the part ``validation``.

    Parameters
    ----------
    muons : CategorySample
        With its map.
    seed : int
        Of the draw, in proportion to the weights.
    """
    features, weights = muons.part("validation")
    cumulative = np.cumsum(tame(weights)[0])
    if not cumulative[-1:].sum() > 0:
        raise InputError(
            f"no muon of {muons.category.name} is held out from training: prepare a larger sample"
        )
    random = np.random.default_rng(np.random.SeedSequence((seed, muons.category.number, _HELD_OUT)))
    places = random.random(min(len(features), _MOST_HELD_OUT)) * cumulative[-1]
    chosen = np.minimum(np.searchsorted(cumulative, places, side="right"), len(features) - 1)
    protons = muons.group[muons.split == SPLITS.index("validation")][chosen]
    return muons.form.forward(features[chosen].astype(np.float64)).astype(np.float32), protons


@dataclass(frozen=True)
class Origin:
    """A run of flows of another sample, from which those of this one start."""

    run: TrainingRun

    @classmethod
    def open(cls, path: Path, categories: Sequence[Category]) -> Origin:
        """Open a run folder; raise `InputError` when it lacks a finished flow of one of the `categories`."""
        run = TrainingRun.open(path)
        check_flows(run, categories, "start from")
        return cls(run)

    def digest(self) -> str:
        """Return what identifies the run's settings."""
        return sha256(self.run.path / "run.json")

    def map(self, category: Category) -> MuonMap:
        """Return the map of a category."""
        return self.run.category(category).read_map(category)

    def weights(self, category: Category) -> list[Any]:
        """Return the weights of a category's flow."""
        return list(_generator(self.run, category).get_weights())

    def notes(self, run: TrainingRun, category: Category) -> tuple[str, ...]:
        """Say of a run that started from this one if it still has the same flow."""
        pairs = zip(_generator(run, category).get_weights(), self.weights(category), strict=True)
        if any((own != start).any() for own, start in pairs):
            return ()
        return ("the protons held out tell no better flow than the one that it started from, which is used",)


def _generator(run: TrainingRun, category: Category) -> Any:
    """Return a category's network at the end of its training."""
    kind, folder = model_by_name(run.model), run.category(category)
    generator = kind.build(kind.settings(**run.config(category)), folder.read_map(category).shape)
    folder.read_network(LAST, generator)
    return generator


def check_start(run: TrainingRun, category: Category, origin: Origin | None) -> None:
    """Keep what a category's flow starts from; raise `InputError` when one that goes on had another start."""
    folder, wanted = run.category(category), None if origin is None else origin.digest()
    if not folder.started:
        folder.write_state(replace(folder.state(), start=wanted))
    elif (had := run.start_of(category)) != wanted:
        began = "nothing" if had is None else "what another bundle makes" if wanted else "what a bundle makes"
        raise InputError(
            f"{folder.path} started from {began}, and cannot go on otherwise: choose another folder (-o), or "
            "the --from that it was begun with"
        )


def check_flows(run: TrainingRun, categories: Sequence[Category], purpose: str) -> None:
    """Raise `InputError` when a run has no flows, or lacks one of `categories` that did all its steps."""
    if run.model != "flow":
        raise InputError(f"{run.path} is a run of {run.model}, not of a flow: nothing can {purpose} it")
    for category in categories:
        if not run.category(category).weights.is_file():
            raise InputError(
                f"{run.path} has no flow of {category.name}: train it with `{run.command(category)}`"
            )
        if unfinished := run.unfinished(category):
            raise InputError(f"only a flow whose training is finished is one to {purpose}: {unfinished}")


@dataclass(frozen=True)
class Teachers:
    """Flows of the same sample from different seeds, and the mean of what they make.

    An autoregressive flow whose splines rise is the one map from normal latents to muons of its density and
    order (H. Knothe, Michigan Math. J. 4 (1957) 39), so flows of one sample agree latent by latent but for
    their errors, and the mean has smaller ones.
    """

    runs: tuple[TrainingRun, ...]

    @classmethod
    def open(
        cls, paths: Sequence[Path], sample: PreparedSample, categories: Sequence[Category] = ()
    ) -> Teachers:
        """Open run folders of flows; raise `InputError` when one is of another kind or sample.

        Nor may one lack a flow of the `categories` that did all its steps.
        """
        if not paths:
            raise InputError("a student needs teachers: give the run folder of a flow with --teacher RUN")
        runs = tuple(TrainingRun.open(path) for path in paths)
        for run in runs:
            run.check_sample(sample)
            check_flows(run, categories, "learn from")
        return cls(runs)

    def runs_digests(self) -> list[str]:
        """Return what identifies the teachers' settings, of all categories."""
        return [sha256(run.path / "run.json") for run in self.runs]

    def digests(self, category: Category) -> list[str]:
        """Return what identifies the teachers of a category: hashes of their weights."""
        return [sha256(run.category(category).weights) for run in self.runs]

    def prepare(self, category: Category, folder: CategoryFolder) -> None:
        """Give a student's folder the map of its teachers, the same for all, and note their weights.

        Raises
        ------
        InputError
            The teachers' maps differ, or a student which goes on had other teachers or another map.
        """
        maps = [run.category(category).checked_map() for run in self.runs]
        digests = {sha256(file) for file in maps}
        if len(digests) > 1:
            raise InputError(
                f"the teachers of {category.name} have different maps: train them all on the same sample "
                "with the same version of shipgen"
            )
        weights = self.digests(category)
        if not folder.started:
            folder.keep_map(lambda part: part.write_bytes(maps[0].read_bytes()))
            folder.write_state(replace(folder.state(), teachers=weights))
        state = folder.state()
        if state.teachers != weights or state.map_sha256 not in digests:
            raise InputError(
                f"{folder.path} learnt from other weights or another map than its teachers have now: bring "
                f"the teachers back, or remove {folder.path} to train {category.name} again"
            )

    def networks(self, category: Category) -> list[Any]:
        """Return each teacher's generator of a category, at the end of its training."""
        return [_generator(run, category) for run in self.runs]

    def mean(self, category: Category) -> Callable[[Any], Any]:
        """Return the mean of the teachers' networks: latents -> normal numbers, float32[n, d] both."""
        networks = [generator.network for generator in self.networks(category)]

        def teach(latent: Any) -> Any:
            return sum(network(latent) for network in networks) / len(networks)

        return teach
