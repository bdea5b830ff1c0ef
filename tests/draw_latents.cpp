// Draws the latents of a stream of shipgen in C++: docs/production.md in code.
// Usage: draw_latents SEED CHUNK PURPOSE COUNT > float32 values
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

extern "C" {
#include "numpy/random/bitgen.h"
// From numpy/random/distributions.h, which needs Python's headers.
void random_standard_normal_fill_f(bitgen_t *, std::intptr_t, float *);
}

namespace {

void append(std::vector<std::uint32_t> &words, std::uint64_t number) {
   do {
      words.push_back(static_cast<std::uint32_t>(number));
      number >>= 32;
   } while (number != 0);
}

std::uint32_t shifted(std::uint32_t value) { return value ^ (value >> 16); }

// NumPy's SeedSequence(seed, spawn_key=(chunk, purpose)).generate_state(3, uint64).
std::array<std::uint64_t, 3> seed_state(std::uint64_t seed, std::uint64_t chunk, std::uint64_t purpose) {
   std::vector<std::uint32_t> entropy;
   append(entropy, seed);
   entropy.resize(4);
   append(entropy, chunk);
   append(entropy, purpose);
   std::uint32_t constant = 0x43b0d7e5;
   auto hash = [&constant](std::uint32_t value) {
      value ^= constant;
      constant *= 0x931e8875;
      return shifted(value * constant);
   };
   auto mix = [](std::uint32_t x, std::uint32_t y) { return shifted(0xca01f9dd * x - 0x4973f715 * y); };
   std::array<std::uint32_t, 4> pool;
   for (int i = 0; i < 4; ++i) pool[i] = hash(entropy[i]);
   for (int from = 0; from < 4; ++from)
      for (int to = 0; to < 4; ++to)
         if (from != to) pool[to] = mix(pool[to], hash(pool[from]));
   for (std::size_t from = 4; from < entropy.size(); ++from)
      for (int to = 0; to < 4; ++to) pool[to] = mix(pool[to], hash(entropy[from]));
   constant = 0x8b51f9dd;
   std::array<std::uint64_t, 3> state{};
   for (int i = 0; i < 6; ++i) {
      std::uint32_t value = pool[i % 4] ^ constant;
      constant *= 0x58f38ded;
      state[i / 2] |= static_cast<std::uint64_t>(shifted(value * constant)) << (32 * (i % 2));
   }
   return state;
}

struct Sfc64 {
   std::uint64_t a, b, c, counter = 1;
   std::uint32_t half = 0;
   bool has_half = false;

   explicit Sfc64(const std::array<std::uint64_t, 3> &state) : a(state[0]), b(state[1]), c(state[2]) {
      for (int i = 0; i < 12; ++i) next();
   }
   std::uint64_t next() {
      const std::uint64_t result = a + b + counter++;
      a = b ^ (b >> 11);
      b = c + (c << 3);
      c = ((c << 24) | (c >> 40)) + result;
      return result;
   }
   std::uint32_t next_half() {
      has_half = !has_half;
      if (!has_half) return half;
      const std::uint64_t both = next();
      half = static_cast<std::uint32_t>(both >> 32);
      return static_cast<std::uint32_t>(both);
   }
};

std::uint64_t next_uint64(void *state) { return static_cast<Sfc64 *>(state)->next(); }
std::uint32_t next_uint32(void *state) { return static_cast<Sfc64 *>(state)->next_half(); }
double next_double(void *state) { return static_cast<double>(next_uint64(state) >> 11) / 9007199254740992.0; }

} // namespace

int main(int, char **words) {
   auto number = [words](int i) { return std::strtoull(words[i], nullptr, 10); };
   Sfc64 generator(seed_state(number(1), number(2), number(3)));
   bitgen_t bits{&generator, next_uint64, next_uint32, next_double, next_uint64};
   std::vector<float> latents(number(4));
   random_standard_normal_fill_f(&bits, static_cast<std::intptr_t>(latents.size()), latents.data());
   std::fwrite(latents.data(), sizeof(float), latents.size(), stdout);
}
