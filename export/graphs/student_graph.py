"""A student and its map as one ONNX graph: ``latent`` float32[L, N] -> ``muons`` float32[d, N].

All of it is written for speed on a CPU: features are rows, so that each operator works on contiguous numbers
and layers are one matrix product; operators are few, since each costs as much as half a product; scales of
tables are folded into weights, and the sums that make latents of levels into the first layer. Angles are
tables of cosines and sines, where ONNX Runtime's functions would take 3.4 ns a number and a table takes 1.6.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.bundle.levels import LEVELLED, mixing
from shipgen.bundle.network import INPUT, OUTPUT
from shipgen_export.graphs.onnx_graph import OPSET, import_onnx
from shipgen_export.maps.coordinates import LEAST, MEDIAN_SQUARE, STRAIGHT, Cylinder
from shipgen_export.maps.smoothing import LIMIT
from shipgen_export.models.distill import SLOPE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shipgen.muons.columns import Float32, Float64
    from shipgen_export.maps.muon_map import MuonMap

#: How latents are drawn for the graphs that are exported.
STREAM = LEVELLED

#: Added to the two numbers that give the azimuth, which are both 0 for one muon in 1e9 otherwise.
_LEAST_LENGTH = 1e-7

#: Makes a sign of a number that is not 0.
_LARGE = 1e20

#: Coordinates of which only cosine and sine are wanted, and the widest cell of their table, rad: between two
#: knots a cosine is taken to be linear, which is wrong by an eighth of the square.
_ANGLES, _LARGEST_TURN = ("turn", "azimuth"), 1e-2


@dataclass
class Graph:
    """Nodes and constants as they are written; values are known by name."""

    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, Any] = field(default_factory=dict)

    def constant(self, values: Any, kind: Any = np.float32) -> str:
        """Return the name of a constant; equal ones are stored once."""
        array = np.asarray(values, kind)
        for name, known in self.constants.items():
            if known.dtype == array.dtype and known.shape == array.shape and (known == array).all():
                return name
        name = f"c{len(self.constants)}"
        self.constants[name] = array
        return name

    def add(self, operator: str, *inputs: Any, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node, numbers among its inputs as constants; return the name of its output, or all names."""
        from onnx import helper

        names = [each if isinstance(each, str) else self.constant(each) for each in inputs]
        made = [f"v{len(self.nodes)}_{k}" for k in range(outputs)]
        self.nodes.append(helper.make_node(operator, names, made, **attributes))
        return made[0] if outputs == 1 else made

    def rows(self, value: str, sizes: Sequence[int]) -> list[str]:
        """Split a value by rows."""
        if len(sizes) == 1:
            return [value]
        made: list[str] = self.add("Split", value, self.constant(sizes, np.int64), outputs=len(sizes), axis=0)
        return made

    def between(self, table: Float64, place: str, *, inside: bool = False) -> str:
        """Interpolate tables, float64[rows, n], at fractional indices, float32[rows, N].

        They are clipped to the tables unless they are known to be `inside`.
        """
        from onnx import TensorProto

        if not inside:
            place = self.add("Clip", place, self.constant(0.0), self.constant(table.shape[1] - 1))
        index = self.add("Cast", place, to=TensorProto.INT32)
        share = self.add("Sub", place, self.add("Cast", index, to=TensorProto.FLOAT))
        # At the last index the step is 0.
        step = np.diff(table, axis=1, append=table[:, -1:])
        # Six times as fast in ONNX Runtime as Gather from one long table.
        lower, slope = (self.add("GatherElements", each, index, axis=1) for each in (table, step))
        return str(self.add("Add", lower, self.add("Mul", share, slope)))

    def angle(self, rows: dict[str, str], name: str) -> tuple[str, str]:
        """Return cosine and sine of a coordinate."""
        if name in rows:
            return self.add("Cos", rows[name]), self.add("Sin", rows[name])
        return rows[f"cos {name}"], rows[f"sin {name}"]


