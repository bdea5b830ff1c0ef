// What cling and PyROOT know of the core; nothing of it is written to files.
#ifdef __CLING__
#pragma link C++ namespace shipgen_muons;
#pragma link C++ class shipgen_muons::Error - ;
#pragma link C++ class shipgen_muons::InputError - ;
#pragma link C++ class shipgen_muons::BundleError - ;
#pragma link C++ class shipgen_muons::OnnxRuntimeError - ;
#pragma link C++ class shipgen_muons::Muon - ;
#pragma link C++ class shipgen_muons::Track - ;
#pragma link C++ class std::vector < shipgen_muons::Track> - ;
#pragma link C++ class shipgen_muons::Plan - ;
#pragma link C++ class shipgen_muons::Category - ;
#pragma link C++ class shipgen_muons::Entry - ;
#pragma link C++ class shipgen_muons::Bundle - ;
#pragma link C++ class shipgen_muons::MuonSeries - ;
#pragma link C++ class shipgen_muons::Options - ;
#pragma link C++ class shipgen_muons::MuonEvents - ;
#endif
