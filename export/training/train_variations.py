"""Networks of variations for a bundle: trained on a prepared sample, checked, added.

`shipgen train best` trains them with its other networks, `shipgen train variations` adds them to a bundle.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.bundle.bundle import INDEX, Bundle, write_bundle
from shipgen.bundle.factors import FactorFacts, FactorNetwork
from shipgen.errors import InputError
from shipgen.files.outputs import check_output, complete_file, complete_folder, read_json, sha256, write_json
from shipgen.progress import progress
from shipgen.provenance import versions
from shipgen_export.graphs.published import kept_network
from shipgen_export.sample.sample import INDEX as PREPARED
from shipgen_export.sample.sample import SPLITS, PreparedSample
from shipgen_export.training.map_training import Teachers, material_edges, with_kept_map
from shipgen_export.variations.closure import closure
from shipgen_export.variations.fit import STEPS, Fitted, fit
from shipgen_export.workers import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from shipgen.muons.categories import Category
    from shipgen.muons.columns import Float32
    from shipgen_export.models.flow import Density
    from shipgen_export.sample.sample import CategorySample

#: Where `train_best` keeps them in its folder.
FOLDER = "variations"

#: The column of the networks' own spread, and what it stands for.
NETWORKS_COLUMN = "vary_networks"
NETWORKS_MEANING = "networks of one bootstrap sample of the protons against those of another, as of one"

#: The logarithm of such a factor is cut here: far outside, densities differ by any factor.
_MOST = 1.0

#: Muons whose factors are compared, at most; those that the graph is tried on; densities at once.
_COMPARED, _TRIED, _SLICE = 1_000_000, 20_000, 50_000


@dataclass(frozen=True)
class VariationTask:
    """The network of variations of a category to train, in `folder`; `teachers` for their spread, if any."""

    sample: PreparedSample
    folder: Path
    category: Category
    seed: int
    steps: int
    teachers: tuple[Path, ...] = ()

    def __str__(self) -> str:
        return f"training the variations of {self.category.name}"

    @property
    def key(self) -> dict[str, Any]:
        """All that the network depends on."""
        digests = Teachers.open(self.teachers, self.sample).digests(self.category) if self.teachers else []
        sample = sha256(self.sample.path / PREPARED)
        return {"sample": sample, "seed": self.seed, "steps": self.steps, "teachers": digests}


def has_variations(sample: PreparedSample) -> bool:
    """Return whether all categories of a sample have factors."""
    return all("variations" in entry for entry in sample.index["categories"].values())


def meanings(sample: PreparedSample) -> dict[str, str]:
    """Return what the columns of factors stand for, as far as the sample's files say it."""
    found: dict[str, str] = {}
    for source in sample.index["sources"]:
        stated = (source.get("provenance") or {}).get("variations")
        if isinstance(stated, dict):
            found |= {str(name): str(meaning) for name, meaning in stated.items() if name not in found}
    return found


def train_factors(task: VariationTask) -> str:
    """Train one network, unless it is there; return a line that says what was found."""
    graph, facts = (task.folder / f"{task.category.name}.{ending}" for ending in ("onnx", "json"))
    if not (facts.is_file() and read_json(facts).get("key") == json.loads(json.dumps(task.key))):
        task.folder.mkdir(exist_ok=True)
        made, seconds = _make(task)
        with complete_file(graph, force=True) as part:
            part.write_bytes(made.model)
        with complete_file(facts, force=True) as part:
            stated = {"columns": made.columns, "facts": made.facts, "sha256": sha256(graph)}
            write_json(part, {"key": task.key, "seconds": seconds, **stated})
    found = read_json(facts)
    looked = found["facts"]["closure"]
    outside = sum(one["outside"] for one in looked.values())
    bins = sum(one["bins"] for one in looked.values())
    return (
        f"variations: {task.category.name}: {len(found['columns'])} of them, {task.steps:,} steps, "
        f"{found['seconds'] / 60:.1f} min; {outside:,} of {bins:,} bins of held-out muons differ by more "
        "than 1 % and two standard deviations"
    )


