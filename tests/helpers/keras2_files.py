"""Files as Keras 2 saved them: generators like the published ones, with random weights."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen.muons.columns import Array


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


def write_generator(path: Path) -> Path:
    """Write a generator of 4 features."""
    layers = generator_layers()
    return write_h5(path, layers, arrays_of(layers))
