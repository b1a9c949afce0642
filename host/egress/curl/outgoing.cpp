#include "egress/curl/outgoing.hpp"

#include <algorithm>
#include <array>

#include "egress/percent.hpp"
#include "egress/signing/url_parts.hpp"

namespace patchbay::egress {
namespace {

// libcurl asks for "100 Continue" before bodies over 1 MB; many servers never answer that, and it costs a second.
constexpr std::size_t kExpectThreshold = 1 << 20;

bool is_alphanumeric(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// RFC 9110, 5.6.2
bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return is_alphanumeric(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

// Framing, routing and hop-by-hop headers belong to the client: a second Content-Length or another Host would make one
// request two, or a different one than was checked.
constexpr std::array<std::string_view, 11> kOwnHeaders{
    "host",    "content-length", "transfer-encoding", "connection",         "upgrade", "expect", "te",
    "trailer", "keep-alive",     "proxy-connection",  "proxy-authorization"};

Place body_place(const HttpRequest& request) {
  for (const auto& [name, value] : request.headers) {
    if (!is_same_name(name, "content-type")) continue;
    if (value.starts_with("application/x-www-form-urlencoded")) return Place::form;
    if (value.find("json") != std::string::npos) return Place::json;
  }
  return Place::other;
}

// The segments of a URL's path and the values of its query, as they stand there.
std::vector<std::string_view> pieces_of(std::string_view url) {
  const auto parts = split_url(url);
  std::vector<std::string_view> pieces;
  const auto add = [&pieces](std::string_view text, char separator, bool after_equals) {
    while (!text.empty()) {
      auto piece = text.substr(0, text.find(separator));
      text.remove_prefix(std::min(piece.size() + 1, text.size()));
      if (const auto equals = piece.find('='); after_equals && equals != piece.npos) piece.remove_prefix(equals + 1);
      if (!piece.empty()) pieces.push_back(piece);
    }
  };
  add(parts.path, '/', false);
  add(parts.query, '&', true);
  return pieces;
}

}  // namespace

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
  if (std::ranges::any_of(kOwnHeaders, [name](std::string_view own) { return is_same_name(name, own); })) {
    return fail(Errc::invalid, "header '" + std::string(name) + "' is set by the client itself");
  }
  return {};
}

Result<> Outgoing::prepare(HttpRequest& request, CredentialSource& credentials, Timestamp now, bool with_secrets) {
  wipe();
  if (!with_secrets || request.connection.is_nil()) return build(request, now, with_secrets);

  // What is added is for this attempt only: the next one asks again, the token may be another by then.
  const std::string plain_url = request.url;
  const Headers plain_headers = request.headers;
  const auto plain_signer = request.signer;
  const auto plain_certificate = request.client_certificate;
  auto built = authorize_and_build(request, credentials, now);
  for (auto& header : request.headers) {
    if (std::ranges::find(plain_headers, header) != plain_headers.end()) continue;
    note_header(header.second);
    patchbay::wipe(header.second);
  }
  if (request.url != plain_url) {
    note_url(plain_url, request.url);
    patchbay::wipe(request.url);
  }
  request.url = plain_url;
  request.headers = plain_headers;
  request.signer = plain_signer;
  request.client_certificate = plain_certificate;
  return built;
}

Result<> Outgoing::authorize_and_build(HttpRequest& request, CredentialSource& credentials, Timestamp now) {
  holds_secrets_ = true;
  if (auto authorized = credentials.authorize(request); !authorized) return authorized;
  return build(request, now, true);
}

Result<> Outgoing::build(const HttpRequest& request, Timestamp now, bool with_secrets) {
  const auto& expansions = request.expansions;
  const bool replaces = with_secrets && !expansions.empty();
  holds_secrets_ = holds_secrets_ || replaces;
  url_ = replaces ? expand(request.url, Place::url, expansions) : request.url;
  if (const auto hash = url_.find('#'); hash != std::string::npos) url_.resize(hash);
  body_ = request.body;
  if (replaces && holds_reference(request.body, expansions)) {
    expanded_body_ = expand(request.body, body_place(request), expansions);
    body_ = expanded_body_;
  }
  if (with_secrets) client_certificate_ = request.client_certificate;
  once_ = request.once;
  signed_ = with_secrets && request.signer != nullptr;
  if (auto added = signed_ ? add_signed_headers(request, now) : add_headers(request, replaces); !added) return added;
  if (!has_type_) add_line("Content-Type:");  // libcurl would say that it is a form
  if (body_.size() >= kExpectThreshold) add_line("Expect:");
  link_lines();
  return {};
}

Result<> Outgoing::add_headers(const HttpRequest& request, bool replaces) {
  for (const auto& [name, value] : request.headers) {
    if (replaces && holds_reference(value, request.expansions)) {
      auto expanded = expand(value, Place::header, request.expansions);
      auto added = add_header(name, expanded);
      patchbay::wipe(expanded);
      if (!added) return added;
    } else if (auto added = add_header(name, value); !added) {
      return added;
    }
  }
  return {};
}

Result<> Outgoing::add_signed_headers(const HttpRequest& request, Timestamp now) {
  holds_secrets_ = true;
  Headers headers;
  headers.reserve(request.headers.size());
  for (const auto& [name, value] : request.headers) {
    headers.emplace_back(name, expand(value, Place::header, request.expansions));
  }
  // libcurl sends no body with HEAD.
  Signable signable{.method = request.method,
                    .url = url_,
                    .headers = headers,
                    .body = request.method == "HEAD" ? std::string_view{} : body_,
                    .now = now,
                    .added = {},
                    .secrets = {}};
  auto done = request.signer->sign(signable);
  if (done) done = add_all(headers, signable.added);
  for (const auto& header : signable.added) note_header(header.second);
  for (const auto& secret : signable.secrets) note(secret.reveal());
  for (auto& header : headers) patchbay::wipe(header.second);
  for (auto& header : signable.added) patchbay::wipe(header.second);
  return done;
}

// headers, with added in the place of those of the same names.
Result<> Outgoing::add_all(const Headers& headers, const Headers& added) {
  for (const auto& header : headers) {
    const auto is_it = [&](const auto& other) { return is_same_name(other.first, header.first); };
    if (std::ranges::any_of(added, is_it)) continue;
    if (auto done = add_header(header.first, header.second); !done) return done;
  }
  for (const auto& [name, value] : added) {
    if (auto done = add_header(name, value); !done) return done;
  }
  return {};
}

Result<> Outgoing::add_header(std::string_view name, std::string_view value) {
  if (auto checked = check_header(name, value); !checked) return checked;
  if (is_same_name(name, "accept-encoding")) {
    accept_encoding_ = value;
    return {};
  }
  has_type_ = has_type_ || is_same_name(name, "content-type");
  offsets_.push_back(text_.size());
  make_room(name.size() + value.size() + 3);
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

// By hand, so that the old buffer can be wiped.
void Outgoing::make_room(std::size_t bytes) {
  const auto needed = text_.size() + bytes;
  if (needed <= text_.capacity()) return;
  std::string larger;
  larger.reserve(std::max<std::size_t>(needed * 2, 512));
  larger = text_;
  patchbay::wipe(text_);
  text_ = std::move(larger);
}

void Outgoing::add_line(std::string_view line) {
  make_room(line.size() + 1);
  offsets_.push_back(text_.size());
  text_ += line;
  text_ += '\0';
}

void Outgoing::note(std::string_view secret) { added_.emplace_back(std::string(secret)); }

// A scheme's name may stand before the secret.
void Outgoing::note_header(std::string_view value) {
  note(value);
  if (const auto space = value.rfind(' '); space != std::string_view::npos) note(value.substr(space + 1));
}

// Segments of the path and values of the query that were not there before, as they are written and as they are read.
void Outgoing::note_url(std::string_view before, std::string_view after) {
  if (before == after) return;
  const auto old = pieces_of(before);
  for (const auto piece : pieces_of(after)) {
    if (std::ranges::find(old, piece) != old.end()) continue;
    note(piece);
    added_.emplace_back(percent_decoded(piece));
  }
}

void Outgoing::link_lines() {
  lines_.resize(offsets_.size());
  for (std::size_t i = 0; i < offsets_.size(); ++i) {
    lines_[i].data = text_.data() + offsets_[i];
    lines_[i].next = i + 1 < offsets_.size() ? &lines_[i + 1] : nullptr;
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
  client_certificate_.reset();
  once_ = false;
  signed_ = false;
  has_type_ = false;
}

void Outgoing::forget() {
  wipe();
  added_.clear();
}

}  // namespace patchbay::egress
