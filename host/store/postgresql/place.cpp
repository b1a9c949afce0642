#include "store/postgresql/place.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <array>
#include <cstdint>
#include <string_view>
#include <thread>
#include <utility>

#include <libpq-fe.h>

#include "core/log.hpp"
#include "store/postgresql/connection.hpp"

namespace patchbay::store::postgresql {
namespace {

constexpr int kAgainMs = 1'000;  // until a connection that broke is tried again

struct Finish {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
using Session = std::unique_ptr<PGconn, Finish>;

struct Clear {
  void operator()(PGresult* result) const { PQclear(result); }
};

std::string reason_of(const PGconn* connection) {
  const std::string_view text(PQerrorMessage(connection));
  return std::string(text.substr(0, text.find('\n')));
}

Result<Session> open_session(const std::string& url, const std::string& name) {
  Session session(PQconnectdb(with_defaults(url).c_str()));
  if (PQstatus(session.get()) != CONNECTION_OK) return fail(Errc::unavailable, "the database cannot be reached: " + reason_of(session.get()));
  const std::array<const char*, 1> parameters{name.c_str()};
  const std::unique_ptr<PGresult, Clear> locked(
      PQexecParams(session.get(), "SELECT pg_advisory_lock(hashtextextended($1, 7061746368626179))", 1, nullptr, parameters.data(), nullptr, nullptr, 0));
  if (PQresultStatus(locked.get()) != PGRES_TUPLES_OK) return fail(Errc::unavailable, "the host's place cannot be taken: " + reason_of(session.get()));
  const std::unique_ptr<PGresult, Clear> listening(PQexec(session.get(), "LISTEN patchbay"));
  if (PQresultStatus(listening.get()) != PGRES_COMMAND_OK) return fail(Errc::unavailable, "the host cannot listen: " + reason_of(session.get()));
  return session;
}

}  // namespace

struct Place::Impl {
  std::string url;
  std::string name;
  std::function<void()> heard;
  Session session;
  int stop = ::eventfd(0, EFD_CLOEXEC);
  std::thread thread;

  ~Impl() {
    if (stop >= 0) ::close(stop);
  }

  // False: it is to stop. Waits for the session's next bytes, or for at most so long.
  bool wait(int limit_ms) {
    std::array<pollfd, 2> files{{{stop, POLLIN, 0}, {session ? PQsocket(session.get()) : -1, POLLIN, 0}}};
    while (::poll(files.data(), files.size(), limit_ms) < 0 && errno == EINTR) {
    }
    return files[0].revents == 0;
  }

  void run() {
    while (wait(session ? -1 : kAgainMs)) {
      if (session) listen();
      else reconnect();
    }
  }

  void listen() {
    const bool alive = PQconsumeInput(session.get()) == 1 && PQstatus(session.get()) == CONNECTION_OK;
    bool any = false;
    while (PGnotify* note = PQnotifies(session.get())) {
      any = true;
      PQfreemem(note);
    }
    if (any && heard) heard();
    if (alive) return;
    log::warn("store", "the host's place is lost, with its connection: {}", reason_of(session.get()));
    session.reset();
  }

  void reconnect() {
    auto opened = open_session(url, name);
    if (!opened) return;
    session = *std::move(opened);
    log::info("store", "the host's place is taken again");
    if (heard) heard();
  }
};

Place::Place(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {
  impl_->thread = std::thread([impl = impl_.get()] { impl->run(); });
}

Place::~Place() {
  const std::uint64_t one = 1;
  while (::write(impl_->stop, &one, sizeof one) < 0 && errno == EINTR) {
  }
  impl_->thread.join();
}

Result<std::unique_ptr<Place>> Place::take(const std::string& url, std::string name, std::function<void()> heard) {
  auto session = open_session(url, name);
  if (!session) return std::unexpected(session.error());
  auto impl = std::make_unique<Impl>();
  impl->url = url;
  impl->name = std::move(name);
  impl->heard = std::move(heard);
  impl->session = *std::move(session);
  return std::unique_ptr<Place>(new Place(std::move(impl)));
}

}  // namespace patchbay::store::postgresql
