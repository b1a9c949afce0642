#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "harness/host.hpp"
#include "harness/load.hpp"
#include "harness/scratch.hpp"
#include "harness/simulators.hpp"

namespace patchbay::scale {

// A host on SQLite, its database on the disk of the build tree, with a GitHub whose hook is known. One thread.
class Rig {
 public:
  explicit Rig(const std::string& more = {});

  [[nodiscard]] harness::Host& host() { return host_; }
  [[nodiscard]] harness::Api& api() { return api_; }
  // Every GitHub issue becomes a POST to url. Its id.
  std::string activate(const std::string& url, const std::string& more_of_reaction = {});
  [[nodiscard]] harness::Target target() { return harness::hook_target(host_, simulators_); }
  [[nodiscard]] std::string database_file() const { return (folder_.path() / "patchbay.db").string(); }

 private:
  harness::ScratchFolder folder_{"scale"};
  harness::Simulators simulators_;
  harness::Host host_;
  harness::Api api_;
};

// A GitHub issue's webhook of about so many bytes, most of which do not pack.
[[nodiscard]] std::string payload_of(std::size_t bytes);

}  // namespace patchbay::scale
