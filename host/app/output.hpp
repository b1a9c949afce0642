#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "core/error.hpp"

namespace patchbay::app {

// What a command prints: one JSON value with --json, otherwise lines for people.
class Output {
 public:
  explicit Output(bool json) : json_(json) {}
  [[nodiscard]] bool json() const { return json_; }

  // Prints value when --json was given, else the lines.
  void print(const nlohmann::json& value, const std::vector<std::string>& lines) const;
  // The first row is the head.
  static std::vector<std::string> table(const std::vector<std::vector<std::string>>& rows);
  // To standard error, as "patchbay: message" or as a JSON object. Returns the exit code.
  int failed(const Error& error) const;

 private:
  bool json_;
};

}  // namespace patchbay::app
