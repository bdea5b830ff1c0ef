"""Import of generators that Keras 2 saved: what is read, that it is computed right, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from bundles import write_test_bundle
from synthetic import synthetic_sample

from shipgen.categories import CATEGORIES
from shipgen.errors import InputError
from shipgen.files import sha256
from shipgen_export.backend import configure
from shipgen_export.graphs.agreement import TOLERANCE
from shipgen_export.graphs.keras2_file import read_keras2
from shipgen_export.graphs.published import PUBLISHED_SPAN, export_keras2, read_ranges

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from shipgen.bundle import Bundle
    from shipgen.columns import Array, Float64

ON_AXIS, OFF_AXIS = CATEGORIES[0], CATEGORIES[2]
RANGES = {"z": [-7084.9, -6460.8], "px": [-8.25, 8.25], "py": [-8.25, 8.25], "pz": [10.3, 386.1]}


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    configure(1)


def dense(name: str, units: int, **settings: Any) -> dict[str, Any]:
    return {
        "class_name": "Dense",
        "config": {"name": name, "units": units, "activation": "linear", **settings},
    }


def layer(kind: str, name: str, **settings: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": name, **settings}}


def generator_layers(features: int = 4, depth: int = 2, latent: int = 7) -> list[dict[str, Any]]:
    """Return the configuration of a generator like the published ones."""
    layers = []
    for k in range(depth):
        layers += [
            dense(f"dense_{k}", 8 * 2**k),
            layer("LeakyReLU", f"leaky_{k}", alpha=0.2),
            layer("BatchNormalization", f"norm_{k}", axis=-1, epsilon=0.001, momentum=0.8),
        ]
    layers += [
        layer("Dropout", "dropout", rate=0.25),
        dense("dense_last", features, activation="tanh"),
        layer("Reshape", "reshape", target_shape=[1, features, 1]),
    ]
    layers[0]["config"]["batch_input_shape"] = [None, latent]
    return layers


def arrays_of(layers: list[dict[str, Any]], seed: int = 1) -> dict[str, dict[str, Array]]:
    """Return random weights that fit a configuration, by layer and name, in the order Keras 2 wrote them."""
    random = np.random.default_rng(seed)
    width = layers[0]["config"]["batch_input_shape"][1]
    found: dict[str, dict[str, Array]] = {}
    for item in layers:
        settings = item["config"]
        if item["class_name"] == "Dense":
            shape = (width, settings["units"])
            width = settings["units"]
            found[settings["name"]] = {
                "kernel": random.normal(0, 1, shape) / np.sqrt(shape[0]),
                "bias": random.normal(0, 0.1, width),
            }
            if settings.get("use_bias") is False:
                del found[settings["name"]]["bias"]
        elif item["class_name"] == "BatchNormalization":
            found[settings["name"]] = {
                "gamma": random.normal(1, 0.1, width),
                "beta": random.normal(0, 0.1, width),
                "moving_mean": random.normal(0, 0.1, width),
                "moving_variance": random.uniform(0.5, 2, width),
            }
        else:
            found[settings["name"]] = {}
    return found


def write_h5(
    path: Path, layers: list[dict[str, Any]], arrays: dict[str, dict[str, Array]], config: Any = None
) -> Path:
    """Write a file as Keras 2.1's ``Model.save`` did."""
    with h5py.File(path, "w") as file:
        content = {"class_name": "Sequential", "config": layers} if config is None else config
        file.attrs["model_config"] = json.dumps(content).encode()
        file.attrs["keras_version"] = b"2.1.5"
        weights = file.create_group("model_weights")
        for name, parts in arrays.items():
            group = weights.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{part}:0".encode() for part in parts]
            for part, values in parts.items():
                group.create_dataset(f"{name}/{part}:0", data=np.asarray(values, np.float32))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    layers = generator_layers()
    return write_h5(tmp_path / "generator.h5", layers, arrays_of(layers))


@pytest.fixture
def ranges(tmp_path: Path) -> Path:
    path = tmp_path / "ranges.json"
    path.write_text(json.dumps({"features": RANGES}))
    return path


