"""What shipgen is compared with: the published way of generating, and ROOT's own writing.

Each runs in a process of its own, since TensorFlow and ROOT cannot be in one. Imports are not timed.
The programs print seconds of wall-clock time and of core time.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np

from shipgen.errors import OutputError
from shipgen.files.layouts import MUONBACK
from shipgen_bench.measure import Repetition, Stage

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from shipgen.muons.columns import Columns

#: The published way, first half: Keras predicts, a loop collects the muons, NumPy stores them.
_KERAS = """
import sys, time
import numpy as np
import tensorflow as tf
tf.config.threading.set_inter_op_parallelism_threads(int(sys.argv[3]))
tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[3]))
widths, n = [int(word) for word in sys.argv[1].split("-")], int(sys.argv[2])
layers = [tf.keras.Input((widths[0],))]
for width in widths[1:-1]:
    layers += [tf.keras.layers.Dense(width), tf.keras.layers.LeakyReLU(negative_slope=0.1)]
layers.append(tf.keras.layers.Dense(widths[-1], activation="tanh"))
model = tf.keras.Sequential(layers)
model.predict(np.zeros((1000, widths[0])), verbose=0)
wall, core = time.perf_counter(), time.process_time()
made = model.predict(np.random.normal(size=(n, widths[0])), verbose=0)
muons = []
for row in made:
    muons.append([13.0, *(value * 50.0 for value in row)])
np.save("muons.npy", np.array(muons))
print(time.perf_counter() - wall, time.process_time() - core)
"""

#: The published way, second half: a loop over the array fills a tree.
_FILL_IN_PYTHON = """
import time
from array import array
import numpy as np
import ROOT
ROOT.gROOT.SetBatch(True)
file = ROOT.TFile("loop.root", "recreate")
tree = ROOT.TTree("pythia8-Geant4", "muons")
names = "id x y z px py pz w".split()
values = {name: array("f", [1.0]) for name in names}
for name, value in values.items():
    tree.Branch(name, value, name + "/F")
wall, core = time.perf_counter(), time.process_time()
muons = np.load("muons.npy")
for row in muons:
    for name, number in zip(names, row):
        values[name][0] = number
    tree.Fill()
tree.Write()
file.Close()
print(time.perf_counter() - wall, time.process_time() - core)
"""

#: ROOT's writing in C++, muon by muon; for one of the two functions below.
_FILL_IN_CPP = """
import sys, time
import numpy as np
import ROOT
ROOT.gROOT.SetBatch(True)
names, tree, setting = sys.argv[1].split(), sys.argv[2], int(sys.argv[3])
k = len(names)
ROOT.gInterpreter.Declare(sys.argv[4])
columns = np.ascontiguousarray(np.load("columns.npy"))
n = columns.shape[1]
ROOT.fill(columns[:, :1000].copy(), 1000, k, names, tree, setting)
wall, core = time.perf_counter(), time.process_time()
ROOT.fill(columns, n, k, names, tree, setting)
print(time.perf_counter() - wall, time.process_time() - core)
"""

#: A TTree of the layout's branches.
_FILL_TREE = """
#pragma cling optimize(3)
void fill(const float* columns, long n, int k, std::vector<std::string> names, const char* title,
          int setting) {
   TFile file("fill.root", "recreate", "", setting);
   TTree tree(title, title);
   std::vector<float> values(k);
   for (int i = 0; i < k; ++i) tree.Branch(names[i].c_str(), &values[i], (names[i] + "/F").c_str());
   for (long row = 0; row < n; ++row) {
      for (int i = 0; i < k; ++i) values[i] = columns[i * n + row];
      tree.Fill();
   }
   tree.Write();
}
"""

#: An RNTuple of them.
_FILL_NTUPLE = """
#pragma cling optimize(3)
#include <ROOT/RNTupleModel.hxx>
#include <ROOT/RNTupleWriter.hxx>
#include <ROOT/RNTupleWriteOptions.hxx>
void fill(const float* columns, long n, int k, std::vector<std::string> names, const char* title,
          int setting) {
   auto model = ROOT::RNTupleModel::Create();
   std::vector<std::shared_ptr<float>> values;
   for (auto& name : names) values.push_back(model->MakeField<float>(name));
   ROOT::RNTupleWriteOptions options;
   options.SetCompression(setting);
   auto writer = ROOT::RNTupleWriter::Recreate(std::move(model), title, "fill.root", options);
   for (long row = 0; row < n; ++row) {
      for (int i = 0; i < k; ++i) *values[i] = columns[i * n + row];
      writer->Fill();
   }
}
"""

#: ROOT's numbers of compression algorithms; 100 x algorithm + level.
_ALGORITHMS = {"zlib": 1, "lzma": 2, "lz4": 4, "zstd": 5}


def has(package: str) -> bool:
    """Return whether `package` can be imported, in a process of its own."""
    return not subprocess.run(  # noqa: S603
        [sys.executable, "-c", f"import {package}"], capture_output=True, check=False
    ).returncode


def roots_writers(columns: Columns, compression: str, folder: Path) -> list[Stage]:
    """Return ROOT's ``TTree::Fill`` and RNTuple with `columns` in the layout for FairShip."""
    constants = {"energy_cut": 10.0, "weight": 1.0}
    branches = MUONBACK.fill(columns, constants, -7084.5)
    np.save(folder / "columns.npy", np.stack([branches[branch.name] for branch in MUONBACK.branches]))
    names = " ".join(branch.name for branch in MUONBACK.branches)
    algorithm, _, level = compression.partition(":")
    setting = 0 if compression == "none" else 100 * _ALGORITHMS[algorithm] + int(level or "1")
    muons = len(columns["pdg"])
    return [
        _programs(
            label, muons, [_FILL_IN_CPP], "fill.root", folder, names, "pythia8-Geant4", setting, function
        )
        for label, function in (("TTree::Fill", _FILL_TREE), ("ROOT's RNTuple", _FILL_NTUPLE))
    ]


def published_way(widths: Sequence[int], n: int, folder: Path) -> Stage:
    """Return the published way with a dense network of such `widths`, latent and output included."""
    sizes = "-".join(map(str, widths))
    return _programs("published way", n, [_KERAS, _FILL_IN_PYTHON], "loop.root", folder, sizes, n, 1)


def _programs(
    label: str, muons: int, programs: Sequence[str], made: str, folder: Path, *arguments: object
) -> Stage:
    """Return a stage of `programs` that run one after the other in `folder` and make the file `made`."""

    def work() -> Repetition:
        wall = core = 0.0
        for program in programs:
            done = subprocess.run(  # noqa: S603
                [sys.executable, "-c", program, *map(str, arguments)],
                capture_output=True,
                text=True,
                check=False,
                cwd=folder,
            )
            if done.returncode:
                raise OutputError(f"{label} failed: {done.stderr.strip().splitlines()[-1]}")
            seconds, core_seconds = done.stdout.split()[-2:]
            wall, core = wall + float(seconds), core + float(core_seconds)
        return Repetition(wall, core, (folder / made).stat().st_size)

    return Stage(label, muons, work, prepare=lambda: (folder / made).unlink(missing_ok=True))
