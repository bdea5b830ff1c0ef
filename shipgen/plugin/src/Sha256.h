#ifndef SHIPGEN_MUONS_SHA256_H_
#define SHIPGEN_MUONS_SHA256_H_

#include <string>

namespace shipgen_muons {

/// SHA-256 (FIPS 180-4) of some bytes, 64 hexadecimal digits.
std::string Sha256(const std::string& bytes);

}  // namespace shipgen_muons

#endif
