#include "vault/connection.hpp"

#include <algorithm>
#include <array>
#include <iterator>

namespace patchbay::vault {
namespace {

using State = ConnectionState;

constexpr std::array<std::string_view, 5> kNames{"active", "disconnected", "errored", "pending_reauth", "needs_reconsent"};

}  // namespace

std::string_view name_of(State state) { return kNames[static_cast<std::size_t>(state)]; }

std::optional<State> parse_connection_state(std::string_view name) {
  const auto found = std::ranges::find(kNames, name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<State>(found - kNames.begin());
}

bool may_become(State from, State to) {
  switch (from) {
    case State::active:
      return to != State::active;
    case State::disconnected:
      return to == State::active;
    case State::errored:
      return to == State::active || to == State::pending_reauth || to == State::disconnected;
    case State::pending_reauth:
      return to == State::active || to == State::disconnected;
    case State::needs_reconsent:
      return to == State::active || to == State::disconnected || to == State::pending_reauth;
  }
  return false;
}

Scopes parse_scopes(std::string_view text) {
  Scopes scopes;
  constexpr std::string_view kBetween = " ,\t\n";
  for (auto begin = text.find_first_not_of(kBetween); begin != text.npos; begin = text.find_first_not_of(kBetween)) {
    text.remove_prefix(begin);
    const auto end = std::min(text.find_first_of(kBetween), text.size());
    scopes.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  std::ranges::sort(scopes);
  scopes.erase(std::unique(scopes.begin(), scopes.end()), scopes.end());
  return scopes;
}

std::string to_text(const Scopes& scopes) {
  std::string text;
  for (const auto& scope : scopes) text += (text.empty() ? "" : " ") + scope;
  return text;
}

Scopes missing_scopes(const Scopes& granted, const Scopes& wanted) {
  auto sorted = wanted;
  std::ranges::sort(sorted);
  Scopes missing;
  std::ranges::set_difference(sorted, granted, std::back_inserter(missing));
  return missing;
}

}  // namespace patchbay::vault
