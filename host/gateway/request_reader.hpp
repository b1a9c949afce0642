#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <boost/beast/http/basic_parser.hpp>

#include "gateway/gateway.hpp"

namespace patchbay::gateway {

// What is known of a request once its head has been read.
struct RequestHead {
  std::string method;
  std::string target;
  int version = 0;  // 10, 11
  Headers headers;  // in their order; never a trailer
  // How often each of the headers came that decide about framing; counted here so that nobody searches for them.
  int hosts = 0;
  int lengths = 0;
  int codings = 0;

  // The value of the first header of that name (lower case), or nothing.
  [[nodiscard]] std::string_view find(std::string_view name) const;
};

// Beast's parser with our own idea of a message: names in lower case at once, the headers in a vector that is moved
// on to the backend, trailers dropped (RFC 9110, section 6.5.1: a field of a trailer must not be taken for one of the
// head).
class RequestReader : public boost::beast::http::basic_parser<true> {
 public:
  RequestHead head;
  std::string body;

  // Extensions of all chunks together: one byte of data in a chunk with a long extension is an attack.
  [[nodiscard]] std::size_t chunk_extension_bytes() const { return chunk_extension_bytes_; }

 private:
  using Text = boost::beast::string_view;
  using ErrorCode = boost::beast::error_code;

  void on_request_impl(boost::beast::http::verb, Text method, Text target, int version, ErrorCode& error) override;
  void on_response_impl(int, Text, int, ErrorCode& error) override;
  void on_field_impl(boost::beast::http::field field, Text name, Text value, ErrorCode& error) override;
  void on_header_impl(ErrorCode& error) override;
  void on_body_init_impl(boost::optional<std::uint64_t> const& length, ErrorCode& error) override;
  std::size_t on_body_impl(Text text, ErrorCode& error) override;
  void on_chunk_header_impl(std::uint64_t size, Text extensions, ErrorCode& error) override;
  std::size_t on_chunk_body_impl(std::uint64_t remain, Text text, ErrorCode& error) override;
  void on_finish_impl(ErrorCode& error) override;

  bool head_done_ = false;
  std::size_t chunk_extension_bytes_ = 0;
};

// Looks for the end of a head, and for bytes that have no place in one, before the parser sees it: it accepts folded
// lines (RFC 9112, section 5.2: refuse), and waits for an end that may never come.
class HeadScan {
 public:
  enum class Found { more, end, malformed };
  // bytes: from the first byte of the head; each call with more of it. Whole lines are looked at once.
  [[nodiscard]] Found look(std::string_view bytes);
  [[nodiscard]] std::size_t length() const { return at_; }  // of the head, when the end was found

 private:
  std::size_t at_ = 0;
};

}  // namespace patchbay::gateway
