#include "shipgen_muons/Plan.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <sstream>
#include <string>
#include <utility>

#include "Streams.h"
#include "shipgen_muons/Error.h"

namespace shipgen_muons {
namespace {

/// Values that a word of a random stream takes.
constexpr double kWords = 4294967296.0;

/// How far a number may be from a whole one, relative, and still be meant to be that.
constexpr double kClose = 1e-12;

constexpr std::size_t kMostCategories = 4;

std::string Text(double value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

bool IsClose(double a, double b) { return std::abs(a - b) <= kClose * std::max(std::abs(a), std::abs(b)); }

}  // namespace

double ExactSum(const std::vector<double>& values) {
  // Shewchuk's algorithm: parts that do not overlap, whose sum is the exact one, the smallest first.
  std::vector<double> parts;
  for (double x : values) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      double y = parts[i];
      if (std::abs(x) < std::abs(y)) std::swap(x, y);
      const double high = x + y;
      const double low = y - (high - x);
      if (low != 0) parts[kept++] = low;
      x = high;
    }
    parts.resize(kept);
    parts.push_back(x);
  }
  if (parts.empty()) return 0;
  std::size_t n = parts.size() - 1;
  double high = parts[n], low = 0;
  while (n > 0 && low == 0) {
    const double x = high, y = parts[--n];
    high = x + y;
    low = y - (high - x);
  }
  // Half way between two numbers the parts below decide.
  if (n > 0 && ((low < 0 && parts[n - 1] < 0) || (low > 0 && parts[n - 1] > 0))) {
    const double y = 2 * low, x = high + y;
    if (y == x - high) high = x;
  }
  return high;
}

Plan Plan::ForMuons(const std::vector<double>& rates, double muons, std::int64_t seed, bool exact,
                    const std::vector<double>& factors) {
  if (!(std::isfinite(muons) && muons > 0 && muons == std::floor(muons))) {
    throw InputError("n = " + Text(muons) + " is not a whole number above zero");
  }
  return Plan(rates, muons / ExactSum(rates), seed, exact, factors);
}

Plan Plan::ForProtons(const std::vector<double>& rates, double pot, std::int64_t seed, bool exact,
                      const std::vector<double>& factors) {
  return Plan(rates, pot, seed, exact, factors);
}

Plan::Plan(const std::vector<double>& rates, double pot, std::int64_t seed, bool exact,
           const std::vector<double>& factors)
    : rates_(rates), factors_(factors), pot_(pot), seed_(seed), exact_(exact) {
  const bool good =
      std::all_of(rates.begin(), rates.end(), [](double r) { return std::isfinite(r) && r >= 0; });
  if (!good || rates.size() > kMostCategories || !(ExactSum(rates) > 0)) {
    throw InputError("rates have to be up to four finite numbers, none negative, with a sum above zero");
  }
  if (seed < 0)
    throw InputError("the seed " + std::to_string(seed) + " is not a whole number from 0 to 2**63 - 1");
  if (!(std::isfinite(pot) && pot > 0))
    throw InputError("pot = " + Text(pot) + " is not a finite number above zero");
  const double expected = pot * Rate();
  // By more than the last bits of n / rate * rate.
  if (expected > kMostMuons * (1 + kClose))
    throw InputError(Text(expected) + " muons are more than 1e+15: ask for less");
  if (expected < 0.5) {
    throw InputError(Text(pot) + " protons give " + Text(expected) + " muons on average: ask for more");
  }
  total_ = exact ? static_cast<std::int64_t>(std::nearbyint(Expected()))
                 : Stream(static_cast<std::uint64_t>(seed), 0, kCounts).Poisson(Expected());
}

double Plan::Rate() const { return ExactSum(rates_); }

double Plan::Expected() const {
  const double expected = pot_ * Rate();
  // n / rate * rate is n again but for the last bits.
  const double whole = std::nearbyint(expected);
  return exact_ || IsClose(expected, whole) ? whole : expected;
}

double Plan::Weight() const {
  const double weight = pot_ * Rate() / Expected();
  return IsClose(weight, 1) ? 1 : weight;
}

std::int64_t Plan::Size(std::int64_t chunk) const {
  if (chunk < 0 || chunk >= Chunks()) {
    throw InputError("there is no chunk " + std::to_string(chunk) + ": the plan has " +
                     std::to_string(Chunks()));
  }
  return std::min(kChunkSize, total_ - chunk * kChunkSize);
}

void Plan::DrawCategories(std::int64_t chunk, std::vector<std::uint8_t>& labels) const {
  const auto size = static_cast<std::size_t>(Size(chunk));
  if (labels.size() < size) labels.resize(size);
  std::vector<double> sums;
  double sum = 0;
  for (const double rate : rates_) sums.push_back(sum += rate);
  // A border of 2^32 is above all words: nothing is left for the categories behind it.
  std::array<std::uint64_t, kMostCategories - 1> borders;
  borders.fill(static_cast<std::uint64_t>(kWords));
  for (std::size_t i = 0; i + 1 < sums.size(); ++i) {
    borders[i] = static_cast<std::uint64_t>(sums[i] / sum * kWords);
  }
  Stream stream(static_cast<std::uint64_t>(seed_), static_cast<std::uint64_t>(chunk), kMixing);
  for (std::size_t i = 0; i < size; ++i) {
    const std::uint32_t word = stream.NextHalf();
    labels[i] = static_cast<std::uint8_t>((word >= borders[0]) + (word >= borders[1]) + (word >= borders[2]));
  }
}

}  // namespace shipgen_muons
