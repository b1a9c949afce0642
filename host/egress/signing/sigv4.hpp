#pragma once

#include <string>
#include <string_view>

#include "core/bytes.hpp"
#include "core/error.hpp"
#include "core/time.hpp"
#include "egress/http_client.hpp"

// The stages of AWS Signature Version 4, each as AWS describes it. Pure; no input makes them fail but OpenSSL itself.
namespace patchbay::egress::sigv4 {

inline constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";
inline constexpr std::string_view kUnsignedPayload = "UNSIGNED-PAYLOAD";

enum class PathForm { normalised, as_sent };

// What is signed of a request. Nothing is decoded; host is among the headers.
struct Parts {
  std::string_view method;
  std::string_view path;
  std::string_view query;
  const Headers& headers;
  std::string_view payload_hash;  // in hex, or kUnsignedPayload
  PathForm path_form = PathForm::normalised;
};

// The day and the second, as AWS writes them.
struct Moment {
  std::string day;     // "20150830"
  std::string second;  // "20150830T123600Z"
};
[[nodiscard]] Moment moment_of(Timestamp now);

[[nodiscard]] std::string canonical_path(std::string_view path, PathForm form);
// Sorted and encoded anew; '+' is a space.
[[nodiscard]] std::string canonical_query(std::string_view query);
// "content-type;host;x-amz-date": all but those that something on the way may change, or that hold the signature.
[[nodiscard]] std::string signed_headers(const Headers& headers);
[[nodiscard]] std::string canonical_request(const Parts& parts);

// "20150830/us-east-1/iam/aws4_request"
[[nodiscard]] std::string scope_of(const Moment& moment, std::string_view region, std::string_view service);
[[nodiscard]] Result<std::string> string_to_sign(const Moment& moment, std::string_view scope,
                                                 std::string_view canonical_request);
// In hex. The key is derived from the secret for the scope's day, region and service.
[[nodiscard]] Result<std::string> signature(const Secret& secret_access_key, std::string_view scope,
                                            std::string_view string_to_sign);
[[nodiscard]] std::string authorization(std::string_view access_key_id, std::string_view scope,
                                        std::string_view signed_headers, std::string_view signature);

}  // namespace patchbay::egress::sigv4
