#include <patchbay/provider.hpp>

#include "text.hpp"

namespace {

using patchbay::call;
using patchbay::http;
using patchbay::operation;
using patchbay::reply;
using patchbay::request;
using patchbay::result;
using namespace patchbay::github;

constexpr std::size_t kPageSize = 100;  // GitHub's largest
constexpr int kHookPages = 10;          // 20 hooks an event are allowed, so ten pages are more than there can be
constexpr int kIssuePages = 3;          // an attempt that was lost is among the newest 300

// GitHub says "wait" in three ways, and two of them with the status of "forbidden":
// docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api#handle-rate-limit-errors-appropriately
result failed(const call& c, const reply& answer, std::int64_t now_ms) {
  if (answer.http_status == 403 || answer.http_status == 429) {
    const auto after = number_in(answer.header("retry-after"));
    const auto reset = number_in(answer.header("x-ratelimit-reset"));
    const bool used_up = answer.header("x-ratelimit-remaining") == "0";
    const bool secondary = answer.body.find("secondary rate limit") != std::string::npos;
    if (after || used_up || secondary || answer.http_status == 429) {
      std::int64_t wait_ms = 60'000;  // "at least one minute", when nothing else is said
      if (after) {
        wait_ms = *after * 1000;
      } else if (used_up && reset) {
        wait_ms = *reset * 1000 - now_ms;
      }
      return c.fail(PBAY_E_RATE, "GitHub's rate limit is used up").next_in(wait_ms < 1000 ? 1000 : wait_ms);
    }
  }
  if (answer.http_status != 422) return c.fail(answer);
  std::string why = "HTTP 422: " + c.json(answer.body, "/message");
  for (std::size_t i = 0; i < c.json_count(answer.body, "/errors") && i < 5; ++i) {
    const auto error = "/errors/" + std::to_string(i);
    why += (i == 0 ? ": " : ", ") + c.json(answer.body, error + "/field");
    const auto message = c.json(answer.body, error + "/message");
    why += " " + (message.empty() ? c.json(answer.body, error + "/code") : message);
  }
  return c.fail(PBAY_E_ARG, std::move(why));
}

bool hook_exists(const reply& answer) {
  return answer.http_status == 422 && answer.body.find("Hook already exists") != std::string::npos;
}

std::string repository_url(const call& c) {
  return std::string(c.base_url()) + "/repos/" + c.param("/owner") + "/" + c.param("/repo");
}

patchbay::headers json_content() { return {{"Content-Type", "application/json"}}; }

// Template values are not checked against the manifest's patterns, and these become part of a URL.
bool names_repository(const call& c) {
  return is_name(c.look(c.params(), "/owner")) && is_name(c.look(c.params(), "/repo"));
}

std::string hook_body(const call& c) {
  auto config = c.object()
                    .add("url", c.callback_url())
                    .add("content_type", "json")
                    .add("secret", c.callback_secret())
                    .add("insecure_ssl", "0")
                    .text();
  return c.object()
      .add("name", "web")
      .raw("active", "true")
      .raw("events", "[" + c.quote(c.name()) + "]")
      .raw("config", config)
      .text();
}

std::string hook_change(const call& c) {  // as hook_body(), without the name, which cannot be changed
  auto body = hook_body(c);
  return body.replace(0, std::string_view(R"({"name":"web",)").size(), "{");
}

std::string hook_state(const call& c, std::string_view id) { return c.object().raw("hook", id).text(); }

// The id of the hook with this callback URL in a list of hooks; empty: it is not there.
std::string hook_in(const call& c, const std::vector<std::string_view>& hooks) {
  for (const auto hook : hooks) {
    if (c.look(hook, "/config/url") == c.callback_url()) return c.json(hook, "/id");
  }
  return {};
}

// GitHub's answer as our output; an answer that is no issue is nobody's fault here.
result issue_made(const call& c, std::string_view issue) {
  if (c.json_type(issue, "/number") != PBAY_JSON_NUMBER || c.json_type(issue, "/id") != PBAY_JSON_NUMBER) {
    return c.fail(PBAY_E_REMOTE, "GitHub's answer is no issue");
  }
  auto output = c.object()
      .raw("number", c.look(issue, "/number"))
      .raw("id", c.look(issue, "/id"))
      .add("node_id", c.look(issue, "/node_id"))
      .add("html_url", c.look(issue, "/html_url"))
      .add("title", c.look(issue, "/title"))
      .add("state", c.look(issue, "/state"))
      .text();
  return c.ok().output(std::move(output));
}

struct Github {
  // Creates the hook. When it is there already (a crash came between GitHub's answer and our commit, or this is a
  // renewal), the hook with our callback URL is taken over and brought up to date, secret included.
  operation watch(call c) {
    if (!names_repository(c)) co_return c.fail(PBAY_E_ARG, "owner and repo are names, as in github.com/owner/repo");
    const auto hooks = repository_url(c) + "/hooks";
    http create{"POST", hooks, hook_body(c), patchbay::expand, json_content()};
    bool may_exist = !c.state().empty();
    for (int round = 0; round < 2; ++round) {
      if (!may_exist) {
        auto made = co_await c.ask(create);
        if (made.ok() && c.json_type(made.body, "/id") != PBAY_JSON_NUMBER) {
          co_return c.fail(PBAY_E_REMOTE, "GitHub's answer is no hook");
        }
        if (made.ok()) co_return c.ok().state(hook_state(c, c.look(made.body, "/id")));
        if (!hook_exists(made)) co_return failed(c, made, c.now_ms());
      }
      std::string id;
      for (int page = 1; page <= kHookPages; ++page) {
        http list{"GET", hooks + "?per_page=" + std::to_string(kPageSize) + "&page=" + std::to_string(page)};
        auto listed = co_await c.ask(list);
        if (!listed.ok()) co_return failed(c, listed, c.now_ms());
        const auto found = elements_of(listed.body);
        id = hook_in(c, found);
        if (!id.empty() || found.size() < kPageSize) break;
      }
      if (!id.empty()) {
        http change{"PATCH", hooks + "/" + id, hook_change(c), patchbay::expand | patchbay::repeat, json_content()};
        auto changed = co_await c.ask(change);
        if (!changed.ok()) co_return failed(c, changed, c.now_ms());
        co_return c.ok().state(hook_state(c, id));
      }
      may_exist = false;  // somebody deleted it: make it anew
    }
    co_return c.fail(PBAY_E_REMOTE, "GitHub says that the hook exists, but does not list it");
  }

