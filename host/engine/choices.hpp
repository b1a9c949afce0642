#pragma once

#include <map>
#include <mutex>
#include <string>

#include "core/loop.hpp"
#include "core/time.hpp"
#include "plugin/registry.hpp"

namespace patchbay::engine {

struct ChoiceQuery {
  ConnectionId connection;
  std::string provider;   // of the connection
  std::string operation;  // "github.issues"
  std::string param;      // "repo"
  std::string search;
  std::string cursor;        // of the page before
  std::string given = "{}";  // the other parameters so far, a JSON object
};

// What a user can choose from for a parameter: my repositories, my playlists. The parameter's schema names the reaction that
// lists them ("x-choices": {"reaction": "list_folders"}); it is asked with the user's own connection. Answers are kept for a
// minute. Any thread but the loop's; blocks.
class Choices {
 public:
  // All outlive it.
  Choices(Loop& loop, const Clock& clock, plugin::Registry& registry) : loop_(loop), clock_(clock), registry_(registry) {}

  // {"choices":[{"value":…,"label":…}],"next":"…"|null}. Errc::not_found: there is nothing to choose from for it; invalid: the
  // operation or the parameter; else as the provider answers.
  Result<std::string> find(const ChoiceQuery& query);

 private:
  struct Kept {
    std::string answer;
    Timestamp until;
  };
  Result<std::string> ask(const ChoiceQuery& query, const std::string& reaction, const std::string& params);
  [[nodiscard]] std::string kept(const std::string& key);
  void keep(const std::string& key, const std::string& answer);

  Loop& loop_;
  const Clock& clock_;
  plugin::Registry& registry_;
  std::mutex mutex_;
  std::map<std::string, Kept> answers_;  // guarded by mutex_
};

}  // namespace patchbay::engine
