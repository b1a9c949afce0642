#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>

#include "core/log.hpp"

namespace patchbay::egress::testing {

// What is logged, down to debug, while act runs.
inline std::string logged(const std::function<void()>& act) {
  std::string pattern = (std::filesystem::temp_directory_path() / "egress-XXXXXX").string();
  const std::filesystem::path folder = ::mkdtemp(pattern.data());
  log::configure({.level = log::Level::debug, .file = (folder / "log").string()});
  act();
  log::flush();
  log::configure({});
  std::stringstream text;
  text << std::ifstream(folder / "log").rdbuf();
  std::filesystem::remove_all(folder);
  return text.str();
}

}  // namespace patchbay::egress::testing
