"""Monotonic rational-quadratic splines on [-LIMIT, LIMIT], the identity outside, in TensorFlow.

Source: C. Durkan, A. Bekasov, I. Murray, G. Papamakarios, "Neural Spline Flows", NeurIPS 2019, section 3.1;
the inverse is that of their appendix A.3.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from shipgen_export.backend import tf
from shipgen_export.maps.smoothing import LIMIT

#: Least width and height of a bin, as a share of all, and least slope at a knot.
_LEAST_BIN, _LEAST_SLOPE = 1e-3, 1e-3
#: Arguments are kept so far inside the outermost knots, where a bin is certain to be found.
_INSIDE = 1e-4


class _Bin(NamedTuple):
    """The bins that arguments fall into: lower left corner, size, slopes at both knots; float32[n] each."""

    left: Any
    bottom: Any
    width: Any
    height: Any
    slope_left: Any
    slope_right: Any


def parameters(bins: int) -> int:
    """Return how many numbers make a spline: widths and heights of its bins, slopes at the knots between."""
    return 3 * bins - 1


def straight(bins: int) -> Any:
    """Return the parameters of the identity, float32[parameters(bins)]."""
    slope = float(np.log(np.expm1(1 - _LEAST_SLOPE)))
    return np.concatenate([np.zeros(2 * bins), np.full(bins - 1, slope)]).astype(np.float32)


def spline(raw: Any, x: Any, bins: int) -> tuple[Any, Any]:
    """Return y and log(dy/dx) of splines at x.

    Parameters
    ----------
    raw : float32[n, parameters(bins)]
        Each muon's own spline; any numbers.
    x : float32[n]

    Returns
    -------
    float32[n], float32[n]
    """
    inside = tf.abs(x) < LIMIT
    bounded = _bounded(x)
    b = _find(raw, bounded, bins, by_height=False)
    s = b.height / b.width
    t = tf.clip_by_value((bounded - b.left) / b.width, 0.0, 1.0)
    middle = t * (1 - t)
    curve = s + (b.slope_right + b.slope_left - 2 * s) * middle
    y = b.bottom + b.height * (s * t * t + b.slope_left * middle) / curve
    rise = b.slope_right * t * t + 2 * s * middle + b.slope_left * (1 - t) * (1 - t)
    slope = 2 * tf.math.log(s) + tf.math.log(rise) - 2 * tf.math.log(curve)
    return tf.where(inside, y, x), tf.where(inside, slope, tf.zeros_like(slope))


def inverse_spline(raw: Any, y: Any, bins: int) -> Any:
    """Return the x that `spline` takes to y, float32[n]."""
    bounded = _bounded(y)
    b = _find(raw, bounded, bins, by_height=True)
    s, above = b.height / b.width, bounded - b.bottom
    bend = b.slope_right + b.slope_left - 2 * s
    # Of a t^2 + b t + c = 0 the root in [0, 1], in the form that loses no digits.
    square = b.height * (s - b.slope_left) + above * bend
    linear = b.height * b.slope_left - above * bend
    constant = -s * above
    root = tf.sqrt(tf.maximum(linear * linear - 4 * square * constant, 0.0))
    t = tf.clip_by_value(2 * constant / (-linear - root), 0.0, 1.0)
    return tf.where(tf.abs(y) < LIMIT, b.left + b.width * t, y)


def _bounded(x: Any) -> Any:
    return tf.clip_by_value(x, -LIMIT + _INSIDE, LIMIT - _INSIDE)


def _find(raw: Any, x: Any, bins: int, *, by_height: bool) -> _Bin:
    """Return the bin that each argument falls into, by its x, or by its y with `by_height`."""
    left, width = _knots(raw[:, :bins])
    bottom, height = _knots(raw[:, bins : 2 * bins])
    slopes = _LEAST_SLOPE + tf.nn.softplus(raw[:, 2 * bins :])
    one = tf.ones_like(x)[:, None]
    # 1 for the last knot at or below x, else 0: sums with it are faster than gathering, forward and backward.
    below = tf.cast(x[:, None] >= (bottom if by_height else left)[:, 1:], tf.float32)
    chosen = tf.concat([one, below], 1) - tf.concat([below, tf.zeros_like(one)], 1)
    columns = (left, bottom, width, height, tf.concat([one, slopes], 1), tf.concat([slopes, one], 1))
    return _Bin(*(tf.reduce_sum(chosen * column, 1) for column in columns))


def _knots(raw: Any) -> tuple[Any, Any]:
    """Return lower edges and widths of bins that fill [-LIMIT, LIMIT], float32[n, bins] each."""
    bins = raw.shape[1]
    widths = 2 * LIMIT * (_LEAST_BIN + (1 - _LEAST_BIN * bins) * tf.nn.softmax(raw))
    return tf.cumsum(widths, 1, exclusive=True) - LIMIT, widths
