"""Plain dense networks as lists of variables: kernel and bias of each layer, in turn."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen_export.backend import tf

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


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
