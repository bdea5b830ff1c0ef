"""The muon source for FairShip: a ``FairGenerator`` that makes its muons while the simulation runs.

>>> from shipgen.fairship import muon_source
>>> source = muon_source(seed=1)
>>> primGen.AddGenerator(source)
>>> ...  # run
>>> header.SetTitle(f"POT = {source.muons.pot:.6g}")

FairShip's environment needs NumPy and ONNX Runtime beside shipgen. ROOT is imported when a source is made.
`docs/howto/fairship.md` shows the lines of a simulation macro.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from shipgen.errors import InputError, ShipgenError
from shipgen.generate.event_options import EventOptions
from shipgen.generate.events import MuonEvents
from shipgen.generate.selection import Selection

if TYPE_CHECKING:
    from pathlib import Path

    from shipgen.bundle.bundle import Bundle
    from shipgen.fairship.stand_in import StandIn

#: What FairRoot calls the source in its messages.
NAME = "shipgen"

#: FairRoot keeps pointers to its generators, which Python does not count.
_ALIVE: list[Any] = []

#: The generator as ROOT's interpreter compiles it: it reads events out of NumPy's memory and calls Python,
#: which overrides the methods from `OpenBundle` to `Tell`, only when nothing is left there. An event through
#: PyROOT alone costs several us more.
_READER = """
#if __has_include("FairGenerator.h") && __has_include("FairPrimaryGenerator.h")
#include "FairGenerator.h"
#include "FairPrimaryGenerator.h"
#endif
#include <cstdint>
#include <exception>

class MuonReaderOfShipgen : public FairGenerator {
 public:
   MuonReaderOfShipgen(const char *name) : FairGenerator(name) {}
   Bool_t Init() override { return OpenBundle(); }
   Bool_t ReadEvent(FairPrimaryGenerator *primary) override {
      if (fFailed)
         return kFALSE;
      try {
         fFailed = !PassEvent(*primary);
      } catch (const std::exception &error) {
         fFailed = true;
         Tell(error.what());
      } catch (...) {
         fFailed = true;
         Tell("an exception of the simulation");
      }
      return !fFailed;
   }
   virtual bool OpenBundle() { return false; }
   virtual bool NextMuons() { return false; }
   virtual bool NextCounts() { return false; }
   virtual void Tell(const char *) {}
   void SetRead(long *read) { fRead = read; }
   void SetMuons(const double *rows, long n) { fRows = rows, fMuons = n, fMuon = 0; }
   void SetCounts(const long *counts, long n) { fCounts = counts, fEvents = n, fEvent = 0; }

