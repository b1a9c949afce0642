#include "harness/browser.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <memory>
#include <stdexcept>

namespace patchbay::harness {
namespace {

constexpr int kMostRedirects = 20;

std::string resolve(const std::string& base, const std::string& reference) {
  const std::unique_ptr<CURLU, void (*)(CURLU*)> url(curl_url(), curl_url_cleanup);
  char* text = nullptr;
  if (curl_url_set(url.get(), CURLUPART_URL, base.c_str(), 0) != CURLUE_OK ||
      curl_url_set(url.get(), CURLUPART_URL, reference.c_str(), 0) != CURLUE_OK ||
      curl_url_get(url.get(), CURLUPART_URL, &text, 0) != CURLUE_OK) {
    throw std::runtime_error("no address: " + reference + " at " + base);
  }
  const std::unique_ptr<char, void (*)(void*)> owner(text, curl_free);
  return text;
}

// The value of this attribute of a tag; empty: there is none.
std::string attribute(std::string_view tag, const std::string& name) {
  const auto at = tag.find(' ' + name + "=\"");
  if (at == std::string_view::npos) return {};
  const auto begin = at + name.size() + 3;
  return std::string(tag.substr(begin, tag.find('"', begin) - begin));
}

std::vector<std::string_view> tags(std::string_view page, const std::string& name) {
  std::vector<std::string_view> found;
  for (auto at = page.find("<" + name); at != std::string_view::npos; at = page.find("<" + name, at + 1)) {
    const auto end = page.find('>', at);
    if (end == std::string_view::npos) break;
    auto& tag = found.emplace_back(page.substr(at, end - at));
    tag = tag.substr(0, tag.find_last_not_of(" /") + 1);
  }
  return found;
}

bool sends_itself(const Reply& reply) { return reply.body.find("document.forms[0].submit()") != std::string::npos; }

}  // namespace

std::string url_escaped(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || std::string_view("-._~").find(c) != std::string_view::npos)
      out += c;
    else
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
  }
  return out;
}

std::string query_value(const std::string& url, std::string_view name) {
  auto at = url.find('?');
  while (at != std::string::npos && at + 1 < url.size()) {
    const auto end = url.find_first_of("&#", at + 1);
    const auto part = url.substr(at + 1, end == std::string::npos ? end : end - at - 1);
    const auto equals = part.find('=');
    if (std::string_view(part).substr(0, equals) == name) {
      auto value = equals == std::string::npos ? std::string() : part.substr(equals + 1);
      std::ranges::replace(value, '+', ' ');
      int length = 0;
      const std::unique_ptr<char, void (*)(void*)> decoded(
          curl_easy_unescape(nullptr, value.c_str(), static_cast<int>(value.size()), &length), curl_free);
      return {decoded.get(), static_cast<std::size_t>(length)};
    }
    at = end;
  }
  return {};
}

Page Browser::visit(const std::string& url) { return follow("GET", url, {}); }

Page Browser::submit(const Page& page, const std::vector<std::pair<std::string, std::string>>& fields) {
  const auto forms = tags(page.reply.body, "form");
  if (forms.empty()) throw std::runtime_error("there is no form at " + page.url + ": " + page.reply.body);
  auto all = fields;
  for (const auto input : tags(page.reply.body, "input")) {
    const auto name = attribute(input, "name");
    const bool given = std::ranges::any_of(fields, [&](const auto& field) { return field.first == name; });
    if (!name.empty() && !given) all.emplace_back(name, attribute(input, "value"));
  }
  std::string body;
  for (const auto& [name, value] : all)
    body += (body.empty() ? "" : "&") + url_escaped(name) + "=" + url_escaped(value);
  return follow("POST", resolve(page.url, attribute(forms.front(), "action")), body);
}

Page Browser::follow(std::string method, std::string url, std::string body) {
  for (int i = 0; i < kMostRedirects; ++i) {
    visited_.push_back(url);
    Headers headers{{"Accept", "text/html"}};
    if (method == "POST") headers.emplace_back("Content-Type", "application/x-www-form-urlencoded");
    Page page{.url = url, .reply = http_.send(method, url, headers, body)};
    const auto location = page.reply.header("location");
    if (page.reply.status / 100 != 3 || location.empty()) return sends_itself(page.reply) ? submit(page) : page;
    url = resolve(url, std::string(location));
    method = "GET";
    body.clear();
  }
  throw std::runtime_error("too many redirects, the last to " + url);
}

std::string Browser::visited(const std::string& prefix) const {
  const auto found = std::ranges::find_if(visited_.rbegin(), visited_.rend(),
                                          [&](const auto& url) { return url.starts_with(prefix); });
  if (found == visited_.rend()) throw std::runtime_error("the browser was never at " + prefix);
  return *found;
}

}  // namespace patchbay::harness
