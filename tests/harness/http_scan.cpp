#include "harness/http_scan.hpp"

#include <strings.h>

#include <cstdlib>

namespace patchbay::harness {
namespace {

// The value when line is the header name (given with its colon), either case.
std::optional<std::string_view> value_of(std::string_view line, std::string_view name) {
  if (line.size() < name.size() || ::strncasecmp(line.data(), name.data(), name.size()) != 0) return std::nullopt;
  line.remove_prefix(name.size());
  while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
  return line;
}

}  // namespace

std::optional<Message> scan_message(std::string_view bytes, bool ended) {
  const auto end = bytes.find("\r\n\r\n");
  if (end == std::string_view::npos) return std::nullopt;
  Message message{.length = end + 4, .head = end + 4};
  const bool is_reply = bytes.starts_with("HTTP/1.");
  if (is_reply && bytes.size() > 12) message.status = std::atoi(bytes.data() + 9);

  std::optional<std::size_t> content_length;
  bool chunked = false;
  for (std::size_t at = bytes.find("\r\n") + 2; at < end;) {
    const auto line_end = bytes.find("\r\n", at);
    const auto line = bytes.substr(at, line_end - at);
    if (const auto length = value_of(line, "content-length:"))
      content_length = std::strtoul(length->data(), nullptr, 10);
    if (const auto key = value_of(line, "idempotency-key:")) message.idempotency_key = *key;
    if (value_of(line, "transfer-encoding: chunked")) chunked = true;
    if (value_of(line, "connection: close")) message.close = true;
    at = line_end + 2;
  }
  if (message.status == 204 || message.status == 304 || message.status / 100 == 1) return message;
  if (chunked) {
    const auto last = bytes.find("0\r\n\r\n", end + 2);
    if (last == std::string_view::npos) return std::nullopt;
    message.length = last + 5;
    return message;
  }
  if (!content_length && is_reply) {
    if (!ended) return std::nullopt;
    message.length = bytes.size();
    return message;
  }
  message.length += content_length.value_or(0);
  if (bytes.size() < message.length) return std::nullopt;
  return message;
}

}  // namespace patchbay::harness
