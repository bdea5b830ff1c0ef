// Draws muons with the compiled source, without FairRoot; docs/howto/fairship.md says how to build it.
//
//   export LD_LIBRARY_PATH=$PREFIX/lib:$LD_LIBRARY_PATH
//   root -l -b -q 'compiled_source.C(100000, 1, "", "muons.png")'       // muons, seed, bundle (empty: default), picture
//   root -l -b -q 'compiled_source.C(100000, 1, "", "", "kaons")'       // weights of a variation of the bundle
//
// In FairShip's run_fixedTarget.py these stand where P8gen was made (docs/howto/fairship.md has all the lines):
//
//   ROOT.gSystem.Load("libShipgenMuonsFair")
//   muon_generator = ROOT.shipgen_muons.MuonSource()
//   primGen.AddGenerator(muon_generator)

#include <cmath>
#include <iostream>

#include "TCanvas.h"
#include "TH1D.h"

R__LOAD_LIBRARY(libShipgenMuonsDict)
#include "shipgen_muons/MuonEvents.h"

void compiled_source(Long64_t muons = 100000, Long64_t seed = 1, const char *bundle = "", const char *picture = "",
                     const char *variation = "")
{
   shipgen_muons::Options options;
   options.bundle = bundle;
   options.seed = seed;
   options.variation = variation;
   shipgen_muons::MuonEvents events(options);

   TH1D momenta("momenta", ";p [GeV];muons per proton on target and GeV", 100, 0, 400);
   for (Long64_t i = 0; i < muons; ++i) {
      for (const shipgen_muons::Track &track : events.NextEvent())
         momenta.Fill(std::sqrt(track.px * track.px + track.py * track.py + track.pz * track.pz), track.weight);
   }
   std::cout << events.Muons() << " muons of bundle " << events.GetBundle().Name() << ", seed " << events.Seed()
             << ", for " << events.Pot() << " protons on target; mean momentum " << momenta.GetMean() << " GeV"
             << std::endl;

   if (*picture != '\0') {
      momenta.Scale(1 / events.Pot(), "width");
      TCanvas canvas("canvas", "", 800, 600);
      canvas.SetLogy();
      momenta.SetStats(false);
      momenta.Draw("hist");
      canvas.SaveAs(picture);
   }
}
