"""A dense generator of the published family, read from a Keras 2 file: in NumPy, and rebuilt in Keras 3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shipgen.muons.columns import Array, Float64

#: The activations that can be imported and exported.
ACTIVATIONS: dict[str, Callable[[Float64], Float64]] = {
    "linear": lambda values: values,
    "tanh": np.tanh,
    # The usual form overflows far out.
    "sigmoid": lambda values: 0.5 * (1 + np.tanh(values / 2)),
    "relu": lambda values: np.maximum(values, 0),
}


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer that does something in inference.

    Attributes
    ----------
    kind : str
        ``Dense``, ``BatchNormalization``, ``LeakyReLU`` or ``Activation``.
    arrays : dict of str to float32 arrays
        ``kernel``, ``bias``; or ``gamma``, ``beta``, ``moving_mean``, ``moving_variance``.
    parameter : float
        Slope below zero, or what is added to the variance.
    activation : str
        Of an ``Activation``.
    """

    kind: str
    arrays: Mapping[str, Array]
    parameter: float = 0.0
    activation: str = "linear"

    def __call__(self, values: Float64) -> Float64:
        """Apply the layer, float64[n, width] -> float64[n, width']."""
        arrays = {name: array.astype(np.float64) for name, array in self.arrays.items()}
        if self.kind == "Dense":
            return np.asarray(values @ arrays["kernel"] + arrays["bias"])
        if self.kind == "BatchNormalization":
            deviation = np.sqrt(arrays["moving_variance"] + self.parameter)
            return np.asarray(arrays["gamma"] * (values - arrays["moving_mean"]) / deviation + arrays["beta"])
        if self.kind == "LeakyReLU":
            return np.where(values > 0, values, self.parameter * values)
        return ACTIVATIONS[self.activation](values)


@dataclass(frozen=True, eq=False)
class Keras2Generator:
    """A generator read from a Keras 2 file.

    Attributes
    ----------
    sha256 : str
        Hash of the file.
    keras_version : str
        Version that wrote it.
    latent_size, features : int
        Width of input and output.
    layers : tuple of Layer
        From input to output.
    """

    sha256: str
    keras_version: str
    latent_size: int
    features: int
    layers: tuple[Layer, ...]

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of the input and of the dense layers."""
        dense = [layer.arrays["kernel"].shape[1] for layer in self.layers if layer.kind == "Dense"]
        return (self.latent_size, *dense)

    def __call__(self, latent: Array) -> Float64:
        """Evaluate the network with NumPy: float[n, latent_size] -> normalised features, float64[n, d]."""
        values = latent.astype(np.float64)
        for layer in self.layers:
            values = layer(values)
        return values

    def rebuild(self) -> Any:
        """Return the same network of Keras 3's layers, a `keras.Sequential`."""
        from shipgen_export.backend import keras

        network = keras.Sequential([keras.Input((self.latent_size,))], name="generator")
        for place, layer in enumerate(self.layers):
            following = self.layers[place + 1] if place + 1 < len(self.layers) else None
            before = self.layers[place - 1] if place else None
            if layer.kind == "Dense":
                activation = (
                    following.activation if following and following.kind == "Activation" else "linear"
                )
                network.add(keras.layers.Dense(layer.arrays["kernel"].shape[1], activation=activation))
            elif layer.kind == "BatchNormalization":
                network.add(keras.layers.BatchNormalization(epsilon=layer.parameter))
            elif layer.kind == "LeakyReLU":
                network.add(keras.layers.LeakyReLU(layer.parameter))
            elif before is None or before.kind != "Dense":
                network.add(keras.layers.Activation(layer.activation))
            if layer.arrays:
                network.layers[-1].set_weights(list(layer.arrays.values()))
        return network
