/// What is in the files of a bundle.
#ifndef SHIPGEN_MUONS_FILES_H_
#define SHIPGEN_MUONS_FILES_H_

#include <filesystem>
#include <string>

namespace shipgen_muons {

/// Return what is in a file.
///
/// \param what  what a message begins with
/// \throws BundleError  it cannot be read
std::string ReadFile(const std::filesystem::path& path, const std::string& what);

/// Return what is in the file of a network, whose hash has to be `digest`; throw also where it is another, huge
/// or no file.
std::string ReadModel(const std::filesystem::path& path, const std::string& digest, const std::string& what);

}  // namespace shipgen_muons

#endif
