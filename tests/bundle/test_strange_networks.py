"""Networks that are right only in some batches, never end, or are no files."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from helpers.bundles import edit_index, external_model, write_test_bundle
from shipgen.bundle.bundle import Bundle
from shipgen.cli import run
from shipgen.errors import BundleError
from shipgen.generate.generator import MuonGenerator

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAME = "muplus_onaxis.onnx"
#: It has so many features, and as many latents.
WIDTH = 4


@pytest.fixture(name="with_network")
def bundle_with_a_network(tmp_path: Path) -> Callable[[bytes], Path]:
    write_test_bundle(tmp_path / "b")

    def put(model: bytes) -> Path:
        (tmp_path / "b" / NAME).write_bytes(model)
        digest = hashlib.sha256(model).hexdigest()
        edit_index(tmp_path / "b", lambda index: index["categories"][0].update(sha256=digest))
        return tmp_path / "b"

    return put


def network(nodes: list[Any], *constants: Any) -> bytes:
    """A network from ``latent`` to ``muons``, row-major."""
    latent, muons = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", WIDTH]) for name in ("latent", "muons")
    )
    graph = helper.make_graph(nodes, "strange", [latent], [muons], list(constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    serialised: bytes = model.SerializeToString()
    return serialised


def constant(name: str, values: Any) -> Any:
    return numpy_helper.from_array(np.asarray(values), name)


def endless() -> bytes:
    inner = [
        helper.make_tensor_value_info("i", TensorProto.INT64, []),
        helper.make_tensor_value_info("go", TensorProto.BOOL, []),
        helper.make_tensor_value_info("v", TensorProto.FLOAT, ["N", WIDTH]),
    ]
    outer = [
        helper.make_tensor_value_info("on", TensorProto.BOOL, []),
        helper.make_tensor_value_info("w", TensorProto.FLOAT, ["N", WIDTH]),
    ]
    nodes = [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Identity", ["v"], ["w"])]
    body = helper.make_graph(nodes, "body", inner, outer)
    loop = helper.make_node("Loop", ["", "true", "latent"], ["muons"], body=body)
    return network([loop], constant("true", np.array(True)))


def test_muons_that_depend_on_their_neighbours(with_network: Callable[[bytes], Path]) -> None:
    nodes = [
        helper.make_node("ReduceMean", ["latent", "rows"], ["mean"], keepdims=1),
        helper.make_node("Sub", ["latent", "mean"], ["muons"]),
    ]
    folder = with_network(network(nodes, constant("rows", np.array([0]))))
    with pytest.raises(BundleError, match="makes other muons of the same latents where it makes 1 or 1000"):
        Bundle.open(folder)


def test_one_row_whatever_is_asked_for(with_network: Callable[[bytes], Path]) -> None:
    """NumPy would have made copies of it."""
    node = helper.make_node("Compress", ["latent", "first"], ["muons"], axis=0)
    folder = with_network(network([node], constant("first", np.array([True]))))
    with pytest.raises(BundleError, match=r"muons of shape \(1, 4\) of 1000 latents, not \(1000, 4\)"):
        Bundle.open(folder)


def test_numbers_of_other_files(
    with_network: Callable[[bytes], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the folder where the command runs, of which nothing states a hash."""
    np.eye(WIDTH, dtype=np.float32).tofile(tmp_path / "outside.bin")
    monkeypatch.chdir(tmp_path)
    folder = with_network(external_model(WIDTH, "outside.bin"))
    with pytest.raises(BundleError, match="is no ONNX model that can run"):
        Bundle.open(folder)


def test_a_name_that_is_no_text_is_told_as_one(
    with_network: Callable[[bytes], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """ONNX Runtime quotes what a file has in the place of a name; a terminal might obey it."""
    first, name, last = network([helper.make_node("Neg", ["latent"], ["muons"])]).rpartition(b"muons")
    assert name
    folder = with_network(first + b"mu\x1bns" + last)
    assert run(["info", str(folder)]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()
    assert r"mu\x1bns" in line


@pytest.mark.parametrize("what", ["fifo", "device", "folder"])
def test_what_is_no_file(bundle: Bundle, tmp_path: Path, what: str) -> None:
    folder = tmp_path / "b"
    folder.mkdir()
    for path in bundle.path.iterdir():
        if path.name != NAME:
            (folder / path.name).write_bytes(path.read_bytes())
    odd = folder / NAME
    if what == "fifo":
        os.mkfifo(odd)
    elif what == "device":
        odd.symlink_to("/dev/zero")
    else:
        odd.mkdir()
    with pytest.raises(BundleError, match="cannot be read, it is not there or no file"):
        Bundle.open(folder)


def test_an_endless_network_is_given_up(
    with_network: Callable[[bytes], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shipgen.bundle.network._PATIENCE", 0.5)
    with pytest.raises(BundleError, match=r"does not come to an end in 0\.5 s"):
        Bundle.open(with_network(endless()))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_endless_network_is_interrupted(
    with_network: Callable[[bytes], Path], number: signal.Signals
) -> None:
    folder = with_network(endless())
    program = (
        "import sys, threading; from shipgen.cli import run\n"
        "start = threading.Thread.start\n"
        "def told(self):\n"
        "    start(self)\n"
        "    if self.name == 'shipgen-trial': print('tries', flush=True)\n"
        "threading.Thread.start = told\n"
        "sys.exit(run(['info', sys.argv[1]]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "tries\n"
    time.sleep(0.2)
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.startswith("shipgen: interrupted")
    assert error.count("\n") == 1


def test_a_run_ends_within_a_network(bundle: Bundle) -> None:
    """What stops a run stops the call of a network that it waits for."""
    generator = MuonGenerator(bundle, n=1000, seed=1, workers=1)
    made = generator._maker(reuse=False)
    assert not made._options.terminate
    made.stop()
    assert made._options.terminate
    latent = np.zeros(generator.networks[0].latent_shape(10), np.float32)
    with pytest.raises(BundleError, match="cannot run"):
        generator.networks[0].columns(latent, made._options)
    assert np.isfinite(generator.networks[0].columns(latent)).all()
