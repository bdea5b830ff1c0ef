"""Bundles of random weights, made on the spot: networks of a stated size, to see what a size costs.

Their muons are finite and in the range of real ones, and mean nothing.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shipgen.bundle.bundle import Bundle, NetworkFacts, write_bundle
from shipgen.errors import MissingExtraError
from shipgen.muons.categories import CATEGORIES

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen.muons.categories import Category
    from shipgen.muons.columns import Float32

#: Centre and half-width of each feature, cm and GeV.
_CENTRE = {"x": 0.0, "y": 0.0, "z": -7000.0, "px": 0.0, "py": 0.0, "pz": 60.0}
_WIDTH = {"x": 5.0, "y": 5.0, "z": 80.0, "px": 2.0, "py": 2.0, "pz": 49.0}

#: Muons per POT, about those of the default bundle.
_RATES = {
    "muplus_onaxis": 1.6e-4,
    "muminus_onaxis": 1.6e-4,
    "muplus_offaxis": 6.5e-4,
    "muminus_offaxis": 5.5e-4,
}


@dataclass(frozen=True, slots=True)
class Reference:
    """Sizes of a bundle's networks.

    Attributes
    ----------
    off_axis, on_axis : tuple of int
        Latent size, then the widths of the hidden layers.
    feature_major : bool
        The networks' layout.
    """

    off_axis: tuple[int, ...]
    on_axis: tuple[int, ...]
    feature_major: bool


REFERENCES = {
    "student": Reference((7, 32, 32, 32), (5, 24, 24), feature_major=True),
    "dense": Reference((8, 64, 64, 64), (8, 64, 64, 64), feature_major=False),
    "gan": Reference((100, 512, 1024), (100, 512, 1024), feature_major=False),
}


def write_reference(folder: Path, reference: Reference, seed: int = 1) -> Bundle:
    """Write a bundle of random networks into the new `folder` and open it."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    networks = []
    for category in CATEGORIES:
        latent_size, *hidden = reference.on_axis if category.on_axis else reference.off_axis
        weights = dense_weights((latent_size, *hidden, len(category.features)), rng)
        model = dense_model(category, weights, feature_major=reference.feature_major)
        networks.append(NetworkFacts(category, model, latent_size, _RATES[category.name], {}))
    return write_bundle(
        folder,
        networks,
        name="reference",
        label=f"random weights, {_sizes(reference.off_axis)} off axis, {_sizes(reference.on_axis)} on axis",
        target_start=-7084.5,
        energy_cut=10.0,
        provenance={},
    )


def dense_weights(widths: tuple[int, ...], rng: np.random.Generator) -> list[tuple[Float32, Float32]]:
    """Return weights, float32[outputs, inputs], and offsets, float32[outputs], of layers of such `widths`."""
    return [
        (
            (rng.standard_normal((after, before)) / np.sqrt(before)).astype(np.float32),
            (rng.standard_normal(after) / 10).astype(np.float32),
        )
        for before, after in itertools.pairwise(widths)
    ]


def dense_model(category: Category, weights: list[tuple[Float32, Float32]], *, feature_major: bool) -> bytes:
    """Return the ONNX graph of a dense network: leaky ReLU inside, tanh at the end."""
    try:
        from onnx import TensorProto, helper, numpy_helper
    except ImportError as error:
        raise MissingExtraError("making reference networks", "onnx", "train") from error
    nodes, constants, flow = [], [], "latent"
    for number, (matrix, offset) in enumerate(weights):
        w, b, made = f"w{number}", f"b{number}", f"sum{number}"
        if feature_major:
            stored = [(w, matrix), (b, offset[:, None])]
            nodes.append(helper.make_node("Gemm", [w, flow, b], [made]))
        else:
            stored = [(w, np.ascontiguousarray(matrix.T)), (b, offset)]
            nodes.append(helper.make_node("Gemm", [flow, w, b], [made]))
        constants += stored
        flow = f"layer{number}"
        last = number == len(weights) - 1
        nodes.append(
            helper.make_node("Tanh", [made], [flow])
            if last
            else helper.make_node("LeakyRelu", [made], [flow], alpha=0.1)
        )
    for name, values in (("width", _WIDTH), ("centre", _CENTRE)):
        column = np.array([values[feature] for feature in category.features], np.float32)
        constants.append((name, column[:, None] if feature_major else column))
    nodes += [
        helper.make_node("Mul", [flow, "width"], ["scaled"]),
        helper.make_node("Add", ["scaled", "centre"], ["muons"]),
    ]

    def tensor(name: str, width: int) -> Any:
        shape: list[str | int | None] = [width, "N"] if feature_major else ["N", width]
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    graph = helper.make_graph(
        nodes,
        category.name,
        [tensor("latent", weights[0][0].shape[1])],
        [tensor("muons", len(category.features))],
        [numpy_helper.from_array(values, name) for name, values in constants],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    serialised: bytes = model.SerializeToString()
    return serialised


def _sizes(widths: tuple[int, ...]) -> str:
    return "-".join(map(str, widths))
