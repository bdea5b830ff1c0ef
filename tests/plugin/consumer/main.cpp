// Makes one event of the installed default bundle.
#include <shipgen_muons/MuonEvents.h>

#include <iostream>
int main() {
  shipgen_muons::Options options;
  options.seed = 1;
  shipgen_muons::MuonEvents events(options);
  std::cout << events.NextEvent().size() << " " << events.GetBundle().Path() << std::endl;
}
