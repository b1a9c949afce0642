#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/time.hpp"
#include "github/simulator/hookshot.hpp"
#include "github/simulator/shapes.hpp"
#include "sim/simulator.hpp"

namespace patchbay::simulators {

struct GithubSettings {
  Simulator::Settings common = {};
  std::vector<std::string> tokens{"ghp_simulated"};
  std::set<std::string> repositories = {};  // "octo/hello"; empty: every one exists
  int rate_limit = 5000;                    // requests an hour and token; 0: none
  int hooks_per_event = 20;                 // docs.github.com, "Creating webhooks"
  const Clock* clock = &system_clock();
};

// api.github.com as its documentation and its OpenAPI description show it: hooks and issues of repositories, tokens,
// rate limits, errors; and the webhooks that it sends. Any thread.
//   POST /_sim/deliver  {"owner", "repo", "event", "payload", "delivery"?}: sends the payload, signed, to each active
//                       hook of the repository that asks for the event; answers when all have answered
//   GET  /_sim/hooks    all hooks, with their secrets
class GithubSimulator : public Simulator {
 public:
  explicit GithubSimulator(GithubSettings settings = {});
  ~GithubSimulator() override;

  [[nodiscard]] std::vector<github::Hook> hooks() const;
  [[nodiscard]] std::vector<github::Issue> issues() const;

 protected:
  Response answer(const Request& request) override;
  Response failure(const Fault& fault) override;
  bool control(const Request& request, HttpServer::Answer& answer) override;

 private:
  struct Deliveries;

  // Who asks: an answer if it is refused.
  std::optional<Response> refuse(const Request& request);
  void add_rate_headers(const std::string& token, Response& response);
  Response route(const Request& request);
  Response route_hooks(const Request& request, const github::Repository& repository,
                       const std::vector<std::string>& segments);
  Response route_issues(const Request& request, const github::Repository& repository);

  Response create_hook(const Request& request, const github::Repository& repository);
  Response list_hooks(const Request& request, const github::Repository& repository) const;
  Response update_hook(const Request& request, github::Hook& hook);
  [[nodiscard]] nlohmann::json hook_faults(const github::Hook& hook) const;
  [[nodiscard]] github::Hook* find_hook(const github::Repository& repository, const std::string& id);
  void ping(const github::Hook& hook);

  Response create_issue(const Request& request, const github::Repository& repository);
  Response list_issues(const Request& request, const github::Repository& repository) const;

  void deliver(const Request& request, HttpServer::Answer& answer);
  void note_delivery(long long hook_id, long status);

  struct Window {
    Timestamp began;
    int used = 0;
  };

  GithubSettings settings_;
  std::map<std::string, Window> windows_;  // per token
  std::vector<github::Hook> hooks_;
  std::vector<github::Issue> issues_;
  std::map<std::string, int> last_number_;  // per repository
  long long last_id_ = 100'000'000;
  Hookshot hookshot_;
};

}  // namespace patchbay::simulators
