// patchbay/provider.hpp: a provider in C++20, on top of plugin.h. Header only; needs the standard library only.
//
// A provider is a class with some of
//     operation watch(call);  operation stop(call);      operation poll(call);
//     operation webhook(call, request);                  operation reaction(call);   operation socket(call, frame);
// Each is a coroutine: it may `co_await c.ask(request)` and `co_await c.sleep(ms)`, and ends with `co_return` of a
// result. PATCHBAY_PROVIDER(class) makes the plugin of it.
#pragma once

#include <patchbay/plugin.h>

#include <charconv>
#include <coroutine>
#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace patchbay {

[[nodiscard]] inline std::string_view view(pbay_str text) noexcept {
  return {text.ptr == nullptr ? "" : text.ptr, text.len};
}
[[nodiscard]] inline pbay_str raw(std::string_view text) noexcept { return {text.data(), text.size()}; }

using headers = std::vector<std::pair<std::string, std::string>>;

// The end of an operation: c.ok().state(id).next_in(60'000)
class result {
 public:
  explicit result(pbay_status status = PBAY_OK, std::string message = {})
      : status_(status), message_(std::move(message)) {}

  result&& state(std::string text) && {
    state_ = std::move(text);
    return std::move(*this);
  }
  result&& route(std::string text) && {
    route_ = std::move(text);
    return std::move(*this);
  }
  // A reaction's output, a JSON object.
  result&& output(std::string json) && {
    output_ = std::move(json);
    return std::move(*this);
  }
  result&& next_in(std::int64_t ms) && {
    next_ms_ = ms;
    return std::move(*this);
  }
  // What a webhook's sender gets.
  result&& answer(unsigned http_status, std::string body, std::string content_type = "text/plain") && {
    http_status_ = http_status;
    output_ = std::move(body);
    content_type_ = std::move(content_type);
    return std::move(*this);
  }

  void finish(const pbay_host* host, std::uint64_t task) const noexcept {
    pbay_result end{};
    end.size = sizeof end;
    end.status = status_;
    end.message = raw(message_);
    end.output = raw(output_);
    end.content_type = raw(content_type_);
    if (state_) end.state = raw(*state_);
    if (route_) end.route = raw(*route_);
    end.next_ms = next_ms_;
    end.http_status = http_status_;
    host->finish(host, task, &end);
  }

 private:
  pbay_status status_;
  std::string message_;
  std::string output_;
  std::string content_type_;
  std::optional<std::string> state_;
  std::optional<std::string> route_;
  std::int64_t next_ms_ = 0;
  unsigned http_status_ = 0;
};

// The answer to a request: a copy, to be kept as long as wanted.
struct reply {
  pbay_status status = PBAY_OK;  // not PBAY_OK: there was no answer
  unsigned http_status = 0;
  std::int64_t now_ms = 0;
  std::string body;
  patchbay::headers headers;  // names in lower case

  [[nodiscard]] bool ok() const noexcept { return status == PBAY_OK && http_status >= 200 && http_status < 300; }
  [[nodiscard]] std::string_view header(std::string_view lower_case_name) const noexcept {
    for (const auto& [name, value] : headers) {
      if (name == lower_case_name) return value;
    }
    return {};
  }
};

class operation {
 public:
  struct promise_type {
    const pbay_host* host;
    std::uint64_t task;
    reply answer;

    // An operation is called with (self, call, ...).
    template <class Self, class Call, class... Rest>
    promise_type(Self&, Call& c, Rest&&...) noexcept : host(c.host()), task(c.task()) {}

    operation get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_value(const result& end) noexcept { end.finish(host, task); }
    void unhandled_exception() noexcept {
      try {
        throw;
      } catch (const std::exception& error) {
        result(PBAY_E_INTERNAL, error.what()).finish(host, task);
      } catch (...) {
        result(PBAY_E_INTERNAL, "an exception").finish(host, task);
      }
    }
  };
};

// What to ask for. Name it, then co_await c.ask(it): g++ 12 destroys temporaries of a co_await expression twice, so ask()
// takes none.
struct http {
  std::string method = {};
  std::string url = {};
  std::string body = {};
  unsigned flags = 0;  // expand | repeat
  patchbay::headers headers = {};
  bool with_account = true;  // the call's credentials go along
};
inline constexpr unsigned expand = PBAY_EXPAND;
inline constexpr unsigned repeat = PBAY_REPEAT;

// Waits for the host. The tag of a wait is the coroutine's address.
template <class Start>
class wait {
 public:
  explicit wait(Start start) : start_(start) {}
  static_assert(std::is_trivially_destructible_v<Start>);

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<operation::promise_type> handle) {
    promise_ = &handle.promise();
    promise_->answer = {};
    const auto tag = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(handle.address()));
    promise_->answer.status = start_(promise_->host, promise_->task, tag);
    return promise_->answer.status == PBAY_OK;  // not accepted: go on at once
  }
  reply await_resume() { return std::move(promise_->answer); }

 private:
  Start start_;
  operation::promise_type* promise_ = nullptr;
};