def evaluate(path: Path, latent: Array) -> Float64:
    """Compute a network of Dense, LeakyReLU and BatchNormalization layers from nothing but its file."""
    with h5py.File(path) as file:
        config = json.loads(file.attrs["model_config"])["config"]
        values = latent.astype(np.float64)
        for item in config:
            settings, name = item["config"], item["config"]["name"]
            parts = {
                key.split(":")[0]: np.array(data, np.float64)
                for key, data in file["model_weights"][name].get(name, {}).items()
            }
            if item["class_name"] == "Dense":
                values = values @ parts["kernel"] + parts["bias"]
                values = np.tanh(values) if settings["activation"] == "tanh" else values
            elif item["class_name"] == "LeakyReLU":
                values = np.maximum(values, settings["alpha"] * values)
            elif item["class_name"] == "BatchNormalization":
                scale = parts["gamma"] / np.sqrt(parts["moving_variance"] + settings["epsilon"])
                values = (values - parts["moving_mean"]) * scale + parts["beta"]
    return values


def physical(normalised: Float64) -> Float64:
    """Undo the published normalisation."""
    low, high = np.array(list(RANGES.values())).T
    return low + (normalised + PUBLISHED_SPAN) / (2 * PUBLISHED_SPAN) * (high - low)


def check_import(path: Path, ranges: Path, folder: Path) -> Bundle:
    """Import an on-axis generator; compare Keras, NumPy and the bundle's network with `evaluate`."""
    network = read_keras2(path)
    random = np.random.default_rng(1)
    latent = random.standard_normal((5000, network.latent_size), np.float32)
    expected = evaluate(path, latent)
    assert np.abs(network(latent) - expected).max() < 1e-12
    assert np.abs(np.asarray(network.rebuild()(latent, training=False)) - expected).max() < 1e-5
    base = write_test_bundle(folder / "base")
    bundle = export_keras2(path, ranges, folder / "new", category=ON_AXIS.name, base=base.path)
    width = np.array([high - low for low, high in RANGES.values()])
    assert (np.abs(bundle.networks[0](latent) - physical(expected)).max(0) / width).max() < 1e-5
    entry = bundle.entries[0]
    assert entry.rate == base.entries[0].rate
    assert entry.details["keras2"]["sha256"] == sha256(path)
    assert entry.details["training_range"]["pz"] == RANGES["pz"]
    assert max(entry.details["agreement"]["numpy"].values()) <= TOLERANCE
    for before, after in zip(base.entries[1:], bundle.entries[1:], strict=True):
        assert (after.sha256, after.rate, after.details) == (before.sha256, before.rate, before.details)
    assert bundle.provenance["base"]["sha256"] == base.sha256
    assert bundle.provenance["imported"]["category"] == ON_AXIS.name
    return bundle


def test_import(file: Path, ranges: Path, tmp_path: Path) -> None:
    bundle = check_import(file, ranges, tmp_path)
    assert bundle.entries[0].latent_size == 7
    assert str(tmp_path) not in (bundle.path / "bundle.json").read_text()


def published_file() -> Path | None:
    """Return the generator that the method's authors published, if this machine has it."""
    beside = Path(__file__).parents[2] / "shared" / "data" / "published_generator_neg13_0_0.h5"
    path = Path(os.environ.get("SHIPGEN_PUBLISHED_GENERATOR", beside))
    return path if path.is_file() else None


