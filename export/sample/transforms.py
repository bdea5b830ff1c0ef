"""The published normalisation in NumPy, forward and back: what exported graphs are compared with.

Source: A. M. Marshall, "GANs and VAEs testing" (2018), section 2. Each feature is scaled to [-span, span] by
its minimum and maximum. StartX and StartY, sharply peaked at one value, are broadened first: the signed
square root of the distance to the mean (of the scaled values), then scaled again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from shipgen.errors import InputError

if TYPE_CHECKING:
    from shipgen.muons.columns import Float64

#: Features that are broadened.
BROADENED = ("x", "y")


def _scale(values: Float64, low: Float64, high: Float64, span: float) -> Float64:
    """Map [low, high] to [-span, span]; a feature without width goes to -span."""
    width = high - low
    safe = np.where(width > 0, width, 1.0)
    return np.asarray((values - low) * (2 * span / safe) - span)


def _unscale(values: Float64, low: Float64, high: Float64, span: float) -> Float64:
    """Map [-span, span] to [low, high]."""
    return np.asarray(low + (values + span) * ((high - low) / (2 * span)))


@dataclass(frozen=True, eq=False)
class Normalisation:
    """Physical features <-> what a network sees, for one category.

    All arrays have one entry a feature, shape [d], float64. For features that are not broadened `mean` is 0
    and the second range is [-span, span], which makes the second step the identity.
    """

    features: tuple[str, ...]
    minimum: Float64
    maximum: Float64
    mean: Float64
    broad_minimum: Float64
    broad_maximum: Float64
    span: float = 1.0

    @property
    def shape(self) -> int:
        """What a network of normalised features has to make: its width."""
        return len(self.features)

    @property
    def broadened(self) -> tuple[bool, ...]:
        """Which features go through the square root."""
        return tuple(name in BROADENED for name in self.features)

    @classmethod
    def fit(cls, features: tuple[str, ...], values: Float64, span: float = 1.0) -> Self:
        """Take minimum, maximum and mean from `values`, shape [n, d], cm and GeV.

        Raises
        ------
        InputError
            There is no muon or a value is not finite.
        """
        values = np.asarray(values, np.float64)
        if not len(values):
            raise InputError("cannot normalise a category without muons")
        if not np.isfinite(values).all():
            raise InputError("cannot normalise: a feature is NaN or infinite")
        return cls.from_range(features, values.min(0), values.max(0), values.mean(0), span)

    @classmethod
    def from_range(
        cls, features: tuple[str, ...], minimum: Float64, maximum: Float64, mean: Float64, span: float = 1.0
    ) -> Self:
        """Do as `fit`, from the minimum, maximum and mean of the physical values, each of shape [d].

        Broadening is monotonic and scaling linear, so that the second range and the mean of the scaled values
        follow: muons need not be in memory.
        """
        minimum, maximum = np.asarray(minimum, np.float64), np.asarray(maximum, np.float64)
        broadened = np.array([name in BROADENED for name in features])
        low, high, middle = (_scale(ends, minimum, maximum, span) for ends in (minimum, maximum, mean))
        mean = np.where(broadened, middle, 0.0)
        rooted_low, rooted_high = (
            mean + np.sign(ends - mean) * np.sqrt(np.abs(ends - mean)) for ends in (low, high)
        )
        return cls(
            features,
            minimum,
            maximum,
            mean,
            np.where(broadened, rooted_low, -span),
            np.where(broadened, rooted_high, span),
            span,
        )

    def forward(self, values: Float64) -> Float64:
        """Physical -> normalised, shape [n, d]; [-span, span] for values inside the fitted range."""
        scaled = _scale(np.asarray(values, np.float64), self.minimum, self.maximum, self.span)
        distance = scaled - self.mean
        rooted = self.mean + np.sign(distance) * np.sqrt(np.abs(distance))
        rescaled = _scale(rooted, self.broad_minimum, self.broad_maximum, self.span)
        return np.where(self.broadened, rescaled, scaled)

    def inverse(self, normalised: Float64) -> Float64:
        """Normalised -> physical, shape [n, d]; the exact way back of `forward`."""
        normalised = np.asarray(normalised, np.float64)
        rooted = _unscale(normalised, self.broad_minimum, self.broad_maximum, self.span)
        distance = rooted - self.mean
        squared = self.mean + np.sign(distance) * distance**2
        scaled = np.where(self.broadened, squared, normalised)
        return _unscale(scaled, self.minimum, self.maximum, self.span)

    def to_json(self) -> dict[str, Any]:
        """Return the parameters as plain numbers."""
        return {
            "features": list(self.features),
            "minimum": self.minimum.tolist(),
            "maximum": self.maximum.tolist(),
            "mean": self.mean.tolist(),
            "broad_minimum": self.broad_minimum.tolist(),
            "broad_maximum": self.broad_maximum.tolist(),
            "span": self.span,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Rebuild from `to_json`; raise `InputError` when something is missing or of the wrong shape."""
        try:
            features = tuple(str(name) for name in content["features"])
            arrays = [
                np.asarray(content[key], np.float64)
                for key in ("minimum", "maximum", "mean", "broad_minimum", "broad_maximum")
            ]
            span = float(content["span"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"the normalisation cannot be read: {error!r}") from error
        if any(array.shape != (len(features),) for array in arrays):
            raise InputError(f"the normalisation does not have one value for each of {', '.join(features)}")
        if not (np.isfinite(arrays).all() and 0 < span <= 1 and (arrays[1] >= arrays[0]).all()):
            raise InputError("the normalisation has a range that is not finite or upside down, or a bad span")
        minimum, maximum, mean, broad_minimum, broad_maximum = arrays
        return cls(features, minimum, maximum, mean, broad_minimum, broad_maximum, span)
