"""Generators published as Keras 2 ``.h5`` files: their layers and weights are read, nothing in them is run.

Keras 3 does not load these files, and Keras' own loaders would run code that a file holds (Lambda layers).
Here the configuration is read as data, a few kinds of dense layers are known, and everything else is refused.
The layout is that of Keras 2's ``Model.save``: the attribute ``model_config`` (JSON) and a group
``model_weights`` with a group a layer, whose attribute ``weight_names`` lists its arrays.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.errors import InputError, MissingExtraError
from shipgen.files.outputs import sha256
from shipgen_export.graphs.keras2 import ACTIVATIONS, Keras2Generator, Layer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from shipgen.muons.columns import Array

#: More numbers than any network of the source has (24 million); bounds the memory a file can claim.
_MOST_PARAMETERS = 100_000_000

#: Characters of anything from the file in a message.
_LONGEST_SHOWN = 200

_ARRAYS = {
    "Dense": ("kernel", "bias"),
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
}

#: Layers that do nothing in inference.
_IDLE = {"Dropout", "InputLayer"}

#: Layers that change the shape alone; allowed after the last other layer.
_SHAPE = {"Flatten", "Reshape"}

_KNOWN = ("Dense", "LeakyReLU", "BatchNormalization", "Activation", *sorted(_IDLE | _SHAPE))


class _RefusedError(Exception):
    """Why a file cannot be imported."""


def read_keras2(path: Path) -> Keras2Generator:
    """Read a dense generator from an ``.h5`` file that Keras 2 saved.

    Parameters
    ----------
    path : Path
        Written by Keras 2's ``Model.save``: a Sequential model of Dense, LeakyReLU, BatchNormalization,
        Activation and Dropout layers of any number and width, which may end in a Reshape.

    Raises
    ------
    InputError
        The file is missing, damaged, holds another kind of layer, arrays of other shapes than its
        configuration says, links, or numbers that are not finite.
    MissingExtraError
        h5py is not installed.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("reading Keras 2 files", "h5py", "train") from error
    if not path.is_file():
        raise InputError(f"{path} does not exist or is no file: give an .h5 file saved by Keras 2")
    try:
        with h5py.File(path, "r") as file:
            config = _config(file)
            groups = _member(file, "model_weights", h5py.Group)
            builder = _Builder()
            for kind, settings in config:
                builder.add(kind, settings, groups)
            version = _text(file.attrs.get("keras_version", "unknown"))
            return Keras2Generator(sha256(path), version, *builder.finish())
    except _RefusedError as error:
        reason = str(error)
    # h5py raises most of these on damaged files; numbers that are too large raise the last.
    except (
        OSError,
        RuntimeError,
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
        MemoryError,
        ArithmeticError,
    ) as error:
        reason = f"it is damaged or no HDF5 file ({_shown(str(error))})"
    raise InputError(f"{path} cannot be imported as a Keras 2 generator: {reason}")


def _shown(value: Any) -> str:
    """Return something that came from the file, fit for a message: in one line, printable and short."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."


def _text(value: Any) -> str:
    """Return an attribute that is text, whatever way it was stored."""
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if not isinstance(value, str):
        raise _RefusedError(f"text is expected where it has {type(value).__name__}")
    return str(value)


def _config(file: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield kind and settings of every layer; the file's own configuration, read as data."""
    if "model_config" not in file.attrs:
        raise _RefusedError("it has no model_config: save the whole model, not its weights alone")
    try:
        content = json.loads(_text(file.attrs["model_config"]))
    except (ValueError, RecursionError) as error:
        raise _RefusedError("its model_config is no JSON") from error
    kind = content.get("class_name") if isinstance(content, dict) else None
    if kind != "Sequential":
        raise _RefusedError(f"its model is of kind {_shown(kind)}, and only Sequential can be imported")
    layers = content.get("config")
    if isinstance(layers, dict):  # since Keras 2.2.3
        layers = layers.get("layers")
    if not isinstance(layers, list) or not layers:
        raise _RefusedError("its model_config lists no layers")
    for layer in layers:
        settings = layer.get("config") if isinstance(layer, dict) else None
        if not isinstance(settings, dict) or not isinstance(layer.get("class_name"), str):
            raise _RefusedError("its model_config has a layer without kind or settings")
        yield layer["class_name"], settings