@pytest.mark.skipif(published_file() is None, reason="SHIPGEN_PUBLISHED_GENERATOR names no file")
def test_published_generator(
    ranges: Path, tmp_path: Path, shipgen: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    path = published_file()
    assert path is not None
    network = read_keras2(path)
    assert (network.keras_version, network.widths) == ("2.1.5", (100, 512, 1024, 4))
    check_import(path, ranges, tmp_path)
    made = shipgen("produce", "-n", 2000, "--bundle", "new", "-o", "muons.root")
    assert made.returncode == 0, made.stderr


@pytest.mark.parametrize(("features", "depth", "latent"), [(4, 1, 3), (6, 3, 10), (6, 4, 100)])
def test_any_depth_and_four_or_six_features(features: int, depth: int, latent: int, tmp_path: Path) -> None:
    layers = generator_layers(features, depth, latent)
    path = write_h5(tmp_path / "g.h5", layers, arrays_of(layers))
    network = read_keras2(path)
    assert (network.latent_size, network.features, len(network.widths)) == (latent, features, depth + 2)
    values = np.random.default_rng(1).standard_normal((100, latent), np.float32)
    expected = evaluate(path, values)
    assert np.abs(np.asarray(network.rebuild()(values, training=False)) - expected).max() < 1e-5


def test_later_forms_of_keras_2(tmp_path: Path) -> None:
    """Layers under a name, an input layer, activations of their own, no bias, no scale."""
    layers = [
        layer("InputLayer", "input", batch_input_shape=[None, 5]),
        dense("a", 6, use_bias=False),
        layer("Activation", "act", activation="relu"),
        layer("BatchNormalization", "norm", axis=[1], epsilon=0.01, scale=False),
        layer("LeakyReLU", "leaky", alpha={"class_name": "__numpy__", "value": 0.1}),
        dense("b", 4, activation="sigmoid"),
        layer("Activation", "twice", activation="tanh"),
    ]
    arrays = arrays_of(layers)
    del arrays["norm"]["gamma"]
    config = {"class_name": "Sequential", "config": {"name": "generator", "layers": layers}}
    path = write_h5(tmp_path / "g.h5", layers, arrays, config)
    latent = np.random.default_rng(1).standard_normal((50, 5), np.float32)
    hidden = np.maximum(latent @ np.float32(arrays["a"]["kernel"]), 0)
    norm = arrays["norm"]
    hidden = (hidden - norm["moving_mean"]) / np.sqrt(norm["moving_variance"] + 0.01) + norm["beta"]
    hidden = np.where(hidden > 0, hidden, 0.1 * hidden) @ arrays["b"]["kernel"] + arrays["b"]["bias"]
    expected = np.tanh(1 / (1 + np.exp(-hidden)))
    network = read_keras2(path)
    assert np.abs(network(latent) - expected).max() < 1e-6
    assert np.abs(np.asarray(network.rebuild()(latent, training=False)) - expected).max() < 1e-5


def refused(path: Path, match: str) -> None:
    """Check that `path` is refused in one line that names it."""
    with pytest.raises(InputError, match=match) as caught:
        read_keras2(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_truncated(file: Path, share: float) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    refused(file, "damaged or no HDF5 file|cannot be imported")


def test_flipped_bytes_never_pass_unseen_as_another_error(file: Path) -> None:
    """Whatever byte is wrong: the file is refused in one line, or still gives a network."""
    content = file.read_bytes()
    random = np.random.default_rng(1)
    outcomes = set()
    for _ in range(150):
        damaged = bytearray(content)
        for place in random.integers(0, len(content), 3):
            damaged[place] ^= int(random.integers(1, 256))
        file.write_bytes(damaged)
        try:
            read_keras2(file)
        except InputError as error:
            outcomes.add(str(error))
    assert len(outcomes) > 10
    assert not any("\n" in outcome for outcome in outcomes)


def test_not_there_or_no_hdf5(tmp_path: Path) -> None:
    refused(tmp_path / "none.h5", "does not exist")
    (tmp_path / "text.h5").write_text("hello")
    refused(tmp_path / "text.h5", "damaged or no HDF5 file")


@pytest.mark.parametrize(
    ("place", "item", "match"),
    [
        (
            1,
            layer("Lambda", "evil", function=["4wEAAAA=", None, None]),
            "layer evil is of kind Lambda, and only",
        ),
        (1, layer("Sequential", "inner", layers=[]), "layer inner is of kind Sequential"),
        (1, layer("Reshape", "early", target_shape=[2, 4]), "follows a change of shape"),
        (1, layer("Reshape", "odd", target_shape=[3, 3]), "reshapes 8 values to"),
        (1, layer("Activation", "act", activation="os.system"), "has activation 'os.system', and only"),
        (1, layer("LeakyReLU", "nan", alpha=float("nan")), "has alpha nan, not a number"),
        (0, dense("huge", 10**9, batch_input_shape=[None, 7]), "more than 100,000,000 parameters"),
        (0, dense("half", 2.5, batch_input_shape=[None, 7]), "has 2.5 units"),
        (0, layer("InputLayer", "wide", batch_input_shape=[None, 28, 28]), r"takes \[None, 28, 28\]"),
        (0, dense("no_input", 3), "takes None, not one row of latents"),
        (0, {"class_name": "Dense"}, "a layer without kind or settings"),
    ],
)
def test_refused_layers(place: int, item: dict[str, Any], match: str, tmp_path: Path) -> None:
    layers = generator_layers()
    arrays = arrays_of(layers)
    layers.insert(place, item)
    refused(write_h5(tmp_path / "g.h5", layers, arrays), match)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"kernel": np.zeros((8, 7))}, r"kernel:0 has shape \[8, 7\], its configuration says \[7, 8\]"),
        ({"kernel": np.full((7, 8), np.nan)}, "kernel:0 has values that are NaN or infinite"),
        ({"surplus": np.zeros(8)}, "has the arrays .*, not kernel, bias"),
    ],
)
def test_refused_arrays(change: dict[str, Array], match: str, tmp_path: Path) -> None:
    layers = generator_layers()
    arrays = arrays_of(layers)
    arrays["dense_0"] |= change
    refused(write_h5(tmp_path / "g.h5", layers, arrays), match)


