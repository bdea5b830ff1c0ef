"""Plain dense networks as lists of variables: kernel and bias of each layer, in turn."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen_export.backend import tf

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from shipgen_export.maps.coordinates import Shape


def make_dense(sizes: Sequence[int], random: np.random.Generator, *, last: float = 1.0) -> list[Any]:
    """Return variables of a network with He's initial kernels and no biases.

    Parameters
    ----------
    sizes : sequence of int
        Nodes from input to output.
    random : numpy.random.Generator
        Of the kernels.
    last : float
        Factor of the last layer's kernel.
    """
    weights = []
    for k, (rows, columns) in enumerate(pairwise(sizes)):
        factor = last if k == len(sizes) - 2 else 1.0
        kernel = random.normal(0, factor * np.sqrt(2 / rows), (rows, columns))
        weights += [tf.Variable(kernel.astype(np.float32)), tf.Variable(np.zeros(columns, np.float32))]
    return weights


def apply_dense(weights: Sequence[Any], values: Any, activation: Callable[[Any], Any]) -> Any:
    """Return the output for `values`, float32[n, first] -> float32[n, last]; the last layer is linear."""
    *hidden, kernel, bias = weights
    for own, offset in zip(hidden[::2], hidden[1::2], strict=True):
        values = activation(values @ own + offset)
    return values @ kernel + bias


class MappedNetwork:
    """A network of normal numbers as training and evaluation use it: what they take of a Keras model.

    Latents are float32[n, d + drawn]; the last ones are handed on as they are.

    Parameters
    ----------
    shape : Shape
        Of the muons' map.
    variables : sequence of variables
        All weights.
    network : callable
        float32[n, d] -> float32[n, d].
    """

    def __init__(self, shape: Shape, variables: Sequence[Any], network: Callable[[Any], Any]) -> None:
        self.shape = shape
        self.variables = list(variables)
        #: The network itself, latents without the numbers that are handed on.
        self.network = network
        self._run = tf.function(network, jit_compile=True)

    @property
    def input_shape(self) -> tuple[None, int]:
        """Shape of the latents."""
        return None, self.shape.coordinates + self.shape.drawn

    def __call__(self, latent: Any, training: bool = False) -> Any:  # noqa: ARG002
        """Return normal numbers, float32[n, d + drawn], of which `MuonMap.inverse` makes muons."""
        latent = tf.convert_to_tensor(latent)
        made = self._run(latent[:, : self.shape.coordinates])
        return tf.concat([made, latent[:, self.shape.coordinates :]], 1)

    def get_weights(self) -> list[Any]:
        """Return all weights as arrays."""
        return [variable.numpy() for variable in self.variables]

    def save_weights(self, path: Path) -> None:
        """Write the weights to an HDF5 file, in their order."""
        import h5py

        with h5py.File(path, "w") as file:
            for number, weight in enumerate(self.get_weights()):
                file[f"weight_{number:03}"] = weight

    def load_weights(self, path: Path) -> None:
        """Read what `save_weights` wrote; raise ValueError when it does not fit."""
        import h5py

        with h5py.File(path, "r") as file:
            values = [file[name][()] for name in sorted(file)]
        if [value.shape for value in values] != [tuple(variable.shape) for variable in self.variables]:
            raise ValueError("the file has weights of another network")
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)
