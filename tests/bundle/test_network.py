"""Networks in both layouts, and devices."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from shipgen.bundle.network import Network, choose_device
from shipgen.errors import BundleError, DeviceError, InputError
from shipgen.generate.chunks import BATCH_SIZE, draw_latents
from shipgen.muons.categories import CATEGORIES
from shipgen_bench.reference import dense_model, dense_weights

if TYPE_CHECKING:
    from pathlib import Path

CATEGORY = CATEGORIES[2]
WIDTHS = (7, 16, 16, 6)


def load(path: Path, model: bytes, **options: Any) -> Network:
    import hashlib

    path.write_bytes(model)
    digest = hashlib.sha256(model).hexdigest()
    return Network.load(path, digest=digest, **{"latent_size": 7, "features": 6, **options})


@pytest.fixture(params=[False, True], ids=["rows", "columns"])
def network(request: pytest.FixtureRequest, tmp_path: Path) -> Network:
    weights = dense_weights(WIDTHS, np.random.default_rng(1))
    return load(tmp_path / "n.onnx", dense_model(CATEGORY, weights, feature_major=request.param))


def test_both_layouts_make_the_same_muons(tmp_path: Path) -> None:
    weights = dense_weights(WIDTHS, np.random.default_rng(1))
    rows, columns = (
        load(tmp_path / f"{major}.onnx", dense_model(CATEGORY, weights, feature_major=major))
        for major in (False, True)
    )
    assert not rows.feature_major
    assert columns.feature_major
    latent = np.random.default_rng(2).standard_normal((1000, 7), np.float32)
    made = rows.columns(latent)
    assert made.shape == (6, 1000)
    # Sums of 16 terms in another order.
    np.testing.assert_allclose(columns.columns(np.ascontiguousarray(latent.T)), made, rtol=1e-5, atol=1e-3)


def test_latents_come_in_the_networks_layout(network: Network) -> None:
    latent = draw_latents(network, np.random.default_rng(3), 10)
    assert latent.shape == network.latent_shape(10) == ((7, 10) if network.feature_major else (10, 7))
    assert network.columns(latent).shape == (6, 10)


def test_latents_of_a_large_batch_are_those_of_small_ones(network: Network) -> None:
    """What a GPU gets in one call is what a CPU gets in several."""
    sizes = (BATCH_SIZE, BATCH_SIZE, 100)
    rng = np.random.default_rng(4)
    pieces = [draw_latents(network, rng, size) for size in sizes]
    whole = draw_latents(network, np.random.default_rng(4), sum(sizes))
    np.testing.assert_array_equal(np.concatenate(pieces, 1 if network.feature_major else 0), whole)


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        (["N", 8], ["N", 6]),  # another latent size
        (["N", 7], [6, "N"]),  # half of each layout
        ([7, "N"], ["N", 6]),
        ([5, 7], [5, 6]),  # nothing free
        (["N", "M"], ["N", 6]),
        ([7], [6]),
    ],
)
def test_other_interfaces_are_refused(tmp_path: Path, inputs: list[Any], outputs: list[Any]) -> None:
    graph = helper.make_graph(
        [helper.make_node("Reshape", ["latent", "shape"], ["muons"])],
        "odd",
        [helper.make_tensor_value_info("latent", TensorProto.FLOAT, inputs)],
        [helper.make_tensor_value_info("muons", TensorProto.FLOAT, outputs)],
        [numpy_helper.from_array(np.array([-1] * len(outputs)), "shape")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    with pytest.raises(BundleError, match=r"'latent' float32\[N, 7\].*or both transposed|no ONNX model"):
        load(tmp_path / "n.onnx", model.SerializeToString())


class Failing:
    """A session that fails as ONNX Runtime does."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def run(self, *_: object) -> None:
        raise self._error


def test_a_failure_while_running_is_one_line(network: Network) -> None:
    latent = np.zeros(network.latent_shape(2), np.float32)
    broken = replace(network, _session=Failing(RuntimeError("no kernel\nat line 7")))
    with pytest.raises(BundleError, match=r"n\.onnx cannot run: no kernel$"):
        broken(latent)
    with pytest.raises(BundleError, match="cannot run: no kernel"):
        broken.try_out()
    with pytest.raises(DeviceError, match="cannot run: no kernel; --device cpu"):
        replace(broken, device="cuda")(latent)
    with pytest.raises(MemoryError):
        replace(network, _session=Failing(MemoryError()))(latent)


def test_devices() -> None:
    assert choose_device("cpu") == "cpu"
    with pytest.raises(InputError, match="no device 'tpu': choose from auto, cpu, cuda"):
        choose_device("tpu")


def test_cuda_is_never_replaced_by_the_cpu(
    tmp_path: Path, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    cpu = ["CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: cpu)
    assert choose_device("auto") == "cpu"
    with pytest.raises(DeviceError, match="extra 'gpu'"):
        choose_device("cuda")
    # The GPU build is there, but its libraries or driver are not: ONNX Runtime goes on with the CPU.
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", *cpu])
    assert choose_device("auto") == choose_device("cuda") == "cuda"
    session = onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnxruntime,
        "InferenceSession",
        lambda model, options, providers: session(model, options, providers=cpu if providers else None),
    )
    with pytest.raises(DeviceError, match="driver or libraries are missing"):
        load(tmp_path / "again.onnx", network.path.read_bytes(), device="cuda")