  operation stop(call c) {
    const auto hooks = repository_url(c) + "/hooks";
    auto id = c.json(c.state(), "/hook");
    for (int page = 1; id.empty() && page <= kHookPages; ++page) {  // watch() did not get as far as its commit
      http list{"GET", hooks + "?per_page=" + std::to_string(kPageSize) + "&page=" + std::to_string(page)};
      auto listed = co_await c.ask(list);
      if (listed.http_status == 404) co_return c.ok();
      if (!listed.ok()) co_return failed(c, listed, c.now_ms());
      const auto found = elements_of(listed.body);
      id = hook_in(c, found);
      if (found.size() < kPageSize) break;
    }
    if (id.empty()) co_return c.ok();
    http remove{"DELETE", hooks + "/" + id};
    auto removed = co_await c.ask(remove);
    if (removed.ok() || removed.http_status == 404) co_return c.ok();
    co_return failed(c, removed, c.now_ms());
  }

  operation webhook(call c, request r) {
    if (r.header("x-github-event") != c.name()) co_return c.ok();  // also the ping that follows watch()
    if (c.name() == "issues" && !wants_action(c, r)) co_return c.ok();
    if (c.name() == "push" && !wants_branch(c, r)) co_return c.ok();
    const auto key = r.header("x-github-delivery");
    if (key.empty()) co_return c.fail(PBAY_E_ARG, "a delivery without X-GitHub-Delivery");
    const auto status = c.emit_body(key);
    if (status != PBAY_OK) co_return c.fail(status, "the delivery is no JSON object, or too long");
    co_return c.ok();
  }

  // GitHub's POST knows no idempotency key, so the body carries a mark that readers do not see, and an attempt after
  // the first looks for it before it makes a second issue.
  operation reaction(call c) {
    if (!names_repository(c)) co_return c.fail(PBAY_E_ARG, "owner and repo are names, as in github.com/owner/repo");
    const auto issues = repository_url(c) + "/issues";
    const auto name = "patchbay:" + comment_safe(c.key());
    const auto mark = "<!-- " + name + " -->";
    for (int page = 1; c.attempt() > 1 && page <= kIssuePages; ++page) {
      http list{"GET", issues + "?state=all&sort=created&direction=desc&per_page=" + std::to_string(kPageSize) +
                           "&page=" + std::to_string(page)};
      auto listed = co_await c.ask(list);
      if (!listed.ok()) co_return failed(c, listed, c.now_ms());
      const auto found = elements_of(listed.body);
      for (const auto issue : found) {
        const bool ours = issue.find(name) != std::string_view::npos &&  // a look at the text, before it is parsed
                          c.look(issue, "/body").find(mark) != std::string_view::npos;
        if (ours) co_return issue_made(c, issue);
      }
      if (found.size() < kPageSize) break;
    }
    http create{"POST", issues, issue_body(c, mark), 0, json_content()};
    auto made = co_await c.ask(create);
    if (!made.ok()) co_return failed(c, made, c.now_ms());
    co_return issue_made(c, made.body);
  }

 private:
  // The parameter is looked for in the text first: most flows do not name it, and then nothing is parsed.
  static bool wants_action(const call& c, const request& r) {
    if (c.params().find("\"actions\"") == std::string_view::npos) return true;
    const auto action = c.json(r.body(), "/action");
    const auto count = c.json_count(c.params(), "/actions");
    for (std::size_t i = 0; i < count; ++i) {
      if (c.look(c.params(), "/actions/" + std::to_string(i)) == action) return true;
    }
    return count == 0;
  }

  static bool wants_branch(const call& c, const request& r) {
    const auto branch = c.param("/branch");
    return branch.empty() || c.look(r.body(), "/ref") == "refs/heads/" + branch;
  }

  static std::string issue_body(const call& c, const std::string& mark) {
    auto text = c.param("/body");
    text += (text.empty() ? "" : "\n\n") + mark;
    auto body = c.object().add("title", c.param("/title")).add("body", text);
    for (const char* list : {"labels", "assignees"}) {
      const auto value = c.look(c.params(), std::string("/") + list);
      if (!value.empty()) std::move(body).raw(list, value);
    }
    return std::move(body).text();
  }
};

static constexpr char manifest[] PBAY_IN_MANIFEST =
#include "manifest.inc"
    ;

}  // namespace

PATCHBAY_PROVIDER(Github)
