// Checks of the C++ tests: each failure is one line on stderr, and `Result` is what main returns.
#ifndef SHIPGEN_TESTS_CHECK_H_
#define SHIPGEN_TESTS_CHECK_H_

#include <cstdio>
#include <exception>
#include <string>

namespace check {

inline int failures = 0;

inline void That(bool good, const char* text, const char* file, int line) {
  if (good) return;
  ++failures;
  std::fprintf(stderr, "%s:%d: %s\n", file, line, text);
}

template <class Exception, class Action>
void Throws(Action&& action, const std::string& message, const char* file, int line) {
  std::string found = "nothing";
  try {
    action();
  } catch (const Exception& error) {
    found = error.what();
    if (found.find(message) != std::string::npos && found.find('\n') == std::string::npos) return;
  } catch (const std::exception& error) {
    found = std::string("another class: ") + error.what();
  }
  That(false, ("'" + message + "' was expected, not " + found).c_str(), file, line);
}

inline int Result() { return failures == 0 ? 0 : 1; }

}  // namespace check

#define CHECK(...) check::That((__VA_ARGS__), #__VA_ARGS__, __FILE__, __LINE__)
#define CHECK_THROWS(Exception, message, ...) \
  check::Throws<Exception>([&] { __VA_ARGS__; }, message, __FILE__, __LINE__)

#endif
