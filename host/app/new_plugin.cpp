// patchbay plugin new: a folder with a provider of one's own, made from tools/plugin-template.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/commands.hpp"
#include "app/program.hpp"

namespace patchbay::app {
namespace {

namespace fs = std::filesystem;

// Where cmake --install puts it, seen from this program; else the source tree that it was built from.
fs::path template_folder() {
  const auto installed = program_folder().parent_path() / "share/patchbay/plugin-template";
  return fs::exists(installed) ? installed : fs::path(PATCHBAY_TEMPLATE_FOLDER);
}

bool is_id(std::string_view name) {
  return !name.empty() && name.size() <= 40 && name.front() >= 'a' && name.front() <= 'z' &&
         std::all_of(name.begin(), name.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) text.replace(at, from.size(), to);
}

// @if WORD ... @end around lines; @id@ and @Name@ in them.
std::string filled(const std::string& text, const NewPlugin& wanted) {
  auto title = wanted.id;
  title.front() = static_cast<char>(title.front() - 'a' + 'A');
  std::istringstream in(text);
  std::string out;
  bool take = true;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("@if ")) {
      take = line.substr(4) == wanted.trigger;
    } else if (line == "@end") {
      take = true;
    } else if (take) {
      out += line + "\n";
    }
  }
  replace_all(out, "@id@", wanted.id);
  replace_all(out, "@Name@", title);
  return out;
}

Result<> copy_tree(const fs::path& from, const fs::path& to, const NewPlugin& wanted) {
  std::error_code error;
  for (fs::recursive_directory_iterator at(from, error), end; !error && at != end; at.increment(error)) {
    const auto target = to / fs::relative(at->path(), from);
    if (at->is_directory()) continue;
    fs::create_directories(target.parent_path(), error);
    std::ifstream in(at->path());
    std::ostringstream text;
    text << in.rdbuf();
    std::ofstream out(target);
    out << filled(text.str(), wanted);
    out.close();
    if (!in || !out) return fail(Errc::unavailable, "cannot write " + target.string());
  }
  if (error) return fail(Errc::not_found, fmt::format("the template {} cannot be read: {}", from.string(), error.message()));
  return {};
}

}  // namespace

Result<> new_plugin(const Context& context, const NewPlugin& wanted) {
  if (!is_id(wanted.id)) {
    return fail(Errc::invalid, fmt::format("'{}' is no name for a provider: small letters, digits and _, a letter first, at most 40", wanted.id));
  }
  if (wanted.trigger == "socket") {
    return fail(Errc::invalid, "this version of the host does not serve sockets yet: --trigger webhook or poll");
  }
  const fs::path folder = wanted.folder.empty() ? wanted.id : wanted.folder;
  if (fs::exists(folder)) return fail(Errc::conflict, folder.string() + " is there already");
  const auto from = template_folder();
  for (const auto& part : {std::string("common"), wanted.language}) {
    if (auto copied = copy_tree(from / part, folder, wanted); !copied) return copied;
  }
  const auto path = folder.string();
  context.output.print({{"id", wanted.id}, {"folder", path}, {"language", wanted.language}, {"trigger", wanted.trigger}},
                       {"made " + path + ". Next:", "  cd " + path, "  cmake -B build && cmake --build build",
                        "  ctest --test-dir build --output-on-failure",
                        fmt::format("  patchbay dev --plugin build/{}.so --flow flow.json", wanted.id)});
  return {};
}

}  // namespace patchbay::app
