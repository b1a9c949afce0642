#include "egress/curl/outgoing.hpp"

#include <algorithm>
#include <array>

namespace patchbay::egress {
namespace {

using Expansions = std::vector<std::pair<std::string, Secret>>;

// libcurl asks for "100 Continue" before bodies over 1 MB; many servers never answer that, and it costs a second.
constexpr std::size_t kExpectThreshold = 1 << 20;

bool is_alphanumeric(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// RFC 9110, 5.6.2
bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return is_alphanumeric(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

bool same_name(std::string_view a, std::string_view lower) {
  return a.size() == lower.size() &&
         std::equal(a.begin(), a.end(), lower.begin(), [](char x, char y) { return to_lower(x) == y; });
}

// Framing, routing and hop-by-hop headers belong to the client: a second Content-Length or another Host would make one
// request two, or a different one than was checked.
constexpr std::array<std::string_view, 11> kOwnHeaders{
    "host",    "content-length", "transfer-encoding", "connection",         "upgrade", "expect", "te",
    "trailer", "keep-alive",     "proxy-connection",  "proxy-authorization"};

void append_percent_encoded(std::string& out, std::string_view text, std::string_view kept) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  for (const char c : text) {
    if (is_alphanumeric(c) || kept.find(c) != std::string_view::npos) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
}

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
      append_percent_encoded(out, secret, "-._~");
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

Place body_place(const HttpRequest& request) {
  for (const auto& [name, value] : request.headers) {
    if (!same_name(name, "content-type")) continue;
    if (value.starts_with("application/x-www-form-urlencoded")) return Place::form;
    if (value.find("json") != std::string::npos) return Place::json;
  }
  return Place::other;
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

Result<> check_method(std::string_view method) {
  if (!is_token(method)) return fail(Errc::invalid, "method is not a token of RFC 9110");
  if (method == "CONNECT" || method == "TRACE") return fail(Errc::invalid, "method " + std::string(method));
  return {};
}

Result<> check_header(std::string_view name, std::string_view value) {
  if (!is_token(name)) return fail(Errc::invalid, "a header's name is not a token of RFC 9110");
  const bool is_clean = std::ranges::none_of(
      value, [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; });
  if (!is_clean) return fail(Errc::invalid, "header '" + std::string(name) + "' has control characters in its value");
  if (std::ranges::any_of(kOwnHeaders, [name](std::string_view own) { return same_name(name, own); })) {
    return fail(Errc::invalid, "header '" + std::string(name) + "' is set by the client itself");
  }
  return {};
}

Result<> Outgoing::prepare(HttpRequest& request, CredentialSource& credentials, bool with_secrets) {
  wipe();
  if (!with_secrets || request.connection.is_nil()) return build(request, with_secrets);

  // What is added is for this attempt only: the next one asks again, the token may be another by then.
  const std::string plain_url = request.url;
  const Headers plain_headers = request.headers;
  auto built = authorize_and_build(request, credentials);
  for (auto& header : request.headers) {
    if (std::ranges::find(plain_headers, header) != plain_headers.end()) continue;
    const std::string_view value = header.second;
    added_.emplace_back(std::string(value));
    if (const auto space = value.rfind(' '); space != value.npos)
      added_.emplace_back(std::string(value.substr(space + 1)));
    patchbay::wipe(header.second);
  }
  if (request.url != plain_url) patchbay::wipe(request.url);
  request.url = plain_url;
  request.headers = plain_headers;
  return built;
}

Result<> Outgoing::authorize_and_build(HttpRequest& request, CredentialSource& credentials) {
  holds_secrets_ = true;
  if (auto authorized = credentials.authorize(request); !authorized) return authorized;
  return build(request, true);
}

Result<> Outgoing::build(const HttpRequest& request, bool with_secrets) {
  const auto& expansions = request.expansions;
  const bool replaces = with_secrets && !expansions.empty();
  holds_secrets_ = holds_secrets_ || replaces;
  url_ = replaces ? expand(request.url, Place::url, expansions) : request.url;
  if (const auto hash = url_.find('#'); hash != std::string::npos) url_.resize(hash);

  bool has_type = false;
  for (const auto& [name, value] : request.headers) {
    if (same_name(name, "accept-encoding")) {
      if (auto checked = check_header(name, value); !checked) return checked;
      accept_encoding_ = value;
      continue;
    }
    has_type = has_type || same_name(name, "content-type");
    if (replaces && holds_reference(value, expansions)) {
      auto expanded = expand(value, Place::header, expansions);
      auto added = add_header(name, expanded);
      patchbay::wipe(expanded);
      if (!added) return added;
    } else if (auto added = add_header(name, value); !added) {
      return added;
    }
  }
  body_ = request.body;
  if (replaces && holds_reference(request.body, expansions)) {
    expanded_body_ = expand(request.body, body_place(request), expansions);
    body_ = expanded_body_;
  }
  // libcurl would say that it is a form.
  if (!has_type) {
    offsets_.push_back(text_.size());
    text_ += "Content-Type:";
    text_ += '\0';
  }
  if (body_.size() >= kExpectThreshold) {
    offsets_.push_back(text_.size());
    text_ += "Expect:";
    text_ += '\0';
  }
  link_lines();
  return {};
}

Result<> Outgoing::add_header(std::string_view name, std::string_view value) {
  if (auto checked = check_header(name, value); !checked) return checked;
  offsets_.push_back(text_.size());
  if (const auto needed = text_.size() + name.size() + value.size() + 3; needed > text_.capacity()) {
    // Grown by hand, so that the old buffer can be wiped.
    std::string larger;
    larger.reserve(std::max<std::size_t>(needed * 2, 512));
    larger = text_;
    patchbay::wipe(text_);
    text_ = std::move(larger);
  }
  text_ += name;
  if (value.find_first_not_of(" \t") == std::string_view::npos) {
    text_ += ';';  // libcurl: a header without a value; with a colon it would mean "leave it out"
  } else {
    text_ += ": ";
    text_ += value;
  }
  text_ += '\0';
  return {};
}

void Outgoing::link_lines() {
  lines_.resize(offsets_.size());
  for (std::size_t i = 0; i < offsets_.size(); ++i) {
    lines_[i].data = text_.data() + offsets_[i];
    lines_[i].next = i + 1 < offsets_.size() ? &lines_[i + 1] : nullptr;
  }
}

void redact(std::string& message, std::string_view secret) {
  constexpr std::string_view kStars = "***";
  if (secret.size() < 4) return;  // too short to be one, and would garble the message
  for (auto at = find_ignoring_case(message, secret, 0); at != std::string::npos;
       at = find_ignoring_case(message, secret, at + kStars.size())) {
    message.replace(at, secret.size(), kStars);
  }
}

void Outgoing::redact(std::string& message) const {
  for (const auto& secret : added_) patchbay::egress::redact(message, secret.reveal());
}

void Outgoing::wipe() {
  if (holds_secrets_) {
    patchbay::wipe(url_);
    patchbay::wipe(text_);
    patchbay::wipe(expanded_body_);
    holds_secrets_ = false;
  }
  url_.clear();
  text_.clear();
  expanded_body_.clear();
  body_ = {};
  offsets_.clear();
  lines_.clear();
  accept_encoding_.clear();
}

void Outgoing::forget() {
  wipe();
  added_.clear();
}

}  // namespace patchbay::egress
