#include "sim/simulator.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace patchbay::simulators {
namespace {

constexpr std::size_t kExchangesKept = 1000;
constexpr std::string_view kControl = "/_sim/";

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

nlohmann::json headers_json(const support::Headers& headers) {
  auto object = nlohmann::json::object();
  for (const auto& [name, value] : headers) {
    const auto key = lower(name);
    object[key] = key == "authorization" ? "[hidden]" : value;
  }
  return object;
}

// A body as JSON where it is JSON, else as text; null when there is none.
nlohmann::json body_json(const std::string& body) {
  if (body.empty()) return nullptr;
  auto value = nlohmann::json::parse(body, nullptr, false);
  return value.is_discarded() ? nlohmann::json(body) : value;
}

std::string to_text(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

Simulator::Simulator(std::string provider, const Settings& settings)
    : provider_(std::move(provider)), port_(settings.port) {
  if (settings.record_file.empty()) return;
  record_.open(settings.record_file, std::ios::app);
  if (!record_) throw std::runtime_error("cannot write to " + settings.record_file);
}

Simulator::~Simulator() = default;

void Simulator::listen() {
  server_.emplace([this](Request request, HttpServer::Answer answer) { handle(std::move(request), std::move(answer)); },
                  port_);
  const std::scoped_lock lock(mutex_);
  base_url_ = server_->base_url();
}

void Simulator::close() { server_.reset(); }

void Simulator::fail_next(const Fault& fault) {
  const std::scoped_lock lock(mutex_);
  fault_ = fault;
}

nlohmann::json Simulator::requests() const {
  const std::scoped_lock lock(mutex_);
  auto list = nlohmann::json::array();
  for (const auto& [request, response] : exchanges_) {
    list.push_back({{"method", request.method},
                    {"path", request.path},
                    {"query", request.query},
                    {"headers", headers_json(request.headers)},
                    {"body", body_json(request.body)},
                    {"status", response.status}});
  }
  return list;
}

std::size_t Simulator::request_count() const {
  const std::scoped_lock lock(mutex_);
  return request_count_;
}

void Simulator::handle(Request request, HttpServer::Answer answer) {
  try {
    if (!request.path.starts_with(kControl)) return answer(answer_or_fail(request));
    if (request.path == "/_sim/requests" && request.method == "GET") return answer(json_response(200, requests()));
    if (request.path == "/_sim/chaos" && request.method == "POST") return answer(set_fault(request));
    if (!control(request, answer)) answer(json_response(404, {{"message", "the simulator has no " + request.path}}));
  } catch (const nlohmann::json::exception& error) {  // only a control request gets here: members are missing
    answer(json_response(400, {{"message", error.what()}}));
  }
}

Response Simulator::answer_or_fail(const Request& request) {
  const std::scoped_lock lock(mutex_);
  const bool forced = fault_.count > 0;
  Response response;
  if (!forced && chaos_.part > 0) {
    response = answer_in_chaos(request);
    note(request, response, true);
    return response;
  }
  if (!forced || fault_.after) response = answer(request);
  if (forced) {
    --fault_.count;
    response = failure(fault_);
    if (fault_.retry_after_s > 0) {
      response.headers.emplace_back("Retry-After", std::to_string(std::lround(std::ceil(fault_.retry_after_s))));
    }
  }
  note(request, response, forced);
  return response;
}

void Simulator::begin_chaos(const Chaos& chaos) {
  const std::scoped_lock lock(mutex_);
  chaos_ = chaos;
  random_.seed(chaos.seed);
}

Response Simulator::answer_in_chaos(const Request& request) {
  if (!std::bernoulli_distribution(chaos_.part)(random_)) return answer(request);
  const int way = std::uniform_int_distribution(0, 6)(random_);
  Response carried_out;
  if (way != 0 && way != 2 && way != 3) carried_out = answer(request);
  switch (way) {
    case 0:
    case 1:
      return failure({.status = 500});
    case 2: {
      auto refused = failure({.status = 429, .retry_after_s = 1});
      if (std::ranges::none_of(refused.headers, [](const auto& header) { return lower(header.first) == "retry-after"; })) {
        refused.headers.emplace_back("Retry-After", "1");
      }
      return refused;
    }
    case 3:
    case 4:
      return {.status = support::kHangUp};
    case 5:
      carried_out.delay = chaos_.late;
      return carried_out;
    default:
      carried_out.twice = true;
      return carried_out;
  }
}

void Simulator::note(const Request& request, const Response& response, bool forced) {
  ++request_count_;
  if (record_.is_open()) {
    record_ << to_text({{"provider", provider_},
                        {"method", request.method},
                        {"path", request.path},
                        {"query", request.query},
                        {"request", body_json(request.body)},
                        {"status", response.status},
                        {"response", body_json(response.body)},
                        {"forced", forced}})
            << std::endl;
  }
  if (exchanges_.size() == kExchangesKept) exchanges_.pop_front();
  exchanges_.push_back({request, {.status = response.status}});
}

Response Simulator::set_fault(const Request& request) {
  const auto order = nlohmann::json::parse(request.body);
  if (order.contains("part")) {
    const Chaos chaos{.part = order.value("part", 0.0), .seed = order.value("seed", std::uint64_t{1}), .late = std::chrono::milliseconds(order.value("late_ms", 3000))};
    if (chaos.part < 0 || chaos.part > 1) return json_response(400, {{"message", "part is from 0 to 1"}});
    begin_chaos(chaos);
    return {.status = 204};
  }
  const Fault fault{.status = order.value("status", 500),
                    .count = order.value("count", 1),
                    .retry_after_s = order.value("retry_after", 0.0),
                    .after = order.value("after", false)};
  if (fault.status != support::kHangUp && (fault.status < 400 || fault.status > 599)) {
    return json_response(400, {{"message", "status is 0 or from 400 to 599"}});
  }
  fail_next(fault);
  return {.status = 204};
}

Response json_response(int status, const nlohmann::json& body, support::Headers headers) {
  headers.emplace_back("Content-Type", "application/json; charset=utf-8");
  return {.status = status, .headers = std::move(headers), .body = to_text(body)};
}

nlohmann::json parse_body(const Request& request) { return nlohmann::json::parse(request.body, nullptr, false); }

std::vector<std::string> path_segments(std::string_view path) {
  std::vector<std::string> segments;
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const auto end = std::min(path.find('/'), path.size());
    segments.emplace_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return segments;
}

}  // namespace patchbay::simulators
