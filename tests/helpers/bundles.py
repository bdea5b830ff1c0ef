"""A bundle whose muons are known: each feature is offset + scale x tanh(latent), weights exp(z/2 - 1/8)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from shipgen.bundle.bundle import Bundle, NetworkFacts, write_bundle
from shipgen.bundle.factors import FactorFacts
from shipgen.bundle.levels import LEVELLED, NORMAL, mixing
from shipgen.muons.categories import CATEGORIES, Category

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from shipgen.muons.columns import Float32, Float64

OFFSET = {"x": 0.0, "y": 0.0, "z": -7000.0, "px": 0.0, "py": 0.0, "pz": 30.0}
SCALE = {"x": 2.0, "y": 3.0, "z": 80.0, "px": 1.0, "py": 1.5, "pz": 19.0}
RATES = {
    "muplus_onaxis": 1.5e-4,
    "muminus_onaxis": 1.6e-4,
    "muplus_offaxis": 6.5e-4,
    "muminus_offaxis": 5.4e-4,
}
TARGET_START = -7084.5
ENERGY_CUT = 10.0


def parameters(category: Category) -> tuple[Float32, Float32]:
    """Return offset and scale of each feature, float32[d]."""
    return (
        np.array([OFFSET[name] for name in category.features], np.float32),
        np.array([SCALE[name] for name in category.features], np.float32),
    )


def known_weights(latent: Float32) -> Float32:
    """Return a weighted network's weights, float32[n], of latents, float32[n, d]: 1 on average."""
    return np.exp(latent[:, 0] / 2 - 1 / 8)


def model(
    category: Category,
    *,
    output: str = "muons",
    factor: float = 1.0,
    weighted: bool = False,
    weight_factor: float = 1.0,
    levelled: bool = False,
) -> bytes:
    """Return the serialised graph of a category; `output` and the factors make faulty ones."""
    offset, scale = parameters(category)
    width = len(category.features)
    if levelled:
        return _of_levels(mixing(width), scale, offset)
    nodes = [
        helper.make_node("Tanh", ["latent"], ["t"]),
        helper.make_node("Mul", ["t", "scale"], ["s"]),
        helper.make_node("Add", ["s", "offset"], [output]),
    ]
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", width])]
    constants = {"offset": offset, "scale": scale * np.float32(factor)}
    if weighted:
        nodes += [
            helper.make_node("Gather", ["latent", "first"], ["z"], axis=1),
            helper.make_node("Mul", ["z", "half"], ["exponent"]),
            helper.make_node("Exp", ["exponent"], ["power"]),
            helper.make_node("Mul", ["power", "norm"], ["weight"]),
        ]
        outputs.append(helper.make_tensor_value_info("weight", TensorProto.FLOAT, ["N"]))
        norm = np.array(weight_factor * np.exp(-1 / 8), np.float32)
        constants |= {"first": np.array(0), "half": np.array(0.5, np.float32), "norm": norm}
    graph = helper.make_graph(
        nodes,
        category.name,
        [helper.make_tensor_value_info("latent", TensorProto.FLOAT, ["N", width])],
        outputs,
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    serialised: bytes = built.SerializeToString()
    return serialised


def external_model(width: int, location: str) -> bytes:
    """Return the graph that multiplies `width` latents by a matrix in the file at `location`."""
    matrix = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[width, width])
    matrix.data_location = TensorProto.EXTERNAL
    matrix.external_data.add(key="location", value=location)
    latent, muons = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", width]) for name in ("latent", "muons")
    )
    node = helper.make_node("MatMul", ["latent", "w"], ["muons"])
    graph = helper.make_graph([node], "external", [latent], [muons], [matrix])
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    serialised: bytes = built.SerializeToString()
    return serialised


#: Variations of the bundle that has some.
VARIED = {"vary_kaons": "more kaons", "vary_mine": ""}


def known_factors(pz: Float32) -> dict[str, Float32]:
    """Return the factors of `VARIED` for muons of that pz."""
    return {"vary_kaons": np.exp(pz / 100), "vary_mine": np.exp(-pz / 50)}


def factor_model(category: Category, *, sign: float = 1.0) -> bytes:
    """Return the serialised graph of `known_factors`; another `sign` makes a faulty one."""
    features = len(category.features)
    nodes = [
        helper.make_node("Gather", ["muons", "last"], ["pz"], axis=0),
        helper.make_node("Mul", ["pz", "slopes"], ["exponents"]),
        helper.make_node("Exp", ["exponents"], ["powers"]),
        helper.make_node("Mul", ["powers", "sign"], ["factors"]),
    ]
    constants = {
        "last": np.array([features - 1]),
        "slopes": np.array([[0.01], [-0.02]], np.float32),
        "sign": np.array(sign, np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "variations",
        [helper.make_tensor_value_info("muons", TensorProto.FLOAT, [features, "N"])],
        [helper.make_tensor_value_info("factors", TensorProto.FLOAT, [2, "N"])],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    serialised: bytes = built.SerializeToString()
    return serialised


def _of_levels(sums: Float64, scale: Float32, offset: Float32) -> bytes:
    """Return the serialised graph of a category whose latents are sums of levels."""
    constants = {"sums": sums.astype(np.float32), "scale": scale[:, None], "offset": offset[:, None]}
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["sums", "latent"], ["normal"]),
            helper.make_node("Tanh", ["normal"], ["t"]),
            helper.make_node("Mul", ["t", "scale"], ["s"]),
            helper.make_node("Add", ["s", "offset"], ["muons"]),
        ],
        "levels",
        [helper.make_tensor_value_info("latent", TensorProto.FLOAT, [sums.shape[1], "N"])],
        [helper.make_tensor_value_info("muons", TensorProto.FLOAT, [len(sums), "N"])],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    serialised: bytes = built.SerializeToString()
    return serialised


def edit_index(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change ``bundle.json`` as one does by hand: the seal is taken out."""
    index = json.loads((folder / "bundle.json").read_text())
    del index["seal"]
    change(index)
    (folder / "bundle.json").write_text(json.dumps(index), errors="surrogatepass")


def varied(category: Category, *, sign: float = 1.0) -> FactorFacts:
    """Return the network of variations of a category."""
    closure = {name: {"mean": 1.25} for name in VARIED}
    return FactorFacts(factor_model(category, sign=sign), VARIED, {"closure": closure})


def write_test_bundle(folder: Path, *, variations: float = 0, **faults: dict[str, object]) -> Bundle:
    """Write the bundle into `folder`; `faults` maps a category to keywords of `model`.

    With `variations` it has some, whose factors are multiplied with it.
    """
    folder.mkdir(parents=True)
    networks = [
        NetworkFacts(
            category,
            model(category, **faults.get(category.name, {})),  # type: ignore[arg-type]
            latent_size=len(category.features),
            rate=RATES[category.name],
            details={},
            factors=varied(category, sign=variations) if variations else None,
            stream=LEVELLED if faults.get(category.name, {}).get("levelled") else NORMAL,
        )
        for category in CATEGORIES
    ]
    return write_bundle(
        folder,
        networks,
        name="test",
        label="known muons",
        target_start=TARGET_START,
        energy_cut=ENERGY_CUT,
        provenance={},
    )


def write_levelled_bundle(folder: Path) -> Bundle:
    """Write the same bundle with networks that take levels, whose sums their latents are."""
    return write_test_bundle(folder, **{category.name: {"levelled": True} for category in CATEGORIES})
