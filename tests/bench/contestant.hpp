#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "harness/host.hpp"
#include "harness/load.hpp"
#include "harness/process.hpp"
#include "harness/scratch.hpp"
#include "harness/simulators.hpp"
#include "harness/sink.hpp"

namespace patchbay::bench {

// A server that turns a signed GitHub webhook into a POST to the sink. One thread.
class Contestant {
 public:
  virtual ~Contestant() = default;
  virtual void launch() = 0;  // exec, without waiting; again after kill() or stop() with what it has kept
  virtual void kill() = 0;    // kill -9
  virtual void stop() = 0;
  [[nodiscard]] virtual harness::Process& process() = 0;
  [[nodiscard]] virtual harness::Target target() const = 0;

  // Waits until it answers connections. Throws after 60 s.
  void wait_until_listening();
};

// `patchbay serve` on a fresh SQLite file with the workload's flow active, the GitHub simulator beside it.
class PatchbayContestant : public Contestant {
 public:
  // database: URL; empty: SQLite in a scratch folder.
  explicit PatchbayContestant(const harness::Sink& sink, const std::string& database = {});

  void launch() override { host_.launch(); }
  void kill() override { host_.kill(); }
  void stop() override { host_.stop(); }
  harness::Process& process() override { return host_.process(); }
  harness::Target target() const override { return target_; }

  // Activates flows that wait for a day in the far future.
  void add_sleeping_flows(int count);

 private:
  harness::ScratchFolder folder_{"bench"};
  harness::Simulators simulators_;
  harness::Host host_;
  harness::Api api_;
  harness::Target target_;
  std::string sink_url_;
};

// reference.js under Node.js.
class NodeContestant : public Contestant {
 public:
  // nullptr: there is no node in the path.
  static std::unique_ptr<NodeContestant> create(const harness::Sink& sink);

  void launch() override;
  void kill() override { process_->kill(); }
  void stop() override { process_->stop(); }
  harness::Process& process() override { return *process_; }
  harness::Target target() const override { return target_; }

 private:
  NodeContestant(std::string node, const harness::Sink& sink);
  std::string node_;
  std::string sink_url_;
  harness::Target target_;
  std::optional<harness::Process> process_;
};

}  // namespace patchbay::bench