def build_student_graph(weights: Sequence[Float64], form: MuonMap, *, stream: int = STREAM) -> bytes:
    """Return the serialised graph.

    Parameters
    ----------
    weights : sequence of float array
        Kernel and bias of each layer, in turn.
    form : MuonMap
        What its normal numbers stand for.
    stream : int
        What its input is: normal numbers (1) or levels (2), see `shipgen.bundle.levels`.

    Raises
    ------
    MissingExtraError
        onnx is not installed.
    """
    onnx = import_onnx()
    shape = form.shape
    latents = shape.coordinates + shape.drawn
    mixed = mixing(latents) if stream == LEVELLED else np.eye(latents)
    graph = Graph()
    first, *drawn = _handed_on(graph, form, mixed)
    rows = _coordinates(graph, weights, form, mixed, first)
    if isinstance(form.coordinates, Cylinder):
        muons = _cylinder(graph, form.coordinates, rows, drawn)
    else:
        muons = [rows[name] for name in form.coordinates.names]
    graph.nodes.append(onnx.helper.make_node("Concat", muons, [OUTPUT], axis=0))
    interface = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [width, "N"])
        for name, width in ((INPUT, mixed.shape[1]), (OUTPUT, len(form.features)))
    ]
    made = onnx.helper.make_graph(
        graph.nodes,
        "student",
        interface[:1],
        interface[1:],
        [onnx.numpy_helper.from_array(array, name) for name, array in graph.constants.items()],
    )
    model = onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    serialised: bytes = model.SerializeToString()
    return serialised


def _handed_on(graph: Graph, form: MuonMap, mixed: Float64) -> list[str]:
    """Return the first coordinate's place in its table, and the drawn numbers, float32[1, N] each."""
    scale, drawn = _scale(form), form.shape.drawn
    matrix = np.concatenate([mixed[:1] * scale, mixed[form.shape.coordinates :]])
    # Not exactly 0: the azimuth is taken from them.
    offset = np.array([LIMIT * scale, *[_LEAST_LENGTH] * drawn])[:, None]
    return graph.rows(graph.add("Gemm", matrix, INPUT, offset), [1] * len(matrix))


def _scale(form: MuonMap) -> float:
    """Return the cells of the tables for each standard deviation."""
    return form.marginals[0].cells / (2 * LIMIT)


def _coordinates(
    graph: Graph, weights: Sequence[Float64], form: MuonMap, mixed: Float64, first: str
) -> dict[str, str]:
    """Return the coordinates by name, float32[1, N] each; of angles that allow it cosine and sine.

    The network's last layer gives places in the tables.
    """
    scale = _scale(form)
    own = mixed[: form.shape.coordinates]
    tables = _tables(form)
    # Of the first coordinate the network has no output.
    number = [place - 1 for place, _, _ in tables[1:]]
    last = _dense(graph, [own.T @ weights[0], *weights[1:]], scale, number)
    values = np.stack([values for _, _, values in tables])
    found = graph.rows(graph.between(values, graph.add("Concat", first, last, axis=0)), [1] * len(values))
    rows = {name: row for (_, name, _), row in zip(tables, found, strict=True)}
    for name, marginal in zip(form.coordinates.names, form.marginals, strict=True):
        if marginal.ruler is not None:
            rows[name] = graph.between(marginal.ruler[None], rows[name], inside=True)
    return rows


def _tables(form: MuonMap) -> list[tuple[int, str, Float64]]:
    """Return number of the coordinate, name and values of each table."""
    tables = []
    for number, (name, marginal) in enumerate(zip(form.coordinates.names, form.marginals, strict=True)):
        values = marginal.values
        if name in _ANGLES and marginal.ruler is None and np.diff(values).max() <= _LARGEST_TURN:
            tables += [(number, f"cos {name}", np.cos(values)), (number, f"sin {name}", np.sin(values))]
        else:
            tables.append((number, name, values))
    return tables