// One member after the other: json_object(c).add("title", text).raw("labels", "[]").text()
class json_object;

// The work at hand. Its texts are the host's and stay valid until the operation ends, so nothing is copied.
class call {
 public:
  call(const pbay_host* host, const pbay_ext_json* json, const pbay_call& raw_call) noexcept
      : host_(host), json_(json), call_(&raw_call) {}

  [[nodiscard]] const pbay_host* host() const noexcept { return host_; }
  [[nodiscard]] std::uint64_t task() const noexcept { return call_->task; }
  [[nodiscard]] unsigned attempt() const noexcept { return call_->attempt; }
  [[nodiscard]] std::int64_t now_ms() const noexcept { return call_->now_ms; }
  [[nodiscard]] std::int64_t deadline_ms() const noexcept { return call_->deadline_ms; }
  [[nodiscard]] std::string_view name() const noexcept { return view(call_->name); }
  [[nodiscard]] std::string_view params() const noexcept { return view(call_->params); }
  [[nodiscard]] std::string_view key() const noexcept { return view(call_->key); }
  [[nodiscard]] std::string_view state() const noexcept { return view(call_->state); }
  [[nodiscard]] unsigned state_version() const noexcept { return call_->state_version; }
  [[nodiscard]] std::string_view base_url() const noexcept { return view(call_->base_url); }
  [[nodiscard]] std::string_view callback_url() const noexcept { return view(call_->callback_url); }
  [[nodiscard]] std::string_view callback_secret() const noexcept { return view(call_->callback_secret); }

  // The value at an RFC 6901 pointer: a string's text, anything else as JSON; "" when there is nothing. Lives until the
  // operation waits or ends.
  [[nodiscard]] std::string_view look(std::string_view json, std::string_view pointer) const {
    pbay_str value{};
    return json_->get(host_, patchbay::raw(json), patchbay::raw(pointer), &value) == PBAY_OK ? view(value)
                                                                                            : std::string_view();
  }
  // The same, as a copy.
  [[nodiscard]] std::string json(std::string_view json, std::string_view pointer) const {
    return std::string(look(json, pointer));
  }
  [[nodiscard]] std::string param(std::string_view pointer) const { return json(params(), pointer); }
  // PBAY_JSON_… of what is there.
  [[nodiscard]] unsigned json_type(std::string_view json, std::string_view pointer) const {
    std::uint32_t type = PBAY_JSON_NONE;
    std::uint64_t count = 0;
    json_->type(host_, patchbay::raw(json), patchbay::raw(pointer), &type, &count);
    return type;
  }
  [[nodiscard]] std::size_t json_count(std::string_view json, std::string_view pointer) const {
    std::uint32_t type = PBAY_JSON_NONE;
    std::uint64_t count = 0;
    json_->type(host_, patchbay::raw(json), patchbay::raw(pointer), &type, &count);
    return static_cast<std::size_t>(count);
  }
  [[nodiscard]] std::string quote(std::string_view text) const {
    pbay_str json{};
    return json_->quote(host_, patchbay::raw(text), &json) == PBAY_OK ? std::string(view(json)) : "\"\"";
  }
  [[nodiscard]] json_object object() const;

  // co_await c.ask(request) is a reply.
  [[nodiscard]] auto ask(const patchbay::http& request) const {
    return wait{[asked = &request, account = request.with_account ? call_->account : 0](
                    const pbay_host* host, std::uint64_t task, std::uint64_t tag) {
      std::vector<pbay_header> list;
      list.reserve(asked->headers.size());
      for (const auto& [name, value] : asked->headers) list.push_back({patchbay::raw(name), patchbay::raw(value)});
      pbay_http out{};
      out.size = sizeof out;
      out.flags = asked->flags;
      out.account = account;
      out.method = patchbay::raw(asked->method);
      out.url = patchbay::raw(asked->url);
      out.body = patchbay::raw(asked->body);
      out.headers = list.data();
      out.header_count = list.size();
      return host->http(host, task, tag, &out);
    }};
  }
  void ask(const patchbay::http&&) const = delete;  // name the request first: see http
  [[nodiscard]] auto sleep(std::int64_t ms) const {
    return wait{[ms](const pbay_host* host, std::uint64_t task, std::uint64_t tag) {
      return host->sleep(host, task, tag, ms);
    }};
  }