def test_missing_and_foreign_members(file: Path, tmp_path: Path) -> None:
    other = shutil.copy(file, tmp_path / "other.h5")
    where = "model_weights/dense_0/dense_0/kernel:0"
    changes: dict[str, tuple[Callable[[Any], None], str]] = {
        "missing": (lambda group: group.attrs.__setitem__("a", 1), "kernel:0 is missing"),
        "soft": (
            lambda group: group.__setitem__("kernel:0", h5py.SoftLink("/model_weights/x")),
            "is a link, and links are not followed",
        ),
        "external": (
            lambda group: group.__setitem__("kernel:0", h5py.ExternalLink(other, where)),
            "is a link, and links are not followed",
        ),
        "raw": (
            lambda group: group.create_dataset(
                "kernel:0", (7, 8), "f4", external=[("/etc/hostname", 0, 224)]
            ),
            "lies in another file",
        ),
        "text": (lambda group: group.create_dataset("kernel:0", (7, 8), "S4"), r"holds \|S4, not floating"),
        "group": (lambda group: group.create_group("kernel:0"), "kernel:0 is no dataset"),
    }
    for name, (change, match) in changes.items():
        path = shutil.copy(file, tmp_path / f"{name}.h5")
        with h5py.File(path, "r+") as content:
            group = content["model_weights/dense_0/dense_0"]
            del group["kernel:0"]
            change(group)
        refused(path, match)


@pytest.mark.parametrize(
    ("config", "match"),
    [
        ("[" * 100_000, "is no JSON"),
        ("{", "is no JSON"),
        (json.dumps({"class_name": "Model", "config": {}}), "its model is of kind 'Model'"),
        (json.dumps([1]), "its model is of kind None"),
        (json.dumps({"class_name": "Sequential", "config": []}), "lists no layers"),
        (None, "has no model_config"),
    ],
)
def test_refused_configurations(file: Path, config: str | None, match: str) -> None:
    with h5py.File(file, "r+") as content:
        del content.attrs["model_config"]
        if config is not None:
            content.create_dataset("large", data=0)
            content.attrs["model_config"] = config[:60_000].encode()
    refused(file, match)


