"""Networks whose weights are all away from where they start, as training leaves them."""

from __future__ import annotations

from typing import Any

import numpy as np


def shake(network: Any, seed: int = 1) -> None:
    """Add noise to every weight of a Keras network; variances stay above zero."""
    random = np.random.default_rng(seed)
    for variable in network.weights:
        value = np.asarray(variable) + random.normal(0, 0.1, variable.shape)
        variable.assign(np.maximum(value, 0.2) if "variance" in variable.name else value)
