#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.hpp"
#include "core/error.hpp"
#include "core/time.hpp"
#include "egress/http_client.hpp"

namespace patchbay::egress {

// What an attempt is about to send, as it goes on the wire: credentials were added, references replaced.
struct Signable {
  std::string_view method;
  std::string& url;        // absolute, without fragment; a signer may change its query and how its path is written
  const Headers& headers;  // without those of the client itself: Host, Content-Length, User-Agent, Accept
  std::string_view body;
  Timestamp now;
  // What the signer adds. Each takes the place of the request's headers of that name; wiped after the attempt. Their
  // values are cleaned from errors and logs as a whole; secrets says what else must be: parts that a server might send
  // back by themselves, and what was added to the url.
  Headers added;
  std::vector<Secret> secrets;
};

// Signs each attempt anew, as the last thing before it is sent. Immutable; any thread.
class Signer {
 public:
  virtual ~Signer() = default;
  // Errors are about the request ("the header x-date that is to be signed is missing") and hold nothing of its values.
  virtual Result<> sign(Signable& request) const = 0;
};

// AWS Signature Version 4 (docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).
struct AwsSigV4 {
  enum class Place { header, query };  // query: a presigned URL
  // normalised: dots and double slashes resolved, what is sent encoded a second time. as_sent: S3's way, encoded once.
  // by_service: as_sent for "s3", "s3express", "s3-outposts" and "s3-object-lambda", normalised for all others.
  enum class Path { by_service, normalised, as_sent };

  std::string access_key_id;
  Secret secret_access_key;
  Secret session_token;  // empty: long-term keys
  std::string region;
  std::string service;
  Place place = Place::header;
  std::chrono::seconds expires{900};  // of a presigned URL: at most 7 days
  Path path = Path::by_service;
  bool sign_session_token = true;  // false: it is added after signing (AWS IoT)
  bool sign_body = true;           // false: UNSIGNED-PAYLOAD, which S3 alone takes
  bool send_body_hash = false;     // x-amz-content-sha256 where the service is not S3 (Glacier, OpenSearch Serverless)
};
// Errc::invalid: a key, the region or the service is missing or malformed; expires out of range.
[[nodiscard]] Result<std::shared_ptr<const Signer>> make_aws_sigv4_signer(AwsSigV4 settings);

// An HMAC over parts of the request, in a header. The words mean what they mean in a manifest's "verify".
struct HmacScheme {
  enum class Algorithm { sha256, sha1, sha512 };
  enum class Encoding { hex, base64 };

  Algorithm algorithm = Algorithm::sha256;
  Secret key;
  std::string header = "x-signature";
  std::string prefix;
  Encoding encoding = Encoding::hex;  // hex in lower case
  // One after the other: "method", "path" and "query" as sent (query without '?'), "body", "timestamp",
  // "header:<name>", "text:<literal>".
  std::vector<std::string> signed_parts{"body"};
  std::string timestamp_header;  // empty: none is sent. Seconds since 1970, as in the part "timestamp"
};
// Errc::invalid: no key, unknown parts, a timestamp that is signed but not sent, header names that are none.
[[nodiscard]] Result<std::shared_ptr<const Signer>> make_hmac_signer(HmacScheme scheme);

}  // namespace patchbay::egress
