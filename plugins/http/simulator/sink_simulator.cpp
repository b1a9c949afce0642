#include "http/simulator/sink_simulator.hpp"

#include <charconv>
#include <nlohmann/json.hpp>

namespace patchbay::simulators {

using nlohmann::json;

SinkSimulator::SinkSimulator(const Settings& settings) : Simulator("sink", settings) { listen(); }

SinkSimulator::~SinkSimulator() { close(); }

Response SinkSimulator::answer(const Request& request) {
  if (request.path == "/text") return {.headers = {{"Content-Type", "text/plain"}}, .body = "a line of text"};
  if (request.path == "/redirect") return {.status = 302, .headers = {{"Location", request.parameter("to")}}};
  int status = 200;
  if (request.path.starts_with("/status/")) {
    const auto number = request.path.substr(8);
    std::from_chars(number.data(), number.data() + number.size(), status);
    if (status < 200 || status > 599) status = 200;
    if (status == 204) return {.status = 204};
  }
  auto body = parse_body(request);
  if (body.is_discarded()) body = request.body;
  // An id, as services give what they made.
  return json_response(status, {{"id", std::to_string(++answered_)},
                                {"method", request.method},
                                {"target", request.target},
                                {"content_type", request.header("content-type")},
                                {"idempotency_key", request.header("idempotency-key")},
                                {"body", std::move(body)}});
}

Response SinkSimulator::failure(const Fault& fault) {
  if (fault.status == support::kHangUp) return {.status = support::kHangUp};
  return json_response(fault.status, {{"error", "as ordered"}});
}

bool SinkSimulator::control(const Request&, HttpServer::Answer&) { return false; }

}  // namespace patchbay::simulators