def _dense(graph: Graph, weights: Sequence[Float64], scale: float, outputs: Sequence[int]) -> str:
    """Return chosen outputs of the network as places in tables, float32[outputs, N].

    Offsets are weights of one more node, which is 1 in every hidden layer: the product of matrices is all
    there is to do then, where ONNX Runtime would write the offsets first and add the product to them.
    """
    first, bias, *rest = weights
    first = np.pad(first, [(0, 0), (0, 1)])
    values = graph.add("Gemm", first.T, INPUT, np.append(bias, 1.0)[:, None])
    values = graph.add("LeakyRelu", values, alpha=SLOPE)
    *hidden, kernel, bias = rest
    for inner, offset in zip(hidden[::2], hidden[1::2], strict=True):
        layer = np.block([[inner, np.zeros((len(inner), 1))], [offset, np.ones(1)]])
        values = graph.add("LeakyRelu", graph.add("Gemm", layer.T, values), alpha=SLOPE)
    layer = np.concatenate([kernel, bias[None] + LIMIT])[:, outputs] * scale
    return str(graph.add("Gemm", layer.T, values))


def _cylinder(graph: Graph, cylinder: Cylinder, rows: dict[str, str], drawn: Sequence[str]) -> list[str]:
    """Return the rows of the features from those of the coordinates, as `Cylinder.inverse` does."""
    add = graph.add
    # Cosine and sine of the azimuth, both times `length`.
    cosine, sine = drawn or graph.angle(rows, "azimuth")
    length = square = ""
    if drawn:
        square = add("Add", *(add("Mul", row, row) for row in drawn))
        length = add("Sqrt", square)

    def in_length(value: str) -> str:
        return str(add("Div", value, length)) if length else value

    p = rows["p"]
    pt = add("Min", rows["pt"], add("Mul", p, cylinder.steepest))
    pz = add("Sqrt", add("Mul", add("Sub", p, pt), add("Add", p, pt)))
    z = add("Add", rows["depth"], cylinder.start)
    part = in_length(pt)
    momentum = [add("Mul", part, cosine), add("Mul", part, sine), pz]
    if cylinder.on_axis:
        return [z, *momentum]
    along, turned = graph.angle(rows, "turn")
    if square and not cylinder.signed:
        # Large numbers and clipped ones, which takes half as long as the operator for signs.
        side = add("Mul", add("Sub", square, MEDIAN_SQUARE), _LARGE)
        turned = add("Mul", turned, add("Clip", side, -1.0, 1.0))
    way = add("Mul", pt, add("Add", rows["depth"], cylinder.margin))
    # In float32 p - pT may be 0 where pT is close to p.
    way = add("Div", way, add("Max", pz, LEAST))
    r = add("Mul", rows["offset"], way)
    if cylinder.widest is not None:
        straight, room = STRAIGHT * cylinder.widest, (1 - STRAIGHT) * cylinder.widest
        beyond = add("Max", add("Sub", r, straight), 0.0)
        share = add("Div", beyond, add("Add", beyond, room))
        r = add("Add", add("Min", r, straight), add("Mul", share, room))
    part = in_length(r)
    along, turned = add("Mul", part, along), add("Mul", part, turned)
    x = add("Add", add("Mul", cosine, along), add("Mul", sine, turned))
    y = add("Sub", add("Mul", sine, along), add("Mul", cosine, turned))
    if any(cylinder.axis):
        x, y = (add("Add", row, middle) for row, middle in zip((x, y), cylinder.axis, strict=True))
    return [x, y, z, *momentum]


def student_reference(weights: Sequence[Float64], latent: Float32) -> Float64:
    """Compute a student's output with NumPy in float64, latents that are handed on included.

    Parameters
    ----------
    weights : sequence of float array
        Kernel and bias of each layer, in turn.
    latent : float32[n, d + drawn]

    Returns
    -------
    float64[n, d + drawn]
    """
    own, handed_on = np.split(latent.astype(np.float64), [len(weights[0])], axis=1)
    *hidden, kernel, bias = (np.asarray(weight, np.float64) for weight in weights)
    values = own
    for layer, offset in zip(hidden[::2], hidden[1::2], strict=True):
        values = values @ layer + offset
        values = np.where(values > 0, values, SLOPE * values)
    return np.concatenate([own[:, :1], values @ kernel + bias, handed_on], axis=1)
