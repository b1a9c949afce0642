#pragma once

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include <gtest/gtest.h>
#include <signal.h>

#include "harness/clock.hpp"
#include "harness/process.hpp"
#include "harness/scratch.hpp"
#include "support/soft_token.hpp"
#include "support/transit_server.hpp"
#include "vault/keys/local_keys.hpp"
#include "vault/keys/pkcs11_keys.hpp"
#include "vault/keys/transit_keys.hpp"

namespace patchbay::vault {

// Where a provider's keys are kept, for tests: it can go away and come back.
class KeyPlace {
 public:
  virtual ~KeyPlace() = default;
  // As after a start of the host.
  virtual std::unique_ptr<KeyProvider> provider() = 0;
  virtual void go_away() = 0;
  virtual void come_back() = 0;
};

class LocalPlace final : public KeyPlace {
 public:
  explicit LocalPlace(const std::filesystem::path& folder) : file_{folder / "key"} { EXPECT_TRUE(KeyRing::create(file_)); }
  std::unique_ptr<KeyProvider> provider() override { return make_local_keys(KeyRing::open(file_).value()); }
  void go_away() override {}
  void come_back() override {}

 private:
  KeyFile file_;
};

class TransitPlace final : public KeyPlace {
 public:
  TransitPlace() { ::setenv("PATCHBAY_VAULT_TRANSIT_TOKEN", "s.token", 1); }
  ~TransitPlace() override { ::unsetenv("PATCHBAY_VAULT_TRANSIT_TOKEN"); }
  std::unique_ptr<KeyProvider> provider() override { return make_transit_keys(settings()).value(); }
  void go_away() override { server_.set_trouble(support::TransitServer::Trouble::hangs_up); }
  void come_back() override { server_.set_trouble(support::TransitServer::Trouble::none); }

  [[nodiscard]] TransitSettings settings() const { return {.url = server_.url(), .name_space = "", .token_file = "", .ca_file = "", .timeout = std::chrono::milliseconds(2000)}; }
  support::TransitServer& server() { return server_; }

 private:
  support::TransitServer server_;
};

class Pkcs11Place final : public KeyPlace {
 public:
  explicit Pkcs11Place(const std::filesystem::path& folder) : token_(folder / "softhsm") { EXPECT_TRUE(provider()->rotate()); }
  std::unique_ptr<KeyProvider> provider() override {
    return make_pkcs11_keys({.module = support::SoftToken::module(), .token = "patchbay", .pin_file = token_.pin_file()}).value();
  }
  void go_away() override { token_.pull(); }
  void come_back() override { token_.plug_in(); }

 private:
  support::SoftToken token_;
};

// The real program, where there is one in the PATH: a server in memory ("vault server -dev").
class DevVaultPlace final : public KeyPlace {
 public:
  static bool is_installed() { return std::system("command -v vault > /dev/null 2>&1") == 0; }

  DevVaultPlace()
      : port_(harness::free_port()),
        server_({.program = "/usr/bin/env",
                 .arguments = {"vault", "server", "-dev", "-dev-no-store-token", "-dev-root-token-id=s.token", "-dev-listen-address=127.0.0.1:" + std::to_string(port_)}}) {
    ::setenv("PATCHBAY_VAULT_TRANSIT_TOKEN", "s.token", 1);
    EXPECT_TRUE(harness::wait_until([this] { return run("status"); }));
    EXPECT_TRUE(run("secrets enable transit") && run("write -f transit/keys/patchbay"));
  }
  ~DevVaultPlace() override { ::unsetenv("PATCHBAY_VAULT_TRANSIT_TOKEN"); }
  std::unique_ptr<KeyProvider> provider() override {
    return make_transit_keys({.url = url(), .name_space = "", .token_file = "", .ca_file = "", .timeout = std::chrono::milliseconds(1000)}).value();
  }
  void go_away() override { ::kill(server_.pid(), SIGSTOP); }
  void come_back() override { ::kill(server_.pid(), SIGCONT); }

 private:
  [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] bool run(const std::string& command) const {
    return std::system(("VAULT_TOKEN=s.token VAULT_ADDR=" + url() + " vault " + command + " > /dev/null 2>&1").c_str()) == 0;
  }

  std::uint16_t port_;
  harness::Process server_;
};

// nullptr: what it needs is not installed here.
inline std::unique_ptr<KeyPlace> make_key_place(const std::string& kind, const std::filesystem::path& folder) {
  if (kind == "transit") return std::make_unique<TransitPlace>();
  if (kind == "local") return std::make_unique<LocalPlace>(folder);
  if (kind == "vault") return DevVaultPlace::is_installed() ? std::make_unique<DevVaultPlace>() : nullptr;
  if (!support::SoftToken::is_installed()) return nullptr;
  return std::make_unique<Pkcs11Place>(folder);
}

// With a folder and a place of its own; skipped with a message where the place cannot be made.
class WithKeyPlace : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    root_ = std::filesystem::temp_directory_path() / ("keys-test-" + std::to_string(::getpid()));
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories(root_);
    place_ = make_key_place(GetParam(), root_);
    const bool is_vault = GetParam() == std::string_view("vault");
    if (!place_) GTEST_SKIP() << (is_vault ? "no program vault is in the PATH" : "softhsm2 is not installed (tools/deps install test)");
  }
  void TearDown() override {
    place_.reset();
    std::filesystem::remove_all(root_);
  }

  std::filesystem::path root_;
  std::unique_ptr<KeyPlace> place_;
};

}  // namespace patchbay::vault
