#pragma once

#include <string>
#include <utility>
#include <vector>

#include "harness/http.hpp"

namespace patchbay::harness {

// Where a browser ended.
struct Page {
  std::string url;
  Reply reply;
};

// A person with a browser, without the browser: keeps cookies, follows redirects and forms that send themselves. A new
// one is another person. One thread.
class Browser {
 public:
  // The page behind all redirects. Throws when there are more than 20.
  Page visit(const std::string& url);
  // Sends the one form of that page as it stands, with these fields in place of its own.
  Page submit(const Page& page, const std::vector<std::pair<std::string, std::string>>& fields = {});
  // All addresses so far, redirects included.
  [[nodiscard]] const std::vector<std::string>& visited() const { return visited_; }
  // The last of them that begins so; throws when there is none.
  [[nodiscard]] std::string visited(const std::string& prefix) const;

 private:
  Page follow(std::string method, std::string url, std::string body);

  Http http_{Cookies::kept};
  std::vector<std::string> visited_;
};

// For a value in a query or a form (RFC 3986, 2.1).
[[nodiscard]] std::string url_escaped(std::string_view text);
// The decoded value of this parameter of the address; empty: it has none.
[[nodiscard]] std::string query_value(const std::string& url, std::string_view name);

}  // namespace patchbay::harness
