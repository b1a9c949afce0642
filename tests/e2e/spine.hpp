#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "harness/host.hpp"
#include "harness/payload.hpp"
#include "harness/scratch.hpp"
#include "harness/simulators.hpp"

namespace patchbay::e2e {

inline constexpr const char* kChannel = "1100000000000000001";

// A host with its simulators, a user, two connections and the demo flow active: urgent issues go to Discord.
class Spine : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;
  // A new host with these settings, user, connections and flow.
  void begin(const harness::HostSettings& settings);

  // POSTs to the flow's hook as GitHub would. signature: of the header; empty: the right one; "none": no header.
  harness::Reply post_hook(const std::string& body, const std::string& delivery, const std::string& signature = {});
  harness::Reply post_urgent_issue(const std::string& delivery, const std::string& title = "Spelling error");
  [[nodiscard]] static std::string issue_body(const std::string& title, std::vector<std::string> labels = {"urgent"});

  bool wait_for_messages(std::size_t count);
  bool wait_for_runs(const std::string& status, std::size_t count);
  std::size_t count_messages(const std::string& part_of_content);
  double metric(const std::string& part_of_line);  // the sum of all samples whose line holds that

  harness::ScratchFolder folder_{"e2e"};
  harness::Simulators simulators_;
  harness::HostSettings settings_{
      .folder = folder_.path(), .github = simulators_.github(), .discord = simulators_.discord()};
  std::optional<harness::Host> host_;
  std::optional<harness::Api> api_;
  harness::Http http_;
  harness::Hook hook_;
  std::string flow_;
};

// design.md, "A flow, as people write it".
[[nodiscard]] nlohmann::json demo_flow();

}  // namespace patchbay::e2e
