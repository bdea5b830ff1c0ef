/// Random streams: one for every (seed, chunk, purpose), as `shipgen.generate.streams` has them (docs/explanation/production.md).
#ifndef SHIPGEN_MUONS_STREAMS_H_
#define SHIPGEN_MUONS_STREAMS_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace shipgen_muons {

/// Purposes of streams; latents of category number k use `kLatent + k`.
enum Purpose : std::uint64_t { kCounts = 0, kMixing = 1, kBeam = 2, kEvents = 3, kLatent = 16 };

/// NumPy's SFC64(SeedSequence(seed, spawn_key=(chunk, purpose))) with those of its distributions that are
/// used.
///
/// The distributions are NumPy's own, from its static library libnpyrandom.
class Stream {
 public:
  Stream(std::uint64_t seed, std::uint64_t chunk, std::uint64_t purpose);

  /// The next 64 random bits.
  std::uint64_t Next() {
    const std::uint64_t result = a_ + b_ + counter_++;
    a_ = b_ ^ (b_ >> 11);
    b_ = c_ + (c_ << 3);
    c_ = ((c_ << 24) | (c_ >> 40)) + result;
    return result;
  }

  /// The next 32 random bits: the low half of 64 first, the high half when asked again.
  std::uint32_t NextHalf() {
    has_half_ = !has_half_;
    if (!has_half_) return half_;
    const std::uint64_t both = Next();
    half_ = static_cast<std::uint32_t>(both >> 32);
    return static_cast<std::uint32_t>(both);
  }

  /// The next number in [0, 1).
  double NextDouble() { return static_cast<double>(Next() >> 11) * (1.0 / 9007199254740992.0); }

  /// Fill `values` with `count` normal numbers of mean 0 and deviation 1, as
  /// `standard_normal(dtype=float32)`.
  void FillNormal(float* values, std::size_t count);

  /// Fill `values` with `count` levels, a multiple of eight: one for each byte of the outputs, their lowest
  /// byte first.
  void FillLevels(float* values, std::size_t count);

  /// A normal number of mean 0 and deviation 1, as `standard_normal()`.
  double Normal();

  /// A Poisson number, as `poisson(mean)`.
  std::int64_t Poisson(double mean);

 private:
  std::uint64_t a_, b_, c_, counter_ = 1;
  std::uint32_t half_ = 0;
  bool has_half_ = false;
};

/// NumPy's SeedSequence(seed, spawn_key=(chunk, purpose)).generate_state(3, uint64).
std::array<std::uint64_t, 3> SeedState(std::uint64_t seed, std::uint64_t chunk, std::uint64_t purpose);

}  // namespace shipgen_muons

#endif
