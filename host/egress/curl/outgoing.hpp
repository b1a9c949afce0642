#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <curl/curl.h>

#include "core/time.hpp"
#include "egress/client_certificate.hpp"
#include "egress/curl/expansion.hpp"
#include "egress/http_client.hpp"
#include "egress/signer.hpp"

namespace patchbay::egress {

// What is not the client's own to say, or would say more than one thing. Errc::invalid; names the header, never its
// value.
[[nodiscard]] Result<> check_method(std::string_view method);
[[nodiscard]] Result<> check_header(std::string_view name, std::string_view value);

// One attempt's bytes: credentials added, references replaced, signed. Holds secrets from prepare() to wipe(). Used
// again and again, so that a request without secrets allocates nothing here.
class Outgoing {
 public:
  Outgoing() = default;
  ~Outgoing() { forget(); }
  Outgoing(const Outgoing&) = delete;
  Outgoing& operator=(const Outgoing&) = delete;

  // request's body must stay until the transfer is over; the rest is copied. with_secrets: false after a redirect to
  // another origin; then nothing is authorised, replaced or signed, and no certificate is shown.
  [[nodiscard]] Result<> prepare(HttpRequest& request, CredentialSource& credentials, Timestamp now, bool with_secrets);

  [[nodiscard]] const std::string& url() const { return url_; }
  [[nodiscard]] std::string_view body() const { return body_; }
  // For CURLOPT_HTTPHEADER; libcurl only reads it.
  [[nodiscard]] curl_slist* headers() { return lines_.empty() ? nullptr : lines_.data(); }
  [[nodiscard]] const std::string& accept_encoding() const { return accept_encoding_; }  // asked for; empty: not
  [[nodiscard]] bool is_sent_once() const { return once_; }
  [[nodiscard]] bool is_signed() const { return signed_; }  // then libcurl must not write the path in its own way
  [[nodiscard]] const std::shared_ptr<const ClientCertificate>& client_certificate() const {
    return client_certificate_;
  }

  // Puts "***" where message holds something that was added, in this attempt or an earlier one.
  void redact(std::string& message) const;
  void wipe();    // the bytes of the attempt
  void forget();  // wipe(), and what was noted for redact()

 private:
  [[nodiscard]] Result<> authorize_and_build(HttpRequest& request, CredentialSource& credentials, Timestamp now);
  [[nodiscard]] Result<> build(const HttpRequest& request, Timestamp now, bool with_secrets);
  [[nodiscard]] Result<> add_headers(const HttpRequest& request, bool replaces);
  [[nodiscard]] Result<> add_signed_headers(const HttpRequest& request, Timestamp now);
  [[nodiscard]] Result<> add_all(const Headers& headers, const Headers& added);
  [[nodiscard]] Result<> add_header(std::string_view name, std::string_view value);
  void make_room(std::size_t bytes);
  void add_line(std::string_view line);
  void note(std::string_view secret);
  void note_header(std::string_view value);
  void note_url(std::string_view before, std::string_view after);
  void link_lines();

  std::string url_;
  std::string_view body_;
  std::string expanded_body_;
  std::string text_;                  // "name: value\0name: value\0"
  std::vector<std::size_t> offsets_;  // of the lines in text_
  std::vector<curl_slist> lines_;
  std::string accept_encoding_;
  std::shared_ptr<const ClientCertificate> client_certificate_;
  bool once_ = false;
  bool signed_ = false;
  bool has_type_ = false;
  bool holds_secrets_ = false;
  std::vector<Secret> added_;
};

}  // namespace patchbay::egress