def _member(group: Any, path: str, kind: Any) -> Any:
    """Return what lies at `path` in an HDF5 group: no step of it may be a link to elsewhere."""
    import h5py

    *folders, name = path.split("/")
    for folder in folders:
        group = _member(group, folder, h5py.Group)
    link = group.get(name, getlink=True) if name else None
    where = _shown(f"{group.name.rstrip('/')}/{name}")
    if link is None:
        raise _RefusedError(f"{where} is missing")
    if not isinstance(link, h5py.HardLink):
        raise _RefusedError(f"{where} is a link, and links are not followed")
    found = group[name]
    if not isinstance(found, kind):
        raise _RefusedError(f"{where} is no {kind.__name__.lower()}")
    return found


def _array(group: Any, path: str, shape: tuple[int, ...]) -> Array:
    """Return a dataset as float32; its shape is checked before it is read."""
    import h5py

    data = _member(group, path, h5py.Dataset)
    where = _shown(data.name)
    if data.external or data.is_virtual:
        raise _RefusedError(f"{where} lies in another file")
    if data.shape != shape:
        raise _RefusedError(
            f"{where} has shape {list(data.shape or ())}, its configuration says {list(shape)}"
        )
    if data.dtype.kind != "f":
        raise _RefusedError(f"{where} holds {_shown(str(data.dtype))}, not floating-point numbers")
    # What is too large for float32 becomes infinite, and is refused as such.
    with np.errstate(over="ignore"):
        values = np.asarray(data[()], np.float32)
    if not np.isfinite(values).all():
        raise _RefusedError(f"{where} has values that are NaN or infinite")
    return values


def _number(settings: Mapping[str, Any], key: str, default: float | None = None) -> float:
    """Return a finite setting; some versions of Keras wrote arrays as ``{"value": ...}``."""
    value = settings.get(key, default)
    if isinstance(value, dict):
        value = value.get("value")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _RefusedError(f"layer {_shown(settings.get('name'))} has {key} {_shown(value)}, not a number")
    return float(value)