  pbay_status emit(std::string_view key, std::string_view json, std::int64_t time_ms = 0) const {
    const pbay_event event{sizeof event, 0, time_ms, patchbay::raw(key), patchbay::raw(json)};
    return host_->emit(host_, task(), &event);
  }
  // The request's body is the event.
  pbay_status emit_body(std::string_view key, std::int64_t time_ms = 0) const {
    const pbay_event event{sizeof event, 0, time_ms, patchbay::raw(key), {nullptr, 0}};
    return host_->emit(host_, task(), &event);
  }
  void log(std::string_view text, unsigned level = PBAY_LOG_INFO) const {
    host_->log(host_, task(), level, patchbay::raw(text));
  }

  [[nodiscard]] result ok() const { return result(); }
  [[nodiscard]] result fail(pbay_status status, std::string message = {}) const {
    return result(status, std::move(message));
  }
  // What an answer that was not wanted means, with the provider's own words (at most 300 bytes).
  [[nodiscard]] result fail(const reply& answer) const {
    if (answer.status != PBAY_OK) return fail(answer.status, std::string(look_bounded(answer.body)));
    auto failed = fail(status_of(answer.http_status),
                       "HTTP " + std::to_string(answer.http_status) + ": " + std::string(message_of(answer.body)));
    std::int64_t seconds = 0;
    const auto after = answer.header("retry-after");
    if (std::from_chars(after.data(), after.data() + after.size(), seconds).ec == std::errc{} && seconds > 0) {
      return std::move(failed).next_in(seconds * 1000);
    }
    return failed;
  }
  [[nodiscard]] static pbay_status status_of(unsigned http_status) noexcept {
    switch (http_status) {
      case 401:
      case 403: return PBAY_E_AUTH;
      case 404:
      case 410: return PBAY_E_GONE;
      case 408:
      case 425: return PBAY_E_REMOTE;
      case 429: return PBAY_E_RATE;
      default: return http_status >= 400 && http_status < 500 ? PBAY_E_ARG : PBAY_E_REMOTE;
    }
  }

 private:
  static std::string_view look_bounded(std::string_view text) {
    text = text.substr(0, 300);
    while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xc0) == 0x80) text.remove_suffix(1);
    if (!text.empty() && (static_cast<unsigned char>(text.back()) & 0x80) != 0) text.remove_suffix(1);
    return text;
  }
  [[nodiscard]] std::string_view message_of(std::string_view body) const {
    const auto message = look(body, "/message");
    return look_bounded(message.empty() ? body : message);
  }

  const pbay_host* host_;
  const pbay_ext_json* json_;
  const pbay_call* call_;
};

class json_object {
 public:
  explicit json_object(const call& c) : call_(&c) {}
  json_object&& add(std::string_view key, std::string_view text) && {
    return std::move(*this).raw(key, call_->quote(text));
  }
  json_object&& raw(std::string_view key, std::string_view json) && {
    text_ += text_.empty() ? "{\"" : ",\"";
    text_.append(key).append("\":").append(json);
    return std::move(*this);
  }
  [[nodiscard]] std::string text() && { return text_.empty() ? "{}" : std::move(text_) + "}"; }

 private:
  const call* call_;
  std::string text_;
};
inline json_object call::object() const { return json_object(*this); }

// A request that reached the callback URL. Its texts live as long as the call's.
class request {
 public:
  explicit request(const pbay_request& raw_request) noexcept : request_(&raw_request) {}
  [[nodiscard]] bool verified() const noexcept { return request_->verified != 0; }
  [[nodiscard]] std::string_view method() const noexcept { return view(request_->method); }
  [[nodiscard]] std::string_view query() const noexcept { return view(request_->query); }
  [[nodiscard]] std::string_view body() const noexcept { return view(request_->body); }
  [[nodiscard]] std::string_view header(std::string_view lower_case_name) const noexcept {
    for (std::size_t i = 0; i < request_->header_count; ++i) {
      if (view(request_->headers[i].name) == lower_case_name) return view(request_->headers[i].value);
    }
    return {};
  }

 private:
  const pbay_request* request_;
};

class frame {
 public:
  explicit frame(const pbay_frame& raw_frame) noexcept : frame_(&raw_frame) {}
  [[nodiscard]] unsigned kind() const noexcept { return frame_->kind; }
  [[nodiscard]] unsigned code() const noexcept { return frame_->code; }
  [[nodiscard]] std::uint64_t socket() const noexcept { return frame_->socket; }
  [[nodiscard]] std::string_view data() const noexcept { return view(frame_->data); }

 private:
  const pbay_frame* frame_;
};

// The table of functions, made from a provider class.
template <class Provider>
class exported {
 public:
  static constexpr pbay_plugin table(pbay_str manifest) {
    return {sizeof(pbay_plugin), PBAY_ABI,  PBAY_ABI_1_0, 0,         manifest,   create,  destroy, watch(),
            stop(),              poll(),    webhook(),    socket(),  reaction(), resume,  nullptr};
  }

