#include "plugin/isolation/messages.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace patchbay::plugin::isolation {
namespace {

constexpr std::int64_t kMostOfAnything = 100'000;  // headers, events: who says more talks nonsense

void put(Writer& out, const egress::Headers& headers) {
  out.number(static_cast<std::int64_t>(headers.size()));
  for (const auto& [name, value] : headers) out.text(name).text(value);
}

egress::Headers take_headers(Reader& in) {
  egress::Headers headers;
  const auto count = in.number();
  for (std::int64_t i = 0; i < count && i < kMostOfAnything && in.good(); ++i) {
    auto name = std::string(in.text());
    headers.emplace_back(std::move(name), std::string(in.text()));
  }
  return headers;
}

void put(Writer& out, const std::optional<std::string>& text) {
  out.number(text ? 1 : 0);
  if (text) out.text(*text);
}
std::optional<std::string> take_optional(Reader& in) {
  if (in.number() == 0) return std::nullopt;
  return std::string(in.text());
}

void put(Writer& out, const Error& error) { out.number(static_cast<std::int64_t>(error.code)).text(error.message); }
Error take_error(Reader& in) {
  const auto code = in.number();
  const bool known = code >= 0 && code <= static_cast<std::int64_t>(Errc::internal);
  return {known ? static_cast<Errc>(code) : Errc::internal, std::string(in.text())};
}

std::int64_t signed_of(std::size_t value) { return static_cast<std::int64_t>(value); }
std::size_t size_of(std::int64_t value) { return static_cast<std::size_t>(std::max<std::int64_t>(value, 0)); }

}  // namespace

ConnectionId connection_for(std::uint64_t task) {
  return ConnectionId::parse(fmt::format("{:08x}-0000-7000-8000-{:012x}", task >> 48, task & 0xffff'ffff'ffff)).value_or(ConnectionId{});
}

std::uint64_t task_of(ConnectionId connection) {
  std::uint64_t task = 0;
  for (const std::size_t i : {2, 3, 10, 11, 12, 13, 14, 15}) task = task << 8 | connection.uuid().bytes()[i];
  return task;
}

std::string encode(const StartSettings& settings) {
  Writer out(Kind::settings);
  out.text(settings.file).text(settings.base_url).text(settings.config_json).number(settings.memory_bytes);
  const auto& limits = settings.limits;
  out.number(signed_of(limits.tasks)).number(signed_of(limits.waits_per_task)).number(signed_of(limits.events_per_task));
  out.number(signed_of(limits.event_bytes)).number(signed_of(limits.state_bytes)).number(signed_of(limits.output_bytes));
  return out.take();
}

StartSettings decode_settings(Reader& in) {
  StartSettings made;
  made.file = in.text();
  made.base_url = in.text();
  made.config_json = in.text();
  made.memory_bytes = in.number();
  made.limits.tasks = size_of(in.number());
  made.limits.waits_per_task = size_of(in.number());
  made.limits.events_per_task = size_of(in.number());
  made.limits.event_bytes = size_of(in.number());
  made.limits.state_bytes = size_of(in.number());
  made.limits.output_bytes = size_of(in.number());
  return made;
}

std::string encode(std::uint64_t task, const Call& call, bool with_secret, Timestamp now) {
  Writer out(Kind::begin);
  out.reserve(call.params.size() + call.state.size() + (call.request ? call.request->body.size() : 0) + 4096);
  out.number(micros(now));
  out.number(static_cast<std::int64_t>(task)).number(static_cast<std::int64_t>(call.verb));
  out.text(call.name).text(call.params).text(call.key).text(call.state).number(call.state_version).number(call.attempt);
  out.number(call.watch.is_nil() ? 0 : 1).number(call.connection.is_nil() ? 0 : 1).text(call.callback_url);
  out.number(call.callback_secret.empty() ? 0 : 1).text(with_secret ? call.callback_secret.reveal() : "");
  out.number(micros(call.deadline)).number(call.request ? 1 : 0);
  if (call.request) {
    out.text(call.request->method).text(call.request->query).text(call.request->body);
    out.number(call.body && call.body->root().type() == JsonType::object ? 1 : 0);
    put(out, call.request->headers);
  }
  return out.take();
}

