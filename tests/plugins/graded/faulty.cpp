// A provider that keeps all rules of `patchbay plugin check`, on the bare C header; each macro makes it break one.
#include <patchbay/plugin.h>

#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#if defined(OPENS_FILE) || defined(IMPORTS_SOCKET)
#include <fcntl.h>
#include <sys/socket.h>
#endif
#ifdef LEAVES_THREAD
#include <unistd.h>

#include <thread>
#endif

#ifndef SIGNED
#define SIGNED "body"
#endif
#ifndef SCHEME
#define SCHEME "hmac-sha256"
#endif
#ifndef BASE_URL
#define BASE_URL "https://api.example.com"
#endif
#ifndef SCOPE
#define SCOPE "write"
#endif
#ifndef TITLE
#define TITLE "\"title\": \"Name\", "
#endif
#ifndef EXAMPLE
#define EXAMPLE "{\"name\": \"Ann\"}"
#endif
#ifndef DELIVERED
#define DELIVERED "{\"id\": \"e1\"}"
#endif

static constexpr char manifest[] PBAY_IN_MANIFEST = R"({
  "patchbay": 1, "id": "faulty", "version": "1.0.0", "name": "Faulty", "description": "For tests.",
  "base_url": ")" BASE_URL R"(", "http": {"hosts": ["api.example.com"]},
  "auth": {"account": {"type": "token", "scopes": ["read", "write"], "fields": {"token": {"title": "Token"}},
                       "inject": {"header": "Authorization", "value": "Bearer {token}"}}},
  "webhook": {"verify": {"scheme": ")" SCHEME R"(", "header": "x-signature", "signed": [")" SIGNED R"("]}},
  "triggers": [
    {"id": "opened", "name": "Opened", "description": "Something opens.", "mode": "webhook", "params": {"type": "object"},
     "output": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}},
     "examples": [{"params": {}, "replies": [{"status": 201, "body": {"id": 7}}],
                   "delivery": {"headers": {"x-when": "now"}, "body": )" DELIVERED R"(}}]},
    {"id": "listed", "name": "Listed", "description": "Something is listed.", "mode": "poll", "params": {"type": "object"},
     "output": {"type": "object"}, "examples": [{"params": {}, "replies": [{"status": 200, "body": {"last": "5"}}]}]}],
  "reactions": [
    {"id": "greet", "name": "Greet", "description": "Greets somebody.", "idempotent": true, "scopes": [")" SCOPE R"("],
     "params": {"type": "object", "properties": {"name": {)" TITLE R"("type": "string"}}},
     "output": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}},
     "examples": [{"params": )" EXAMPLE R"(, "replies": [{"status": 200, "body": {"id": "m1"}}]}]}]
})";

