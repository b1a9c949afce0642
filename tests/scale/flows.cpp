#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "core/id.hpp"
#include "core/time.hpp"
#include "harness/clock.hpp"
#include "harness/sink.hpp"
#include "scale/rig.hpp"
#include "scale/trials.hpp"
#include "store/database.hpp"

namespace patchbay::scale {
namespace {

// Copies of one active flow, each with its version and its watch: half of them timers of a far day.
void add_flows(const std::string& file, const std::string& flow, int count) {
  auto database = store::open("sqlite:" + file);
  if (!database) throw std::runtime_error(database.error().message);
  const auto now = system_clock().now();
  for (int done = 0; done < count; done += 1000) {
    const auto written = (*database)->write([&](store::Transaction& transaction) -> Result<> {
      for (int i = done; i < std::min(done + 1000, count); ++i) {
        const auto id = FlowId::make(now).to_string();
        const auto watch = WatchId::make(now).to_string();
        const bool timer = i % 2 == 0;
        const store::Param ids[]{std::string_view(id), std::string_view(flow)};
        if (auto added = transaction.execute("INSERT INTO flows (id, user_id, name, state, version, definition, created_at, updated_at) "
                                             "SELECT $1, user_id, name, state, version, definition, created_at, updated_at FROM flows WHERE id = $2", ids);
            !added) {
          return std::unexpected(added.error());
        }
        if (auto added = transaction.execute("INSERT INTO flow_versions (flow_id, version, definition, created_at) "
                                             "SELECT $1, version, definition, created_at FROM flow_versions WHERE flow_id = $2", ids);
            !added) {
          return std::unexpected(added.error());
        }
        auto added = transaction.execute(
            "INSERT INTO watches (id, flow_id, user_id, flow_version, node_id, provider, trigger_name, params, connection_id, token, secret, state, "
            "state_version, status, next_at, created_at) SELECT $1, $2, user_id, flow_version, node_id, $4, $5, $6, CASE WHEN $7 = 1 THEN NULL ELSE connection_id END, "
            "$1, secret, '', state_version, status, CASE WHEN $7 = 1 THEN 4070908800000000 ELSE NULL END, created_at FROM watches WHERE flow_id = $3",
            {std::string_view(watch), std::string_view(id), std::string_view(flow), timer ? "timer" : "github", timer ? "at" : "issues",
             timer ? R"({"time":"2099-01-01T00:00:00Z"})" : R"({"owner":"octo-org","repo":"Other"})", std::int64_t{timer ? 1 : 0}});
        if (!added) return std::unexpected(added.error());
      }
      return {};
    });
    if (!written) throw std::runtime_error(written.error().message);
  }
}

}  // namespace

nlohmann::ordered_json try_flows(const FlowsPlan& plan) {
  harness::Sink sink;
  Rig rig;
  std::string flow;
  for (int i = 0; i < 10; ++i) flow = rig.activate(sink.url());
  const auto target = rig.target();
  std::uint64_t next = 1;
  std::size_t refused = 0;
  const auto p99 = [&] {
    harness::LoadSettings load{.target = target, .body = payload_of(5'000), .concurrency = 64, .seconds = plan.seconds};
    load.rate = plan.rate;
    load.first_id = next;
    const auto sent = harness::Load(std::move(load)).finish();
    next += sent.size();
    refused += static_cast<std::size_t>(std::ranges::count_if(sent, [](const auto& one) { return !one.accepted(); }));
    return harness::p99_ms(sent);
  };
  const auto start = [&] {
    const auto began = harness::steady_ns();
    rig.host().start();
    return static_cast<double>(harness::steady_ns() - began) / 1e9;
  };
  // In turns with few and with many would need two databases; the disk's moods are met by rounds and medians.
  std::vector<double> few;
  for (int i = 0; i < 3; ++i) few.push_back(p99());
  rig.host().stop();
  const double start_few = start();
  rig.host().stop();
  add_flows(rig.database_file(), flow, plan.flows - 10);
  const double start_many = start();
  std::vector<double> many;
  for (int i = 0; i < 3; ++i) many.push_back(p99());
  const double rss = rig.host().process().resident_mb();
  const int stop_code = rig.host().stop();
  std::ranges::sort(few);
  std::ranges::sort(many);
  const double ratio = many[1] / few[1];
  int wrong = plan.comparison && start_many > 3 ? 1 : 0;
  wrong += refused == 0 && stop_code == 0 ? 0 : 1;
  if (plan.comparison && ratio > 1.5) ++wrong;
  return {{"flows", plan.flows}, {"start_s_ten_flows", start_few}, {"start_s", start_many}, {"p99_ms_ten_flows", few[1]}, {"p99_ms", many[1]},
          {"p99_ratio", ratio},  {"rss_mb", rss},                  {"refused", refused},    {"wrong", wrong}};
}

}  // namespace patchbay::scale
