// Draws the muons of a file made by `shipgen produce`, in any layout, per proton on target.
//
//   root -l -b -q 'muon_kinematics.C("muons.root", "muons.png")'
//
// Weights are used throughout: their sum over the file's protons on target (POT) is the muons per proton.

#include <cmath>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "ROOT/RDataFrame.hxx"
#include "TCanvas.h"
#include "TFile.h"
#include "TH1D.h"
#include "TH2D.h"
#include "TKey.h"
#include "TLegend.h"
#include "TObjString.h"
#include "TStyle.h"

namespace muon_file {

// What a layout calls things, and how long its unit of length is in cm.
struct Layout {
   std::string tree, pdg, weight;
   double unit;
};

// The number behind `entry` in a JSON text, which shipgen writes as one line.
double number(const std::string &json, const std::string &entry)
{
   const auto place = json.find(entry);
   return place == std::string::npos ? NAN : std::atof(json.c_str() + place + entry.size());
}

// The sum of such a number over all objects called `name`: there is one of each file merged into this one.
double sum(TFile &file, const std::string &name, const std::string &entry, int most = 1 << 30)
{
   double total = 0;
   for (auto *key : *file.GetListOfKeys()) {
      if (key->GetName() != name || most-- <= 0)
         continue;
      std::unique_ptr<TObjString> text(static_cast<TKey *>(key)->ReadObject<TObjString>());
      total += number(text->GetString().Data(), entry);
   }
   return total;
}

}  // namespace muon_file

void muon_kinematics(const char *name = "muons.root", const char *picture = "muons.png")
{
   using namespace muon_file;
   const std::vector<Layout> layouts = {
      {"pythia8-Geant4", "id", "w", 100}, {"converted_ntuple", "id", "w", 1}, {"events", "pdg", "weight", 1}};
   const Layout *layout = nullptr;
   double pot = 0, start = 0;
   {
      TFile file(name);
      if (file.IsZombie())
         throw std::runtime_error(std::string(name) + " cannot be opened");
      for (const auto &one : layouts)
         if (file.GetListOfKeys()->FindObject(one.tree.c_str()))
            layout = &one;
      pot = sum(file, "FileSummary", "\"PoT\":");
      // Where the target starts, in the file's unit: that differs with the reader a file is for.
      start = sum(file, "shipgen", "\"target_start\": {\"value\":", 1);
   }
   if (!layout || !(pot > 0))
      throw std::runtime_error(std::string(name) + " states no muons with their protons on target: "
                               "give a file of shipgen produce");
   gStyle->SetOptStat(0);
   gStyle->SetNumberContours(99);

   ROOT::RDataFrame frame(layout->tree, name);
   const auto in_cm = [&](const std::string &value) { return Form("%g * (%s)", layout->unit, value.c_str()); };
   auto muons = frame.Define("rate", Form("%s / %.17g", layout->weight.c_str(), pot))
                   .Define("p", "std::sqrt(px * px + py * py + pz * pz)")
                   .Define("pt", "std::hypot(px, py)")
                   .Define("x_cm", in_cm("x"))
                   .Define("y_cm", in_cm("y"))
                   .Define("z_cm", in_cm(Form("z - %.17g", start)));
   auto negative = muons.Filter(layout->pdg + " == 13", "mu-"), positive = muons.Filter(layout->pdg + " == -13", "mu+");
   // x = y = 0 is where prompt muons start, a point in a map of the others.
   auto off_axis = muons.Filter("x != 0 || y != 0");

   const std::vector<ROOT::RDF::TH1DModel> models = {
      {"p", ";p [GeV];muons per POT", 60, 0, 300},
      {"pt", ";p_{T} [GeV];muons per POT", 60, 0, 6},
      {"z_cm", ";z from the target's start [cm];muons per POT", 70, 0, 350},
      {"x_cm", ";x [cm];muons per POT", 60, -15, 15},
   };
   std::vector<ROOT::RDF::RResultPtr<TH1D>> histograms;
   for (auto sample : {&negative, &positive})
      for (const auto &model : models)
         histograms.push_back(sample->Histo1D(model, model.fName.Data(), "rate"));
   auto map = off_axis.Histo2D({"xy", ";x [cm];y [cm]", 60, -15, 15, 60, -15, 15}, "x_cm", "y_cm", "rate");
   auto spectrum = muons.Histo2D({"ppt", ";p [GeV];p_{T} [GeV]", 60, 0, 300, 60, 0, 6}, "p", "pt", "rate");
   auto counts = muons.Count();
   auto rate = muons.Sum("rate");

   TCanvas canvas("muons", "muons", 1500, 900);
   canvas.Divide(3, 2, 0.002, 0.002);
   TLegend legend(0.62, 0.74, 0.88, 0.88);
   for (size_t panel = 0; panel < models.size(); ++panel) {
      auto *pad = canvas.cd(panel + 1);
      pad->SetLogy();
      pad->SetMargin(0.13, 0.03, 0.12, 0.04);
      for (size_t charge = 0; charge < 2; ++charge) {
         auto &histogram = *histograms[charge * models.size() + panel];
         histogram.SetLineColor(charge ? kRed + 1 : kBlue + 1);
         histogram.SetLineWidth(2);
         histogram.SetTitleSize(0.045, "XY");
         histogram.DrawCopy(charge ? "hist same" : "hist");
         if (panel == 0)
            legend.AddEntry(&histogram, charge ? "#mu^{+}" : "#mu^{-}", "l");
      }
   }
   canvas.cd(1);
   legend.SetBorderSize(0);
   legend.Draw();
   for (int panel : {5, 6}) {
      auto *pad = canvas.cd(panel);
      pad->SetLogz();
      pad->SetMargin(0.11, 0.14, 0.12, 0.04);
      auto &histogram = panel == 5 ? *map : *spectrum;
      histogram.SetTitleSize(0.045, "XY");
      // Down to a single muon.
      histogram.SetMinimum(0.5 / pot);
      histogram.DrawCopy("colz");
   }
   canvas.SaveAs(picture);
   std::cout << *counts << " muons, " << pot << " protons on target, " << *rate << " muons per proton" << std::endl;
}
