"""What the output of a run with the stand-in states, in the forms of FairShip's versions; with ROOT."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uproot

if TYPE_CHECKING:
    from shipgen.bundle.bundle import Bundle

pytestmark = pytest.mark.skipif(find_spec("ROOT") is None, reason="needs ROOT")

#: A macro in small: the generator is made, set up and run, then the macro writes what its version writes.
RUN = """
import json, os, sys
import ROOT
from helpers.fairroot_stand_in import CPP
ROOT.gInterpreter.Declare(CPP + '''
class FairRootFileSink {{
 public:
   TString name;
   TString GetFileName() {{ return name; }}
}};
class FairRun {{
 public:
   FairRootFileSink sink;
   static FairRun *Instance() {{ static FairRun run; return &run; }}
   FairRootFileSink *GetSink() {{ return &sink; }}
}};
''')
from shipgen.fairship import FixedTargetGenerator
os.mkdir("work")
os.chdir("work")
ROOT.FairRun.Instance().sink.name = "./out.root"
primary, P8gen = ROOT.FairPrimaryGenerator(), FixedTargetGenerator({bundle!r})
P8gen.SetTargetCoordinates(0.0, 160.0)
P8gen.SetEnergyCut(12.0)
P8gen.SetSeed(1)
primary.AddGenerator(P8gen)
ROOT.SetOwnership(P8gen, False)
primary.Init()
assert primary.Run(500) == 500
arguments = {{"nev": 500, "ecut": 12.0, "pot": 4e13, "seed": 1}}
file = ROOT.TFile("out.root", "recreate")
header = ROOT.TNamed("FileHeader", "POT = 500 with ecut=12.0")
for _ in range({cycles}):
    header.Write("FileHeader")
if {kind!r} == "TString":
    file.WriteObject(ROOT.TString(json.dumps(arguments)), "FileSummary")
elif {kind!r}:
    ROOT.TObjString(json.dumps({{"PoT": 500, "EnergyCut": 12.0, "prodSite": "CERN"}})).Write("FileSummary")
file.Close()
print(P8gen.GetPotForCharm())
{end}
"""


def execute(folder: Path, bundle: Bundle, end: str = "", **form: Any) -> tuple[float, str]:
    """Return the POT and what is written on stderr."""
    program = RUN.format(bundle=str(bundle.path), end=end, **form)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"import sys; sys.path.insert(0, {TESTS!r})\n{program}"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == (1 if "raise" in end else 0), done.stderr
    return float(done.stdout.splitlines()[-1]), done.stderr


TESTS = str(Path(__file__).parents[1])


@pytest.mark.parametrize(
    ("kind", "cycles"),
    [("", 1), ("TObjString", 2), ("TString", 2)],
    ids=["up to 2026-03", "TObjString", "since 2026-04"],
)
def test_the_output_states_what_holds(tmp_path: Path, bundle: Bundle, kind: str, cycles: int) -> None:
    """In the class that was there, once; what the macro wrote is kept, apart."""
    pot, error = execute(tmp_path, bundle, kind=kind, cycles=cycles)
    assert error == ""
    assert pot > 500 / bundle.rate
    with uproot.open(tmp_path / "work" / "out.root") as file:
        assert sorted(file.keys()) == ["FileHeader;1", "FileSummary;1", "shipgen;1"]
        assert file.classname_of("FileSummary") == (kind or "TObjString")
        title = file["FileHeader"].member("fTitle")
        summary, provenance = (json.loads(str(file[name])) for name in ("FileSummary", "shipgen"))
    assert title == f"POT = {pot:.6g} with ecut=12 shipgen"
    written = summary.pop("macro", None)
    assert summary == {"PoT": pytest.approx(pot), "EnergyCut": 12.0, "prodSite": "shipgen"}
    assert (written or {}).get("nev") == (500 if kind == "TString" else None)
    assert provenance["kind"] == "muon source"
    assert (provenance["seed"], provenance["events"], provenance["muons"]) == (1, 500, 500)
    assert provenance["bundle"]["sha256"] == bundle.sha256


def test_after_an_error_nothing_is_stated(tmp_path: Path, bundle: Bundle) -> None:
    _, error = execute(tmp_path, bundle, end="raise RuntimeError('no disk')", kind="TString", cycles=1)
    assert error.splitlines()[-1] == "RuntimeError: no disk"
    with uproot.open(tmp_path / "work" / "out.root") as file:
        assert sorted(file.keys()) == ["FileHeader;1", "FileSummary;1"]
        assert json.loads(str(file["FileSummary"]))["nev"] == 500


def test_an_output_that_cannot_be_written_is_told(tmp_path: Path, bundle: Bundle) -> None:
    end = "open('out.root', 'wb').write(b'no ROOT file')"
    pot, error = execute(tmp_path, bundle, end=end, kind="", cycles=1)
    assert f"out.root cannot be opened to state its protons on target: {pot:.6g}" in error
