// Signs a thousand requests, the same ones each time, and writes a line of JSON about each to the standard output.
#include <array>
#include <iostream>
#include <random>

#include <nlohmann/json.hpp>

#include "egress/signer.hpp"

namespace patchbay::egress {
namespace {

using nlohmann::json;

class Requests {
 public:
  json next() {
    const bool is_s3 = chance();
    const bool in_query = chance();
    AwsSigV4 settings{.access_key_id = "AKIDEXAMPLE",
                      .secret_access_key = Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
                      .session_token = Secret(chance() ? "AQoD/YX+dz==" : ""),
                      .region = "eu-central-1",
                      .service = is_s3 ? "s3" : "execute-api",
                      .place = in_query ? AwsSigV4::Place::query : AwsSigV4::Place::header};
    settings.expires = std::chrono::seconds{60 + dice_() % 1000};
    const Timestamp now{std::chrono::seconds{1'440'938'160 + dice_() % 400'000'000}};
    const std::string method = pick({"GET", "POST", "PUT", "DELETE"});
    const std::string body = method == "GET" ? "" : pick({"", "{}", "Param1=value1", "\xc3\xa9"});
    const auto sent = url(is_s3);
    json line{{"method", method}, {"url", sent}, {"body", body}, {"headers", json::object()}};
    const auto headers = some_headers(body, line["headers"]);
    sign(settings, {method, sent, body, now}, headers, line);
    return line;
  }

 private:
  struct Plain {
    std::string method, url, body;
    Timestamp now;
  };

  bool chance() { return dice_() % 2 == 0; }
  std::string pick(std::initializer_list<const char*> from) { return from.begin()[dice_() % from.size()]; }

  std::string url(bool is_s3) {
    std::string out = "https://bucket.example.com" + pick({"", ":8443"}) + "/";
    for (auto count = dice_() % 5; count > 0; --count) {
      out += pick({"a", "example%20space", "A-b_c~d.e", "%C3%A9", "x:y", "q@(r)", "%2E", "2,3;4", "..", ".", ""}) + "/";
    }
    out += pick({"", "end", "file.txt"});
    // aws4 knows one value a name with S3, and no name that is empty.
    for (int i = 0, count = static_cast<int>(dice_() % 5); i < count; ++i) {
      out += i == 0 ? "?" : "&";
      out += pick({"b", "B", "a%2Fb", "%C3%A9", "list-type", "b.c"}) + (is_s3 ? std::to_string(i) : "");
      out += pick({"", "=", "=2", "=a%20b", "=a+b", "=%2B%2F%3D", "=%E1%88%B4", "=x:y,z", "=!'()*", "=A"});
    }
    return out;
  }

  Headers some_headers(const std::string& body, json& described) {
    Headers headers;
    if (!body.empty()) headers.emplace_back("Content-Type", pick({"application/json", "text/plain; charset=utf-8"}));
    if (chance()) headers.emplace_back("X-Amz-Meta-One", pick({"1", "  two  words ", "a, b"}));
    if (chance()) headers.emplace_back("My-Header", pick({"", "value", "A   b"}));
    if (chance()) headers.emplace_back("User-Agent", "Patchbay");
    for (const auto& [name, value] : headers) described[name] = value;
    return headers;
  }

  static void sign(const AwsSigV4& settings, Plain plain, const Headers& headers, json& line) {
    Signable request{plain.method, plain.url, headers, plain.body, plain.now, {}, {}};
    const auto done = make_aws_sigv4_signer(settings).value()->sign(request);
    if (!done) line["error"] = done.error().message;
    for (const auto& [name, value] : request.added) {
      if (name == "Authorization") line["authorization"] = value;
    }
    auto time = to_rfc3339(plain.now).substr(0, 19) + "Z";
    std::erase_if(time, [](char c) { return c == '-' || c == ':'; });
    line.update({{"signed_url", plain.url},
                 {"place", settings.place == AwsSigV4::Place::query ? "query" : "header"},
                 {"region", settings.region},
                 {"service", settings.service},
                 {"token", settings.session_token.reveal()},
                 {"time", time},
                 {"expires", settings.expires.count()}});
  }

  std::minstd_rand dice_{20150830};
};

}  // namespace
}  // namespace patchbay::egress

int main() {
  patchbay::egress::Requests requests;
  for (int i = 0; i < 1000; ++i) std::cout << requests.next().dump() << '\n';
  return std::cout.good() ? 0 : 1;
}
