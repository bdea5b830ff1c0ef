/// Latents by eights: a muon's levels, whose sums are its latents, as `shipgen.bundle.levels` has them.
#ifndef SHIPGEN_MUONS_LEVELS_H_
#define SHIPGEN_MUONS_LEVELS_H_

#include <array>
#include <cstddef>

namespace shipgen_muons {

/// Ways in which the latents of a network are drawn: normal numbers, or levels.
enum Drawn : int { kNormal = 1, kLevelled = 2 };

/// How many levels are added up.
constexpr std::size_t kEight = 8;

/// How many levels a muon takes for so many latents: eight for every eight begun.
constexpr std::size_t LevelsOf(std::size_t latents) { return (latents + kEight - 1) / kEight * kEight; }

/// What each byte stands for.
const std::array<float, 256>& Levels();

}  // namespace shipgen_muons

#endif
