"""Coordinates that networks are trained in: features without their symmetries, there and back in NumPy.

A muon's transverse start and momentum are taken relative to each other: how far it starts from the beam in
units of the transverse way its own direction would have taken it, and how far its direction is turned from
its position. Where the sample does not prefer a direction around the beam, or a side of the plane through
beam and muon, direction and side are drawn when muons are made and need not be learnt; where it does, they
are coordinates like the others (see `shipgen_export.maps.symmetry`, which finds out).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np

from shipgen.errors import InputError
from shipgen.muons.quantities import Quantities

if TYPE_CHECKING:
    from shipgen.muons.columns import Float64

#: The squared radius of two normal numbers is above this half of the time.
MEDIAN_SQUARE = 2 * math.log(2)

#: Up to this share of the largest distance from the beam, distances stay as they are made.
STRAIGHT = 0.75

#: A muon further out than this share of the rest is taken to be there.
_INSIDE = 0.999

#: Least transverse and longitudinal momentum (GeV) that are divided by.
LEAST = 1e-12


class Shape(NamedTuple):
    """How many coordinates a network makes, how many normal numbers it hands on, and of which muons."""

    coordinates: int
    drawn: int
    on_axis: bool


@dataclass(frozen=True)
class Cartesian:
    """The features themselves, for samples that the other coordinates cannot describe.

    Attributes
    ----------
    on_axis : bool
        Whether muons start on the axis: features z, px, py, pz instead of x, y, z, px, py, pz.
    """

    on_axis: bool

    #: Normal numbers that a muon takes beside its coordinates.
    drawn: ClassVar[int] = 0
    signed: ClassVar[bool] = True

    @property
    def names(self) -> tuple[str, ...]:
        """The coordinates, in their order."""
        return ("z", "px", "py", "pz") if self.on_axis else ("x", "y", "z", "px", "py", "pz")

    def forward(self, features: Float64) -> Float64:
        """Features -> coordinates, float64[n, d] both."""
        return np.asarray(features, np.float64)

    def inverse(self, coordinates: Float64, drawn: Float64) -> Float64:  # noqa: ARG002
        """Coordinates -> features, float64[n, d] both; `drawn` has no columns."""
        return np.asarray(coordinates, np.float64)

    def to_json(self) -> dict[str, Any]:
        """Return the parameters as plain values."""
        return {"map": "cartesian", **asdict(self)}


@dataclass(frozen=True)
class Cylinder:
    """Cylindrical coordinates around the beam.

    On-axis: ``p``, ``depth``, ``pt``. Off-axis: these, then ``offset`` = r pz / (pT (depth + margin)) and
    ``turn``, the angle from the start's transverse direction to the momentum's, in [0, pi], or in (-pi, pi]
    when `signed`. With `directed` a last one, ``azimuth`` of the momentum in (-pi, pi]. Momenta in
    GeV, depth (z from `start` on) in cm, angles in rad.

    Attributes
    ----------
    on_axis : bool
        Whether muons start on the axis: features z, px, py, pz instead of x, y, z, px, py, pz.
    start : float
        z of the target's start, cm.
    axis : (float, float)
        x and y of the beam, cm.
    margin : float
        Added to the depth where it is divided by, cm; more than any muon starts upstream of `start`.
    steepest : float
        Largest pT / p; no muon is made with more.
    widest : float, optional
        Distance from the beam, cm, that all muons stay inside of. Coordinates that are rare each by
        itself would else meet in muons metres away.
    directed : bool
        The sample prefers directions: the azimuth is a coordinate.
    sided : bool
        The sample prefers a sense of rotation.
    """

    on_axis: bool
    start: float
    axis: tuple[float, float] = (0.0, 0.0)
    margin: float = 0.0
    steepest: float = 1.0
    widest: float | None = None
    directed: bool = False
    sided: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The coordinates, in their order."""
        own = ("p", "depth", "pt") if self.on_axis else ("p", "depth", "pt", "offset", "turn")
        return (*own, "azimuth") if self.directed else own

    @property
    def drawn(self) -> int:
        """How many further normal numbers a muon takes: two for its azimuth and side."""
        return 0 if self.directed else 2

    @property
    def signed(self) -> bool:
        """Whether `turn` has a sign.

        A preferred direction takes one as well: a field that bends muons to one side prefers, of those that
        start above the beam, one sense of rotation, and of those below it the other.
        """
        return self.directed or self.sided

    def forward(self, features: Float64) -> Float64:
        """Features -> coordinates.

        Parameters
        ----------
        features : float64[n, 4 or 6]
            z, px, py, pz or x, y, z, px, py, pz; cm, GeV.

        Returns
        -------
        float64[n, len(names)]

        Raises
        ------
        InputError
            A muon does not fly downstream, or starts further upstream than the margin.
        """
        *place, z, px, py, pz = np.asarray(features, np.float64).T
        momenta = Quantities.of_rows(np.asarray(features, np.float64))
        pt = momenta["pt"]
        depth = z - self.start
        if (pz <= 0).any():
            raise InputError(
                "a muon does not fly downstream (pz <= 0): such a sample has no such coordinates"
            )
        columns = [momenta["p"], depth, pt]
        if not self.on_axis:
            flight = depth + self.margin
            if (flight <= 0).any():
                raise InputError(
                    f"a muon starts {-depth.min():g} cm upstream of the target's start, more than "
                    f"{self.margin:g} cm"
                )
            x, y = place[0] - self.axis[0], place[1] - self.axis[1]
            turn = np.arctan2(x * py - y * px, x * px + y * py)
            columns += [self._stretched(np.hypot(x, y)) * pz / (np.maximum(pt, LEAST) * flight)]
            columns += [turn if self.signed else np.abs(turn)]
        if self.directed:
            columns.append(momenta["phi"])
        return np.stack(columns, axis=1)

    def inverse(self, coordinates: Float64, drawn: Float64) -> Float64:
        """Coordinates -> features; azimuth and side are those of `drawn` where the sample prefers none.

        Parameters
        ----------
        coordinates : float64[n, len(names)]
        drawn : float64[n, self.drawn]
            Normal numbers.

        Returns
        -------
        float64[n, 4 or 6]
            cm, GeV.
        """
        columns = dict(zip(self.names, np.asarray(coordinates, np.float64).T, strict=True))
        normal = np.asarray(drawn, np.float64).T
        p, pt = columns["p"], np.minimum(columns["pt"], columns["p"] * self.steepest)
        pz = np.sqrt(np.maximum((p - pt) * (p + pt), 0.0))
        azimuth = columns["azimuth"] if self.directed else np.arctan2(normal[1], normal[0])
        z = columns["depth"] + self.start
        momentum = [pt * np.cos(azimuth), pt * np.sin(azimuth), pz]
        if self.on_axis:
            return np.stack([z, *momentum], axis=1)
        turn = columns["turn"] if self.signed else columns["turn"] * _side(normal)
        r = columns["offset"] * pt * (columns["depth"] + self.margin) / np.maximum(pz, LEAST)
        if self.widest is not None:
            # Smooth, so that none pile up at the end.
            room = (1 - STRAIGHT) * self.widest
            beyond = np.maximum(r - STRAIGHT * self.widest, 0.0)
            r = np.minimum(r, STRAIGHT * self.widest) + room * (beyond / (beyond + room))
        x = self.axis[0] + r * np.cos(azimuth - turn)
        y = self.axis[1] + r * np.sin(azimuth - turn)
        return np.stack([x, y, z, *momentum], axis=1)

    def _stretched(self, r: Float64) -> Float64:
        """Undo for distances from the beam what `inverse` does to those near the widest."""
        if self.widest is None:
            return r
        room = (1 - STRAIGHT) * self.widest
        beyond = np.clip(r - STRAIGHT * self.widest, 0.0, _INSIDE * room)
        return np.asarray(r + beyond**2 / (room - beyond))

    def to_json(self) -> dict[str, Any]:
        """Return the parameters as plain values."""
        return {"map": "cylinder", **asdict(self), "axis": list(self.axis)}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Rebuild from `to_json`; raise `InputError` when something is missing or of the wrong kind."""
        values = {key: value for key, value in content.items() if key != "map"}
        try:
            x, y = values.pop("axis")
            made = cls(axis=(float(x), float(y)), **values)
            limits = (made.margin, made.steepest, 1.0 if made.widest is None else made.widest)
            finite = all(math.isfinite(value) for value in (made.start, *limits, x, y))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"the coordinates cannot be read: {error!r}") from error
        if not finite:
            raise InputError("the coordinates have a parameter that is not finite")
        return made


def _side(normal: Float64) -> Float64:
    """Return +-1: the sign of two normals' squared radius against its median, float64[n].

    The radius is independent of the azimuth that the same two numbers give.
    """
    return np.where(normal[0] ** 2 + normal[1] ** 2 < MEDIAN_SQUARE, -1.0, 1.0)


def described(coordinates: Cylinder | Cartesian) -> str:
    """Say what muons are described by; numbers of the same words mean the same."""
    sign = " with its sign" if coordinates.signed else ""
    return ", ".join(name + sign if name == "turn" else name for name in coordinates.names)


def read_coordinates(content: dict[str, Any]) -> Cylinder | Cartesian:
    """Rebuild coordinates from their `to_json`; raise `InputError` when that is no such thing."""
    kind = content.get("map")
    if kind == "cylinder":
        return Cylinder.from_json(content)
    if kind == "cartesian" and isinstance(content.get("on_axis"), bool):
        return Cartesian(content["on_axis"])
    raise InputError(f"no coordinates called {kind!r}: there are 'cylinder' and 'cartesian'")
