#include <patchbay/provider.hpp>

namespace {

using namespace patchbay;

struct Provider {
@if webhook
  // The provider knows a hook by its URL, so telling it again does no harm.
  operation watch(call c) {
    http put{"PUT", std::string(c.base_url()) + "/hooks",
             c.object().add("url", c.callback_url()).add("secret", c.callback_secret()).text(), expand};
    auto answer = co_await c.ask(put);
    if (!answer.ok()) co_return c.fail(answer);
    co_return c.ok();
  }

  operation stop(call c) {
    http remove{"DELETE", std::string(c.base_url()) + "/hooks", c.object().add("url", c.callback_url()).text()};
    auto answer = co_await c.ask(remove);
    if (answer.ok() || answer.http_status == 404) co_return c.ok();
    co_return c.fail(answer);
  }

  // The host has checked the signature.
  operation webhook(call c, request r) {
    const auto id = c.json(r.body(), "/id");
    if (id.empty()) co_return c.ok();  // a ping
    const auto status = c.emit_body(id);
    if (status != PBAY_OK) co_return c.fail(status, "the body is no JSON object, or too long");
    co_return c.ok();
  }
@end
@if poll
  // The state is the last id that was seen. The first poll only remembers where we are.
  operation poll(call c) {
    http list{"GET", std::string(c.base_url()) + "/items?after=" + std::string(c.state())};
    auto answer = co_await c.ask(list);
    if (!answer.ok()) co_return c.fail(answer);
    std::string last(c.state().empty() ? "0" : c.state());
    for (std::size_t i = 0; i < c.json_count(answer.body, "/items"); ++i) {
      const auto item = c.json(answer.body, "/items/" + std::to_string(i));
      const auto id = c.json(item, "/id");
      if (id.empty() || id == last) continue;
      if (!c.state().empty() && c.emit(id, item) != PBAY_OK) co_return c.fail(PBAY_E_REMOTE, "an item is no JSON object");
      last = id;
    }
    co_return c.ok().state(last);
  }
@end

  // The key is the same at every attempt, so a provider that knows it makes one item.
  operation reaction(call c) {
    http post{"POST", std::string(c.base_url()) + "/items", c.object().add("title", c.param("/title")).text(), repeat,
              {{"Idempotency-Key", std::string(c.key())}}};
    auto answer = co_await c.ask(post);
    if (!answer.ok()) co_return c.fail(answer);
    const auto id = c.json(answer.body, "/id");
    if (id.empty()) co_return c.fail(PBAY_E_REMOTE, "the answer is no item");
    co_return c.ok().output(c.object().add("id", id).text());
  }
};

constexpr char manifest[] PBAY_IN_MANIFEST =
#include "manifest.inc"
    ;

}  // namespace

PATCHBAY_PROVIDER(Provider)