 private:
  struct instance {
    const pbay_host* host;
    const pbay_ext_json* json;
    Provider provider;
  };

  static pbay_status create(const pbay_host* host, pbay_str config, void** self) noexcept try {
    const auto* json = static_cast<const pbay_ext_json*>(host->extension(host, PBAY_LIT(PBAY_EXT_JSON)));
    if (json == nullptr) return PBAY_E_UNSUPPORTED;
    if constexpr (std::is_constructible_v<Provider, std::string_view>) {
      *self = new instance{host, json, Provider(view(config))};
    } else {
      *self = new instance{host, json, Provider()};
    }
    return PBAY_OK;
  } catch (const std::exception& error) {
    host->log(host, 0, PBAY_LOG_ERROR, raw(error.what()));
    return PBAY_E_INTERNAL;
  } catch (...) {
    return PBAY_E_INTERNAL;
  }

  static void destroy(void* self) noexcept { delete static_cast<instance*>(self); }

  // An exception here comes from before the coroutine has begun: there was no memory for it.
  template <class Begin>
  static void begin(void* self, const pbay_call* raw_call, Begin start) noexcept {
    auto* made = static_cast<instance*>(self);
    try {
      start(made->provider, call(made->host, made->json, *raw_call));
    } catch (...) {
      result(PBAY_E_INTERNAL, "the operation could not begin").finish(made->host, raw_call->task);
    }
  }

  static constexpr auto watch() -> void (*)(void*, const pbay_call*) {
    if constexpr (requires(Provider p, call c) { p.watch(c); }) {
      return [](void* self, const pbay_call* c) { begin(self, c, [](Provider& p, call k) { p.watch(k); }); };
    } else {
      return nullptr;
    }
  }
  static constexpr auto stop() -> void (*)(void*, const pbay_call*) {
    if constexpr (requires(Provider p, call c) { p.stop(c); }) {
      return [](void* self, const pbay_call* c) { begin(self, c, [](Provider& p, call k) { p.stop(k); }); };
    } else {
      return nullptr;
    }
  }
  static constexpr auto poll() -> void (*)(void*, const pbay_call*) {
    if constexpr (requires(Provider p, call c) { p.poll(c); }) {
      return [](void* self, const pbay_call* c) { begin(self, c, [](Provider& p, call k) { p.poll(k); }); };
    } else {
      return nullptr;
    }
  }
  static constexpr auto reaction() -> void (*)(void*, const pbay_call*) {
    if constexpr (requires(Provider p, call c) { p.reaction(c); }) {
      return [](void* self, const pbay_call* c) { begin(self, c, [](Provider& p, call k) { p.reaction(k); }); };
    } else {
      return nullptr;
    }
  }
  static constexpr auto webhook() -> void (*)(void*, const pbay_call*, const pbay_request*) {
    if constexpr (requires(Provider p, call c, request r) { p.webhook(c, r); }) {
      return [](void* self, const pbay_call* c, const pbay_request* r) {
        begin(self, c, [r](Provider& p, call k) { p.webhook(k, request(*r)); });
      };
    } else {
      return nullptr;
    }
  }
  static constexpr auto socket() -> void (*)(void*, const pbay_call*, const pbay_frame*) {
    if constexpr (requires(Provider p, call c, frame f) { p.socket(c, f); }) {
      return [](void* self, const pbay_call* c, const pbay_frame* f) {
        begin(self, c, [f](Provider& p, call k) { p.socket(k, frame(*f)); });
      };
    } else {
      return nullptr;
    }
  }

  static void resume(void*, const pbay_reply* answer) noexcept {
    void* const address = reinterpret_cast<void*>(static_cast<std::uintptr_t>(answer->tag));
    const auto handle = std::coroutine_handle<operation::promise_type>::from_address(address);
    auto& to = handle.promise().answer;
    try {
      to.status = answer->status;
      to.http_status = answer->http_status;
      to.now_ms = answer->now_ms;
      to.body = view(answer->body);
      for (std::size_t i = 0; i < answer->header_count; ++i) {
        to.headers.emplace_back(view(answer->headers[i].name), view(answer->headers[i].value));
      }
    } catch (...) {
      to.status = PBAY_E_INTERNAL;
    }
    handle.resume();
  }
};

}  // namespace patchbay

// Makes the plugin of a class. Before it stands the manifest:
//     static constexpr char manifest[] PBAY_IN_MANIFEST =
//     #include "manifest.inc"
//         ;
#define PATCHBAY_PROVIDER(Class)                                                                            \
  static constexpr pbay_plugin patchbay_table =                                                             \
      ::patchbay::exported<Class>::table({manifest, sizeof manifest - 1});                                  \
  extern "C" PBAY_EXPORT const pbay_plugin* pbay_plugin_v1(void) { return &patchbay_table; }
