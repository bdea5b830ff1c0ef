"""Ctrl-C and SIGTERM: heeded wherever they come, told as what they are, and no process stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from shipgen import interrupts
from shipgen.bundle.bundle import NetworkFacts, write_bundle
from shipgen.cli import leave, run
from shipgen.muons.categories import CATEGORIES

if TYPE_CHECKING:
    from pathlib import Path

TOLD = "shipgen: interrupted; nothing half-made was left under the name of the output\n"


def endless(width: int, most: int) -> bytes:
    """Return a network that never ends where it is to make more muons than `most`."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Add", ["sum", "one"], ["more"])],
        "body",
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("more", TensorProto.FLOAT, []),
        ],
    )
    constants = {
        "zero": np.float32(0), "one": np.float32(1), "yes": np.bool_(1), "row": np.int64(0),
        "most": np.int64(most), "never": np.int64(2**62), "none": np.int64(0),
    }  # fmt: skip
    graph = helper.make_graph(
        [
            helper.make_node("Shape", ["latent"], ["shape"]),
            helper.make_node("Gather", ["shape", "row"], ["n"]),
            helper.make_node("Greater", ["n", "most"], ["many"]),
            helper.make_node("Where", ["many", "never", "none"], ["turns"]),
            helper.make_node("Loop", ["turns", "yes", "zero"], ["turned"], body=body),
            helper.make_node("Mul", ["turned", "zero"], ["nothing"]),
            helper.make_node("Add", ["latent", "nothing"], ["muons"]),
        ],
        "endless",
        [helper.make_tensor_value_info("latent", TensorProto.FLOAT, ["N", width])],
        [helper.make_tensor_value_info("muons", TensorProto.FLOAT, ["N", width])],
        [numpy_helper.from_array(np.array(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


def write_endless(folder: Path) -> None:
    folder.mkdir()
    networks = [
        NetworkFacts(
            category,
            endless(len(category.features), most=2000),
            latent_size=len(category.features),
            rate=1e-4,
            details={},
        )
        for category in CATEGORIES
    ]
    write_bundle(
        folder, networks, name="endless", label="never ends", target_start=0.0, energy_cut=1.0, provenance={}
    )


#: With less patience than users have; a file says when it is at work.
PROGRAM = """
import sys
from pathlib import Path
from shipgen import interrupts
from shipgen.cli import main
from shipgen.production import produce
interrupts._PATIENCE = interrupts._IMPATIENCE = 1.0
run = produce._run
def begun(*arguments):
    Path("begun").touch()
    run(*arguments)
produce._run = begun
main()
"""


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_an_endless_network_ends_when_told(tmp_path: Path, kind: signal.Signals) -> None:
    write_endless(tmp_path / "endless")
    words = ("produce", "-n", "1e5", "--seed", "1", "-o", "out.root", "--bundle", "endless", "--workers", "2")
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not (tmp_path / "begun").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(kind)
    out, error = process.communicate(timeout=60)
    assert (process.returncode, out, error) == (130, "", TOLD)


def test_what_an_interrupt_makes_of_an_import_is_told_as_an_interrupt(tmp_path: Path) -> None:
    """Extension modules turn whatever stops them into an ImportError."""
    program = (
        "import os, signal, sys, time\n"
        "from shipgen.cli import main\n"
        "from shipgen.errors import MissingExtraError\n"
        "from shipgen.production import request\n"
        "def fail(*_):\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        time.sleep(10)\n"
        "    except KeyboardInterrupt:\n"
        "        raise {} from None\n"
        "request.carry_out = fail\n"
        "main()\n"
    )
    for error in ('MissingExtraError("running networks", "ONNX Runtime", "cpu")', 'RuntimeError("half")'):
        done = subprocess.run(
            [sys.executable, "-c", program.format(error), "produce", "-n", "1", "-o", "out.root"],
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (130, TOLD)


#: Programs that are sent signals at moments where an interrupt was once told twice, or ended them otherwise.
TWICE = {
    "while it is told": """
os.write, write = lambda *told: (write(*told), os.kill(os.getpid(), signal.SIGTERM)), os.write
os.kill(os.getpid(), signal.SIGINT)
""",
    "when it was told": """
def stop(*_):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(10)
request.carry_out = stop
code = cli.run(sys.argv[1:])
os.kill(os.getpid(), signal.SIGTERM)
cli.leave(code)
""",
    "within the code of a text": """
def stop(*_):
    exec("os.kill(os.getpid(), signal.SIGINT); time.sleep(10)")
request.carry_out = stop
cli.main()
""",
}


@pytest.mark.parametrize("when", TWICE)
def test_an_interrupt_is_told_once(tmp_path: Path, when: str) -> None:
    head = (
        "import os, signal, sys, time\n"
        "from shipgen import cli\n"
        "from shipgen.__main__ import early\n"
        "from shipgen.production import request\n"
        "for number in (signal.SIGINT, signal.SIGTERM):\n"
        "    signal.signal(number, early)\n"
    )
    (tmp_path / "program.py").write_text(head + TWICE[when])
    done = subprocess.run(
        [sys.executable, "-m", "program", "produce", "-n", "1", "-o", "out.root"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (130, TOLD)


def test_commands_run_in_any_thread(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where no signal comes, and the main thread's are not touched."""
    ended: list[object] = []
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)], interrupts.ended()

    def work() -> None:
        ended.append(run(["info", str(tmp_path / "nothing")]))
        ended.append(run(["--version"]))
        try:
            leave(run(["--help"]))
        except SystemExit as error:
            ended.append(error.code)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ended == [3, 0, 0]
    out, error = capsys.readouterr()
    assert "Commands:" in out
    assert error.count("\n") == 1
    assert (
        [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        interrupts.ended(),
    ) == before


def test_nothing_waits_for_a_pipe(shipgen: object, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for words in (
        ("info", "pipe"),
        ("merge", "out.root", "pipe"),
        ("convert", "pipe", "o", "--layout", "npz"),
    ):
        done = shipgen(*words, timeout=60)  # type: ignore[operator]
        assert done.returncode == 3
        assert "neither a file nor a folder" in done.stderr


def test_pairs_are_one_interrupt() -> None:
    """The second one must not cut off what the first one began."""
    program = (
        "import os, signal, sys, time\n"
        "from shipgen import interrupts\n"
        "with interrupts.heeded('shipgen'):\n"
        "    try:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        time.sleep(10)\n"
        "    except KeyboardInterrupt:\n"
        "        for kind in (signal.SIGINT, signal.SIGTERM):\n"
        "            os.kill(os.getpid(), kind)\n"
        "        time.sleep(0.1)\n"
        "        print('cleaned up', interrupts.seen())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "cleaned up True\n", "")


def test_little_is_loaded_before_signals_are_heeded() -> None:
    """Until then Python answers Ctrl-C with a traceback: what takes time comes behind."""
    program = (
        "import sys; there = {*sys.modules}; import shipgen.__main__; print(*sorted({*sys.modules} - there))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {*done.stdout.split()}
    assert "shipgen.__main__" in loaded
    assert not {"typing", "enum", "signal", "importlib.metadata"} & loaded
