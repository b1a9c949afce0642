#include "plugin/probe.hpp"

#include <cstring>

#include <fmt/format.h>

#include "plugin/child.hpp"

namespace patchbay::plugin {

Result<> probe_in_child(const std::string& program, const std::string& file, std::chrono::milliseconds limit) {
  auto end = run_child({program, "plugin", "probe", file}, limit);
  if (!end) return std::unexpected(end.error());
  if (end->late) return fail(Errc::timeout, fmt::format("the probe did not end within {} ms", limit.count()));
  if (end->signal != 0) {
    return fail(Errc::invalid, fmt::format("the probe was killed by: {}", ::strsignal(end->signal)));
  }
  if (end->exit_code != 0) {
    const auto line = last_line(std::move(end->errors));
    // What the program says of the file begins with its own name and the file's.
    const auto known = line.find(file + ": ");
    return fail(Errc::invalid, known == std::string::npos ? line : line.substr(known + file.size() + 2));
  }
  return {};
}

Prober probe_with_this_program() {
  return [](const std::string& file) { return probe_in_child("/proc/self/exe", file); };
}

}  // namespace patchbay::plugin
