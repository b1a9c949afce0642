#include "vault/request_credentials.hpp"

#include <algorithm>
#include <cctype>

#include "vault/oauth.hpp"

namespace patchbay::vault {
namespace {

bool is_same_name(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

// Without the parameter `name`, and without a fragment.
std::string without_parameter(std::string_view url, std::string_view name) {
  url = url.substr(0, url.find('#'));
  const auto mark = url.find('?');
  std::string out(url.substr(0, mark));
  if (mark == url.npos) return out;
  char between = '?';
  for (auto rest = url.substr(mark + 1); !rest.empty();) {
    const auto pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    if (pair.empty() || pair.substr(0, pair.find('=')) == name) continue;
    (out += std::exchange(between, '&')) += pair;
  }
  return out;
}

}  // namespace

Result<RequestCredentials> RequestCredentials::make(const plugin::AuthScheme& scheme, const Fields& fields) {
  RequestCredentials made;
  if (!scheme.inject) return made;
  auto value = expand(scheme.inject->value, fields);
  if (!value) return std::unexpected(value.error());
  made.header_ = scheme.inject->header;
  made.query_ = scheme.inject->query;
  made.value_ = *std::move(value);
  return made;
}

void RequestCredentials::apply(egress::HttpRequest& request) const {
  if (!header_.empty()) {
    std::erase_if(request.headers, [&](const auto& header) { return is_same_name(header.first, header_); });
    request.headers.emplace_back(header_, std::string(value_.reveal()));
  }
  if (!query_.empty()) {
    auto url = without_parameter(request.url, query_);
    auto pair = encode_form({{query_, std::string(value_.reveal())}});
    url.reserve(url.size() + pair.size() + 1);
    url += url.find('?') == url.npos ? '?' : '&';
    url += pair;
    wipe(pair);
    request.url = std::move(url);
  }
}

}  // namespace patchbay::vault
