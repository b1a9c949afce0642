#include <algorithm>
#include <atomic>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>

#include "harness/clock.hpp"
#include "harness/sink.hpp"
#include "scale/rig.hpp"
#include "scale/trials.hpp"

namespace patchbay::scale {
namespace {

double megabytes(const std::string& file) {
  std::error_code none;
  const auto size = std::filesystem::file_size(file, none);
  return none ? 0 : static_cast<double>(size) / (1 << 20);
}

}  // namespace

nlohmann::ordered_json try_retention(const RetentionPlan& plan) {
  harness::Sink sink;
  Rig rig("[retention]\nage = \"0s\"\nbytes = " + std::to_string(std::int64_t{plan.cap_mb} << 20) + "\n");
  rig.activate(sink.url());
  std::uint64_t next = 1;
  std::uint64_t accepted = 0;
  const auto send = [&](int count) {
    harness::LoadSettings load{.target = rig.target(), .body = payload_of(static_cast<std::size_t>(plan.payload_bytes)), .concurrency = 64};
    load.count = static_cast<std::uint64_t>(count);
    load.rate = plan.rate;
    load.first_id = next;
    load.patience_seconds = 120;
    auto sent = harness::Load(std::move(load)).finish();
    next += static_cast<std::uint64_t>(count);
    accepted += static_cast<std::uint64_t>(std::ranges::count_if(sent, &harness::Sent::accepted));
    return harness::p99_ms(sent);
  };
  // In parts: response times are compared part by part, so that one bad second of the disk does not decide.
  const int part = std::max(plan.runs / 50, 1);
  std::vector<double> quiet;
  std::vector<double> purging;
  double largest = 0;
  double largest_log = 0;
  int sent = 0;
  bool full = false;
  while (sent < plan.runs) {
    const int count = std::min(part, plan.runs - sent);
    const double p99 = send(count);
    sent += count;
    const double file = megabytes(rig.database_file());
    (full ? purging : quiet).push_back(p99);
    full = full || file > 0.95 * plan.cap_mb;
    largest = std::max(largest, file);
    largest_log = std::max(largest_log, megabytes(rig.database_file() + "-wal"));
    std::cerr << "retention: " << sent << " sent, file " << file << " MB, p99 " << p99 << " ms\n";
  }
  const bool all = harness::wait_until([&] { return sink.count() >= accepted; }, std::chrono::seconds(120));
  const auto median = [](std::vector<double> values) {
    if (values.empty()) return 0.0;
    std::ranges::sort(values);
    return values[values.size() / 2];
  };
  const double ratio = median(quiet) > 0 ? median(purging) / median(quiet) : 0;
  const int stop_code = rig.host().stop();
  int wrong = largest > plan.cap_mb * 1.1 ? 1 : 0;
  wrong += all && stop_code == 0 && !purging.empty() ? 0 : 1;
  if (plan.comparison && ratio > 2) ++wrong;
  return {{"runs", sent},
          {"accepted", accepted},
          {"arrived", sink.count()},
          {"cap_mb", plan.cap_mb},
          {"largest_file_mb", largest},
          {"largest_log_mb", largest_log},
          {"p99_ms_before", median(quiet)},
          {"p99_ms_purging", median(purging)},
          {"p99_ratio", ratio},
          {"wrong", wrong}};
}

}  // namespace patchbay::scale
