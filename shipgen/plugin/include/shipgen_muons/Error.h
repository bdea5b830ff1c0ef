/// What can go wrong: one class a kind, as in `shipgen.errors`. A message is one line that says what is
/// wrong, where, and what to do next.
#ifndef SHIPGEN_MUONS_ERROR_H_
#define SHIPGEN_MUONS_ERROR_H_

#include <stdexcept>

namespace shipgen_muons {

/// Base of all errors that are thrown on purpose.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A value given by the user cannot be used.
class InputError : public Error {
 public:
  using Error::Error;
};

/// A bundle is missing, damaged or of another format, or its networks make no muons.
class BundleError : public Error {
 public:
  using Error::Error;
};

/// ONNX Runtime is missing or cannot be used.
class OnnxRuntimeError : public Error {
 public:
  using Error::Error;
};

}  // namespace shipgen_muons

#endif
