// Version 0 in ClassDefOverride: the generator is never written to files.
#ifdef __CLING__
#pragma link C++ class shipgen_muons::MuonSource + ;
#endif
