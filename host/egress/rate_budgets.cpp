#include "egress/rate_budgets.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>

#include "egress/repeat.hpp"

namespace patchbay::egress {
namespace {

constexpr std::size_t kMostBudgets = 10'000;
constexpr double kEpochFrom = 1e9;  // a larger number of seconds is a date, a smaller one a span
constexpr std::chrono::hours kLongest{24};
constexpr std::chrono::seconds kUntilAnswers{1};  // of a new window, nobody knows yet when it ends

std::optional<double> number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size() || !(value >= 0)) return std::nullopt;
  return value;
}

Timestamp after(Timestamp now, double seconds) {
  return now + std::min<Duration>(Duration{static_cast<std::int64_t>(std::min(seconds, 1e6) * 1e6)}, kLongest);
}

Timestamp reset_of(double value, Timestamp now) {
  if (value < kEpochFrom) return after(now, value);
  return after(now, value - static_cast<double>(micros(now)) / 1e6);
}

std::string owner_of(const HttpRequest& request) { return request.provider + "|" + request.connection.to_string() + "|"; }

bool is_id(std::string_view segment) {
  const auto digits = static_cast<std::size_t>(std::count_if(segment.begin(), segment.end(), [](char c) { return c >= '0' && c <= '9'; }));
  return digits == segment.size() || (segment.size() >= 16 && digits >= 4);
}

}  // namespace

std::string route_of(std::string_view method, std::string_view url) {
  const auto scheme = url.find("://");
  const auto path_at = scheme == std::string_view::npos ? 0 : url.find('/', scheme + 3);
  auto path = path_at == std::string_view::npos ? std::string_view("/") : url.substr(path_at);
  path = path.substr(0, path.find_first_of("?#"));
  std::string route(method);
  route += ' ';
  bool had_id = false;
  for (std::size_t at = 0; at < path.size();) {
    const auto end = std::min(path.find('/', at + 1), path.size());
    const auto segment = path.substr(at + 1, end - at - 1);
    const bool id = !segment.empty() && is_id(segment);
    route += '/';
    if (id && had_id) route += ':';
    else route += segment;
    had_id = had_id || id;
    at = end;
  }
  return route;
}

Timestamp RateBudgets::Budget::slot() {
  if (limit <= 0 || window.count() <= 0) return reset;
  const auto mine = std::max(next_slot, reset);
  next_slot = mine + window / limit;
  return mine;
}

std::optional<Timestamp> RateBudgets::take(const HttpRequest& request, Timestamp now) {
  if (budgets_.empty()) return std::nullopt;
  const auto owner = owner_of(request);
  if (const auto global = budgets_.find(owner); global != budgets_.end() && global->second.is_spent(now)) return global->second.slot();
  const auto bucket = bucket_of_.find(owner + route_of(request.method, request.url));
  if (bucket == bucket_of_.end()) return std::nullopt;
  const auto found = budgets_.find(bucket->second);
  if (found == budgets_.end()) return std::nullopt;
  auto& budget = found->second;
  if (now >= budget.reset) {  // a new window has begun; its answers will say more
    if (budget.limit == 0) return std::nullopt;
    budget.remaining = budget.limit;
    budget.reset = now + kUntilAnswers;
  }
  if (budget.remaining <= 0) return budget.slot();
  --budget.remaining;
  return std::nullopt;
}

void RateBudgets::learn(const HttpRequest& request, const HttpReply& reply, Timestamp now) {
  std::string_view limit, remaining, reset, reset_after, bucket, resource, wait;
  bool global = false;
  for (const auto& [name, value] : reply.headers) {
    if (name == "x-ratelimit-limit" || name == "ratelimit-limit") limit = value;
    else if (name == "x-ratelimit-remaining" || name == "ratelimit-remaining") remaining = value;
    else if (name == "x-ratelimit-reset" || name == "ratelimit-reset") reset = value;
    else if (name == "x-ratelimit-reset-after") reset_after = value;
    else if (name == "x-ratelimit-bucket") bucket = value;
    else if (name == "x-ratelimit-resource") resource = value;
    else if (name == "x-ratelimit-global") global = value == "true";
    else if (name == "x-ratelimit-scope") global = global || value == "global";
    else if (name == "retry-after") wait = value;
  }
  const bool told_to_wait = reply.status == 429 || reply.status == 503 || (reply.status == 403 && !wait.empty());
  if (remaining.empty() && !(told_to_wait && !wait.empty())) return;

  const auto owner = owner_of(request);
  const auto route = owner + route_of(request.method, request.url);
  // Discord's buckets count each channel, guild or webhook by itself: its id is in the route.
  Name name = !resource.empty() ? owner + "#" + std::string(resource) : !bucket.empty() ? route + "#" + std::string(bucket) : route;
  if (global) name = owner;
  if (budgets_.size() >= kMostBudgets || bucket_of_.size() >= kMostBudgets) forget_old(now);
  if (!global) bucket_of_[route] = name;

  const auto left = number(remaining);
  const auto until = number(reset_after) ? std::optional(after(now, *number(reset_after)))
                     : number(reset)     ? std::optional(reset_of(*number(reset), now))
                                         : std::nullopt;
  if (left && until) set(name, static_cast<std::int64_t>(number(limit).value_or(0)), static_cast<std::int64_t>(*left), *until, now);
  if (!told_to_wait) return;
  if (const auto pause = retry_after(wait, now)) {
    set(name, 0, 0, after(now, static_cast<double>(pause->count()) / 1e3), now);
  } else if (reply.status == 429 && !until) {
    set(name, 0, 0, now + std::chrono::seconds{1}, now);
  }
}

// Answers overtake each other: within one window the smaller number counts.
void RateBudgets::set(const Name& name, std::int64_t limit, std::int64_t remaining, Timestamp reset, Timestamp now) {
  auto [entry, is_new] = budgets_.try_emplace(name);
  auto& budget = entry->second;
  const auto apart = reset > budget.reset ? reset - budget.reset : budget.reset - reset;
  const bool same_window = !is_new && now < budget.reset && apart < std::chrono::seconds{2};
  budget.remaining = same_window ? std::min(budget.remaining, remaining) : remaining;
  if (!same_window && limit > 0) budget.window = reset - now;
  budget.reset = reset;
  if (limit > 0) budget.limit = limit;
}

void RateBudgets::forget_old(Timestamp now) {
  std::erase_if(budgets_, [now](const auto& entry) { return entry.second.reset <= now; });
  std::erase_if(bucket_of_, [this](const auto& entry) { return !budgets_.contains(entry.second); });
  if (budgets_.size() < kMostBudgets && bucket_of_.size() < kMostBudgets) return;
  budgets_.clear();
  bucket_of_.clear();
}

}  // namespace patchbay::egress
