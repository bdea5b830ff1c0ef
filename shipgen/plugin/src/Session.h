/// A network's session in ONNX Runtime, what its graph takes and makes, and memory for that.
#ifndef SHIPGEN_MUONS_SESSION_H_
#define SHIPGEN_MUONS_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "OnnxRuntime.h"

namespace shipgen_muons::onnx {

/// An input or output of a graph; -1 in its shape is a free dimension.
struct Node {
  std::string name;
  bool is_float = false;
  std::vector<std::int64_t> shape;

  bool Is(const char* wanted, const std::vector<std::int64_t>& dimensions) const {
    return name == wanted && is_float && shape == dimensions;
  }
};

/// Return a session of a serialised model, which has one thread and reads no other file.
///
/// \param what  what a message begins with
/// \throws BundleError   it is no ONNX model that can run
/// \throws OnnxRuntimeError  ONNX Runtime is missing
SessionOwner MakeSession(const std::string& model, const std::string& what);

/// Return the inputs or the outputs of a session's graph.
std::vector<Node> ReadNodes(const Session* session, bool is_input, const std::string& what);

/// Return names, types and shapes of inputs and outputs, for messages.
std::string Text(const std::vector<Node>& inputs, const std::vector<Node>& outputs);

/// Return a tensor that lies in `memory`, which has to live longer.
ValueOwner MakeTensor(std::vector<float>& memory, const std::vector<std::int64_t>& shape);

/// Whether any of the numbers is infinite or not a number.
bool AnyNotFinite(const float* values, std::size_t count);

}  // namespace shipgen_muons::onnx

#endif
