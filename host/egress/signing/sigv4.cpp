#include "egress/signing/sigv4.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "egress/percent.hpp"
#include "egress/signing/crypto.hpp"

namespace patchbay::egress::sigv4 {
namespace {

// libcurl, proxies and load balancers write these anew.
constexpr std::array<std::string_view, 7> kNotSigned{"authorization", "user-agent",        "x-amzn-trace-id", "expect",
                                                     "connection",    "transfer-encoding", "accept-encoding"};

bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  return out;
}

// Without blanks at its ends, and with one space for each run of blanks.
std::string squeezed(std::string_view value) {
  std::string out;
  out.reserve(value.size());
  for (const char c : value) {
    if (!is_blank(c)) {
      out += c;
    } else if (!out.empty() && out.back() != ' ') {
      out += ' ';
    }
  }
  if (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

// Names in lower case and in order; the values of one name joined in the order in which they are sent.
Headers canonical_headers(const Headers& headers) {
  Headers sorted;
  for (const auto& [name, value] : headers) {
    auto key = lower(name);
    if (std::ranges::find(kNotSigned, key) != kNotSigned.end()) continue;
    sorted.emplace_back(std::move(key), squeezed(value));
  }
  std::ranges::stable_sort(sorted, {}, &Headers::value_type::first);
  Headers joined;
  for (auto& header : sorted) {
    if (!joined.empty() && joined.back().first == header.first) {
      joined.back().second.append(",").append(header.second);
      wipe(header.second);
    } else {
      joined.push_back(std::move(header));
    }
  }
  return joined;
}

std::string join_names(const Headers& canonical) {
  std::string names;
  for (const auto& header : canonical) {
    if (!names.empty()) names += ';';
    names += header.first;
  }
  return names;
}

// RFC 3986, 5.2.4, and with one slash for several.
std::vector<std::string_view> normalised_segments(std::string_view path) {
  std::vector<std::string_view> kept;
  while (!path.empty()) {
    const auto slash = std::min(path.find('/'), path.size());
    const auto segment = path.substr(0, slash);
    path.remove_prefix(std::min(slash + 1, path.size()));
    if (segment == ".." && !kept.empty()) kept.pop_back();
    if (!segment.empty() && segment != "." && segment != "..") kept.push_back(segment);
  }
  return kept;
}

std::string normalised(std::string_view path) {
  std::string out = "/";
  for (const auto segment : normalised_segments(path)) {
    append_percent_encoded(out, segment);
    out += '/';
  }
  const bool names_folder = path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..");
  if (out.size() > 1 && !names_folder) out.pop_back();
  return out;
}

std::string query_piece(std::string_view text) {
  std::string spaced(text);
  std::ranges::replace(spaced, '+', ' ');
  auto decoded = percent_decoded(spaced);
  auto encoded = percent_encoded(decoded);
  wipe(spaced);
  wipe(decoded);
  return encoded;
}

}  // namespace

Moment moment_of(Timestamp now) {
  const auto day = std::chrono::floor<std::chrono::days>(now);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(std::chrono::floor<std::chrono::seconds>(now - day));
  Moment moment;
  moment.day = fmt::format("{:04}{:02}{:02}", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                           static_cast<unsigned>(date.day()));
  moment.second = fmt::format("{}T{:02}{:02}{:02}Z", moment.day, time.hours().count(), time.minutes().count(),
                              time.seconds().count());
  return moment;
}

std::string canonical_path(std::string_view path, PathForm form) {
  if (path.empty()) return "/";
  return form == PathForm::normalised ? normalised(path) : percent_encoded(percent_decoded(path), "-._~/");
}

std::string canonical_query(std::string_view query) {
  std::vector<std::pair<std::string, std::string>> pairs;
  while (!query.empty()) {
    const auto piece = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(piece.size() + 1, query.size()));
    if (piece.empty()) continue;
    const auto equals = std::min(piece.find('='), piece.size());
    const auto value = piece.substr(std::min(equals + 1, piece.size()));
    pairs.emplace_back(query_piece(piece.substr(0, equals)), query_piece(value));
  }
  std::ranges::sort(pairs);
  std::string out;
  for (auto& [name, value] : pairs) {
    if (!out.empty()) out += '&';
    out.append(name).append("=").append(value);
    wipe(value);
  }
  return out;
}

std::string signed_headers(const Headers& headers) {
  auto canonical = canonical_headers(headers);
  for (auto& header : canonical) wipe(header.second);
  return join_names(canonical);
}

std::string canonical_request(const Parts& parts) {
  auto headers = canonical_headers(parts.headers);
  std::size_t header_bytes = 0;
  for (const auto& [name, value] : headers) header_bytes += 2 * name.size() + value.size() + 3;
  auto query = canonical_query(parts.query);
  const auto path = canonical_path(parts.path, parts.path_form);

  std::string out;
  out.reserve(parts.method.size() + path.size() + query.size() + header_bytes + parts.payload_hash.size() + 5);
  out.append(parts.method).append("\n").append(path).append("\n").append(query).append("\n");
  for (auto& [name, value] : headers) {
    out.append(name).append(":").append(value).append("\n");
    wipe(value);
  }
  wipe(query);
  return out.append("\n").append(join_names(headers)).append("\n").append(parts.payload_hash);
}

std::string scope_of(const Moment& moment, std::string_view region, std::string_view service) {
  return fmt::format("{}/{}/{}/aws4_request", moment.day, region, service);
}

Result<std::string> string_to_sign(const Moment& moment, std::string_view scope, std::string_view canonical_request) {
  const auto hash = digest(Digest::sha256, canonical_request);
  if (!hash) return std::unexpected(hash.error());
  return fmt::format("{}\n{}\n{}\n{}", kAlgorithm, moment.second, scope, to_hex(*hash));
}

Result<std::string> signature(const Secret& secret_access_key, std::string_view scope,
                              std::string_view string_to_sign) {
  std::string start;
  start.reserve(secret_access_key.reveal().size() + 4);
  start.append("AWS4").append(secret_access_key.reveal());
  Result<std::string> key = std::move(start);
  for (bool more = true; key && more;) {  // day, region, service, "aws4_request"
    const auto part = scope.substr(0, scope.find('/'));
    more = part.size() < scope.size();
    scope.remove_prefix(more ? part.size() + 1 : part.size());
    auto next = hmac(Digest::sha256, *key, std::array{part});
    wipe(*key);
    key = std::move(next);
  }
  if (!key) return key;
  const auto mac = hmac(Digest::sha256, *key, std::array{string_to_sign});
  wipe(*key);
  if (!mac) return mac;
  return to_hex(*mac);
}

std::string authorization(std::string_view access_key_id, std::string_view scope, std::string_view signed_headers,
                          std::string_view signature) {
  return fmt::format("{} Credential={}/{}, SignedHeaders={}, Signature={}", kAlgorithm, access_key_id, scope,
                     signed_headers, signature);
}

}  // namespace patchbay::egress::sigv4
