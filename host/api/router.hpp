#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "api/api.hpp"
#include "api/message.hpp"
#include "identity/identity.hpp"

namespace patchbay::api {

// Who asks; the services. Handed to every handler.
struct Context {
  const Services& services;
  identity::Principal principal;  // of a route that wants one
};

using Handler = std::function<Response(const Request&, const Context&)>;

enum class Access { open, user, admin };

struct Route {
  std::string method;
  std::string pattern;  // "/api/v1/flows/{id}/activate"
  Access access;
  Handler handle;
  std::vector<std::string> query = {};  // the parameters that it takes; others are refused; "*": all
};

// Finds a request's route, checks who asks, and calls the handler. Immutable; any thread.
class Router {
 public:
  explicit Router(const Services& services);

  // Always answers, whatever a handler does.
  [[nodiscard]] Response answer(Request request) const;
  [[nodiscard]] const std::vector<Route>& routes() const { return routes_; }

 private:
  Response answer_or_apologise(Request& request) const;
  Response dispatch(Request& request) const;
  Services services_;
  std::vector<Route> routes_;
};

// The routes, by their subject.
void add_account_routes(std::vector<Route>& routes);
void add_provider_routes(std::vector<Route>& routes);
void add_connection_routes(std::vector<Route>& routes);
void add_authorization_routes(std::vector<Route>& routes);
void add_record_routes(std::vector<Route>& routes);
void add_flow_routes(std::vector<Route>& routes);
void add_run_routes(std::vector<Route>& routes);

}  // namespace patchbay::api