Begin decode_begin(Reader& in) {
  Begin begin;
  begin.now = from_micros(in.number());
  begin.task = static_cast<std::uint64_t>(in.number());
  auto& call = begin.call;
  call.verb = static_cast<Verb>(in.number());
  call.name = in.text();
  call.params = in.text();
  call.key = in.text();
  call.state = in.text();
  call.state_version = static_cast<int>(in.number());
  call.attempt = static_cast<int>(in.number());
  // Ids stand for the task here: what they name is the host's business.
  static const auto kSomeWatch = WatchId::make(Timestamp{});
  if (in.number() != 0) call.watch = kSomeWatch;
  if (in.number() != 0) call.connection = connection_for(begin.task);
  call.callback_url = in.text();
  const bool has_secret = in.number() != 0;
  const auto secret = in.text();
  if (has_secret) call.callback_secret = Secret(secret.empty() ? std::to_string(begin.task) : std::string(secret));
  call.deadline = from_micros(in.number());
  if (in.number() != 0) {
    auto request = std::make_shared<WebhookRequest>();
    request->method = in.text();
    request->query = in.text();
    request->body = in.text();
    call.object_body = in.number() != 0;  // the host has parsed it; here that waits until the plugin looks into it
    request->headers = take_headers(in);
    call.request = std::move(request);
  }
  return begin;
}

std::string encode(std::uint64_t task, const Outcome& outcome) {
  Writer out(Kind::outcome);
  out.number(static_cast<std::int64_t>(task)).number(outcome.error ? 1 : 0);
  if (outcome.error) put(out, *outcome.error);
  out.number(outcome.status).number(outcome.gone ? 1 : 0).text(outcome.output).text(outcome.content_type).number(outcome.http_status);
  put(out, outcome.state);
  out.number(outcome.state_version).number(outcome.next ? outcome.next->count() : -1);
  out.number(static_cast<std::int64_t>(outcome.events.size()));
  for (const auto& event : outcome.events) {
    out.text(event.key).number(micros(event.occurred)).number(event.is_request_body ? 1 : 0).text(event.data);
  }
  return out.take();
}

End decode_outcome(Reader& in) {
  End end;
  end.task = static_cast<std::uint64_t>(in.number());
  auto& outcome = end.outcome;
  if (in.number() != 0) outcome.error = take_error(in);
  outcome.status = static_cast<std::int32_t>(in.number());
  outcome.gone = in.number() != 0;
  outcome.output = in.text();
  outcome.content_type = in.text();
  outcome.http_status = static_cast<int>(in.number());
  outcome.state = take_optional(in);
  outcome.state_version = static_cast<int>(in.number());
  if (const auto next = in.number(); next >= 0) outcome.next = Duration{next};
  const auto count = in.number();
  for (std::int64_t i = 0; i < count && i < kMostOfAnything && in.good(); ++i) {
    auto& event = outcome.events.emplace_back();
    event.key = in.text();
    event.occurred = from_micros(in.number());
    event.is_request_body = in.number() != 0;
    event.data = in.text();
  }
  return end;
}

std::string encode(const Asked& asked) {
  Writer out(Kind::http);
  const auto& request = asked.request;
  out.number(static_cast<std::int64_t>(asked.handle)).number(static_cast<std::int64_t>(asked.account));
  out.number(static_cast<std::int64_t>(asked.secret)).text(asked.reference);
  out.text(request.method).text(request.url).text(request.body).text(request.auth);
  out.number(request.repeatable ? 1 : 0).number(request.timeout.count());
  put(out, request.headers);
  return out.take();
}

Asked decode_http(Reader& in) {
  Asked asked;
  asked.handle = static_cast<std::uint64_t>(in.number());
  asked.account = static_cast<std::uint64_t>(in.number());
  asked.secret = static_cast<std::uint64_t>(in.number());
  asked.reference = in.text();
  auto& request = asked.request;
  request.method = in.text();
  request.url = in.text();
  request.body = in.text();
  request.auth = in.text();
  request.repeatable = in.number() != 0;
  request.timeout = std::chrono::milliseconds{std::clamp<std::int64_t>(in.number(), 1, 30'000)};
  request.headers = take_headers(in);
  return asked;
}

std::string encode(std::uint64_t handle, const Result<egress::HttpReply>& reply, Timestamp now) {
  Writer out(Kind::reply);
  out.number(micros(now));
  out.number(static_cast<std::int64_t>(handle)).number(reply ? 1 : 0);
  if (!reply) {
    put(out, reply.error());
  } else {
    out.number(reply->status).text(reply->body);
    put(out, reply->headers);
  }
  return out.take();
}

Answered decode_reply(Reader& in) {
  Answered answered;
  answered.now = from_micros(in.number());
  answered.handle = static_cast<std::uint64_t>(in.number());
  if (in.number() == 0) {
    answered.reply = std::unexpected(take_error(in));
    return answered;
  }
  egress::HttpReply reply;
  reply.status = static_cast<int>(in.number());
  reply.body = in.text();
  reply.headers = take_headers(in);
  answered.reply = std::move(reply);
  return answered;
}

}  // namespace patchbay::plugin::isolation
