/// Networks of variations, as `shipgen.bundle.factors` has them: mean factors of muons' weights.
#ifndef SHIPGEN_MUONS_FACTORS_H_
#define SHIPGEN_MUONS_FACTORS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "Network.h"
#include "OnnxRuntime.h"

namespace shipgen_muons {

/// A category's network of variations as its bundle has it, not loaded.
struct FactorModel {
  std::string path;                  ///< of the file, for messages
  std::string sha256;                ///< of the file
  std::string bytes;                 ///< of the file, whose hash was checked
  std::vector<std::string> columns;  ///< of its output
};

/// Whether the name is that of a variation's column, `vary_NAME`.
bool IsVariation(const std::string& name);

/// Return the column of a variation, which may be given by its name, and the name of a column.
std::string ColumnOf(const std::string& name);
std::string NameOf(const std::string& column);

/// Return the place of a column among others, or how many these are.
std::size_t PlaceOf(const std::string& column, const std::vector<std::string>& columns);

/// A network of variations, ready to run, and memory for its batches.
///
/// Its graph takes `muons` float32[d, N], in cm and GeV, to `factors` float32[v, N].
class FactorRun {
 public:
  /// Load the graph, check its input and output, and try it out.
  ///
  /// \param model      what to load
  /// \param generator  the category's, whose muons it is given
  /// \param most       muons of the largest batch
  /// \throws BundleError  it is no ONNX model, has another input or output, or makes factors that are not
  /// finite and above zero, or that depend on how many muons are given
  FactorRun(const FactorModel& model, const Network& generator, std::size_t most);

  /// Compute the factors of `count` muons, at most as many as were said.
  ///
  /// \param muons   features in the generator's layout
  /// \param column  which of the variations is asked for
  /// \return  one number a muon, which stay until the next call
  /// \throws BundleError  it cannot run
  const float* operator()(const float* muons, std::size_t count, std::size_t column);

 private:
  /// Views of the memory for batches of one size.
  struct Tensors {
    std::size_t count = 0;
    onnx::ValueOwner muons, factors;
  };

  void CheckInterface() const;
  Tensors MakeTensors(std::size_t count);
  void TryOutFactors(const Network& generator);

  std::string path_;
  std::size_t features_, columns_;
  bool feature_major_;  ///< whether the generator is
  std::vector<float> muons_, factors_;
  onnx::SessionOwner session_;
  Tensors largest_;
};

/// Whether all of them are finite and above zero.
bool AreFactors(const float* values, std::size_t count);

}  // namespace shipgen_muons

#endif