def read_factors(folder: Path, categories: Sequence[Category]) -> dict[str, FactorFacts]:
    """Return the networks that `train_factors` left, by category; raise `InputError` for damaged ones."""
    found = {}
    for category in categories:
        graph, facts = (folder / f"{category.name}.{ending}" for ending in ("onnx", "json"))
        if not facts.is_file():
            continue
        stated = read_json(facts)
        if not graph.is_file() or sha256(graph) != stated["sha256"]:
            raise InputError(f"{graph} is missing or not the file that training wrote: remove {facts}")
        found[category.name] = FactorFacts(graph.read_bytes(), stated["columns"], stated["facts"])
    return found


def _make(task: VariationTask) -> tuple[FactorFacts, float]:
    # Needs TensorFlow, which whoever asks for help may not have.
    from shipgen_export.backend import configure

    # At once: flows would start TensorFlow with as many threads as there are.
    configure(1)
    muons, sample = task.sample.load(task.category.name), task.sample
    own, start = sample.variations(task.category.name), float(sample.index["target_start"])
    others: dict[str, Callable[[Float32], Float32]] = {}
    if task.teachers and len(task.teachers) > 1:
        others[NETWORKS_COLUMN] = spread_factor(Teachers.open(task.teachers, sample), muons, task.seed)
    fitted = fit(muons, own, start, material_edges(sample), seed=task.seed, steps=task.steps, others=others)
    known = {**meanings(sample), NETWORKS_COLUMN: NETWORKS_MEANING}
    columns = {name: known.get(name, "") for name in fitted.model.columns}
    return _facts(task, muons, own, fitted, columns), fitted.seconds


def _facts(
    task: VariationTask,
    muons: CategorySample,
    own: Mapping[str, Float32],
    fitted: Fitted,
    columns: dict[str, str],
) -> FactorFacts:
    """Turn a network into a checked graph; say how good it is for muons that it has not seen."""
    # Needs TensorFlow, which whoever asks for help may not have.
    from shipgen_export.variations.graph import build_factor_graph, check_factor_graph

    model, graph = fitted.model, build_factor_graph(fitted.model)
    rows = np.flatnonzero(muons.split == SPLITS.index("test"))
    random = np.random.default_rng(np.random.SeedSequence((task.seed, task.category.number)))
    if len(rows) > _COMPARED:
        rows = np.sort(random.choice(rows, _COMPARED, replace=False))
    features = np.asarray(muons.features[rows])
    with TemporaryDirectory() as scratch:
        file = Path(scratch) / f"{task.category.name}.onnx"
        file.write_bytes(graph)
        loaded = FactorNetwork.load(file, sha256(file), model.columns, features.shape[1], "cpu")
        difference = check_factor_graph(model, loaded, features[:_TRIED])
    made = dict(zip(model.columns, model(features).T, strict=True))
    found = closure(
        features,
        np.asarray(muons.weights[rows]),
        np.asarray(muons.group[rows]),
        {name: np.asarray(factors[rows]) for name, factors in own.items()},
        made,
        float(task.sample.index["target_start"]),
    )
    facts = {
        "steps": fitted.steps,
        "layers": [len(bias) for bias in model.weights[1:-1:2]],
        "graph_difference": difference,
        "constant": list(fitted.constant),
        "compared": {"muons": len(rows), "part": "test"},
        "closure": found,
        "trained_with": versions("shipgen", "tensorflow", "numpy"),
    }
    return FactorFacts(graph, columns, facts)


def spread_factor(teachers: Teachers, muons: CategorySample, seed: int) -> Callable[[Float32], Float32]:
    """Return what gives the networks' own spread as a factor of muons' weights: a ratio of flows' densities.

    The flows of two bootstrap samples of the protons differ by the uncertainty of each, taken twice, so that
    the root of the second is taken of the ratio; where there is but one, it is compared with that of all
    protons. The tables of single coordinates, which all flows share, are not in it.

    Parameters
    ----------
    teachers : Teachers
        Two or more flows.
    muons : CategorySample
        The category's muons; those of the part ``train`` have a factor of 1 on average.
    seed : int
        Of the draw of muons for that average.
    """
    from shipgen_export.backend import tf

    first = teachers.runs[0]
    form = with_kept_map(muons, first.category(muons.category)).form
    # A flow's network is the method of its density that makes muons.
    densities: list[Density] = [one.network.__self__ for one in teachers.networks(muons.category)]
    pair, power = (densities[1:3], 0.5**0.5) if len(densities) > 2 else (densities[1::-1], 1.0)

    @tf.function  # type: ignore[untyped-decorator]
    def ratio(normal: Any) -> Any:
        return pair[0].log_ratio(normal) - pair[1].log_ratio(normal)

    def logarithm(features: Float32) -> Float32:
        parts = [
            ratio(form.forward(features[k : k + _SLICE].astype(np.float64)).astype(np.float32)).numpy()
            for k in range(0, len(features), _SLICE)
        ]
        return np.clip(power * np.concatenate(parts), -_MOST, _MOST).astype(np.float32)

    rows, weights = muons.part("train")
    random = np.random.default_rng(np.random.SeedSequence((seed, muons.category.number)))
    some = random.choice(len(rows), min(len(rows), 4 * _SLICE), replace=False)
    middle = np.log(np.average(np.exp(logarithm(np.asarray(rows[some]))), weights=weights[some]))
    return lambda features: np.exp(logarithm(features) - np.float32(middle))


