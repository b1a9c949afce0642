#include "gateway/request_reader.hpp"

#include <algorithm>
#include <cstring>

namespace patchbay::gateway {
namespace http = boost::beast::http;

namespace {

constexpr std::size_t kUsualHeaders = 24;
constexpr std::uint64_t kReserveAtMost = 256 << 10;  // a length that was only announced costs no more than this

}  // namespace

std::string_view RequestHead::find(std::string_view name) const {
  const auto found =
      std::find_if(headers.begin(), headers.end(), [&](const auto& header) { return header.first == name; });
  return found == headers.end() ? std::string_view() : std::string_view(found->second);
}

void RequestReader::on_request_impl(http::verb, Text method, Text target, int version, ErrorCode&) {
  head.method.assign(method.data(), method.size());
  head.target.assign(target.data(), target.size());
  head.version = version;
  head.headers.reserve(kUsualHeaders);
}

void RequestReader::on_response_impl(int, Text, int, ErrorCode&) {}

void RequestReader::on_field_impl(http::field field, Text name, Text value, ErrorCode&) {
  if (head_done_) return;
  if (field == http::field::host) ++head.hosts;
  if (field == http::field::content_length) ++head.lengths;
  if (field == http::field::transfer_encoding) ++head.codings;
  auto& header =
      head.headers.emplace_back(std::string(name.data(), name.size()), std::string(value.data(), value.size()));
  for (auto& c : header.first) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

void RequestReader::on_header_impl(ErrorCode&) { head_done_ = true; }

void RequestReader::on_body_init_impl(boost::optional<std::uint64_t> const& length, ErrorCode&) {
  if (length) body.reserve(static_cast<std::size_t>(std::min(*length, kReserveAtMost)));
}

std::size_t RequestReader::on_body_impl(Text text, ErrorCode&) {
  body.append(text.data(), text.size());
  return text.size();
}

void RequestReader::on_chunk_header_impl(std::uint64_t, Text extensions, ErrorCode&) {
  chunk_extension_bytes_ += extensions.size();
}

std::size_t RequestReader::on_chunk_body_impl(std::uint64_t, Text text, ErrorCode&) {
  body.append(text.data(), text.size());
  return text.size();
}

void RequestReader::on_finish_impl(ErrorCode&) {}

HeadScan::Found HeadScan::look(std::string_view bytes) {
  while (true) {
    if (at_ >= bytes.size()) return Found::more;  // nothing new to look at
    const auto* found = static_cast<const char*>(std::memchr(bytes.data() + at_, '\n', bytes.size() - at_));
    const auto feed = found == nullptr ? bytes.size() : static_cast<std::size_t>(found - bytes.data());
    const auto line = bytes.substr(at_, feed - at_);
    if (line.find('\0') != std::string_view::npos) return Found::malformed;
    if (found == nullptr) return Found::more;  // this line is looked at again: it is short, or the limit comes
    if (line.empty() || line.back() != '\r') return Found::malformed;
    if (line.find('\r') != line.size() - 1) return Found::malformed;
    if (at_ > 0 && (line.front() == ' ' || line.front() == '\t')) return Found::malformed;
    at_ = feed + 1;
    if (line.size() == 1) return Found::end;
  }
}

}  // namespace patchbay::gateway
