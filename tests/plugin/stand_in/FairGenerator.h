// What FairRoot 18.6 to 19.0 has of this name, as far as a generator can tell.
#ifndef SHIPGEN_TESTS_FAIRGENERATOR_H_
#define SHIPGEN_TESTS_FAIRGENERATOR_H_

#include <TNamed.h>

class FairPrimaryGenerator;

class FairGenerator : public TNamed {
 public:
  FairGenerator() = default;
  FairGenerator(const char* name, const char* title = "FAIR Generator") : TNamed(name, title) {}
  ~FairGenerator() override = default;
  virtual Bool_t ReadEvent(FairPrimaryGenerator* primary) = 0;
  virtual Bool_t Init() { return kTRUE; }
  virtual void Finish() {}

 protected:
  FairGenerator(const FairGenerator&) = default;
  FairGenerator& operator=(const FairGenerator&) = default;
};

#endif
