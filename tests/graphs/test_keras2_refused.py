"""Files of Keras 2 that are damaged, foreign or malicious: each is refused in one line."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from helpers.keras2_files import arrays_of, dense, generator_layers, layer, write_generator, write_h5
from shipgen.errors import InputError
from shipgen_export.graphs.keras2_file import read_keras2

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from shipgen.muons.columns import Array


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_generator(tmp_path / "generator.h5")


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
            "layer 'evil' is of kind 'Lambda', and only",
        ),
        (1, layer("Sequential", "inner", layers=[]), "layer 'inner' is of kind 'Sequential'"),
        (1, layer("Reshape", "early", target_shape=[2, 4]), "follows a change of shape"),
        (1, layer("Reshape", "odd", target_shape=[3, 3]), "reshapes 8 values to"),
        (1, layer("Activation", "act", activation="os.system"), "has activation 'os.system', and only"),
        (1, layer("LeakyReLU", "nan", alpha=float("nan")), "has alpha nan, not a number"),
        (0, dense("huge", 10**9, batch_input_shape=[None, 7]), "more than 100,000,000 parameters"),
        (0, dense("vast", 10**400, batch_input_shape=[None, 7]), "int too large"),
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
        ({"kernel": np.zeros((8, 7))}, r"kernel:0' has shape \[8, 7\], its configuration says \[7, 8\]"),
        ({"kernel": np.full((7, 8), np.nan)}, "kernel:0' has values that are NaN or infinite"),
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
        "missing": (lambda group: group.attrs.__setitem__("a", 1), "kernel:0' is missing"),
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
        "text": (lambda group: group.create_dataset("kernel:0", (7, 8), "S4"), r"holds '\|S4', not floating"),
        "group": (lambda group: group.create_group("kernel:0"), "kernel:0' is no dataset"),
    }
    for name, (change, match) in changes.items():
        path = shutil.copy(file, tmp_path / f"{name}.h5")
        with h5py.File(path, "r+") as content:
            group = content["model_weights/dense_0/dense_0"]
            del group["kernel:0"]
            change(group)
        refused(path, match)


@pytest.mark.parametrize("kind", ["soft", "external", "within"])
def test_links_on_the_way_to_a_layer_are_not_followed(kind: str, tmp_path: Path) -> None:
    """A layer's name may have slashes, and each step of such a path be a link."""
    layers = generator_layers()
    arrays = arrays_of(layers)
    layers[0]["config"]["name"] = "x/dense_0"
    other = write_h5(tmp_path / "other.h5", layers, arrays)
    path = write_h5(tmp_path / "g.h5", layers, arrays)
    with h5py.File(path, "r+") as content:
        weights = content["model_weights"]
        if kind == "within":
            # Where nothing is a link, such a name is as good as another.
            weights.move("dense_0", "x/dense_0")
        elif kind == "soft":
            weights["x"] = h5py.SoftLink("/model_weights")
        else:
            weights["x"] = h5py.ExternalLink(other, "model_weights")
    if kind == "within":
        assert read_keras2(path).features == 4
        return
    refused(path, "'/model_weights/x' is a link, and links are not followed")


def test_weights_too_large_for_float32(tmp_path: Path) -> None:
    path = write_generator(tmp_path / "g.h5")
    with h5py.File(path, "r+") as content:
        group = content["model_weights/dense_0/dense_0"]
        del group["kernel:0"]
        group.create_dataset("kernel:0", data=np.full((7, 8), 1e300))
    refused(path, "kernel:0' has values that are NaN or infinite")


LONG = "a\x1b[2Jb\u2028" + "c" * 5000


@pytest.mark.parametrize(
    "change",
    [
        lambda layers: layers.insert(1, layer(LONG, LONG)),
        lambda layers: layers.insert(1, layer("Reshape", LONG, target_shape=[3, 3])),
        lambda layers: layers.insert(1, layer("Activation", LONG, activation=LONG)),
        lambda layers: layers.insert(1, layer("LeakyReLU", LONG, alpha=LONG)),
        lambda layers: layers.insert(1, layer("BatchNormalization", LONG, axis=LONG)),
        lambda layers: layers[0]["config"].update(name=LONG),
        lambda layers: layers[0]["config"].update(name=LONG, units=0.5),
        lambda layers: layers[0]["config"].update(name=LONG, batch_input_shape=[LONG]),
    ],
)
def test_messages_are_short_and_printable(
    change: Callable[[list[dict[str, Any]]], None], tmp_path: Path
) -> None:
    layers = generator_layers()
    arrays = arrays_of(layers)
    change(layers)
    with pytest.raises(InputError) as caught:
        read_keras2(write_h5(tmp_path / "g.h5", layers, arrays))
    message = str(caught.value).removeprefix(str(tmp_path))
    assert message.isprintable()
    assert len(message) < 700


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
