#include "Streams.h"

#include <vector>

#include "Levels.h"

extern "C" {
#include "numpy/random/bitgen.h"
// From numpy/random/distributions.h, which needs Python's headers.
void random_standard_normal_fill_f(bitgen_t*, std::intptr_t, float*);
double random_standard_normal(bitgen_t*);
std::int64_t random_poisson(bitgen_t*, double);
}

namespace shipgen_muons {
namespace {

/// Append the words of a number, the lowest first; zero has one.
void AppendWords(std::vector<std::uint32_t>& words, std::uint64_t number) {
  do {
    words.push_back(static_cast<std::uint32_t>(number));
    number >>= 32;
  } while (number != 0);
}

std::uint32_t Shifted(std::uint32_t value) { return value ^ (value >> 16); }

std::uint32_t Mixed(std::uint32_t x, std::uint32_t y) { return Shifted(0xca01f9ddU * x - 0x4973f715U * y); }

std::uint64_t RawUint64(void* state) { return static_cast<Stream*>(state)->Next(); }
std::uint32_t RawUint32(void* state) { return static_cast<Stream*>(state)->NextHalf(); }
double RawDouble(void* state) { return static_cast<Stream*>(state)->NextDouble(); }

bitgen_t BitGenerator(Stream* stream) { return {stream, RawUint64, RawUint32, RawDouble, RawUint64}; }

}  // namespace

std::array<std::uint64_t, 3> SeedState(std::uint64_t seed, std::uint64_t chunk, std::uint64_t purpose) {
  constexpr std::size_t kPool = 4;
  std::vector<std::uint32_t> entropy;
  AppendWords(entropy, seed);
  entropy.resize(kPool);
  AppendWords(entropy, chunk);
  AppendWords(entropy, purpose);

  std::uint32_t constant = 0x43b0d7e5U;
  const auto hash = [&constant](std::uint32_t value) {
    value ^= constant;
    constant *= 0x931e8875U;
    return Shifted(value * constant);
  };
  std::array<std::uint32_t, kPool> pool{};
  for (std::size_t i = 0; i < kPool; ++i) pool[i] = hash(entropy[i]);
  for (std::size_t from = 0; from < kPool; ++from) {
    for (std::size_t to = 0; to < kPool; ++to) {
      if (from != to) pool[to] = Mixed(pool[to], hash(pool[from]));
    }
  }
  for (std::size_t from = kPool; from < entropy.size(); ++from) {
    for (std::uint32_t& word : pool) word = Mixed(word, hash(entropy[from]));
  }

  constant = 0x8b51f9ddU;
  std::array<std::uint64_t, 3> state{};
  for (std::size_t i = 0; i < 2 * state.size(); ++i) {
    const std::uint32_t value = pool[i % kPool] ^ constant;
    constant *= 0x58f38dedU;
    state[i / 2] |= static_cast<std::uint64_t>(Shifted(value * constant)) << (32 * (i % 2));
  }
  return state;
}

Stream::Stream(std::uint64_t seed, std::uint64_t chunk, std::uint64_t purpose) {
  const auto state = SeedState(seed, chunk, purpose);
  a_ = state[0];
  b_ = state[1];
  c_ = state[2];
  for (int i = 0; i < 12; ++i) Next();
}

void Stream::FillNormal(float* values, std::size_t count) {
  bitgen_t bits = BitGenerator(this);
  random_standard_normal_fill_f(&bits, static_cast<std::intptr_t>(count), values);
}

void Stream::FillLevels(float* values, std::size_t count) {
  const std::array<float, 256>& levels = Levels();
  for (std::size_t i = 0; i < count; i += kEight) {
    std::uint64_t bits = Next();
    for (std::size_t byte = 0; byte < kEight; ++byte, bits >>= 8) values[i + byte] = levels[bits & 0xff];
  }
}

double Stream::Normal() {
  bitgen_t bits = BitGenerator(this);
  return random_standard_normal(&bits);
}

std::int64_t Stream::Poisson(double mean) {
  bitgen_t bits = BitGenerator(this);
  return random_poisson(&bits, mean);
}

}  // namespace shipgen_muons