class _Builder:
    """Puts layers together, keeping count of the width."""

    def __init__(self) -> None:
        self._latent_size: int | None = None
        self._width = 0
        self._parameters = 0
        self._layers: list[Layer] = []
        self._reshaped = False

    def add(self, kind: str, settings: dict[str, Any], groups: Any) -> None:
        """Add the layer of `kind`; `groups` is the HDF5 group ``model_weights``."""
        name = str(settings.get("name"))
        shown = _shown(name)
        if kind not in _KNOWN:
            raise _RefusedError(
                f"layer {shown} is of kind {_shown(kind)}, and only {', '.join(_KNOWN)} can be imported"
            )
        if self._latent_size is None:
            self._latent_size = self._width = self._input(name, settings.get("batch_input_shape"))
        if kind in _SHAPE:
            self._reshaped = True
            target = settings.get("target_shape", [-1])
            if not isinstance(target, list) or abs(math.prod(target)) not in {1, self._width}:
                raise _RefusedError(f"layer {shown} reshapes {self._width} values to {_shown(target)}")
            return
        if self._reshaped and kind not in _IDLE:
            raise _RefusedError(f"layer {shown} follows a change of shape")
        if kind == "Dense":
            self._dense(name, settings, groups)
        elif kind == "BatchNormalization":
            self._batch_normalization(name, settings, groups)
        elif kind == "LeakyReLU":
            self._layers.append(Layer(kind, {}, _number(settings, "alpha", 0.3)))
        elif kind == "Activation":
            self._activation(name, settings)

    def finish(self) -> tuple[int, int, tuple[Layer, ...]]:
        """Return latent size, width of the output and the layers."""
        if self._latent_size is None or not any(layer.kind == "Dense" for layer in self._layers):
            raise _RefusedError("it has no Dense layer")
        return self._latent_size, self._width, tuple(self._layers)

    @staticmethod
    def _input(name: str, shape: Any) -> int:
        if (
            not isinstance(shape, list)
            or len(shape) != 2
            or isinstance(shape[1], bool)
            or not isinstance(shape[1], int)
            or not 0 < shape[1] <= _MOST_PARAMETERS
        ):
            raise _RefusedError(
                f"its first layer {_shown(name)} takes {_shown(shape)}, not one row of latents"
            )
        return shape[1]

    def _dense(self, name: str, settings: dict[str, Any], groups: Any) -> None:
        units = _number(settings, "units")
        if units < 1 or units != int(units):
            raise _RefusedError(f"layer {_shown(name)} has {units:g} units")
        shapes = {"kernel": (self._width, int(units)), "bias": (int(units),)}
        if settings.get("use_bias") is False:
            del shapes["bias"]
        arrays = self._read(name, shapes, groups)
        arrays.setdefault("bias", np.zeros(int(units), np.float32))
        self._layers.append(Layer("Dense", arrays))
        self._width = int(units)
        self._activation(name, settings)

    def _batch_normalization(self, name: str, settings: dict[str, Any], groups: Any) -> None:
        axis = settings.get("axis", -1)
        if axis not in (-1, 1, [-1], [1]):
            raise _RefusedError(
                f"layer {_shown(name)} normalises along axis {_shown(axis)}, not along the features"
            )
        left_out = {
            key for key, flag in (("gamma", "scale"), ("beta", "center")) if settings.get(flag) is False
        }
        shapes = {key: (self._width,) for key in _ARRAYS["BatchNormalization"] if key not in left_out}
        found = self._read(name, shapes, groups)
        found.setdefault("gamma", np.ones(self._width, np.float32))
        found.setdefault("beta", np.zeros(self._width, np.float32))
        epsilon = _number(settings, "epsilon", 1e-3)
        if not (found["moving_variance"].astype(np.float64) + epsilon > 0).all():
            raise _RefusedError(f"layer {_shown(name)} has a variance that is not above zero")
        arrays = {key: found[key] for key in _ARRAYS["BatchNormalization"]}
        self._layers.append(Layer("BatchNormalization", arrays, epsilon))

    def _activation(self, name: str, settings: dict[str, Any]) -> None:
        activation = settings.get("activation", "linear")
        if not isinstance(activation, str) or activation not in ACTIVATIONS:
            raise _RefusedError(
                f"layer {_shown(name)} has activation {_shown(activation)}, and only "
                f"{', '.join(ACTIVATIONS)} can be imported"
            )
        if activation != "linear":
            self._layers.append(Layer("Activation", {}, activation=activation))

    def _read(self, name: str, shapes: Mapping[str, tuple[int, ...]], groups: Any) -> dict[str, Array]:
        """Return the arrays of a layer by their names; there must be these and no others."""
        import h5py

        self._parameters += sum(math.prod(shape) for shape in shapes.values())
        if self._parameters > _MOST_PARAMETERS:
            raise _RefusedError(f"it has more than {_MOST_PARAMETERS:,} parameters")
        group = _member(groups, name, h5py.Group)
        paths: Sequence[str] = [
            _text(item) for item in np.asarray(group.attrs.get("weight_names", [])).tolist()
        ]
        stated = ", ".join(paths) or "none"
        by_name = {path.split("/")[-1].split(":")[0]: path for path in paths}
        if len(paths) != len(shapes) or set(by_name) != set(shapes):
            raise _RefusedError(
                f"layer {_shown(name)} has the arrays {_shown(stated)}, not {', '.join(shapes)}"
            )
        return {key: _array(group, by_name[key], shape) for key, shape in shapes.items()}
