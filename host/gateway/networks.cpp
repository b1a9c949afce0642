#include "gateway/networks.hpp"

#include <charconv>
#include <cstring>
#include <optional>

#include <arpa/inet.h>

namespace patchbay::gateway {
namespace {

std::optional<std::string> address_bytes(std::string_view text) {
  const std::string name(text);
  std::string bytes(16, '\0');
  if (::inet_pton(AF_INET6, name.c_str(), bytes.data()) == 1) {
    static const std::string kMapped("\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
    return bytes.starts_with(kMapped) ? bytes.substr(12) : bytes;
  }
  bytes.resize(4);
  if (::inet_pton(AF_INET, name.c_str(), bytes.data()) == 1) return bytes;
  return std::nullopt;
}

}  // namespace

Result<Networks> Networks::parse(const std::vector<std::string>& texts) {
  Networks networks;
  for (const auto& text : texts) {
    const auto slash = text.find('/');
    auto bytes = address_bytes(std::string_view(text).substr(0, slash));
    if (!bytes) return fail(Errc::invalid, "'" + text + "' is not a network such as 10.0.0.0/8");
    int prefix = static_cast<int>(bytes->size()) * 8;
    if (slash != std::string::npos) {
      int given = -1;
      const auto [end, error] = std::from_chars(text.data() + slash + 1, text.data() + text.size(), given);
      if (error != std::errc{} || end != text.data() + text.size() || given < 0 || given > prefix) {
        return fail(Errc::invalid, "'" + text + "' has no valid prefix length");
      }
      prefix = given;
    }
    networks.networks_.push_back({*std::move(bytes), prefix});
  }
  return networks;
}

bool Networks::contains(std::string_view address) const {
  const auto bytes = address_bytes(address);
  if (!bytes) return false;
  for (const auto& network : networks_) {
    if (network.bytes.size() != bytes->size()) continue;
    const auto whole = static_cast<std::size_t>(network.prefix / 8);
    if (std::memcmp(network.bytes.data(), bytes->data(), whole) != 0) continue;
    const int rest = network.prefix % 8;
    if (rest == 0) return true;
    const auto mask = static_cast<unsigned char>(0xff << (8 - rest));
    if (((static_cast<unsigned char>(network.bytes[whole]) ^ static_cast<unsigned char>((*bytes)[whole])) & mask) ==
        0) {
      return true;
    }
  }
  return false;
}

std::string client_behind(const Networks& trusted, std::string_view peer, const Headers& headers) {
  if (trusted.empty() || !trusted.contains(peer)) return std::string(peer);
  for (auto line = headers.rbegin(); line != headers.rend(); ++line) {
    if (line->first != "x-forwarded-for") continue;
    std::string_view list = line->second;
    while (!list.empty()) {
      const auto comma = list.rfind(',');
      auto last = comma == std::string_view::npos ? list : list.substr(comma + 1);
      list = comma == std::string_view::npos ? std::string_view() : list.substr(0, comma);
      while (!last.empty() && (last.front() == ' ' || last.front() == '\t')) last.remove_prefix(1);
      while (!last.empty() && (last.back() == ' ' || last.back() == '\t')) last.remove_suffix(1);
      if (!address_bytes(last)) return std::string(peer);  // what a trusted proxy does not know stays unknown
      if (!trusted.contains(last)) return std::string(last);
    }
  }
  return std::string(peer);
}

bool is_secure_behind(const Networks& trusted, std::string_view peer, const Headers& headers, bool tls) {
  if (trusted.empty() || !trusted.contains(peer)) return tls;
  for (auto line = headers.rbegin(); line != headers.rend(); ++line) {
    if (line->first == "x-forwarded-proto") return line->second == "https";
  }
  return tls;
}

}  // namespace patchbay::gateway
