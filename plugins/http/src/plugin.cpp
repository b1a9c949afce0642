#include <patchbay/provider.hpp>

#include "text.hpp"

namespace {

using patchbay::call;
using patchbay::http;
using patchbay::operation;
using patchbay::reply;
using namespace patchbay::http_request;

// What the host's client, or this plugin, writes itself.
constexpr std::string_view kReserved[] = {
    "host",    "content-length", "transfer-encoding", "connection", "te", "trailer",
    "upgrade", "expect",         "idempotency-key"};

bool is_reserved(std::string_view name) {
  for (const auto reserved : kReserved) {
    if (equal_without_case(name, reserved)) return true;
  }
  return false;
}

bool has_header(const http& ask, std::string_view wanted) {
  for (const auto& [name, value] : ask.headers) {
    if (equal_without_case(name, wanted)) return true;
  }
  return false;
}

// Parameters are looked for in the text before they are asked for: most requests have neither headers nor options.
bool mentions(const call& c, std::string_view quoted_name) {
  return c.params().find(quoted_name) != std::string_view::npos;
}

// Empty: fine; else what is wrong.
std::string add_headers(const call& c, http& ask) {
  if (!mentions(c, "\"headers\"")) return {};
  for (const auto name : member_names(c.look(c.params(), "/headers"))) {
    if (!is_header_name(name)) return "a header has a name that HTTP does not allow";
    if (is_reserved(name)) return "the header " + std::string(name) + " is set by Patchbay itself";
    std::string pointer = "/headers/";
    for (const char letter : name) pointer += letter == '~' ? std::string("~0") : std::string(1, letter);
    auto value = c.json(c.params(), pointer);
    if (value.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) {
      return "the header " + std::string(name) + " has a line break";
    }
    ask.headers.emplace_back(name, std::move(value));
  }
  return {};
}

void add_body(const call& c, http& ask) {
  const auto type = c.json_type(c.params(), "/body");
  if (type == PBAY_JSON_NONE || type == PBAY_JSON_NULL) return;
  ask.body = c.json(c.params(), "/body");
  if (has_header(ask, "content-type")) return;
  ask.headers.emplace_back("Content-Type", type == PBAY_JSON_STRING ? "text/plain; charset=utf-8" : "application/json");
}

void append_quoted(const call& c, std::string& out, std::string_view text) {
  if (!needs_no_escape(text)) {
    out += c.quote(text);
    return;
  }
  out += '"';
  out += text;
  out += '"';
}

// Headers that came more than once are joined as RFC 9110, section 5.3, says.
void append_headers(const call& c, std::string& out, const patchbay::headers& headers) {
  const char* separator = "";
  for (std::size_t i = 0; i < headers.size(); ++i) {
    const auto& name = headers[i].first;
    bool seen = false;
    for (std::size_t k = 0; k < i && !seen; ++k) seen = headers[k].first == name;
    if (seen) continue;
    std::string value = headers[i].second;
    for (std::size_t k = i + 1; k < headers.size(); ++k) {
      if (headers[k].first == name) value += ", " + headers[k].second;
    }
    out += separator;
    append_quoted(c, out, name);
    out += ':';
    append_quoted(c, out, value);
    separator = ",";
  }
}

std::string output_of(const call& c, const reply& answer) {
  std::string out;
  out.reserve(answer.body.size() + 512);
  out += R"({"status":)" + std::to_string(answer.http_status) + R"(,"headers":{)";
  append_headers(c, out, answer.headers);
  out += R"(},"body":)";
  const bool claims_json = answer.header("content-type").find("json") != std::string_view::npos;
  if (answer.body.empty()) {
    out += "null";
  } else if (claims_json && c.json_type(answer.body, "") != PBAY_JSON_NONE) {
    out += answer.body;
  } else {
    append_quoted(c, out, answer.body);
  }
  out += '}';
  return out;
}

struct Http {
  // The step's key goes along as Idempotency-Key (draft-ietf-httpapi-idempotency-key-header), the same at each attempt:
  // a receiver that knows it does nothing twice.
  operation reaction(call c) {
    http ask;
    ask.method = c.json(c.params(), "/method");
    if (ask.method.empty()) ask.method = "GET";
    ask.url = c.json(c.params(), "/url");
    if (!ask.url.starts_with("https://") && !ask.url.starts_with("http://")) {
      co_return c.fail(PBAY_E_ARG, "url begins with https:// or http://");
    }
    if (auto wrong = add_headers(c, ask); !wrong.empty()) co_return c.fail(PBAY_E_ARG, std::move(wrong));
    add_body(c, ask);
    ask.headers.emplace_back("Idempotency-Key", c.key());
    auto answer = co_await c.ask(ask);
    const bool any = mentions(c, "\"accept_any_status\"") && c.look(c.params(), "/accept_any_status") == "true";
    if (answer.status != PBAY_OK || (answer.http_status >= 400 && !any)) co_return c.fail(answer);
    co_return c.ok().output(output_of(c, answer));
  }
};

static constexpr char manifest[] PBAY_IN_MANIFEST =
#include "manifest.inc"
    ;

}  // namespace

PATCHBAY_PROVIDER(Http)
