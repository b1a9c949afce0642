#include "plugin/status.hpp"

#include <array>

namespace patchbay::plugin {
namespace {

struct Entry {
  pbay_status status;
  std::string_view name;
  Errc code;
};

// Codes that may pass stand for statuses that may pass, and the other way round.
constexpr std::array kEntries{
    Entry{PBAY_E_INTERNAL, "PBAY_E_INTERNAL", Errc::internal},
    Entry{PBAY_E_CANCELLED, "PBAY_E_CANCELLED", Errc::cancelled},
    Entry{PBAY_E_REMOTE, "PBAY_E_REMOTE", Errc::unavailable},
    Entry{PBAY_E_RATE, "PBAY_E_RATE", Errc::exhausted},
    Entry{PBAY_E_ARG, "PBAY_E_ARG", Errc::invalid},
    Entry{PBAY_E_UNSUPPORTED, "PBAY_E_UNSUPPORTED", Errc::invalid},
    Entry{PBAY_E_AUTH, "PBAY_E_AUTH", Errc::denied},
    Entry{PBAY_E_GONE, "PBAY_E_GONE", Errc::not_found},
    Entry{PBAY_E_REJECTED, "PBAY_E_REJECTED", Errc::unauthenticated},
    Entry{PBAY_E_LIMIT, "PBAY_E_LIMIT", Errc::invalid},
    Entry{PBAY_E_CLOSED, "PBAY_E_CLOSED", Errc::invalid},
};

}  // namespace

pbay_status status_of(Errc code) {
  switch (code) {
    case Errc::invalid:
    case Errc::conflict:
      return PBAY_E_ARG;
    case Errc::unauthenticated:
      return PBAY_E_AUTH;
    case Errc::denied:
      return PBAY_E_ARG;  // the host's allow-list or guard said no: not a matter of credentials
    case Errc::not_found:
      return PBAY_E_GONE;
    case Errc::exhausted:
      return PBAY_E_RATE;
    case Errc::unavailable:
    case Errc::timeout:
      return PBAY_E_REMOTE;
    case Errc::cancelled:
      return PBAY_E_CANCELLED;
    case Errc::internal:
      return PBAY_E_INTERNAL;
  }
  return PBAY_E_INTERNAL;
}

Error error_of(pbay_status status, std::string message) {
  for (const auto& entry : kEntries) {
    if (entry.status == status) return {entry.code, std::move(message)};
  }
  return {Errc::internal, std::move(message)};
}

std::string_view status_name(pbay_status status) {
  if (status == PBAY_OK) return "PBAY_OK";
  for (const auto& entry : kEntries) {
    if (entry.status == status) return entry.name;
  }
  return "an unknown status";
}

}  // namespace patchbay::plugin