def test_ranges_of_a_prepared_sample_and_off_axis(tmp_path: Path) -> None:
    prepared = synthetic_sample(tmp_path / "prepared", 300)
    entry = json.loads((prepared / "prepared.json").read_text())["categories"][OFF_AXIS.name]["normalisation"]
    taken = read_ranges(prepared, OFF_AXIS).normalisation
    # The same by hand: the second range follows from range and mean.
    written = {
        "features": {
            name: [entry["minimum"][i], entry["maximum"][i]] for i, name in enumerate(OFF_AXIS.features)
        },
        "broadened": {name: {"mean": entry["mean"][i]} for i, name in enumerate("xy")},
        "span": entry["span"],
    }
    (tmp_path / "ranges.json").write_text(json.dumps(written))
    by_hand = read_ranges(tmp_path / "ranges.json", OFF_AXIS).normalisation
    values = np.random.default_rng(1).uniform(-1, 1, (100, 6))
    np.testing.assert_allclose(by_hand.inverse(values), taken.inverse(values), rtol=1e-9)
    for i, name in enumerate("xy"):
        written["broadened"][name]["range"] = [entry["broad_minimum"][i], entry["broad_maximum"][i]]
    (tmp_path / "ranges.json").write_text(json.dumps(written))
    stated = read_ranges(tmp_path / "ranges.json", OFF_AXIS).normalisation
    np.testing.assert_allclose(stated.inverse(values), taken.inverse(values), rtol=1e-9)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ({}, "'features' is missing"),
        ({"features": {"z": [0, 1]}}, "'px' is missing"),
        ({"features": {**RANGES, "x": [0, 1]}}, "x is not known there"),
        ({"features": RANGES, "spam": 1}, "spam is not known there"),
        ({"features": {**RANGES, "pz": [386, 10]}}, "pz goes from 386.0 to 10.0"),
        ({"features": {**RANGES, "pz": [10]}}, r"pz is \[10\], not \[minimum, maximum\]"),
        ({"features": {**RANGES, "pz": ["a", 1]}}, "could not convert"),
        ({"features": RANGES, "span": 2}, "bad span"),
    ],
)
def test_refused_ranges(content: dict[str, Any], match: str, tmp_path: Path) -> None:
    path = tmp_path / "ranges.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=match) as caught:
        read_ranges(path, ON_AXIS)
    assert "ranges.json cannot be used for muplus_onaxis" in str(caught.value)
    with pytest.raises(InputError, match="neither a prepared sample nor a JSON file"):
        read_ranges(tmp_path / "none", ON_AXIS)


def test_category_or_frame_that_do_not_fit(file: Path, ranges: Path, tmp_path: Path) -> None:
    base = write_test_bundle(tmp_path / "base").path
    with pytest.raises(InputError, match=r"makes 4 features, but muons of muplus_offaxis have 6"):
        export_keras2(file, ranges, tmp_path / "new", category=OFF_AXIS.name, base=base)
    ranges.write_text(json.dumps({"features": RANGES, "target_start": 0}))
    with pytest.raises(InputError, match=r"target starts at 0 cm, .* at -7084.5 cm: shift z"):
        export_keras2(file, ranges, tmp_path / "new", category=ON_AXIS.name, base=base)
    assert not (tmp_path / "new").exists()


def test_command(
    file: Path, ranges: Path, tmp_path: Path, shipgen: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = shipgen(
        "export", "--keras2", file, "--ranges", ranges, "--category", "muplus_onaxis", "-o", "bundle"
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "muplus_onaxis: graph and network differ by" in done.stdout
    made = shipgen("produce", "-n", 1000, "--bundle", "bundle", "-o", "muons.root")
    assert made.returncode == 0, made.stderr
    file.write_bytes(file.read_bytes()[:3000])
    for arguments, message in (
        (["--keras2", file, "--ranges", ranges, "--category", "muplus_onaxis"], "cannot be imported"),
        (["--keras2", file], "takes --ranges and --category"),
        (["--base", "bundle"], "give RUN, or --keras2"),
    ):
        failed = shipgen("export", *arguments, "-o", "again")
        assert failed.returncode == 3
        assert len(failed.stderr.splitlines()) == 1
        assert message in failed.stderr
    assert not (tmp_path / "again").exists()
