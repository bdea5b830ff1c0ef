/// One network in ONNX Runtime: latents in, muons in physical units out.
#ifndef SHIPGEN_MUONS_NETWORK_H_
#define SHIPGEN_MUONS_NETWORK_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "Levels.h"
#include "OnnxRuntime.h"

namespace shipgen_muons {

/// A network ready to run; runs in several threads are independent.
///
/// Its graph is row-major, `latent` float32[N, L] to `muons` float32[N, d], or feature-major, float32[L, N]
/// to float32[d, N]. It may have a second output, `weight` float32[N]: a factor to each muon's weight.
class Network {
 public:
  /// Load the graph and check its inputs and outputs.
  ///
  /// \param path         where it came from, for messages
  /// \param model        the bytes of the ONNX file
  /// \param latent_size  L
  /// \param features     d
  /// \param drawn        what the graph takes: normal numbers, or levels, of which there are more than L
  /// \throws BundleError   it is no ONNX model, or has other inputs or outputs
  /// \throws OnnxRuntimeError  ONNX Runtime is missing
  Network(std::string path, const std::string& model, std::size_t latent_size, std::size_t features,
          Drawn drawn);

  const std::string& Path() const { return path_; }
  /// Numbers that are drawn for a muon.
  std::size_t Inputs() const { return inputs_; }
  Drawn HowDrawn() const { return drawn_; }
  std::size_t Features() const { return features_; }
  bool FeatureMajor() const { return feature_major_; }
  bool Weighted() const { return weighted_; }

 private:
  friend class NetworkRun;

  std::string path_;
  std::size_t inputs_, features_;
  Drawn drawn_;
  bool feature_major_ = false, weighted_ = false;
  onnx::SessionOwner session_;
};

/// Memory for batches of a network, and what runs it on them.
class NetworkRun {
 public:
  /// \param network  has to live longer
  /// \param most     muons of the largest batch
  NetworkRun(const Network& network, std::size_t most);

  /// Where the latents of `count` muons go, or their levels: `count` x Inputs() numbers in the network's
  /// layout.
  float* Latents() { return latents_.data(); }

  /// Turn the latents of `count` muons into muons; at most as many as were said.
  ///
  /// \throws BundleError  the network fails, or makes another shape, a number that is not finite, or
  /// a weight that is not above zero
  void operator()(std::size_t count);

  /// Features of the muons, cm and GeV, in the network's layout, and weights, null where the network makes
  /// none.
  const float* Features() const { return features_.data(); }
  const float* Weights() const { return weights_.empty() ? nullptr : weights_.data(); }

 private:
  /// Views of the memory for batches of one size.
  struct Tensors {
    std::size_t count = 0;
    onnx::ValueOwner latents, features, weights;
  };

  Tensors MakeTensors(std::size_t count);
  void CheckNumbers(std::size_t count) const;

  const Network& network_;
  std::vector<float> latents_, features_, weights_;
  Tensors largest_;
};

/// Muons of a trial.
constexpr std::size_t kTried = 4;

/// Make `kTried` muons, from the origin and its neighbours, and return what holds them.
///
/// \throws BundleError  they are not finite
NetworkRun TryOut(const Network& network);

}  // namespace shipgen_muons

#endif
