/// The plan of a production: how many muons, in which chunks, and the category of each (docs/explanation/production.md).
#ifndef SHIPGEN_MUONS_PLAN_H_
#define SHIPGEN_MUONS_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace shipgen_muons {

/// Muons of a full chunk.
inline constexpr std::int64_t kChunkSize = std::int64_t{1} << 18;

/// More muons than anybody can store; a plan has no more.
inline constexpr double kMostMuons = 1e15;

/// What `shipgen.generate.plan.Plan` is in Python: the same totals, sizes and categories for the same numbers.
class Plan {
 public:
  /// Plan `muons`, a whole number.
  ///
  /// \param rates  muons per proton of each category; at most 4
  /// \param muons  expected number of muons
  /// \param seed   0 to 2^63 - 1
  /// \param exact  whether the total is the expected number, or a Poisson number around it
  /// \param factors  what the weights of each category's muons are multiplied by; none: 1
  /// \throws InputError  a number is out of range
  static Plan ForMuons(const std::vector<double>& rates, double muons, std::int64_t seed, bool exact = false,
                       const std::vector<double>& factors = {});

  /// Plan the muons of so many protons on target; else as `ForMuons`.
  static Plan ForProtons(const std::vector<double>& rates, double pot, std::int64_t seed, bool exact = false,
                         const std::vector<double>& factors = {});

  /// Muons per proton, all categories.
  double Rate() const;

  /// What the weights of the muons of category number `i` in the rates are multiplied by.
  double Factor(std::size_t i) const { return factors_.empty() ? 1 : factors_[i]; }

  /// Protons on target that the production stands for.
  double Pot() const { return pot_; }

  /// The production's seed.
  std::int64_t Seed() const { return seed_; }

  /// Muons expected for these protons.
  double Expected() const;

  /// Each muon's weight: the expected sum of weights is the expected number of muons.
  double Weight() const;

  /// Muons, of all categories and chunks.
  std::int64_t Total() const { return total_; }

  /// Number of chunks.
  std::int64_t Chunks() const { return (total_ + kChunkSize - 1) / kChunkSize; }

  /// Muons of chunk number `chunk`, which has to exist.
  std::int64_t Size(std::int64_t chunk) const;

  /// Draw the category of each muon of a chunk: its position among the rates, in `labels[0]` to `labels[Size
  /// - 1]`.
  void DrawCategories(std::int64_t chunk, std::vector<std::uint8_t>& labels) const;

 private:
  Plan(const std::vector<double>& rates, double pot, std::int64_t seed, bool exact,
       const std::vector<double>& factors);

  std::vector<double> rates_, factors_;
  double pot_;
  std::int64_t seed_;
  bool exact_;
  std::int64_t total_;
};

/// Sum of finite numbers, rounded once, as Python's `math.fsum`.
double ExactSum(const std::vector<double>& values);

}  // namespace shipgen_muons

#endif
