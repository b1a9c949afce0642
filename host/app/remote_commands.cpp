#include <memory>

#include <curl/curl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/commands.hpp"

namespace patchbay::app {
namespace {

using nlohmann::json;

struct Answer {
  long status = 0;
  json body;
};

std::size_t append_body(char* bytes, std::size_t size, std::size_t count, void* into) {
  static_cast<std::string*>(into)->append(bytes, size * count);
  return size * count;
}

Result<Answer> call(const Remote& remote, const std::string& method, const std::string& path) {
  if (remote.api_key.empty()) return fail(Errc::unauthenticated, "give an API key with --api-key or PATCHBAY_API_KEY");
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> easy(curl_easy_init(), curl_easy_cleanup);
  if (!easy) return fail(Errc::internal, "libcurl cannot be started");
  std::string body;
  const auto url = remote.url + path;
  const auto authorization = "Authorization: Bearer " + remote.api_key;
  const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(
      curl_slist_append(nullptr, authorization.c_str()), curl_slist_free_all);
  curl_easy_setopt(easy.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(easy.get(), CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(easy.get(), CURLOPT_TIMEOUT, 60L);
  curl_easy_setopt(easy.get(), CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy.get(), CURLOPT_WRITEFUNCTION, append_body);
  curl_easy_setopt(easy.get(), CURLOPT_WRITEDATA, &body);
  if (method == "POST") curl_easy_setopt(easy.get(), CURLOPT_POSTFIELDS, "");
  if (const auto code = curl_easy_perform(easy.get()); code != CURLE_OK) {
    return fail(Errc::unavailable, fmt::format("{}: {} (is `patchbay serve` running there?)", remote.url, curl_easy_strerror(code)));
  }
  Answer answer;
  curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &answer.status);
  answer.body = json::parse(body, nullptr, false);
  if (answer.status >= 400) {
    const auto detail = answer.body.is_object() ? answer.body.value("detail", answer.body.value("title", "")) : "";
    const auto code = answer.body.is_object() ? answer.body.value("code", "") : "";
    return fail(errc_named(code).value_or(Errc::unavailable), fmt::format("HTTP {}: {}", answer.status, detail));
  }
  return answer;
}

std::string escaped(const std::string& text) {
  const std::unique_ptr<char, decltype(&curl_free)> percent(curl_easy_escape(nullptr, text.data(), static_cast<int>(text.size())), curl_free);
  return percent.get();
}

Result<std::string> flow_id(const Remote& remote, const std::string& flow) {
  if (FlowId::parse(flow)) return flow;
  std::string cursor;
  do {
    auto page = call(remote, "GET", "/api/v1/flows?limit=200" + (cursor.empty() ? "" : "&cursor=" + cursor));
    if (!page) return std::unexpected(page.error());
    for (const auto& item : page->body.value("data", json::array())) {
      if (item.value("name", "") == flow) return item.value("id", "");
    }
    const auto next = page->body.value("next", json(nullptr));
    cursor = next.is_string() ? next.get<std::string>() : "";
  } while (!cursor.empty());
  return fail(Errc::not_found, "there is no flow named '" + flow + "'");
}

}  // namespace

Result<> switch_flow(const Output& output, const Remote& remote, const std::string& flow, const std::string& verb) {
  auto id = flow_id(remote, flow);
  if (!id) return std::unexpected(id.error());
  auto answer = call(remote, "POST", "/api/v1/flows/" + *id + "/" + verb);
  if (!answer) return std::unexpected(answer.error());
  output.print(answer->body, {fmt::format("{} is {}", answer->body.value("name", *id), answer->body.value("state", ""))});
  return {};
}

Result<> cancel_run(const Output& output, const Remote& remote, const std::string& run) {
  auto answer = call(remote, "POST", "/api/v1/runs/" + run + "/cancel");
  if (!answer) return std::unexpected(answer.error());
  output.print(answer->body, {fmt::format("run {} is {}", run, answer->body.value("status", ""))});
  return {};
}

Result<> decide_step(const Output& output, const Remote& remote, const std::string& run, const std::string& node, const std::string& as) {
  auto answer = call(remote, "POST", fmt::format("/api/v1/runs/{}/decide?node={}&as={}", run, escaped(node), as));
  if (!answer) return std::unexpected(answer.error());
  output.print(answer->body, {fmt::format("run {} is {}", run, answer->body.value("status", ""))});
  return {};
}

Result<> replay_run(const Output& output, const Remote& remote, const std::string& run, const std::string& from, bool current) {
  const auto query = fmt::format("?version={}{}", current ? "current" : "same", from.empty() ? "" : "&from=" + escaped(from));
  auto answer = call(remote, "POST", "/api/v1/runs/" + run + "/replay" + query);
  if (!answer) return std::unexpected(answer.error());
  output.print(answer->body, {fmt::format("run {} makes {} again: patchbay run show {}", answer->body.value("id", ""), run, answer->body.value("id", ""))});
  return {};
}

Result<> list_loaded_plugins(const Output& output, const Remote& remote) {
  auto answer = call(remote, "GET", "/api/v1/plugins");
  if (!answer) return std::unexpected(answer.error());
  const auto list = answer->body.value("data", json::array());
  std::vector<std::vector<std::string>> rows{{"ID", "VERSION", "BUILD", "PROCESS", "TASKS", "DRAINING", "MAPPED", "LAST FAILURE", "FILE"}};
  for (const auto& item : list) {
    rows.push_back({item.value("id", ""), item.value("version", ""), item.value("sha256", "").substr(0, 12),
                    item.value("process", ""), std::to_string(item.value("tasks", 0)), std::to_string(item.value("draining", 0)),
                    std::to_string(item.value("mapped", 0)), item.value("failure", ""), item.value("file", "")});
  }
  output.print(list, Output::table(rows));
  return {};
}

Result<> reload_plugin(const Output& output, const Remote& remote, const std::string& provider) {
  auto answer = call(remote, "POST", "/api/v1/plugins/" + provider + "/reload");
  if (!answer) return std::unexpected(answer.error());
  output.print(answer->body, {fmt::format("{} {} is at work, build {}", provider, answer->body.value("version", ""),
                                          answer->body.value("sha256", "").substr(0, 12))});
  return {};
}

}  // namespace patchbay::app
