"""What FairRoot does with a generator, as far as the muon source can tell: in Python, and in C++ for ROOT."""

from __future__ import annotations

from typing import Any

#: `FairGenerator` and `FairPrimaryGenerator` for cling, with the signatures of FairRoot 18.6 to 19.0.
CPP = """
#include <cstdlib>
#include <stdexcept>
#include <vector>
#include "TNamed.h"
#include "TObjArray.h"
enum TMCProcess { kPPrimary };
class FairPrimaryGenerator;
class FairGenerator : public TNamed {
 public:
   FairGenerator() = default;
   FairGenerator(const char *name, const char *title = "FAIR Generator") : TNamed(name, title) {}
   ~FairGenerator() override = default;
   virtual Bool_t ReadEvent(FairPrimaryGenerator *primGen) = 0;
   virtual Bool_t Init() { return kTRUE; }
   virtual void Finish() {}
};
class FairPrimaryGenerator : public TNamed {
 public:
   TObjArray list;
   std::vector<double> tracks; // 12 numbers a track
   std::vector<int> counts;    // tracks of each event
   int refused = 0;            // a PDG code that AddTrack does not take
   ~FairPrimaryGenerator() override { list.Delete(); }
   void AddGenerator(FairGenerator *generator) { list.Add(generator); }
   // FairRoot ignores what the generators return here.
   Bool_t Init() {
      for (auto one : list) static_cast<FairGenerator *>(one)->Init();
      return kTRUE;
   }
   virtual void AddTrack(Int_t pdgid, Double_t px, Double_t py, Double_t pz, Double_t vx, Double_t vy,
                         Double_t vz, Int_t parent = -1, Bool_t wanttracking = true, Double_t e = -9e9,
                         Double_t tof = 0., Double_t weight = 0., TMCProcess = kPPrimary) {
      if (pdgid == refused) throw std::runtime_error("no such\\n particle");
      const double whole[] = {double(pdgid), double(parent), double(wanttracking)};
      for (double value : {whole[0], px, py, pz, vx, vy, vz, whole[1], whole[2], e, tof, weight})
         tracks.push_back(value);
      ++counts.back();
   }
   // As FairMCApplication does when an event fails: files are closed, then the process ends.
   void RunOrExit(int events) {
      if (Run(events) < events) exit(0);
   }
   // How many events were complete.
   int Run(int events) {
      for (int event = 0; event < events; ++event) {
         counts.push_back(0);
         for (auto one : list)
            if (!static_cast<FairGenerator *>(one)->ReadEvent(this)) return event;
      }
      return events;
   }
};
"""


class FairGenerator:
    """The base class; keeps the name."""

    def __init__(self, name: str) -> None:
        self.name = name


class FairPrimaryGenerator:
    """Records the tracks of each event."""

    def __init__(self) -> None:
        self.generators: list[Any] = []
        self.events: list[list[tuple[Any, ...]]] = []

    def AddGenerator(self, generator: Any) -> None:  # noqa: N802
        self.generators.append(generator)

    def Init(self) -> list[bool]:  # noqa: N802
        return [generator.Init() for generator in self.generators]

    def AddTrack(self, *track: Any) -> None:  # noqa: N802
        self.events[-1].append(track)

    def Run(self, events: int) -> int:  # noqa: N802
        for event in range(events):
            self.events.append([])
            if not all(generator.ReadEvent(self) for generator in self.generators):
                return event
        return events
