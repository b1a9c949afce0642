#include "core/error.hpp"

#include <array>

namespace patchbay {
namespace {

struct Entry {
  Errc code;
  std::string_view name;
  int http_status;
  bool may_pass;
};

constexpr std::array kEntries{
    Entry{Errc::invalid, "invalid", 400, false},         Entry{Errc::unauthenticated, "unauthenticated", 401, false},
    Entry{Errc::denied, "denied", 403, false},           Entry{Errc::not_found, "not_found", 404, false},
    Entry{Errc::conflict, "conflict", 409, false},       Entry{Errc::exhausted, "exhausted", 503, true},
    Entry{Errc::unavailable, "unavailable", 502, true},  Entry{Errc::timeout, "timeout", 504, true},
    Entry{Errc::cancelled, "cancelled", 503, true},      Entry{Errc::internal, "internal", 500, true},
};

const Entry& entry_of(Errc code) { return kEntries.at(static_cast<std::size_t>(code)); }

}  // namespace

std::string_view name_of(Errc code) { return entry_of(code).name; }
int http_status_of(Errc code) { return entry_of(code).http_status; }
bool may_pass(Errc code) { return entry_of(code).may_pass; }

std::optional<Errc> errc_named(std::string_view name) {
  for (const auto& entry : kEntries) {
    if (entry.name == name) return entry.code;
  }
  return std::nullopt;
}

}  // namespace patchbay
