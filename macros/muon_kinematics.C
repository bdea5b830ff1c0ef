// Draws the muons of a file made by `shipgen produce` (layout muonback), per proton on target.
//
//   root -l -b -q 'muon_kinematics.C("muons.root", "muons.png")'
//
// Weights are used throughout: sums of `w` over the file's protons on target (POT) are muons per proton.

#include <cstdlib>
#include <iostream>
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

// The protons on target of all files merged into this one: FairShip's FileSummary, JSON, one cycle a file.
double protons_on_target(const char *name)
{
   TFile file(name);
   double sum = 0;
   for (auto *key : *file.GetListOfKeys()) {
      if (std::string(key->GetName()) != "FileSummary")
         continue;
      auto *text = static_cast<TKey *>(key)->ReadObject<TObjString>();
      const std::string json = text->GetString().Data(), entry = "\"PoT\":";
      const auto place = json.find(entry);
      if (place != std::string::npos)
         sum += std::atof(json.c_str() + place + entry.size());
      delete text;
   }
   return sum;
}

void muon_kinematics(const char *name = "muons.root", const char *picture = "muons.png")
{
   const double pot = protons_on_target(name);
   if (!(pot > 0))
      throw std::runtime_error(std::string(name) + " states no protons on target: give a file of shipgen produce");
   gStyle->SetOptStat(0);
   gStyle->SetNumberContours(99);

   ROOT::RDataFrame frame("pythia8-Geant4", name);
   // m and GeV in the file; the target starts at z = -70.845 m.
   auto muons = frame.Define("weight", [pot](float w) { return w / pot; }, {"w"})
                   .Define("p", "std::sqrt(px * px + py * py + pz * pz)")
                   .Define("pt", "std::hypot(px, py)")
                   .Define("x_cm", "100 * x")
                   .Define("y_cm", "100 * y")
                   .Define("z_cm", "100 * (z + 70.845)");
   auto negative = muons.Filter("id == 13", "mu-"), positive = muons.Filter("id == -13", "mu+");
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
         histograms.push_back(sample->Histo1D(model, model.fName.Data(), "weight"));
   auto map = off_axis.Histo2D({"xy", ";x [cm];y [cm]", 60, -15, 15, 60, -15, 15}, "x_cm", "y_cm", "weight");
   auto spectrum = muons.Histo2D({"ppt", ";p [GeV];p_{T} [GeV]", 60, 0, 300, 60, 0, 6}, "p", "pt", "weight");
   auto counts = muons.Count();
   auto rate = muons.Sum("weight");

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