 private:
   bool PassEvent(FairPrimaryGenerator &primary) {
      if (fEvent == fEvents && !NextCounts())
         return false;
      for (long left = fCounts[fEvent]; left > 0; --left, ++fMuon) {
         if (fMuon == fMuons && !NextMuons())
            return false;
         const double *row = fRows + fMuon;
         const auto at = [&](long column) { return row[column * fMuons]; };
         if (at(0) == 0)
            continue;
         primary.AddTrack(static_cast<int>(at(0)), at(1), at(2), at(3), at(4), at(5), at(6), -1, true, -9e9,
                          0., at(7));
         ++fRead[1];
      }
      ++fEvent;
      ++fRead[0];
      return true;
   }
   bool fFailed = false;
   const double *fRows = nullptr;
   const long *fCounts = nullptr;
   long fMuons = 0, fMuon = 0, fEvents = 0, fEvent = 0, *fRead = nullptr;
};
"""


def muon_source(
    bundle: Bundle | Path | str | None = None,
    *,
    seed: int | None = None,
    muons_per_event: int | None = None,
    pot_per_event: float | None = None,
    energy_cut: float | None = None,
    target_z: float = 0.0,
    offset_x: float = 0.0,
    offset_y: float = 0.0,
    categories: tuple[str, ...] = (),
    charge_fraction: float | None = None,
    smear_beam: float = 0.0,
    paint_beam: float = 0.0,
    variation: str | None = None,
    base: type | None = None,
) -> Any:
    """Return a generator for ``FairPrimaryGenerator.AddGenerator``.

    Its attribute ``muons`` is the `shipgen.generate.events.MuonEvents` that it reads: seed, weight, events
    and muons so far, the protons on target that these stand for, FairShip's ``FileSummary``, provenance.

    Parameters
    ----------
    bundle
        As for `shipgen.generate.events.MuonEvents`; the series is endless.
    seed, muons_per_event, pot_per_event, energy_cut, target_z, offset_x, offset_y
        As for `shipgen.generate.event_options.EventOptions`: one muon an event.
    categories, charge_fraction, smear_beam, paint_beam
        As for `shipgen.generate.selection.Selection`: all muons of the bundle, vertices not smeared.
    variation : str, optional
        As for `EventOptions`: weights are those of this variation.
    base : type, optional
        What to derive from in Python; ``ROOT.FairGenerator``, in C++, when not given.

    Raises
    ------
    InputError
        An option is out of range, or ROOT has no ``FairGenerator``. A bundle that cannot be used is told by
        ``Init``, which FairRoot calls and which then returns false.
    """
    options = EventOptions(
        seed=seed,
        muons_per_event=muons_per_event,
        pot_per_event=pot_per_event,
        energy_cut=energy_cut,
        target_z=target_z,
        offset_x=offset_x,
        offset_y=offset_y,
        selection=Selection(categories, charge_fraction, smear_beam, paint_beam),
        variation=variation,
    )
    return make_source(MuonEvents(bundle, options), base)


def make_source(muons: MuonEvents, base: type | None = None, stand_in: StandIn | None = None) -> Any:
    """Return a generator that reads `muons`; with the methods of `stand_in` where it is given."""
    lent = () if stand_in is None else stand_in.METHODS
    if base is not None:
        source = _derive(base, lent)(muons, stand_in)
    else:
        root = find_root()
        source = (_derive_reader(lent) or _derive(root.FairGenerator, lent))(muons, stand_in)
        # The primary generator deletes what was added to it.
        root.SetOwnership(source, False)
    _ALIVE.append(source)
    return source


def find_root() -> Any:
    """Return the module ROOT; raise `InputError` where it has no FairRoot."""
    try:
        import ROOT
    except ImportError as error:
        raise InputError("ROOT cannot be imported: run this in FairShip's environment") from error
    if not hasattr(ROOT, "FairGenerator"):
        raise InputError("ROOT knows no FairGenerator: run this in FairShip's environment (FairRoot loaded)")
    return ROOT


class _Teller:
    """Says what is wrong, once: FairRoot goes on to the first event when `Init` fails."""

    def __init__(self) -> None:
        self.told = False

    def __call__(self, error: BaseException | str) -> None:
        if not self.told:
            kind = "" if isinstance(error, (ShipgenError, str)) else f"{type(error).__name__}: "
            sys.stderr.write(f"{NAME}: {kind}{' '.join(str(error).split())}".rstrip(": ") + "\n")
        self.told = True


def open_muons(muons: MuonEvents) -> None:
    """Load the bundle, if that has not been done, and say what the run will be made of."""
    if muons.open():
        say(
            f"bundle {muons.bundle.name} {muons.bundle.sha256[:12]}, seed {muons.seed}, "
            f"{muons.rate:.6g} muons per proton on target"
        )


def say(line: str) -> None:
    """Print a line of the source's own."""
    sys.stdout.write(f"{NAME}: {line}\n")
    # FairRoot may end the process in a way that leaves Python's output behind.
    sys.stdout.flush()


def _opened(source: Any) -> bool:
    """Load the bundle and say what the run will be made of; say why and return false where that fails."""
    if source.stand_in is not None:
        # Raises: the run has not begun, and the macro that began it has to end.
        source.stand_in.prepare()
        return True
    try:
        open_muons(source.muons)
    except Exception as error:  # noqa: BLE001
        source.tell(error)
        return False
    return True


