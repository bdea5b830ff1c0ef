"""Import of generators that Keras 2 saved: what is read, that it is computed right, ranges, the command."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from helpers.bundles import write_test_bundle
from helpers.keras2_files import arrays_of, dense, generator_layers, layer, write_generator, write_h5
from helpers.synthetic import synthetic_sample
from shipgen.commands.training.export import command
from shipgen.errors import InputError
from shipgen.files.outputs import sha256
from shipgen.muons.categories import CATEGORIES
from shipgen_export.graphs import published
from shipgen_export.graphs.agreement import TOLERANCE
from shipgen_export.graphs.keras2_file import read_keras2
from shipgen_export.graphs.published import PUBLISHED_SPAN, export_keras2, read_ranges

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from shipgen.bundle.bundle import Bundle
    from shipgen.muons.columns import Array, Float64

ON_AXIS, OFF_AXIS = CATEGORIES[0], CATEGORIES[2]
RANGES = {"z": [-7084.9, -6460.8], "px": [-8.25, 8.25], "py": [-8.25, 8.25], "pz": [10.3, 386.1]}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_generator(tmp_path / "generator.h5")


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
    beside = Path(__file__).parents[3] / "shared" / "data" / "published_generator_neg13_0_0.h5"
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
        ({"features": RANGES, "target_start": float("nan")}, "NaN is no number"),
        ({"features": RANGES, "target_start": float("inf")}, "Infinity is no number"),
        ({"features": RANGES, "target_start": 10**400}, "too large"),
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


def test_category_or_frame_that_do_not_fit(
    file: Path, ranges: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = write_test_bundle(tmp_path / "base").path
    with pytest.raises(InputError, match=r"makes 4 features, but muons of muplus_offaxis have 6"):
        export_keras2(file, ranges, tmp_path / "new", category=OFF_AXIS.name, base=base)
    ranges.write_text(json.dumps({"features": RANGES, "target_start": 0}))
    with pytest.raises(InputError, match=r"target starts at 0 cm, .* at -7084.5 cm: shift z"):
        export_keras2(file, ranges, tmp_path / "new", category=ON_AXIS.name, base=base)
    # Whatever the ranges come from, a start that is no number is not near any other.
    unknown = replace(read_ranges(ranges, ON_AXIS), target_start=np.nan)
    monkeypatch.setattr(published, "read_ranges", lambda *_: unknown)
    with pytest.raises(InputError, match="target starts at nan cm"):
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
        (["--base", "bundle"], "give RUN, perhaps with --base, or --keras2"),
    ):
        failed = CliRunner().invoke(command, [*map(str, arguments), "-o", str(tmp_path / "again")])
        assert isinstance(failed.exception, InputError)
        assert message in str(failed.exception)
    assert not (tmp_path / "again").exists()
