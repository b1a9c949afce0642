#include "identity/email.hpp"

#include <algorithm>

#include "core/json.hpp"

namespace patchbay::identity {
namespace {

constexpr std::size_t kLongest = 254;      // RFC 3696, erratum 1690
constexpr std::size_t kLongestLocal = 64;  // RFC 5321, 4.5.3.1.1
constexpr std::size_t kLongestLabel = 63;  // RFC 1035, 2.3.4

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

// atext of RFC 5322 and, with RFC 6531, anything beyond ASCII.
bool is_local_character(char c) {
  constexpr std::string_view kOthers = "!#$%&'*+-/=?^_`{|}~.";
  return is_alphanumeric(c) || static_cast<unsigned char>(c) >= 0x80 || kOthers.find(c) != kOthers.npos;
}

bool is_local(std::string_view local) {
  return !local.empty() && local.size() <= kLongestLocal && local.front() != '.' && local.back() != '.' &&
         local.find("..") == local.npos && std::all_of(local.begin(), local.end(), is_local_character);
}

bool is_label(std::string_view label) {
  return !label.empty() && label.size() <= kLongestLabel && label.front() != '-' && label.back() != '-' &&
         std::all_of(label.begin(), label.end(), [](char c) { return is_alphanumeric(c) || c == '-'; });
}

bool is_domain(std::string_view domain) {
  for (;;) {
    const auto dot = domain.find('.');
    if (!is_label(domain.substr(0, dot))) return false;
    if (dot == domain.npos) return true;
    domain.remove_prefix(dot + 1);
  }
}

}  // namespace

Result<std::string> normalise_email(std::string_view text) {
  text = trim(text);
  const auto at = text.rfind('@');
  if (at == text.npos || text.size() > kLongest || !is_valid_utf8(text) || !is_local(text.substr(0, at)) ||
      !is_domain(text.substr(at + 1))) {
    return fail(Errc::invalid, "not an e-mail address");
  }
  std::string email(text);
  for (auto i = at; i < email.size(); ++i) {
    if (email[i] >= 'A' && email[i] <= 'Z') email[i] = static_cast<char>(email[i] - 'A' + 'a');
  }
  return email;
}

}  // namespace patchbay::identity
