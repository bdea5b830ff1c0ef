"""A network of mean factors as an ONNX graph: ``muons`` float32[d, N] -> ``factors`` float32[v, N].

Muons are in cm and GeV, as the generators of a bundle make them; what the network looks at is computed in the
graph. Features are rows, so that each operator works on contiguous numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.bundle.factors import INPUT, OUTPUT, FactorNetwork
from shipgen.errors import BundleError
from shipgen_export.graphs.onnx_graph import OPSET, import_onnx
from shipgen_export.graphs.student_graph import Graph
from shipgen_export.variations.inputs import DEPTH_OFFSET, PT_OFFSET, R_OFFSET
from shipgen_export.variations.network import SLOPE

if TYPE_CHECKING:
    from shipgen.muons.columns import Float32, Float64
    from shipgen_export.variations.inputs import VariationInputs
    from shipgen_export.variations.network import FactorModel

#: How far a factor of the graph may be from NumPy's: float32 near the ends of a table's cells apart.
_TOLERANCE = 2e-4

#: Share of muons that may be further away: those in another cell of the table, by rounding.
_ELSEWHERE = 2e-3


def build_factor_graph(model: FactorModel) -> bytes:
    """Return the serialised graph.

    Raises
    ------
    MissingExtraError
        onnx is not installed.
    """
    onnx = import_onnx()
    graph, inputs = Graph(), model.inputs
    values, features = _numbers(graph, inputs)
    # The scale is folded into the first layer.
    scale = np.append(inputs.scale, 1.0)
    offset = np.append(inputs.low * inputs.scale + 1, 0.0)

    def first(kernel: Float64, bias: Float64) -> str:
        return _layer(graph, kernel * scale[:, None], bias - offset @ kernel, values)

    kernel, bias, *hidden, last, shift = model.weights
    bent, inner = first(*model.bends), first(kernel, bias)
    for own, change in zip(hidden[::2], hidden[1::2], strict=True):
        inner = _layer(graph, own, change, graph.add("LeakyRelu", inner, alpha=SLOPE))
    bent, inner = (graph.add("LeakyRelu", each, alpha=SLOPE) for each in (bent, inner))
    nodes = len(last) - len(model.bends[1])
    # Two products in place of one of all nodes, which would have to be copied side by side.
    values = graph.add("Gemm", last[:nodes].T, inner, _layer(graph, last[nodes:], shift, bent))
    # Rounded towards the inside.
    low, high = (ends.astype(np.float32)[:, None] for ends in (model.low, model.high))
    graph.add("Min", graph.add("Max", values, low), high)
    graph.nodes[-1].output[0] = OUTPUT
    kind = onnx.TensorProto.FLOAT
    made = onnx.helper.make_graph(
        graph.nodes,
        "variations",
        [onnx.helper.make_tensor_value_info(INPUT, kind, [features, "N"])],
        [onnx.helper.make_tensor_value_info(OUTPUT, kind, [len(model.columns), "N"])],
        [onnx.numpy_helper.from_array(array, name) for name, array in graph.constants.items()],
    )
    whole = onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(whole, full_check=True)
    serialised: bytes = whole.SerializeToString()
    return serialised


def _layer(graph: Graph, kernel: Float64, bias: Float64, values: str) -> str:
    return str(graph.add("Gemm", kernel.T, values, bias[:, None]))


def _numbers(graph: Graph, inputs: VariationInputs) -> tuple[str, int]:
    """Return what the network looks at, not scaled, float32[k + 1, N], and the number of features."""
    add = graph.add
    features = 4 if len(inputs.low) == 3 else 6
    *place, z, px, py, pz = graph.rows(INPUT, [1] * features)

    def length(first: str, second: str) -> Any:
        return add("Sqrt", add("Add", add("Mul", first, first), add("Mul", second, second)))

    pt = length(px, py)
    depth = add("Max", add("Sub", z, inputs.start), -DEPTH_OFFSET / 2)
    positive = [length(pt, pz), add("Add", pt, PT_OFFSET), add("Add", depth, DEPTH_OFFSET)]
    ratios = []
    if place:
        x, y = place
        r = add("Add", length(x, y), R_OFFSET)
        positive.append(r)
        product = add("Mul", positive[1], r)
        along = add("Add", add("Mul", x, px), add("Mul", y, py))
        across = add("Abs", add("Sub", add("Mul", x, py), add("Mul", y, px)))
        ratios = [add("Div", each, product) for each in (along, across)]
    logarithms = add("Log", add("Concat", *positive, axis=0))
    raw = add("Concat", logarithms, *ratios, axis=0) if ratios else logarithms
    low, high = (ends[:, None] for ends in (inputs.low, inputs.high))
    inside = add("Min", add("Max", raw, low), high)
    cell = add("Mul", add("Sub", z, inputs.start + inputs.first), 1 / inputs.width)
    cell = add("Clip", cell, graph.constant(0.0), graph.constant(len(inputs.table) - 1))
    index = add("Cast", cell, to=6)
    return add("Concat", inside, add("GatherElements", inputs.table[None], index, axis=1), axis=0), features


def check_factor_graph(model: FactorModel, network: FactorNetwork, features: Float32) -> float:
    """Compare a graph with the NumPy form at some muons; return the largest difference but for a few.

    Parameters
    ----------
    model : FactorModel
        The NumPy form.
    network : FactorNetwork
        The graph, loaded.
    features : float32[n, d]
        Muons of the category.

    Raises
    ------
    BundleError
        They differ by more than the tolerance.
    """
    wanted: Float64 = model(features).T
    made = network(np.ascontiguousarray(features.T))
    difference = np.abs(made - wanted).max(0)
    worst = float(np.quantile(difference, 1 - _ELSEWHERE)) if len(difference) else 0.0
    if not (worst <= _TOLERANCE and np.isfinite(made).all()):
        raise BundleError(f"the graph of variations differs from its network by {worst:.3g}: report this")
    return worst
