/// The muons of a plan, one after the other: those of `shipgen produce` with the same bundle, seed and
/// amount.
#ifndef SHIPGEN_MUONS_MUONSERIES_H_
#define SHIPGEN_MUONS_MUONSERIES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "shipgen_muons/Bundle.h"
#include "shipgen_muons/Muon.h"
#include "shipgen_muons/Plan.h"

namespace shipgen_muons {

/// Muons whose latents are drawn, and which pass the network, together; part of what makes results
/// reproducible.
inline constexpr std::int64_t kBatchSize = 4096;

/// Makes the muons of a plan in batches of each category, when the first muon of a batch is asked for.
///
/// Reading a muon allocates nothing. Two series are independent of each other; one belongs to one thread at a
/// time.
class MuonSeries {
 public:
  /// \param bundle  the networks
  /// \param plan    made with this bundle's rates
  /// \param variation  name or column of one of the bundle's, whose factors `Factor` has; empty: none
  /// \throws InputError   the bundle has no such variation
  /// \throws BundleError  a network of variations cannot be used
  MuonSeries(const Bundle& bundle, const Plan& plan, const std::string& variation = "");
  ~MuonSeries();
  MuonSeries(MuonSeries&&) noexcept;
  MuonSeries& operator=(MuonSeries&&) noexcept;
  MuonSeries(const MuonSeries&) = delete;
  MuonSeries& operator=(const MuonSeries&) = delete;

  /// Put the next muon into `muon`; false, with `muon` as it was, when the plan has no more.
  ///
  /// \throws BundleError  a network fails, or makes a number that is not finite, or a weight or factor that is
  /// not above zero
  /// \throws InputError   an earlier call threw
  bool Next(Muon& muon) {
    if (place_ == size_ && !StartChunk()) return false;
    Reader& reader = readers_[labels_[place_]];
    if (reader.next == reader.end) Refill(reader);
    muon = *reader.next++;
    ++place_;
    return true;
  }

  /// Factor of the last muon's weight for the variation, which there has to be.
  float Factor() const {
    const Reader& reader = readers_[labels_[place_ - 1]];
    return reader.factors[reader.next - reader.first - 1];
  }

  /// Column of the variation; empty where none is asked for.
  const std::string& Variation() const { return variation_; }

  /// Number of the chunk that the last muon is of.
  std::int64_t Chunk() const { return chunk_; }

  /// Muons of that chunk that have been read, and all that it has.
  std::size_t Place() const { return place_; }
  std::size_t ChunkSize() const { return size_; }

  const Plan& GetPlan() const { return plan_; }

 private:
  struct Batches;

  /// One category: its muons that are made and not read, and what makes more of them.
  struct Reader {
    const Muon* next = nullptr;
    const Muon* end = nullptr;
    const Muon* first = nullptr;     ///< of those that were made together
    const float* factors = nullptr;  ///< of their weights
    std::int64_t left = 0;  ///< muons of the chunk that are not made yet
    std::unique_ptr<Batches> batches;
  };

  bool StartChunk();
  void Refill(Reader& reader);
  const float* MakeFactors(Batches& batches, std::size_t count) const;

  Plan plan_;
  std::string bundle_, variation_;
  float weight_;
  bool failed_ = false;
  std::int64_t chunk_ = -1;
  std::size_t place_ = 0, size_ = 0;
  std::vector<std::uint8_t> labels_;
  std::vector<Reader> readers_;
};

}  // namespace shipgen_muons

#endif
