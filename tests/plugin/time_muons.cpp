// Core time of the compiled source, the best of some rounds: making batches, reading the series, reading
// events.
//   time_muons [BUNDLE]
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "Network.h"
#include "Streams.h"
#include "shipgen_muons/MuonEvents.h"
#include "shipgen_muons/MuonSeries.h"

using namespace shipgen_muons;

namespace {

constexpr int kRounds = 15;

/// Muons of a round; short, so that some rounds are undisturbed.
constexpr std::int64_t kMuons = kChunkSize;

template <class Work>
double Nanoseconds(Work&& work) {
  const std::clock_t start = std::clock();
  work();
  return 1e9 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC / static_cast<double>(kMuons);
}

/// Makes the batches that a round needs, and nothing else.
class Batches {
 public:
  explicit Batches(const Bundle& bundle) : bundle_(bundle) {
    for (const Entry& entry : bundle.Entries())
      runs_.push_back(std::make_unique<NetworkRun>(*entry.network, kBatchSize));
  }

  void operator()(bool latents, bool networks) {
    for (std::size_t k = 0; k < runs_.size(); ++k) {
      const Entry& entry = bundle_.Entries()[k];
      const double share = entry.rate / bundle_.Rate();
      for (double done = 0; done < share * kMuons; done += kBatchSize) {
        const double count = std::min(static_cast<double>(kBatchSize), share * kMuons - done);
        const auto numbers = static_cast<std::size_t>(count) * entry.network->Inputs();
        if (latents && entry.network->HowDrawn() == kLevelled)
          stream_.FillLevels(runs_[k]->Latents(), numbers);
        else if (latents)
          stream_.FillNormal(runs_[k]->Latents(), numbers);
        if (networks) (*runs_[k])(static_cast<std::size_t>(count));
      }
    }
  }

 private:
  Bundle bundle_;
  std::vector<std::unique_ptr<NetworkRun>> runs_;
  Stream stream_{1, 0, kLatent};
};

void Measure(const std::string& path) {
  Options options;
  options.bundle = path;
  options.seed = 1;
  const Bundle bundle = Bundle::Open(path);
  Batches batches(bundle);
  MuonSeries series(bundle, Plan::ForMuons(bundle.Rates(), kMostMuons, 1, true));
  MuonEvents events(options);
  double latents = 1e9, both = 1e9, read = 1e9, event = 1e9, sum = 0;
  for (int round = 0; round < kRounds; ++round) {
    latents = std::min(latents, Nanoseconds([&] { batches(true, false); }));
    both = std::min(both, Nanoseconds([&] { batches(true, true); }));
    read = std::min(read, Nanoseconds([&] {
                      Muon muon;
                      for (std::int64_t i = 0; i < kMuons && series.Next(muon); ++i)
                        sum += static_cast<double>(muon.pz);
                    }));
    event = std::min(event, Nanoseconds([&] {
                       for (std::int64_t i = 0; i < kMuons; ++i)
                         events.NextEvent([&sum](const Track& track) { sum += track.pz; });
                     }));
  }
  std::printf(
      "latents %.0f, networks %.0f, read as series %.0f, as events of one %.0f ns a muon (%.3g muons/s); "
      "an event beyond latents and network %.0f ns; mean pz %.4g GeV\n",
      latents, both - latents, read, event, 1e9 / event, event - both, sum / kRounds / kMuons / 2);
}

}  // namespace

int main(int count, char** words) {
  try {
    Measure(count > 1 ? words[1] : "");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