namespace {

enum : std::uint64_t { kWatch = 1, kStop, kPoll, kGreet };

struct Instance {
  const pbay_host* host;
  const pbay_ext_json* json;
  std::string state;  // of the poll under way
};

#ifdef COUNTS_KEYS
int counter = 0;
#endif

pbay_str text(std::string_view view) { return {view.data(), view.size()}; }
std::string_view view(pbay_str text) { return {text.ptr == nullptr ? "" : text.ptr, text.len}; }

std::string look(const Instance& self, pbay_str json, std::string_view pointer) {
  pbay_str value{};
  return self.json->get(self.host, json, text(pointer), &value) == PBAY_OK ? std::string(view(value)) : std::string();
}

void finish(const Instance& self, std::uint64_t task, pbay_status status, std::string_view output = {},
            const std::string* state = nullptr, std::int64_t next_ms = 0) {
  pbay_result end{};
  end.size = sizeof end;
  end.status = status;
  end.output = text(output);
  if (state != nullptr) end.state = text(*state);
  end.next_ms = next_ms;
  self.host->finish(self.host, task, &end);
#ifdef ENDS_TWICE
  self.host->finish(self.host, task, &end);
#endif
}

void ask(const Instance& self, const pbay_call* call, std::uint64_t tag, std::string_view method, std::string_view path,
         std::string_view body) {
  const auto url = std::string(view(call->base_url)) + std::string(path);
  pbay_http out{};
  out.size = sizeof out;
  out.flags = PBAY_EXPAND;
  out.account = call->account;
  out.method = text(method);
  out.url = text(url);
  out.body = text(body);
#ifdef ASKS_ANOTHER_HOST
  const std::string other = "https://elsewhere.example.net/collect";
  out.url = text(other);
#endif
  const auto status = self.host->http(self.host, call->task, tag, &out);
  if (status != PBAY_OK) finish(self, call->task, status);
}

pbay_status create(const pbay_host* host, pbay_str, void** self) {
#ifdef CRASHES_IN_CREATE
  std::abort();
#endif
#ifdef HANGS_IN_CREATE
  for (volatile bool on = true; on;) {
  }
#endif
#ifdef FAILS_IN_CREATE
  host->log(host, 0, PBAY_LOG_ERROR, text("the moon is not full"));
  return PBAY_E_INTERNAL;
#endif
  const auto* json = static_cast<const pbay_ext_json*>(host->extension(host, PBAY_LIT(PBAY_EXT_JSON)));
  *self = new Instance{host, json, {}};
#ifdef LEAVES_THREAD
  std::thread([] { ::sleep(60); }).detach();
#endif
#ifdef OPENS_FILE
  static_cast<void>(::open("/dev/null", O_RDONLY));
#endif
#ifdef IMPORTS_SOCKET
  volatile bool never = false;
  if (never) static_cast<void>(::socket(AF_INET, SOCK_STREAM, 0));
#endif
  return PBAY_OK;
}

void destroy(void* self) {
#ifdef LEAKS
  static_cast<Instance*>(self)->json = nullptr;
#else
  delete static_cast<Instance*>(self);
#endif
}

void watch(void* self, const pbay_call* call) {
  const auto& made = *static_cast<Instance*>(self);
#ifdef LOGS_SECRET
  made.host->log(made.host, call->task, PBAY_LOG_INFO, call->callback_secret);
#endif
  ask(made, call, kWatch, "POST", "/hooks", "{\"secret\":\"" + std::string(view(call->callback_secret)) + "\"}");
}

void stop(void* self, const pbay_call* call) { ask(*static_cast<Instance*>(self), call, kStop, "DELETE", "/hooks/7", {}); }

void poll(void* self, const pbay_call* call) {
  static_cast<Instance*>(self)->state = std::string(view(call->state));
  ask(*static_cast<Instance*>(self), call, kPoll, "GET", "/items", {});
}

void webhook(void* self, const pbay_call* call, const pbay_request* request) {
  const auto& made = *static_cast<Instance*>(self);
  auto key = look(made, request->body, "/id");
#ifdef FUZZ_CRASHES
  if (key.empty()) std::abort();
#endif
#ifdef COUNTS_KEYS
  key += std::to_string(++counter);
#endif
  if (key.empty()) return finish(made, call->task, PBAY_OK);
  pbay_event event{};
  event.size = sizeof event;
  event.key = text(key);
  const auto status = made.host->emit(made.host, call->task, &event);
  finish(made, call->task, status);
}

void reaction(void* self, const pbay_call* call) {
  const auto& made = *static_cast<Instance*>(self);
#ifdef HANGS
  for (volatile bool on = true; on;) {
  }
#endif
#ifdef SLOW
  volatile double sum = 0;
  for (int i = 0; i < 60'000'000; ++i) sum = sum + i;
#endif
#ifdef THROWS
  throw std::runtime_error("out of here");
#endif
#ifdef NEVER_ENDS
  return;
#endif
#ifdef UNSUPPORTED
  return finish(made, call->task, PBAY_E_UNSUPPORTED);
#endif
  auto body = "{\"name\":\"x\",\"key\":\"" + std::string(view(call->key)) + "\"}";
#ifdef IGNORES_KEY
  body = "{}";
#endif
  ask(made, call, kGreet, "POST", "/greetings", body);
}

pbay_status status_of(const pbay_reply& reply) {
#ifdef WRONG_STATUS
  return reply.status == PBAY_OK && reply.http_status < 300 ? PBAY_OK : PBAY_E_ARG;
#else
  if (reply.status != PBAY_OK) return reply.status;
  switch (reply.http_status) {
    case 401:
    case 403: return PBAY_E_AUTH;
    case 404:
    case 410: return PBAY_E_GONE;
    case 429: return PBAY_E_RATE;
    default: return reply.http_status < 300 ? PBAY_OK : reply.http_status < 500 ? PBAY_E_ARG : PBAY_E_REMOTE;
  }
#endif
}

void end_poll(Instance& self, const pbay_reply& reply) {
  auto last = look(self, reply.body, "/last");
#ifdef REPEATS_EVENTS
  self.state = "0";
#endif
  if (!self.state.empty() && !last.empty() && last != self.state) {
    pbay_event event{};
    event.size = sizeof event;
    event.key = text(last);
    event.data = text("{}");
    self.host->emit(self.host, reply.task, &event);
  }
  finish(self, reply.task, PBAY_OK, {}, &last);
}

void resume(void* self, const pbay_reply* reply) {
  auto& made = *static_cast<Instance*>(self);
#ifdef IGNORES_CANCELLATION
  if (reply->status == PBAY_E_CANCELLED) return;
#endif
  const auto status = status_of(*reply);
  if (status == PBAY_E_RATE) return finish(made, reply->task, status, {}, nullptr, 7000);
  if (status != PBAY_OK) return finish(made, reply->task, status);
  if (reply->tag == kPoll) return end_poll(made, *reply);
  if (reply->tag != kGreet) return finish(made, reply->task, PBAY_OK);
  const auto id = look(made, reply->body, "/id");
#ifdef WRONG_OUTPUT
  return finish(made, reply->task, PBAY_OK, "{\"id\":1}");
#endif
  const auto safe = id.find_first_of("\"\\") == std::string::npos && id.find_first_not_of(
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == std::string::npos;
  if (!safe) return finish(made, reply->task, PBAY_E_REMOTE);
  finish(made, reply->task, PBAY_OK, "{\"id\":\"" + id + "\"}");
}

constexpr pbay_plugin table = {sizeof(pbay_plugin), PBAY_ABI,  PBAY_ABI_1_0, 0,       {manifest, sizeof manifest - 1},
                               create,              destroy,   watch,        stop,    poll,
                               webhook,             nullptr,   reaction,     resume,  nullptr};

}  // namespace

#ifdef EXPORTS_MORE
extern "C" PBAY_EXPORT int faulty_helper() { return 1; }
#endif
#ifndef NO_ENTRY
extern "C" PBAY_EXPORT const pbay_plugin* pbay_plugin_v1() { return &table; }
#else
extern "C" PBAY_EXPORT const pbay_plugin* faulty_plugin() { return &table; }
#endif
