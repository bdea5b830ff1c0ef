// What FairRoot does with generators: it owns them, calls them, and takes tracks, which are recorded here.
#ifndef SHIPGEN_TESTS_FAIRPRIMARYGENERATOR_H_
#define SHIPGEN_TESTS_FAIRPRIMARYGENERATOR_H_

#include <TNamed.h>
#include <TObjArray.h>

#include <vector>

#include "FairGenerator.h"

enum TMCProcess { kPPrimary };

class FairPrimaryGenerator : public TNamed {
 public:
  ~FairPrimaryGenerator() override { fList.Delete(); }
  void AddGenerator(FairGenerator* generator) { fList.Add(generator); }

  // FairRoot ignores what the generators return here.
  Bool_t Init() {
    for (TObject* generator : fList) static_cast<FairGenerator*>(generator)->Init();
    return kTRUE;
  }

  virtual void AddTrack(Int_t pdgid, Double_t px, Double_t py, Double_t pz, Double_t vx, Double_t vy,
                        Double_t vz, Int_t parent = -1, Bool_t wanttracking = true, Double_t e = -9e9,
                        Double_t tof = 0., Double_t weight = 0., TMCProcess = kPPrimary) {
    ++fCounts.back();
    fTracks.insert(fTracks.end(),
                   {static_cast<double>(pdgid), px, py, pz, vx, vy, vz, static_cast<double>(parent),
                    static_cast<double>(wanttracking), e, tof, weight});
  }

  // Return how many events were complete.
  int Run(int events) {
    for (int event = 0; event < events; ++event) {
      fCounts.push_back(0);
      for (TObject* generator : fList) {
        if (!static_cast<FairGenerator*>(generator)->ReadEvent(this)) return event;
      }
    }
    return events;
  }

  const std::vector<int>& Counts() const { return fCounts; }     // tracks of each event
  const std::vector<double>& Tracks() const { return fTracks; }  // 12 numbers a track

 private:
  TObjArray fList;
  std::vector<int> fCounts;
  std::vector<double> fTracks;
};

#endif
