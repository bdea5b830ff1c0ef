"""What the output of a run says of itself, told at the end: FairShip's macros count events as protons.

``FileHeader``: its title keeps its form, with the protons and the cut that hold. ``FileSummary``: ``PoT``,
``EnergyCut`` and ``prodSite`` as in files of `shipgen produce`, in the class that the macro wrote
(``TString`` or ``TObjString``); what it wrote, its arguments, goes to the key ``macro``, since there the
number of muons and that of protons in a spill look like protons simulated. ``shipgen``: how the muons were
made.
"""

from __future__ import annotations

import atexit
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shipgen.errors import OutputError
from shipgen.provenance import parse_object

if TYPE_CHECKING:
    from shipgen.generate.events import MuonEvents

#: Names of the objects, as in `shipgen.files.layouts`, which needs packages that FairShip has not.
HEADER, SUMMARY, PROVENANCE = "FileHeader", "FileSummary", "shipgen"

#: Key of `SUMMARY` under which what the macro had written is kept.
MACRO = "macro"


class Output:
    """The output of a run with a stand-in; it is told at the end of the process, or before by `write`.

    Attributes
    ----------
    path : Path, optional
        The file, once it is found.
    whole : bool
        Whether all muons of the run come from networks; else title and ``FileSummary`` stay the macro's.
    """

    def __init__(self, muons: MuonEvents, *, whole: bool = True) -> None:
        self.muons, self.whole = muons, whole
        self.path: Path | None = None
        self._written = False

    def find(self) -> None:
        """Ask the simulation which file it writes, and have it told at the end of the process."""
        import ROOT

        run = ROOT.FairRun.Instance() if hasattr(ROOT, "FairRun") else None
        name = _file_name(run) if run else ""
        if name:
            # The macro has changed into its folder.
            self.path = Path(name).absolute()
            # It runs before what FairShip has registered, which may kill the process.
            atexit.register(self._at_exit)

    def write(self) -> bool:
        """Write it, once; return whether that was done.

        Raises
        ------
        OutputError
            The file cannot be written.
        """
        if self._written or self.path is None or not self.muons.events or not self.path.is_file():
            return False
        self._written = True
        _write(self.path, self.muons, whole=self.whole)
        return True

    def _at_exit(self) -> None:
        # After an error nobody takes the file for complete.
        if getattr(sys, "last_value", None) is None:
            try:
                self.write()
            except OutputError as error:
                sys.stderr.write(f"shipgen: {error}\n")


def _file_name(run: Any) -> str:
    """Return the name of the file that a ``FairRun`` writes to; FairRoot before 18 has no sinks."""
    for ask in ("GetSink.GetRootFile.GetName", "GetSink.GetFileName", "GetOutputFile.GetName"):
        try:
            found = run
            for method in ask.split("."):
                found = getattr(found, method)()
            name = str(found)
        except (AttributeError, ReferenceError, TypeError):
            continue
        if name:
            return name
    return ""


def _write(path: Path, muons: MuonEvents, *, whole: bool) -> None:
    import ROOT

    try:
        file = ROOT.TFile.Open(str(path), "UPDATE")
    except OSError:
        # So since ROOT 6.32.
        file = None
    if not file or file.IsZombie():
        raise OutputError(f"{path} cannot be opened to state its protons on target: {muons.pot:.6g}")
    try:
        file.cd()
        if whole:
            _title(file, muons)
            _summary(file, muons)
        _replace(file, PROVENANCE, json.dumps(muons.provenance()))
    finally:
        file.Close()


def _title(file: Any, muons: MuonEvents) -> None:
    header = file.Get(HEADER)
    if not header:
        return
    title = stated_title(str(header.GetTitle()), muons.pot, muons.energy_cut)
    header.SetTitle(title)
    # All cycles: readers take the last, people the first that they see.
    file.Delete(f"{HEADER};*")
    header.Write(HEADER, _single_key())


def stated_title(title: str, pot: float, energy_cut: float) -> str:
    """Return the title of a macro, ``POT = 1000 with ecut=10.0 ...``, with what holds."""
    protons, cut = f"POT = {pot:.6g}", f"ecut={energy_cut:g}"
    stated, found = re.subn(r"POT(?: equivalent)? *= *\S+", protons, title, count=1)
    stated, cuts = re.subn(r"ecut *= *\S+", cut, stated, count=1)
    if not found:
        stated = f"{protons} with {cut}" if not cuts else f"{protons} {stated}"
    return stated if "shipgen" in stated else f"{stated} shipgen"


def _summary(file: Any, muons: MuonEvents) -> None:
    key = file.GetListOfKeys().FindObject(SUMMARY)
    kind = str(key.GetClassName()) if key else "TObjString"
    written = parse_object(_text(file, kind)) if key else None
    facts = muons.file_summary()
    _replace(file, SUMMARY, json.dumps({**facts, **({MACRO: written} if written else {})}), kind)


def _text(file: Any, kind: str) -> str:
    found = file.Get(SUMMARY)
    return str(found.GetString() if kind == "TObjString" else found)


def _replace(file: Any, name: str, text: str, kind: str = "TObjString") -> None:
    import ROOT

    file.Delete(f"{name};*")
    if kind == "TObjString":
        ROOT.TObjString(text).Write(name, _single_key())
    else:
        file.WriteObject(getattr(ROOT, kind)(text), name)


def _single_key() -> int:
    import ROOT

    return int(ROOT.TObject.kSingleKey)
