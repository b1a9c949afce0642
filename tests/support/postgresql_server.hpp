#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>

namespace patchbay::support {

// A PostgreSQL server of our own: a new cluster in a temporary folder, on a free port of 127.0.0.1, durable as in
// production. Ends with this process, whatever happens to it. Throws when the programs are not installed.
class PostgresqlServer {
 public:
  PostgresqlServer();
  ~PostgresqlServer();
  PostgresqlServer(const PostgresqlServer&) = delete;
  PostgresqlServer& operator=(const PostgresqlServer&) = delete;

  // One that all of this process share; made at the first call.
  static PostgresqlServer& shared();

  // A new, empty database; its URL.
  std::string make_database();
  void drop_database(const std::string& url);
  [[nodiscard]] std::string url(const std::string& database) const;

  void start();           // and waits until it takes connections
  void stop(int signal);  // SIGINT: connections are cut; SIGQUIT: as a crash. Waits for its end
  void run(const std::string& sql);  // as its administrator; throws when it fails
  [[nodiscard]] pid_t pid() const { return server_; }

  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }  // of its files

 private:
  [[nodiscard]] bool answers() const;

  std::filesystem::path folder_;
  std::uint16_t port_ = 0;
  pid_t server_ = 0;
  int databases_ = 0;
};

}  // namespace patchbay::support
