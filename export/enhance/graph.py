"""A plain network behind its proposal, as one ONNX graph: ``latent`` -> ``muons``, ``weight``.

The layout is the plain network's: ``latent`` float32[L + 1, N], or float32[N, L + 1]; matrices below stand
for the first. Let z be the first L latents, t the thresholds of the last one u, B the proposal's directions
and y = B^T z. Going from one component to the next adds a linear function of (1, y), so that with steps
s_k = [u >= t_k] the plain network's latents are x = z + sum_k s_k D_k (1, y): an outer product and one matrix
product. The weight is 1 / (1 - share + sum_k exp(e_k)), where e_k, the logarithm of the component's share
times its density over the plain one's, is a sum of squares of linear functions of x. That sum need not be
scaled by its largest term: it is not below 1 - share, and exponents are cut where float32 ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.bundle.levels import LEVELLED, NORMAL, mixing
from shipgen.bundle.network import INPUT
from shipgen.errors import BundleError, MissingExtraError
from shipgen_export.silence import silenced

if TYPE_CHECKING:
    from shipgen.muons.columns import Float64
    from shipgen_export.enhance.proposal import Proposal

#: Name of the second output.
WEIGHT = "weight"

#: Largest exponent: weights below exp(-80) are taken for it, far below what any histogram sees.
_LARGEST = 80.0

#: Begins all names of what is put before the plain network.
_PREFIX = "enhanced."

#: Least version of the operator set in which the operators used are as they are used here.
_OPSET = 13


def load_graph(model: bytes) -> Any:
    """Return an ONNX model; raise `MissingExtraError` without onnx."""
    try:
        with silenced():
            import onnx
    except ImportError as error:
        raise MissingExtraError("enhancing a bundle", "onnx", "enhance") from error
    return onnx.load_model_from_string(model)


class Nodes:
    """Nodes and constants as they are written, in one of the two layouts.

    Parameters
    ----------
    feature_major : bool
        Whether values are float32[rows, N] or float32[N, rows].
    """

    def __init__(self, *, feature_major: bool) -> None:
        self.axis = 0 if feature_major else 1
        self.feature_major = feature_major
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, values: Any, kind: Any = np.float32) -> str:
        """Return the name of a constant."""
        from onnx import numpy_helper

        name = f"{_PREFIX}c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values, kind), name))
        return name

    def add(
        self, operator: str, *inputs: Any, outputs: int = 1, into: str | None = None, **attributes: Any
    ) -> Any:
        """Add a node, arrays among its inputs as constants; return the names of its outputs, or the one."""
        from onnx import helper

        names = [each if isinstance(each, str) else self.constant(each) for each in inputs]
        made = [f"{_PREFIX}v{len(self.nodes)}_{k}" for k in range(outputs)] if into is None else [into]
        self.nodes.append(helper.make_node(operator, names, made, **attributes))
        return made[0] if len(made) == 1 else made

    def rows(self, values: Any) -> Any:
        """Return a constant, one number a row, in the form that goes with the layout's values."""
        column = np.asarray(values, np.float32)[:, None]
        return column if self.feature_major else column.T

    def split(self, value: str, sizes: list[int]) -> list[str]:
        """Split a value by rows."""
        made: list[str] = self.add(
            "Split", value, self.constant(sizes, np.int64), outputs=len(sizes), axis=self.axis
        )
        return made

    def linear(self, matrix: Float64, value: str, offset: Float64 | None = None) -> str:
        """Return matrix @ value + offset for a value in rows."""
        kernel = np.asarray(matrix) if self.feature_major else np.asarray(matrix).T
        sides = (kernel, value) if self.feature_major else (value, kernel)
        if offset is None:
            return str(self.add("MatMul", *sides))
        return str(self.add("Gemm", *sides, self.rows(offset)))

    def total(self, value: str) -> str:
        """Return the sum over rows, float32[N]."""
        return str(self.add("ReduceSum", value, self.constant([self.axis], np.int64), keepdims=0))

    def outer(self, left: str, right: str, sizes: tuple[int, int]) -> str:
        """Return all products of a row of `left` and one of `right`: sizes[0] x sizes[1] rows."""
        axes = (1, 0) if self.feature_major else (2, 1)
        values = [
            self.add("Unsqueeze", value, self.constant([axis], np.int64))
            for value, axis in zip((left, right), axes, strict=True)
        ]
        product = self.add("Mul", *values)
        rows = sizes[0] * sizes[1]
        shape = [rows, -1] if self.feature_major else [-1, rows]
        return str(self.add("Reshape", product, self.constant(shape, np.int64)))


