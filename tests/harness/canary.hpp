#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace patchbay::harness {

// Secrets that a test has handed out: each must be nowhere but in the provider's hands and, sealed, in the database. One
// thread.
class Canaries {
 public:
  // what: for people ("the token of octo"). Those shorter than 8 bytes are no secrets, and ignored.
  void add(const std::string& what, const std::string& secret);

  // Which of them text holds, as it is, in base64 or in hexadecimal digits: "where holds the token of octo".
  [[nodiscard]] std::vector<std::string> found_in(const std::string& where, std::string_view text) const;
  // The same for each file of the folder and of those in it, but the configuration and keys that the test wrote itself.
  [[nodiscard]] std::vector<std::string> found_below(const std::filesystem::path& folder) const;

 private:
  struct Canary {
    std::string what;
    std::vector<std::string> forms;
  };
  std::vector<Canary> all_;
};

}  // namespace patchbay::harness
