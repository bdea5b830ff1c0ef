/// The model bundle: a folder with `bundle.json` and one ONNX network a category.
#ifndef SHIPGEN_MUONS_BUNDLE_H_
#define SHIPGEN_MUONS_BUNDLE_H_

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace shipgen_muons {

class Network;
struct FactorModel;

/// One of the four muon categories (`shipgen.muons.categories`).
struct Category {
  int number;        ///< 1 to 4
  const char* name;  ///< `muplus_onaxis` and so on
  int pdg;           ///< PDG code
  bool on_axis;      ///< whether its muons start at x = y = 0

  /// Numbers that its network makes of a muon: z px py pz, or x y z px py pz.
  std::size_t Features() const { return on_axis ? 4 : 6; }
};

/// All of them, in the order of their numbers.
inline constexpr std::array<Category, 4> kCategories = {{{1, "muplus_onaxis", -13, true},
                                                         {2, "muminus_onaxis", 13, true},
                                                         {3, "muplus_offaxis", -13, false},
                                                         {4, "muminus_offaxis", 13, false}}};

/// One category of a bundle.
struct Entry {
  Category category;
  double rate;                             ///< muons per proton on target
  bool weighted;                           ///< whether the network says a weight of each muon
  std::shared_ptr<const Network> network;  ///< ready to run
  std::shared_ptr<const FactorModel> factors;  ///< its network of variations; null where it has none
};

/// Four networks with rates and units; cheap to copy.
class Bundle {
 public:
  /// Read the bundle in `folder` and check all of it: format, units, categories, hashes, inputs and outputs
  /// of the networks, and a few muons of each; of networks of variations, which are loaded when one is asked
  /// for, their hashes.
  ///
  /// \param folder  empty or `default`: the default bundle of this installation, or `$SHIPGEN_BUNDLE` where
  /// that is set
  /// \throws BundleError   anything is missing, damaged or of another version
  /// \throws OnnxRuntimeError  ONNX Runtime is missing
  static Bundle Open(const std::string& folder = "");

  const std::string& Path() const { return path_; }      ///< the folder
  const std::string& Name() const { return name_; }      ///< what it is called
  const std::string& Label() const { return label_; }    ///< what it was trained on
  const std::string& Sha256() const { return sha256_; }  ///< hash of bundle.json, which identifies the bundle

  /// z of the target's start in the frame of the networks' z, cm.
  double TargetStart() const { return target_start_; }

  /// The training sample's cut on the kinetic energy, GeV.
  double EnergyCut() const { return energy_cut_; }

  /// Whether rates contain the probability to leave the absorber: "in" or "out".
  const std::string& Survival() const { return survival_; }

  /// Muons per proton on target, all categories.
  double Rate() const;

  /// Columns of the variations that all of its categories have, such as `vary_kaons`.
  std::vector<std::string> Variations() const;

  /// Return the column of a variation, which is given by its column or its name, such as `kaons`.
  ///
  /// \throws InputError  the bundle has no variations, or not this one
  std::string FindVariation(const std::string& name) const;

  /// Version of the ONNX Runtime that runs the networks.
  static std::string OnnxRuntimeVersion();

  /// Muons per proton on target of each category.
  std::vector<double> Rates() const;

  /// The categories, in the order of their numbers.
  const std::vector<Entry>& Entries() const { return entries_; }

 private:
  Bundle() = default;

  std::string path_, name_, label_, sha256_, survival_;
  double target_start_ = 0, energy_cut_ = 0;
  std::vector<Entry> entries_;
};

}  // namespace shipgen_muons

#endif
