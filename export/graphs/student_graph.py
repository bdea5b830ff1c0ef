"""A student and its map as one ONNX graph: ``latent`` float32[L, N] -> ``muons`` float32[d, N].

All of it is written for speed on a CPU. Features are rows, so that each operator works on contiguous numbers
and layers are one matrix product; the scale of the tables is folded into the last layer. Cosine and sine cost
less than looking them up: 2 and 4 ns a number in ONNX Runtime.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.bundle.network import INPUT, OUTPUT
from shipgen.errors import MissingExtraError
from shipgen_export.graphs.onnx_graph import OPSET
from shipgen_export.maps.coordinates import LEAST, MEDIAN_SQUARE, STRAIGHT, Cylinder
from shipgen_export.maps.marginals import LIMIT
from shipgen_export.models.distill import SLOPE
from shipgen_export.silence import silenced

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shipgen.muons.columns import Float32, Float64
    from shipgen_export.maps.muon_map import MuonMap

#: Squared radii below this, which no muon ever has, would be divided by.
_LEAST_SQUARE = 1e-30


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

    def between(self, table: Float64, place: str) -> str:
        """Interpolate tables, float64[rows, n], at fractional indices, float32[rows, N], clipped to them."""
        from onnx import TensorProto

        inside = self.add("Clip", place, self.constant(0.0), self.constant(table.shape[1] - 1))
        index = self.add("Cast", inside, to=TensorProto.INT32)
        share = self.add("Sub", inside, self.add("Cast", index, to=TensorProto.FLOAT))
        # At the last index the step is 0.
        step = np.diff(table, axis=1, append=table[:, -1:])
        # Six times as fast in ONNX Runtime as Gather from one long table.
        lower, slope = (self.add("GatherElements", each, index, axis=1) for each in (table, step))
        return str(self.add("Add", lower, self.add("Mul", share, slope)))


def build_student_graph(weights: Sequence[Float64], form: MuonMap) -> bytes:
    """Return the serialised graph.

    Parameters
    ----------
    weights : sequence of float array
        Kernel and bias of each layer, in turn.
    form : MuonMap
        What its normal numbers stand for.

    Raises
    ------
    MissingExtraError
        onnx is not installed.
    """
    try:
        with silenced():
            import onnx
    except ImportError as error:
        raise MissingExtraError("export", "onnx", "train") from error

    names = form.coordinates.names
    shape = form.shape
    graph = Graph()
    latent, *drawn = graph.rows(INPUT, [shape.coordinates, *[1] * shape.drawn])
    rows = dict(zip(names, _lookups(graph, latent, weights, form), strict=True))
    if isinstance(form.coordinates, Cylinder):
        muons = _cylinder(graph, form.coordinates, rows, drawn)
    else:
        muons = [rows[name] for name in names]
    graph.nodes.append(onnx.helper.make_node("Concat", muons, [OUTPUT], axis=0))
    interface = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [width, "N"])
        for name, width in ((INPUT, shape.coordinates + shape.drawn), (OUTPUT, len(form.features)))
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


def _lookups(graph: Graph, latent: str, weights: Sequence[Float64], form: MuonMap) -> list[str]:
    """Return the coordinates, float32[1, N] each."""
    scale = form.marginals[0].cells / (2 * LIMIT)
    *hidden, kernel, bias = weights
    inner = latent
    for own, offset in zip(hidden[::2], hidden[1::2], strict=True):
        inner = graph.add("LeakyRelu", _layer(graph, own, offset, inner), alpha=SLOPE)
    last = _layer(graph, kernel * scale, (bias + LIMIT) * scale, inner)
    first = graph.rows(latent, [1, form.shape.coordinates - 1])[0]
    first = graph.add("Add", graph.add("Mul", first, scale), LIMIT * scale)
    tables = np.stack([marginal.values for marginal in form.marginals])
    found = graph.rows(
        graph.between(tables, graph.add("Concat", first, last, axis=0)), [1] * len(form.marginals)
    )
    return [
        row if marginal.ruler is None else graph.between(marginal.ruler[None], row)
        for row, marginal in zip(found, form.marginals, strict=True)
    ]


def _layer(graph: Graph, kernel: Float64, bias: Float64, values: str) -> str:
    return str(graph.add("Gemm", kernel.T, values, bias[:, None]))


def _cylinder(graph: Graph, cylinder: Cylinder, rows: dict[str, str], drawn: list[str]) -> list[str]:
    """Return the rows of the features from those of the coordinates, as `Cylinder.inverse` does."""
    add = graph.add
    if cylinder.directed:
        cosine, sine, square = add("Cos", rows["azimuth"]), add("Sin", rows["azimuth"]), None
    else:
        square = add("Add", *(add("Mul", row, row) for row in drawn))
        length = add("Sqrt", add("Max", square, _LEAST_SQUARE))
        cosine, sine = (add("Div", row, length) for row in drawn)
    p = rows["p"]
    pt = add("Min", rows["pt"], add("Mul", p, cylinder.steepest))
    pz = add("Sqrt", add("Mul", add("Sub", p, pt), add("Add", p, pt)))
    z = add("Add", rows["depth"], cylinder.start)
    momentum = [add("Mul", pt, cosine), add("Mul", pt, sine), pz]
    if cylinder.on_axis:
        return [z, *momentum]
    turned = add("Sin", rows["turn"])
    if square is not None and not cylinder.signed:
        turned = add("Mul", turned, add("Sign", add("Sub", square, MEDIAN_SQUARE)))
    way = add("Mul", pt, add("Add", rows["depth"], cylinder.margin))
    # In float32 p - pT may be 0 where pT is close to p.
    way = add("Div", way, add("Max", pz, LEAST))
    r = add("Mul", rows["offset"], way)
    if cylinder.widest is not None:
        straight, room = STRAIGHT * cylinder.widest, (1 - STRAIGHT) * cylinder.widest
        beyond = add("Max", add("Sub", r, straight), 0.0)
        share = add("Div", beyond, add("Add", beyond, room))
        r = add("Add", add("Min", r, straight), add("Mul", share, room))
    along = add("Cos", rows["turn"])
    x = add("Mul", r, add("Add", add("Mul", cosine, along), add("Mul", sine, turned)))
    y = add("Mul", r, add("Sub", add("Mul", sine, along), add("Mul", cosine, turned)))
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
