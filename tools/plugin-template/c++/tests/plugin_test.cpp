// The kit throws patchbay::kit::failure with what was expected and what came; use it with any test framework.
#include <patchbay/kit.hpp>

#include <cstdio>
#include <stdexcept>

using namespace std::chrono_literals;

static void want(bool is_so, const char* what) {
  if (!is_so) throw std::runtime_error(what);
}

int main(int, char** arguments) try {
  patchbay::kit::host host(arguments[1]);

  host.expect("POST", "https://api.example.com/items", R"({"title":"Hello"})").reply(201, R"({"id":"8"})");
  const auto made = host.react("create_item", R"({"title":"Hello"})");
  want(made.ok() && made.output == R"({"id":"8"})", "an item is created");

  host.expect("POST", "https://api.example.com/items").no_connection();
  want(host.react("create_item", R"({"title":"Hello"})").status == "PBAY_E_REMOTE", "no connection is tried again");
@if webhook

  host.expect("PUT", "https://api.example.com/hooks");
  want(host.watch("item_created").ok(), "the hook is made");
  const auto delivered = host.deliver("item_created", R"({"id":"7","title":"Hello"})");
  want(delivered.events.size() == 1 && delivered.events[0].key == "7", "a delivery is an event");
  want(host.deliver_unsigned("item_created", R"({"id":"7"})").refused, "without a signature it is refused");
@end
@if poll

  host.expect("GET", "https://api.example.com/items?after=").reply(200, R"({"items":[{"id":"7","title":"Old"}]})");
  want(host.poll("item_created").events.empty(), "what was there before is no event");
  host.expect("GET", "https://api.example.com/items?after=7").reply(200, R"({"items":[{"id":"8","title":"New"}]})");
  const auto events = host.advance(1min);
  want(events.size() == 1 && events[0].key == "8", "a minute later a new item is one");
@end
  std::puts("passed");
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
