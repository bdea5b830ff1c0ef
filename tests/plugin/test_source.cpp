// The generator for FairRoot, compiled against a stand-in for FairRoot.
#include <FairPrimaryGenerator.h>

#include <cmath>
#include <cstddef>
#include <iostream>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>

#include "check.h"
#include "shipgen_muons/MuonSource.h"

using shipgen_muons::MuonEvents;
using shipgen_muons::MuonSource;

namespace {

/// Collects what is written to stderr.
class Errors {
 public:
  Errors() : before_(std::cerr.rdbuf(text_.rdbuf())) {}
  ~Errors() { std::cerr.rdbuf(before_); }
  Errors(const Errors&) = delete;
  Errors& operator=(const Errors&) = delete;

  /// Lines of the source itself; ONNX Runtime may write others.
  std::string Own() const {
    std::istringstream lines(text_.str());
    std::string own;
    for (std::string line; std::getline(lines, line);) {
      if (line.find("] shipgen: ") != std::string::npos) own += line + "\n";
    }
    return own;
  }

 private:
  std::ostringstream text_;
  std::streambuf* before_;
};

/// Add a source to the primary generator, which owns it from then on.
MuonSource* Add(FairPrimaryGenerator& primary, std::unique_ptr<MuonSource> source) {
  primary.AddGenerator(source.get());
  return source.release();
}

void TestTracks() {
  FairPrimaryGenerator primary;
  MuonSource* source = Add(primary, std::make_unique<MuonSource>());
  source->SetSeed(3);
  source->SetMuonsPerEvent(2);
  CHECK(source->GetPot() == 0 && source->GetFileSummary().empty());
  const Errors messages;
  CHECK(source->Init());
  CHECK(messages.Own().find("[info] shipgen: bundle default ") == 0);
  CHECK(messages.Own().find(", seed 3, 0.00") != std::string::npos);
  // FairRoot's own call does not load it again.
  primary.Init();
  CHECK(messages.Own().find('\n') == messages.Own().size() - 1);
  CHECK(primary.Run(5000) == 5000);
  CHECK(primary.Tracks().size() == 12 * 10000);

  shipgen_muons::Options options;
  options.seed = 3;
  MuonEvents events(options);
  const double* numbers = primary.Tracks().data();
  bool same = true;
  for (int i = 0; i < 10000; ++i, numbers += 12) {
    events.NextEvent([&](const shipgen_muons::Track& t) {
      const double expected[] = {
          static_cast<double>(t.pdg), t.px, t.py, t.pz, t.x, t.y, t.z, -1, 1, -9e9, 0, 1};
      for (std::size_t k = 0; k < 12; ++k) same = same && numbers[k] == expected[k];
    });
  }
  CHECK(same);
  CHECK(source->GetEvents() == 5000 && source->GetMuons() == 10000 && source->GetSeed() == 3);
  CHECK(source->GetPot() == events.Pot() && source->GetFileSummary() == events.FileSummary());
}

void TestWrongBundle() {
  const Errors errors;
  FairPrimaryGenerator primary;
  Add(primary, std::make_unique<MuonSource>("/nowhere"));
  primary.Init();
  CHECK(primary.Run(10) == 0 && primary.Run(10) == 0);
  CHECK(primary.Tracks().empty());
  // Told once, though the first event fails as well.
  CHECK(errors.Own() ==
        "[error] shipgen: /nowhere is no bundle (no bundle.json in it): give a folder that `shipgen export` "
        "wrote\n");
}

void TestWrongOption() {
  const Errors errors;
  MuonSource source;
  source.SetEnergyCut(5);
  CHECK(!source.Init());
  CHECK(errors.Own().find("[error] shipgen: energy_cut = 5 GeV is below") == 0);
  source.SetEnergyCut(50);
  CHECK(source.Init());
}

class Broken : public FairPrimaryGenerator {
 public:
  void AddTrack(Int_t, Double_t, Double_t, Double_t, Double_t, Double_t, Double_t, Int_t, Bool_t, Double_t,
                Double_t, Double_t, TMCProcess) override {
    throw std::runtime_error("no more room");
  }
};

void TestNothingIsThrown() {
  const Errors errors;
  MuonSource source;
  Broken primary;
  CHECK(source.Init() && !source.ReadEvent(&primary));
  CHECK(errors.Own().find("\n[error] shipgen: no more room\n") != std::string::npos);
  // The muons of that event are lost: it does not go on with others.
  FairPrimaryGenerator good;
  CHECK(!source.Init() && !source.ReadEvent(&good) && good.Tracks().empty());
}

}  // namespace

int main() {
  TestTracks();
  TestWrongBundle();
  TestWrongOption();
  TestNothingIsThrown();
  return check::Result();
}
