// FairLogger, as far as messages are written.
#ifndef SHIPGEN_TESTS_FAIRLOGGER_H_
#define SHIPGEN_TESTS_FAIRLOGGER_H_

#include <iostream>

namespace fair_stand_in {

class Line {
 public:
  explicit Line(const char* severity) { std::cerr << "[" << severity << "] "; }
  ~Line() { std::cerr << std::endl; }
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  template <class Part>
  Line& operator<<(const Part& part) {
    std::cerr << part;
    return *this;
  }
};

}  // namespace fair_stand_in

#define LOG(severity) fair_stand_in::Line(#severity)

#endif