def build_enhanced_graph(
    model: bytes, proposal: Proposal, *, feature_major: bool, stream: int = NORMAL
) -> bytes:
    """Return the serialised graph of a plain network behind its proposal; it takes normal numbers.

    Parameters
    ----------
    model : bytes
        The plain network's graph.
    proposal : Proposal
        In the space of its latents.
    feature_major : bool
        The plain network's layout.
    stream : int
        What the plain network takes: see `shipgen.bundle.levels`.

    Raises
    ------
    BundleError
        The network has weights already, or operators too old to build on.
    MissingExtraError
        onnx is not installed.
    """
    plain = load_graph(model)
    import onnx
    from onnx import TensorProto, helper

    if len(plain.graph.output) != 1:
        raise BundleError("the network makes weighted muons already: enhance the plain bundle it came from")
    if max(each.version for each in plain.opset_import if each.domain in {"", "ai.onnx"}) < _OPSET:
        raise BundleError(f"the network's operators are older than ONNX {_OPSET}: export it again")
    graph = Nodes(feature_major=feature_major)
    normal, choice = graph.split(INPUT, [proposal.latent_size, 1])
    latent = _latents(graph, proposal, normal, choice)
    _weights(graph, proposal, latent)
    if stream == LEVELLED:
        latent = graph.linear(mixing(proposal.latent_size).T, latent)
    _rename(plain.graph, {INPUT: latent})
    width = proposal.latent_size + proposal.extra
    shape: list[Any] = [width, "N"] if feature_major else ["N", width]
    made = helper.make_graph(
        [*graph.nodes, *plain.graph.node],
        "enhanced",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shape)],
        [*plain.graph.output, helper.make_tensor_value_info(WEIGHT, TensorProto.FLOAT, ["N"])],
        [*plain.graph.initializer, *graph.constants],
        value_info=plain.graph.value_info,
    )
    enhanced = helper.make_model(made, opset_imports=plain.opset_import, ir_version=plain.ir_version)
    onnx.checker.check_model(enhanced, full_check=True)
    serialised: bytes = enhanced.SerializeToString()
    return serialised


def _latents(graph: Nodes, proposal: Proposal, normal: str, choice: str) -> str:
    """Return the plain network's latents."""
    from onnx import TensorProto

    basis, mixture = proposal.basis, proposal.mixture
    latent_size, d = basis.shape
    one_and_y = np.concatenate([np.zeros((1, latent_size)), basis.T])
    here = graph.linear(one_and_y, normal, np.eye(1 + d)[0])
    # What each component adds to z, as a linear function of (1, y); the plain one adds nothing.
    added = [np.zeros((latent_size, 1 + d))]
    for mean, factor in zip(mixture.means, mixture.factors, strict=True):
        added.append(basis @ np.concatenate([mean[:, None], factor - np.eye(d)], axis=1))
    reached = graph.add("GreaterOrEqual", choice, graph.rows(proposal.thresholds))
    steps = graph.add("Cast", reached, to=TensorProto.FLOAT)
    product = graph.outer(steps, here, (mixture.components, 1 + d))
    change = graph.linear(np.concatenate(list(np.diff(added, axis=0)), axis=1), product)
    return str(graph.add("Add", normal, change))


def _weights(graph: Nodes, proposal: Proposal, latent: str) -> None:
    """Add the output `WEIGHT` for the plain network's latents."""
    mixture = proposal.mixture
    k, d = mixture.components, mixture.dimensions
    inverse = np.linalg.inv(mixture.factors)
    matrix = np.concatenate([*(each @ proposal.basis.T for each in inverse), proposal.basis.T])
    offset = np.concatenate(
        [*(-each @ mean for each, mean in zip(inverse, mixture.means, strict=True)), np.zeros(d)]
    )
    scaled = graph.linear(matrix, latent, offset)
    squares = graph.add("Mul", scaled, scaled)
    sums = np.concatenate([np.kron(np.eye(k), np.full((1, d), -0.5)), np.full((k, d), 0.5)], axis=1)
    logs = np.log(proposal.shares[1:]) - np.log(np.diagonal(mixture.factors, axis1=1, axis2=2)).sum(1)
    exponents = graph.add("Min", graph.linear(sums, squares, logs), np.float32(_LARGEST))
    total = graph.add("Add", graph.total(graph.add("Exp", exponents)), np.float32(1 - proposal.share))
    graph.add("Reciprocal", total, into=WEIGHT)


def _rename(graph: Any, names: dict[str, str]) -> None:
    """Give inputs of a graph's nodes, and of the graphs inside them, other names."""
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                _rename(inner, names)
