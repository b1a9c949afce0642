#include "harness/canary.hpp"

#include <algorithm>

#include "core/bytes.hpp"
#include "harness/scratch.hpp"

namespace patchbay::harness {
namespace {

constexpr std::size_t kShortest = 8;

// What the test wrote for the host to read.
bool is_input(const std::filesystem::path& file) {
  const auto name = file.filename().string();
  return name.ends_with(".toml") || name.ends_with(".key") || name.ends_with(".pem") || name.ends_with(".secret");
}

}  // namespace

void Canaries::add(const std::string& what, const std::string& secret) {
  if (secret.size() < kShortest) return;
  auto base64 = to_base64(secret);
  base64.resize(secret.size() / 3 * 4);  // its last characters depend on what follows
  all_.push_back({what, {secret, std::move(base64), to_hex(secret)}});
}

std::vector<std::string> Canaries::found_in(const std::string& where, std::string_view text) const {
  std::vector<std::string> found;
  for (const auto& canary : all_) {
    const bool holds = std::ranges::any_of(canary.forms, [&](const auto& form) { return text.find(form) != text.npos; });
    if (holds) found.push_back(where + " holds " + canary.what);
  }
  return found;
}

std::vector<std::string> Canaries::found_below(const std::filesystem::path& folder) const {
  std::vector<std::string> all;
  std::error_code error;
  for (auto at = std::filesystem::recursive_directory_iterator(folder, error); at != std::filesystem::recursive_directory_iterator(); at.increment(error)) {
    if (error || !at->is_regular_file(error) || is_input(at->path())) continue;
    const auto found = found_in(at->path().filename().string(), read_file(at->path()));
    all.insert(all.end(), found.begin(), found.end());
  }
  return all;
}

}  // namespace patchbay::harness
