#include "crash/kill_loop.hpp"

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <random>
#include <stdexcept>
#include <thread>

#include "harness/clock.hpp"
#include "support/postgresql_server.hpp"

namespace patchbay::crash {
namespace {

using harness::steady_ns;
using std::chrono::milliseconds;

class Loop {
 public:
  explicit Loop(const Plan& plan) : plan_(plan), random_(plan.seed) {
    if (plan.postgresql) server_.emplace();
  }

  // One strike. The times when it happens and what the load does meanwhile come from random_.
  void strike_once() {
    if (!rig_) {
      if (server_) database_ = server_->make_database();
      rig_.emplace("crash", server_ ? database_ : plan_.database, "", plan_.park);
      if (plan_.chaos > 0) rig_->simulators().confuse_discord(plan_.chaos, plan_.seed, 3000);
    }
    const auto after = milliseconds(std::uniform_int_distribution(50, 1500)(random_));
    const bool goes_on = std::bernoulli_distribution(0.5)(random_);
    const auto then = milliseconds(std::uniform_int_distribution(0, 400)(random_));
    auto settings = rig_->load_settings();
    settings.concurrency = plan_.concurrency;
    harness::Load load(std::move(settings));
    std::this_thread::sleep_for(after);
    if (!rig_->host().running()) throw std::runtime_error("the host ended by itself:\n" + rig_->host().log());
    const auto began_ns = steady_ns();
    strike(goes_on ? nullptr : &load);
    verdict_.longest_restart_ms = std::max(verdict_.longest_restart_ms, static_cast<double>(steady_ns() - began_ns) / 1e6);
    std::this_thread::sleep_for(then);
    load.stop();
    rig_->add(load.finish());
  }

  [[nodiscard]] std::size_t accepted() const { return rig_->accepted(); }
  void judge() {
    if (plan_.chaos > 0) rig_->simulators().confuse_discord(0, 0, 0);
    rig_->judge(verdict_);
    rig_.reset();
    if (server_) server_->drop_database(database_);
  }
  [[nodiscard]] const Verdict& verdict() const { return verdict_; }

 private:
  // load: is stopped once the host is gone.
  void strike(harness::Load* load) {
    auto what = plan_.strike;
    if (what == Strike::any) what = static_cast<Strike>(std::uniform_int_distribution(0, 2)(random_));
    switch (what) {
      case Strike::server:
        server_->stop(SIGQUIT);
        return server_->start();
      case Strike::connections:
        return server_->run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL");
      default:
        rig_->host().kill();
        if (load != nullptr) load->stop();
        return rig_->host().start();
    }
  }

  const Plan& plan_;
  std::mt19937_64 random_;
  std::optional<support::PostgresqlServer> server_;
  std::string database_;
  std::optional<harness::MessageRig> rig_;
  Verdict verdict_;
};

}  // namespace

Verdict run(const Plan& plan, const std::function<void(const std::string&)>& progress) {
  Loop loop(plan);
  for (int round = 1; round <= plan.rounds; ++round) {
    loop.strike_once();
    progress("round " + std::to_string(round) + ": " + std::to_string(loop.accepted()) + " accepted so far");
    if (plan.fresh || round == plan.rounds) loop.judge();
  }
  return loop.verdict();
}

}  // namespace patchbay::crash
