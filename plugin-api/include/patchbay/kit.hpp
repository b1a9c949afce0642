// patchbay/kit.hpp: a fake host, to test a provider with. Link with patchbay::kit (-lpatchbay-kit).
//
//     patchbay::kit::host host("build/example.so");
//     host.expect("POST", "https://api.example.com/items", R"({"title":"Hello"})").reply(201, R"({"id":"i1"})");
//     auto made = host.react("create_item", R"({"title":"Hello"})");
//     assert(made.output == R"({"id":"i1"})");
//
// The instance is the host's own and keeps every rule of plugin.h; the network is the script, and the time stands still
// until advance(). Whatever goes against the script or a rule is thrown as a kit::failure that says what was expected
// and what came, so any test framework shows it. One thread only.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#define PATCHBAY_KIT __attribute__((visibility("default")))

namespace patchbay::kit {

using headers = std::vector<std::pair<std::string, std::string>>;

struct PATCHBAY_KIT failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct event {
  std::string key;
  std::string data;  // JSON
};

// How a task ended.
struct outcome {
  std::string status;   // "PBAY_OK", "PBAY_E_RATE"; "" when the host ended the task: it was refused or took too long
  std::string message;  // when it is not PBAY_OK
  std::string output;   // of a reaction: JSON; of a delivery: the answer's body
  std::string state;    // of the trigger, as it is kept now
  unsigned http_status = 0;                          // of the answer to a delivery; 0: 204
  std::optional<std::chrono::milliseconds> next;     // poll again, renew, or try again after so long
  std::vector<event> events;
  bool refused = false;  // a delivery that the manifest's scheme or the plugin did not let in: 401

  [[nodiscard]] bool ok() const { return status == "PBAY_OK" && !refused; }
};

class PATCHBAY_KIT host {
 public:
  // settings: the JSON object of the configuration's [providers.<id>.settings]. Throws failure when the plugin cannot be
  // loaded.
  explicit host(const std::string& plugin_file, const std::string& settings = "{}");
  ~host();
  host(host&&) noexcept;
  host& operator=(host&&) noexcept;

  // The next request must be this one. body: "" for any, JSON is compared as JSON. In requests the callback's secret
  // stands as {callback_secret}.
  host& expect(const std::string& method, const std::string& url, const std::string& body = "", const headers& with = {});
  // The answer to the request that was expected last; without it: 200 and {}.
  host& reply(int status, const std::string& body = "{}", const headers& with = {});
  host& no_connection();
  host& no_answer();  // in time

  outcome watch(const std::string& trigger, const std::string& params = "{}");
  outcome poll(const std::string& trigger, const std::string& params = "{}");
  outcome stop(const std::string& trigger, const std::string& params = "{}");
  outcome react(const std::string& reaction, const std::string& params = "{}");
  // A webhook, signed as the manifest says.
  outcome deliver(const std::string& trigger, const std::string& body, const headers& with = {});
  outcome deliver_unsigned(const std::string& trigger, const std::string& body, const headers& with = {});
  // Polls and renewals that come due are run; their events.
  std::vector<event> advance(std::chrono::milliseconds by);

  // Plays a scenario file, as `patchbay plugin test` does.
  static void play(const std::string& plugin_file, const std::string& scenario_file);

 private:
  struct impl;
  std::unique_ptr<impl> impl_;
};

}  // namespace patchbay::kit
