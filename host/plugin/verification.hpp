#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/bytes.hpp"
#include "core/error.hpp"
#include "core/time.hpp"
#include "plugin/provider.hpp"

namespace patchbay::plugin {

// "webhook": {"verify": {...}} of a manifest.
struct VerificationScheme {
  enum class Kind { none, custom, hmac_sha256, hmac_sha1, ed25519 };
  enum class Encoding { hex, base64 };
  Kind kind = Kind::none;
  std::string header;  // lower case
  std::string prefix;
  Encoding encoding = Encoding::hex;
  std::vector<std::string> signed_parts;  // "body", "header:<name>", "text:<literal>"
  std::string timestamp_header;           // with max_age: seconds since 1970 or RFC 3339
  std::optional<Duration> max_age;
};

// Checks requests against one secret; the HMAC's key schedule is made once. Any thread.
class Verifier {
 public:
  [[nodiscard]] static Result<Verifier> create(const VerificationScheme& scheme, const Secret& secret);
  ~Verifier();
  Verifier(Verifier&&) noexcept;
  Verifier& operator=(Verifier&&) noexcept;

  // On the raw bytes, in constant time. Errc::unauthenticated: missing, malformed, wrong or too old; the message says
  // which, but never what would have been right.
  [[nodiscard]] Result<> verify(const WebhookRequest& request, Timestamp now) const;
  // For schemes custom and none: false, so the plugin is told that nothing was checked.
  [[nodiscard]] bool checks() const;

 private:
  struct Impl;
  explicit Verifier(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace patchbay::plugin
