#include "app/config.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

namespace patchbay::app {
namespace {

class ConfigTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("config-test-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override {
    std::filesystem::remove_all(folder_);
    ::unsetenv("PATCHBAY_SERVER_PORT");
    ::unsetenv("PATCHBAY_PROVIDERS_GITHUB_BASE_URL");
  }
  std::string file(std::string_view text) {
    const auto path = folder_ / "patchbay.toml";
    std::ofstream(path) << text;
    return path.string();
  }
  std::filesystem::path folder_;
};

TEST_F(ConfigTest, TheExampleIsTheDefault) {
  const auto example = load_config(std::string(PATCHBAY_SOURCE_DIRECTORY) + "/config/patchbay.example.toml", {});
  ASSERT_TRUE(example.has_value()) << example.error().message;
  const auto shown = settings_of(*example);
  const auto defaults = settings_of(Config{});
  ASSERT_EQ(shown.size(), defaults.size());
  for (std::size_t i = 0; i < shown.size(); ++i) EXPECT_EQ(shown[i].value, defaults[i].value) << shown[i].name;
}

TEST_F(ConfigTest, TheExampleNamesEverySetting) {
  std::ifstream in(std::string(PATCHBAY_SOURCE_DIRECTORY) + "/config/patchbay.example.toml");
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  for (const auto& setting : settings_of(Config{})) {
    const auto key = setting.name.substr(setting.name.find('.') + 1);
    EXPECT_NE(text.find("\n" + key + " = "), std::string::npos) << setting.name;
  }
}

TEST_F(ConfigTest, FlagBeatsEnvironmentBeatsFile) {
  const auto path = file("[server]\nport = 1111\naddress = \"127.0.0.9\"\n");
  EXPECT_EQ(load_config(path, {})->gateway.port, 1111);
  ::setenv("PATCHBAY_SERVER_PORT", "2222", 1);
  EXPECT_EQ(load_config(path, {})->gateway.port, 2222);
  const auto config = load_config(path, {{"server.port", "3333"}});
  EXPECT_EQ(config->gateway.port, 3333);
  EXPECT_EQ(config->gateway.address, "127.0.0.9");
}

TEST_F(ConfigTest, APasswordIsNotShown) {
  const auto shown = [](const std::string& url) {
    Config config;
    config.database_url = url;
    for (const auto& setting : settings_of(config)) {
      if (setting.name == "database.url") return setting.value;
    }
    return std::string();
  };
  EXPECT_EQ(shown("postgresql://me:s3@cr:et@db:5432/name?sslmode=require"), "postgresql://me:***@db:5432/name?sslmode=require");
  EXPECT_EQ(shown("postgresql://db/name?user=me&password=secret&sslmode=require"), "postgresql://db/name?user=me&password=***&sslmode=require");
  EXPECT_EQ(shown("postgresql://me@db:5432/name"), "postgresql://me@db:5432/name");
  EXPECT_EQ(shown("sqlite:var/patchbay.db"), "sqlite:var/patchbay.db");
}

TEST_F(ConfigTest, ProvidersAreNamedByTheUser) {
  ::setenv("PATCHBAY_PROVIDERS_GITHUB_BASE_URL", "http://127.0.0.1:1", 1);
  const auto config = load_config(file("[providers.http]\nallowed_hosts = [\"a.example\", \"b.example\"]\n"), {});
  ASSERT_TRUE(config.has_value());
  EXPECT_EQ(config->providers.at("github").base_url, "http://127.0.0.1:1");
  EXPECT_EQ(config->providers.at("http").allowed_hosts, (std::vector<std::string>{"a.example", "b.example"}));
}

struct Fault {
  std::string name;
  std::string text;
  std::string message;
};
class ConfigFault : public ConfigTest, public ::testing::WithParamInterface<Fault> {};

TEST_P(ConfigFault, IsNamedWithItsPlace) {
  const auto config = load_config(file(GetParam().text), {});
  ASSERT_FALSE(config.has_value());
  EXPECT_NE(config.error().message.find(GetParam().message), std::string::npos) << config.error().message;
}

INSTANTIATE_TEST_SUITE_P(
    Table, ConfigFault,
    ::testing::Values(
        Fault{"syntax", "[server\n", "patchbay.toml:1"},
        Fault{"unknown", "[server]\nprot = 1\n", "patchbay.toml:2: there is no setting 'server.prot'"},
        Fault{"number", "[server]\nport = 70000\n", "server.port must be a whole number from 0 to 65535, not '70000'"},
        Fault{"flag", "[log]\njson = \"yes\"\n", "log.json must be true or false"},
        Fault{"duration", "[server]\nidle_timeout = \"5 minutes\"\n", "must be a duration"},
        Fault{"level", "[log]\nlevel = \"loud\"\n", "must be trace, debug"},
        Fault{"provider", "[providers.x]\ncolour = 1\n", "a provider has base_url"}),
    [](const auto& info) { return info.param.name; });

TEST_F(ConfigTest, AMissingFileIsAnError) {
  const auto config = load_config("/nonexistent/patchbay.toml", {});
  ASSERT_FALSE(config.has_value());
  EXPECT_EQ(config.error().code, Errc::not_found);
}

}  // namespace
}  // namespace patchbay::app
