// The data members of FairShip's classes, as far as its files show them: for files that tests write.
#ifndef SHIPGEN_TESTS_FAIRSHIP_CLASSES_H
#define SHIPGEN_TESTS_FAIRSHIP_CLASSES_H

#include <array>
#include <vector>

#include "TClonesArray.h"
#include "TObject.h"
#include "TVector3.h"

class ShipMCTrack : public TObject {
 public:
  Int_t fPdgCode = 0, fMotherId = -1;
  Double32_t fPx = 0, fPy = 0, fPz = 0, fM = 0;
  Double32_t fStartX = 0, fStartY = 0, fStartZ = 0, fStartT = 0, fW = 1;
  Int_t fProcID = 0, fNPoints = 0;
#ifdef SHIPGEN_2026
  Int_t fEventID = 0, fTrackID = 0;
  ClassDef(ShipMCTrack, 9);
#else
  ClassDef(ShipMCTrack, 7);
#endif
};

class FairMCPoint : public TObject {
 public:
  Int_t fTrackID = -1;
  UInt_t fEventId = 0;
  Double32_t fPx = 0, fPy = 0, fPz = 0, fTime = 0, fLength = 0, fELoss = 0;
  Int_t fDetectorID = 0;
  Double32_t fX = 0, fY = 0, fZ = 0;
  ClassDef(FairMCPoint, 5);
};

#ifdef SHIPGEN_2026
namespace SHiP {
class DetectorPoint : public FairMCPoint {
 public:
  Int_t fPdgCode = 0;
  std::array<Double_t, 3> fLpos{}, fLmom{};
  ClassDef(SHiP::DetectorPoint, 1);
};
}  // namespace SHiP

class vetoPoint : public SHiP::DetectorPoint {
 public:
  ClassDef(vetoPoint, 5);
};
#else
class vetoPoint : public FairMCPoint {
 public:
  Int_t fPdgCode = 0;
  TVector3 fLpos, fLmom;
  ClassDef(vetoPoint, 2);
};
#endif

#ifdef __CLING__
#pragma link C++ class ShipMCTrack+;
#pragma link C++ class FairMCPoint+;
#ifdef SHIPGEN_2026
#pragma link C++ class SHiP::DetectorPoint+;
#pragma link C++ class std::vector<ShipMCTrack>+;
#pragma link C++ class std::vector<vetoPoint>+;
#endif
#pragma link C++ class vetoPoint+;
#endif

#endif
