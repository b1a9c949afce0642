#include "app/output.hpp"

#include <algorithm>
#include <iostream>

#include <nlohmann/json.hpp>

namespace patchbay::app {

void Output::print(const nlohmann::json& value, const std::vector<std::string>& lines) const {
  if (json_) {
    std::cout << value.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
    return;
  }
  for (const auto& line : lines) std::cout << line << '\n';
}

std::vector<std::string> Output::table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::vector<std::string> lines;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - row[i].size() + 2, ' ');
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

int Output::failed(const Error& error) const {
  if (json_) {
    std::cerr << nlohmann::json{{"error", {{"code", name_of(error.code)}, {"message", error.message}}}}.dump() << '\n';
  } else {
    std::cerr << "patchbay: " << error.message << '\n';
  }
  return error.code == Errc::invalid ? 2 : 1;
}

}  // namespace patchbay::app