def _lend(source: type, names: tuple[str, ...]) -> type:
    """Give a class of sources the methods of a stand-in, which its attribute `stand_in` carries out."""

    def lent(name: str) -> Any:
        return lambda source, *arguments: getattr(source.stand_in, name)(*arguments)

    def unknown(source: Any, name: str) -> Any:
        if name == "stand_in":
            raise AttributeError(name)
        return getattr(source.stand_in, name)

    for name in names:
        setattr(source, name, lent(name))
    if names:
        source.__getattr__ = unknown  # type: ignore[attr-defined]
    return source


# FairRoot's methods stand in the classes themselves: PyROOT does not look for them in another base. They
# raise nothing, for that would go through the simulation's own frames, with its files open.


@cache
def _derive(base: Any, lent: tuple[str, ...] = ()) -> Any:
    """Return the class of sources with the base class `base`, in Python."""

    class MuonSource(base):  # type: ignore[misc]
        """Muons of shipgen for FairRoot."""

        def __init__(self, muons: MuonEvents, stand_in: StandIn | None) -> None:
            super().__init__(NAME)
            self.muons, self.stand_in, self.tell = muons, stand_in, _Teller()

        def Init(self) -> bool:  # noqa: N802
            """Load the bundle; say why and return false where that fails."""
            return _opened(self)

        def ReadEvent(self, primary: Any) -> bool:  # noqa: N802
            """Pass the next event's muons to `primary`; say why and return false, which ends the run."""
            if not self.tell.told:
                try:
                    self.muons.next_event(primary.AddTrack)
                except BaseException as error:  # noqa: BLE001
                    self.tell(error)
            return not self.tell.told

    return _lend(MuonSource, lent)


@cache
def _declare_reader() -> bool:
    """Compile the reader, once; return whether that succeeded, and say so where it did not."""
    import ROOT

    if ROOT.gInterpreter.Declare(_READER):
        return True
    sys.stderr.write(
        f"{NAME}: FairRoot's headers are not found, events pass through Python: some us more each\n"
    )
    return False


@cache
def _derive_reader(lent: tuple[str, ...] = ()) -> Any:
    """Return the class of sources whose events are read in C++; ``None`` where they cannot be."""
    import ROOT

    if not _declare_reader():
        return None

    class MuonSource(ROOT.MuonReaderOfShipgen):  # type: ignore[misc]
        """Muons of shipgen for FairRoot."""

        def __init__(self, muons: MuonEvents, stand_in: StandIn | None) -> None:
            super().__init__(NAME)
            self.muons, self.stand_in, self.tell = muons, stand_in, _Teller()
            self.blocks, self.counts = muons.blocks(), muons.counts()
            self.SetRead(muons.read)

        def OpenBundle(self) -> bool:  # noqa: N802
            """Load the bundle; say why and return false where that fails."""
            return _opened(self)

        def NextMuons(self) -> bool:  # noqa: N802
            """Hand over the next muons; say why and return false, which ends the run."""
            try:
                # Kept: C++ reads from it.
                self.rows = next(self.blocks).rows
            except BaseException as error:  # noqa: BLE001
                self.tell(error)
                return False
            self.SetMuons(self.rows.reshape(-1), self.rows.shape[1])
            return True

        def NextCounts(self) -> bool:  # noqa: N802
            """Hand over how many muons the next events have; say why and return false."""
            if self.tell.told:
                return False
            try:
                self.sizes = next(self.counts)
            except BaseException as error:  # noqa: BLE001
                self.tell(error)
                return False
            self.SetCounts(self.sizes, len(self.sizes))
            return True

        def Tell(self, error: str) -> None:  # noqa: N802
            """Say what the simulation threw."""
            self.tell(error)

    return _lend(MuonSource, lent)
