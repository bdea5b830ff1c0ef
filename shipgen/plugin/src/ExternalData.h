/// Whether a network is all in its file.
#ifndef SHIPGEN_MUONS_EXTERNALDATA_H_
#define SHIPGEN_MUONS_EXTERNALDATA_H_

#include <string>

namespace shipgen_muons {

/// Return what is wrong with a serialised ONNX model, or nothing: it is no such message, or has numbers in other files.
///
/// ONNX Runtime would read these from wherever the process stands, and nobody has checked their hash. That it is
/// not to is an option of new releases only.
std::string FaultOfModel(const std::string& model);

}  // namespace shipgen_muons

#endif