def add_variations(
    prepared: Path,
    base: Path | None,
    output: Path,
    *,
    teachers: Sequence[Path] = (),
    seed: int = 1,
    cores: int = 1,
    steps: int = STEPS,
    name: str | None = None,
    force: bool = False,
) -> Iterator[str | Bundle]:
    """Train the variations of a sample and write a copy of a bundle that has them.

    Parameters
    ----------
    prepared : Path
        A prepared sample with factors, of the same target and cut as the bundle's.
    base : Path, optional
        The bundle; the default bundle when not given.
    output : Path
        The bundle to write.
    teachers : sequence of Path
        Run folders of two or more flows of this sample, for the networks' own spread.
    seed, steps : int
        Of the training.
    cores : int
        Worker processes, a category each. The networks do not depend on it.
    name : str, optional
        The bundle's; `output`'s name otherwise.
    force : bool
        Replace `output`.

    Yields
    ------
    str
        A line for each category.
    Bundle
        At last.

    Raises
    ------
    InputError
        The sample has no factors, lacks a category of the bundle, or is of another target or cut.
    """
    check_output(output, force=force, index=INDEX)
    sample, old = PreparedSample.open(prepared), Bundle.open(base)
    _check_fit(sample, old)
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tasks = [
            VariationTask(sample, folder, entry.category, seed, steps, tuple(teachers))
            for entry in old.entries
        ]
        with (
            progress("training", len(tasks), "networks of variations") as advance,
            in_order(train_factors, tasks, min(cores, len(tasks))) as results,
        ):
            for line in results:
                advance(1)
                yield line
        factors = read_factors(folder, [entry.category for entry in old.entries])
    networks = [
        replace(kept_network(old, entry), factors=factors[entry.category.name]) for entry in old.entries
    ]
    with complete_folder(output, index=INDEX, force=force) as part:
        bundle = write_bundle(
            part,
            networks,
            name=name or output.absolute().name,
            label=old.label,
            target_start=old.target_start,
            energy_cut=old.energy_cut,
            missing={one.category.name: one.rate for one in old.missing},
            provenance={
                "variations": {"sample": sha256(prepared / PREPARED), "seed": seed, "steps": steps},
                "base": {"name": old.name, "sha256": old.sha256, "provenance": old.provenance},
            },
        )
    yield replace(bundle, path=output)


def _check_fit(sample: PreparedSample, bundle: Bundle) -> None:
    """Raise `InputError` where the sample's variations are not those of the bundle's muons."""
    if not has_variations(sample):
        raise InputError(
            f"{sample.path} has no variations: prepare files that have columns vary_NAME, all of them"
        )
    lacking = [one.category.name for one in bundle.entries if one.category not in sample.categories]
    if lacking:
        raise InputError(f"{sample.path} has no muons of {', '.join(lacking)}, which {bundle.path} makes")
    cut = sample.index["energy_cut"]
    for what, own, other in (
        ("the target starts at z = {:g} cm", float(sample.index["target_start"]), bundle.target_start),
        ("the energy cut is {:g} GeV", cut, bundle.energy_cut),
    ):
        if own is not None and abs(own - other) > 1e-3 * max(1.0, abs(other)) + 1e-9:
            raise InputError(
                f"in {sample.path} {what.format(own)}, in {bundle.path} {what.format(other)}: take the "
                "sample that the bundle was trained on, or one like it"
            )
