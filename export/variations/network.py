"""A small network that gives the mean factors of variations at a muon's features; its NumPy form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from shipgen.muons.columns import Float32, Float64
    from shipgen_export.variations.inputs import VariationInputs

#: Slope of the activation below zero: LeakyReLU, which ONNX Runtime fuses with the layer before.
SLOPE = 0.1

#: Muons at once: bounds the memory of intermediate steps.
_SLICE = 200_000


@dataclass(frozen=True, eq=False)
class FactorModel:
    """Mean factors, a column a variation.

    Attributes
    ----------
    columns : tuple of str
        Names of the variations' columns.
    inputs : VariationInputs
        What the network looks at.
    weights : tuple of float64 arrays
        Kernel and bias of each layer, in turn.
    bends : tuple of float64[k + 1, b] and float64[b]
        Kernel and bias of further nodes, each a line in one of the inputs that bends somewhere; the last
        layer takes them behind those of the last hidden one.
    low, high : float64[v]
        The least and the largest factor of each variation in the sample: no mean lies outside.
    """

    columns: tuple[str, ...]
    inputs: VariationInputs
    weights: tuple[Float64, ...]
    bends: tuple[Float64, Float64]
    low: Float64
    high: Float64

    def __call__(self, features: Float32) -> Float64:
        """Return the mean factors at `features`, float32[n, d] in cm and GeV: float64[n, v]."""
        parts = [
            self._of_inputs(self.inputs(features[first : first + _SLICE]))
            for first in range(0, len(features), _SLICE)
        ]
        return np.concatenate(parts) if parts else np.empty((0, len(self.columns)))

    def _of_inputs(self, values: Float64) -> Float64:
        *hidden, kernel, bias = self.weights
        last = last_values(hidden, self.bends, values)
        return np.clip(last @ kernel + bias, self.low, self.high)


def last_values(layers: list[Float64], bends: tuple[Float64, Float64], values: Float64) -> Float64:
    """Return what the last layer takes: what the last hidden layer gives, and the lines with a bend."""
    bent = _bent(values @ bends[0] + bends[1])
    for kernel, bias in zip(layers[::2], layers[1::2], strict=True):
        values = _bent(values @ kernel + bias)
    return np.concatenate([values, bent], axis=1)


def _bent(values: Float64) -> Float64:
    return np.where(values > 0, values, SLOPE * values)
