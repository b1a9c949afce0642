#include "egress/curl/expansion.hpp"

#include <algorithm>

#include "egress/percent.hpp"

namespace patchbay::egress {
namespace {

char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

void append_json_escaped(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += {'\\', 'u', '0', '0', kHex[static_cast<unsigned char>(c) >> 4], kHex[c & 15]};
    } else {
      out += c;
    }
  }
}

void append_secret(std::string& out, std::string_view secret, Place place) {
  switch (place) {
    case Place::url:
      if (out.empty()) {
        out += secret;
      } else {
        append_percent_encoded(out, secret, "-._~:@!$'()*,;");  // what a path segment and a query value may hold
      }
      return;
    case Place::form:
      append_percent_encoded(out, secret);
      return;
    case Place::json:
      append_json_escaped(out, secret);
      return;
    case Place::header:
    case Place::other:
      out += secret;
      return;
  }
}

std::size_t find_ignoring_case(std::string_view text, std::string_view wanted, std::size_t from) {
  const auto found =
      std::search(text.begin() + static_cast<std::ptrdiff_t>(std::min(from, text.size())), text.end(), wanted.begin(),
                  wanted.end(), [](char a, char b) { return to_lower(a) == to_lower(b); });
  return found == text.end() ? std::string_view::npos : static_cast<std::size_t>(found - text.begin());
}

}  // namespace

bool holds_reference(std::string_view text, const Expansions& expansions) {
  return std::ranges::any_of(expansions, [text](const auto& expansion) {
    return !expansion.first.empty() && text.find(expansion.first) != std::string_view::npos;
  });
}

std::string expand(std::string_view text, Place place, const Expansions& expansions) {
  // One buffer of the final size at the most, so that no half of a secret is left behind in freed memory.
  std::size_t most = text.size();
  for (const auto& [reference, secret] : expansions) {
    if (reference.empty()) continue;
    for (auto at = text.find(reference); at != std::string_view::npos;
         at = text.find(reference, at + reference.size())) {
      most += secret.reveal().size() * 6;
    }
  }
  std::string out;
  out.reserve(most);
  while (!text.empty()) {
    std::size_t first = std::string_view::npos;
    const std::pair<std::string, Secret>* which = nullptr;
    for (const auto& expansion : expansions) {
      if (expansion.first.empty()) continue;
      if (const auto at = text.find(expansion.first); at < first) {
        first = at;
        which = &expansion;
      }
    }
    out += text.substr(0, first);
    if (which == nullptr) break;
    append_secret(out, which->second.reveal(), place);
    text.remove_prefix(first + which->first.size());
  }
  return out;
}

void redact(std::string& message, std::string_view secret) {
  constexpr std::string_view kStars = "***";
  if (secret.size() < 4) return;  // too short to be one, and would garble the message
  for (auto at = find_ignoring_case(message, secret, 0); at != std::string::npos;
       at = find_ignoring_case(message, secret, at + kStars.size())) {
    message.replace(at, secret.size(), kStars);
  }
}

}  // namespace patchbay::egress
