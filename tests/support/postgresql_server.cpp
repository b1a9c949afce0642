#include "support/postgresql_server.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

namespace patchbay::support {
namespace {

namespace fs = std::filesystem;

// Debian keeps one folder a version, not in PATH.
fs::path programs() {
  if (const char* said = std::getenv("PATCHBAY_TEST_POSTGRESQL")) return said;
  fs::path newest;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql", error)) {
    const auto folder = entry.path() / "bin";
    if (fs::exists(folder / "initdb") && folder > newest) newest = folder;
  }
  if (newest.empty()) throw std::runtime_error("PostgreSQL is not installed: tools/deps install test");
  return newest;
}

// PostgreSQL does not run as root: then as somebody who owns nothing else.
const passwd* other_user() {
  if (::geteuid() != 0) return nullptr;
  const passwd* user = ::getpwnam("postgres");
  if (user == nullptr) user = ::getpwnam("nobody");
  if (user == nullptr) throw std::runtime_error("PostgreSQL does not run as root, and there is no user postgres or nobody");
  return user;
}

pid_t launch(std::vector<std::string> words, const fs::path& output) {
  const passwd* user = other_user();
  std::vector<char*> arguments;
  for (auto& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child != 0) return child;
  const int log = ::open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666);
  const int nothing = ::open("/dev/null", O_RDONLY);
  ::dup2(nothing, STDIN_FILENO);
  ::dup2(log, STDOUT_FILENO);
  ::dup2(log, STDERR_FILENO);
  ::close_range(3, ~0U, 0);
  if (user != nullptr && (::setgroups(0, nullptr) != 0 || ::setgid(user->pw_gid) != 0 || ::setuid(user->pw_uid) != 0)) ::_exit(126);
  ::prctl(PR_SET_PDEATHSIG, SIGQUIT);  // after the change of user, which clears it
  if (::getppid() != parent) ::_exit(125);
  ::setenv("LC_ALL", "C", 1);
  ::execv(arguments.front(), arguments.data());
  ::_exit(127);
}

std::uint16_t free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const bool bound = ::bind(socket, reinterpret_cast<const sockaddr*>(&address), size) == 0 &&
                     ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  ::close(socket);
  if (!bound) throw std::runtime_error("no free port");
  return ntohs(address.sin_port);
}

std::string text_of(const fs::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

PostgresqlServer::PostgresqlServer() {
  auto pattern = (fs::temp_directory_path() / "patchbay-postgresql-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
  folder_ = pattern;
  if (const passwd* user = other_user()) {
    if (::chown(folder_.c_str(), user->pw_uid, user->pw_gid) != 0) throw std::runtime_error("the folder cannot be given away");
  }
  const pid_t made = launch({programs() / "initdb", "--pgdata", folder_ / "data", "--username", "patchbay", "--auth", "trust",
                             "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"},
                            folder_ / "initdb.log");
  int status = 0;
  ::waitpid(made, &status, 0);
  if (status != 0) throw std::runtime_error("initdb failed: " + text_of(folder_ / "initdb.log"));
  port_ = free_port();
  start();
}

PostgresqlServer::~PostgresqlServer() {
  stop(SIGQUIT);
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

PostgresqlServer& PostgresqlServer::shared() {
  static PostgresqlServer server;
  return server;
}

void PostgresqlServer::start() {
  server_ = launch({programs() / "postgres", "-D", folder_ / "data", "-k", folder_, "-h", "127.0.0.1", "-p", std::to_string(port_),
                    "-c", "max_connections=200"},
                   folder_ / "server.log");
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{60};
  while (!answers()) {
    if (::waitpid(server_, nullptr, WNOHANG) != 0 || std::chrono::steady_clock::now() > deadline) {
      server_ = 0;
      throw std::runtime_error("PostgreSQL does not start: " + text_of(folder_ / "server.log"));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
  }
}

void PostgresqlServer::stop(int signal) {
  if (server_ <= 0) return;
  ::kill(server_, signal);
  ::waitpid(server_, nullptr, 0);
  server_ = 0;
}

bool PostgresqlServer::answers() const { return PQping(url("postgres").c_str()) == PQPING_OK; }

std::string PostgresqlServer::url(const std::string& database) const {
  return "postgresql://patchbay@127.0.0.1:" + std::to_string(port_) + "/" + database;
}

std::string PostgresqlServer::make_database() {
  const auto name = "test_" + std::to_string(++databases_);
  run("CREATE DATABASE " + name);
  return url(name);
}

void PostgresqlServer::drop_database(const std::string& url) {
  if (server_ > 0) run("DROP DATABASE IF EXISTS " + url.substr(url.rfind('/') + 1) + " WITH (FORCE)");
}

void PostgresqlServer::run(const std::string& sql) {
  const std::unique_ptr<PGconn, void (*)(PGconn*)> connection(PQconnectdb(url("postgres").c_str()), PQfinish);
  const std::unique_ptr<PGresult, void (*)(PGresult*)> result(PQexec(connection.get(), sql.c_str()), PQclear);
  const auto status = PQresultStatus(result.get());
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) throw std::runtime_error(sql + ": " + PQerrorMessage(connection.get()));
}

}  // namespace patchbay::support
