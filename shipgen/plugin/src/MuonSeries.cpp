#include "shipgen_muons/MuonSeries.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "Factors.h"
#include "Network.h"
#include "Streams.h"
#include "shipgen_muons/Error.h"

namespace shipgen_muons {

/// What makes the muons of one category.
struct MuonSeries::Batches {
  Batches(const Entry& entry, double plan_factor, std::uint64_t seed)
      : category(entry.category),
        factor(static_cast<float>(plan_factor)),
        network(entry.network),
        purpose(kLatent + static_cast<std::uint64_t>(entry.category.number)),
        run(*network, static_cast<std::size_t>(kBatchSize)),
        latents(seed, 0, purpose),
        muons(static_cast<std::size_t>(kBatchSize)) {}

  /// Put what the network made into `muons`, one record each: reading these touches one line of the cache.
  void Collect(std::size_t count, float weight) {
    const std::size_t step = network->FeatureMajor() ? count : 1,
                      muon_step = network->FeatureMajor() ? 1 : network->Features();
    const float* value = run.Features();
    const float* weights = run.Weights();
    for (std::size_t i = 0; i < count; ++i, value += muon_step) {
      Muon& muon = muons[i];
      // On axis there are four features, and x = y = 0.
      const float* rest = category.on_axis ? value : value + 2 * step;
      muon.pdg = category.pdg;
      muon.x = category.on_axis ? 0 : value[0];
      muon.y = category.on_axis ? 0 : value[step];
      muon.z = rest[0];
      muon.px = rest[step];
      muon.py = rest[2 * step];
      muon.pz = rest[3 * step];
      // In this order, in which Python rounds.
      muon.weight = (weights == nullptr ? factor : weights[i] * factor) * weight;
    }
  }

  Category category;
  float factor;  ///< of the weights
  std::shared_ptr<const Network> network;
  std::uint64_t purpose;
  NetworkRun run;
  std::unique_ptr<FactorRun> factors;  ///< where a variation is asked for
  std::size_t column = 0;              ///< its place among the network's
  Stream latents;           ///< of the chunk
  std::vector<Muon> muons;  ///< of the batch
};

MuonSeries::MuonSeries(const Bundle& bundle, const Plan& plan, const std::string& variation)
    : plan_(plan),
      bundle_(bundle.Path()),
      variation_(variation.empty() ? "" : bundle.FindVariation(variation)),
      weight_(static_cast<float>(plan.Weight())) {
  for (std::size_t i = 0; i < bundle.Entries().size(); ++i) {
    const Entry& entry = bundle.Entries()[i];
    Reader reader;
    reader.batches =
        std::make_unique<Batches>(entry, plan.Factor(i), static_cast<std::uint64_t>(plan.Seed()));
    if (!variation_.empty()) {
      reader.batches->factors =
          std::make_unique<FactorRun>(*entry.factors, *entry.network, static_cast<std::size_t>(kBatchSize));
      reader.batches->column = PlaceOf(variation_, entry.factors->columns);
    }
    readers_.push_back(std::move(reader));
  }
  labels_.resize(static_cast<std::size_t>(std::min(plan.Total(), kChunkSize)));
}

MuonSeries::~MuonSeries() = default;
MuonSeries::MuonSeries(MuonSeries&&) noexcept = default;
MuonSeries& MuonSeries::operator=(MuonSeries&&) noexcept = default;

bool MuonSeries::StartChunk() {
  if (chunk_ + 1 >= plan_.Chunks()) return false;
  ++chunk_;
  place_ = 0;
  size_ = static_cast<std::size_t>(plan_.Size(chunk_));
  plan_.DrawCategories(chunk_, labels_);
  std::array<std::int64_t, 256> counts{};
  for (std::size_t i = 0; i < size_; ++i) ++counts[labels_[i]];
  for (std::size_t i = 0; i < readers_.size(); ++i) {
    Reader& reader = readers_[i];
    Batches& batches = *reader.batches;
    batches.latents =
        Stream(static_cast<std::uint64_t>(plan_.Seed()), static_cast<std::uint64_t>(chunk_), batches.purpose);
    reader.left = counts[i];
    reader.next = reader.end = nullptr;
  }
  return true;
}

void MuonSeries::Refill(Reader& reader) {
  // The latents of a batch that failed are spent: what came next would not be this seed's muons.
  if (failed_) throw InputError("no more muons after an error: make a new series");
  failed_ = true;
  Batches& batches = *reader.batches;
  const Network& network = *batches.network;
  const auto count = static_cast<std::size_t>(std::min(reader.left, kBatchSize));
  if (network.HowDrawn() == kLevelled) {
    batches.latents.FillLevels(batches.run.Latents(), count * network.Inputs());
  } else {
    batches.latents.FillNormal(batches.run.Latents(), count * network.Inputs());
  }
  try {
    batches.run(count);
  } catch (const BundleError& error) {
    throw BundleError(std::string(error.what()) + " (seed " + std::to_string(plan_.Seed()) + ", chunk " +
                      std::to_string(chunk_) + "): use another bundle, or train again");
  }
  batches.Collect(count, weight_);
  if (batches.factors) reader.factors = MakeFactors(batches, count);
  failed_ = false;
  reader.left -= static_cast<std::int64_t>(count);
  reader.next = reader.first = batches.muons.data();
  reader.end = reader.next + count;
}

const float* MuonSeries::MakeFactors(Batches& batches, std::size_t count) const {
  // The batches are those of `shipgen.generate.factors`: so many of a category's muons in their order.
  const float* factors = (*batches.factors)(batches.run.Features(), count, batches.column);
  if (!AreFactors(factors, count)) {
    throw BundleError("variations of bundle " + bundle_ + " are not all finite and above zero (seed " +
                      std::to_string(plan_.Seed()) + ", chunk " + std::to_string(chunk_) +
                      "): train them again");
  }
  return factors;
}

}  // namespace shipgen_muons
