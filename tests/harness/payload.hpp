#pragma once

#include <string>
#include <vector>

namespace patchbay::harness {

// The body of a GitHub "issues" webhook: the members and the size (11.6 KB) of a real one, made from these values.
// bench_id is not GitHub's: it numbers deliveries and stands last, so that a signature over the next number costs
// the tail only.
struct Issue {
  std::string owner = "octo-org";
  std::string repository = "Hello-World";
  std::string sender = "Codertocat";
  std::string action = "opened";
  int number = 1;
  std::string title = "Spelling error in the README file";
  std::vector<std::string> labels = {"bug"};
  std::string bench_id = "BID000000000000";
};

[[nodiscard]] std::string issues_payload(const Issue& issue);

// "BID" and twelve digits: what the generator writes over the place holder and the sinks look for.
[[nodiscard]] std::string bench_id(unsigned long long number);
inline constexpr std::size_t kBenchIdLength = 15;

}  // namespace patchbay::harness
