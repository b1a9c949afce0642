// Plugin files without a running host: what they are, and whether they are trusted.
#include <cstring>
#include <fstream>
#include <sstream>

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/commands.hpp"
#include "app/offline_registry.hpp"
#include "plugin/trust.hpp"

namespace patchbay::app {
namespace {

using nlohmann::json;

Result<std::string> read_text(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  if (!in || !(text << in.rdbuf())) return fail(Errc::not_found, "cannot read " + file);
  return std::move(text).str();
}

}  // namespace

Result<> list_plugins(const Context& context) {
  OfflineRegistry registry(context.config);
  if (auto loaded = registry->load(); !loaded) return loaded;
  json list = json::array();
  std::vector<std::vector<std::string>> rows{{"ID", "VERSION", "STATE", "FILE"}};
  for (const auto& info : registry->list()) {
    list.push_back({{"id", info.id}, {"version", info.version}, {"file", info.file}, {"sha256", info.sha256},
                    {"loaded", info.loaded}, {"failure", info.failure}});
    rows.push_back({info.id, info.version, info.loaded ? "ok" : "refused: " + info.failure, info.file});
  }
  context.output.print(list, Output::table(rows));
  return {};
}

Result<> probe_plugin(const Context& context, const std::string& file) {
  const TemporaryFolder folder;
  const auto info = plugin::Registry::check(file, folder.path());
  if (!info.failure.empty()) return fail(Errc::denied, fmt::format("{}: {}", file, info.failure));
  context.output.print({{"id", info.id}, {"version", info.version}, {"sha256", info.sha256}},
                       {fmt::format("{}: {} {} can be loaded", file, info.id, info.version)});
  return {};
}

Result<> create_signing_key(const Context& context, const std::string& key_file) {
  const auto key = plugin::make_signing_key();
  // Never over a key that is there.
  const int file = ::open(key_file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return fail(Errc::conflict, fmt::format("cannot make {}: {}", key_file, std::strerror(errno)));
  const auto line = std::string(key.secret.reveal()) + "\n";
  const bool written = ::write(file, line.data(), line.size()) == static_cast<ssize_t>(line.size()) && ::fsync(file) == 0;
  ::close(file);
  if (!written) return fail(Errc::unavailable, "cannot write " + key_file);
  context.output.print({{"key_file", key_file}, {"public_key", key.public_key}},
                       {"made " + key_file + ": keep it to yourself",
                        "public key, for plugins.trusted_keys: " + key.public_key});
  return {};
}

Result<> sign_plugin(const Context& context, const std::string& file, const std::string& key_file) {
  auto text = read_text(key_file);
  if (!text) return std::unexpected(text.error());
  auto key = plugin::read_signing_key(*text);
  if (!key) return fail(key.error().code, key_file + ": " + key.error().message);
  auto bytes = read_text(file);
  if (!bytes) return std::unexpected(bytes.error());
  std::ofstream out(file + ".sig", std::ios::binary);
  out << plugin::sign(*key, *bytes);
  out.close();
  if (!out) return fail(Errc::unavailable, "cannot write " + file + ".sig");
  context.output.print({{"file", file}, {"signature", file + ".sig"}, {"public_key", key->public_key}},
                       {"signed: " + file + ".sig"});
  return {};
}

Result<> verify_plugin(const Context& context, const std::string& file) {
  auto trust = context.config.trust;
  if (trust.level == plugin::TrustLevel::any) trust.level = plugin::TrustLevel::signed_files;
  const TemporaryFolder folder;
  const auto copy = plugin::PrivateCopy::make(file, folder.path(), trust);
  if (!copy) return fail(Errc::denied, fmt::format("{}: {}", file, copy.error().message));
  context.output.print({{"file", file}, {"sha256", copy->sha256()}}, {fmt::format("{}: trusted ({})", file, copy->sha256())});
  return {};
}

}  // namespace patchbay::app
