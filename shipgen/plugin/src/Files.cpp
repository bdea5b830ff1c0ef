#include "Files.h"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <ios>
#include <iterator>

#include "Sha256.h"
#include "shipgen_muons/Error.h"

namespace shipgen_muons {
namespace {

namespace fs = std::filesystem;

/// Bytes of a network, at most.
constexpr std::uintmax_t kLargest = std::uintmax_t{1} << 27;

}  // namespace

std::string ReadFile(const fs::path& path, const std::string& what) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string bytes;
  try {
    bytes.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  } catch (const std::ios_base::failure&) {
    // The buffer throws what it cannot read, such as a folder.
    file.setstate(std::ios::badbit);
  }
  if (!file.good() && !file.eof()) throw BundleError(what + " cannot be read: " + std::strerror(errno));
  return bytes;
}

std::string ReadModel(const fs::path& path, const std::string& digest, const std::string& what) {
  std::error_code ignored;
  const fs::file_status status = fs::status(path, ignored);
  // A pipe would have no end.
  if (fs::exists(status) && !fs::is_regular_file(status) && !fs::is_directory(status)) {
    throw BundleError(what + " cannot be read: it is no file");
  }
  if (fs::is_regular_file(status) && fs::file_size(path, ignored) > kLargest) {
    throw BundleError(what + " has more than " + std::to_string(kLargest) + " bytes");
  }
  std::string model = ReadFile(path, what);
  if (Sha256(model) != digest) {
    throw BundleError(what + " is damaged or not the bundle's own, its hash differs: get the bundle again");
  }
  return model;
}

}  // namespace shipgen_muons
