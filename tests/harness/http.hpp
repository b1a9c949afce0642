#pragma once

#include <chrono>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace patchbay::harness {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Reply {
  long status = 0;  // 0: no answer came; error says why
  Headers headers;  // names in lower case
  std::string body;
  std::string error;

  [[nodiscard]] std::string_view header(std::string_view name) const;  // empty when there is none
  [[nodiscard]] nlohmann::json json() const;                           // throws when the body is no JSON
};

enum class Cookies { ignored, kept };

// A blocking HTTP client over one kept connection. One thread.
class Http {
 public:
  explicit Http(Cookies cookies = Cookies::ignored);
  ~Http();
  Http(const Http&) = delete;
  Http& operator=(const Http&) = delete;

  Reply send(const std::string& method, const std::string& url, const Headers& headers = {}, std::string_view body = {},
             std::chrono::milliseconds limit = std::chrono::seconds(30));

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace patchbay::harness
