#include "engine/hosts.hpp"

#include <unistd.h>

#include <array>
#include <utility>
#include <vector>

#include "core/log.hpp"

namespace patchbay::engine {
namespace {

using store::Row;
using store::Transaction;

std::string name_of_machine() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  return std::string(name.data()) + ":" + std::to_string(::getpid());
}

Result<> done_or_error(const Result<std::int64_t>& result) {
  if (!result) return std::unexpected(result.error());
  return {};
}

// What a host had, for whoever comes first.
Result<> set_free(Transaction& transaction, std::string_view host, Timestamp now, bool interrupted) {
  auto runs = transaction.execute(
      "UPDATE runs SET host = NULL, wake_at = $2, interrupted = CASE WHEN $3 = 1 THEN 1 ELSE interrupted END "
      "WHERE host = $1 AND status IN ('pending', 'running')",
      {host, micros(now), std::int64_t{interrupted ? 1 : 0}});
  if (!runs) return std::unexpected(runs.error());
  auto watches = transaction.execute("UPDATE watches SET host = NULL, next_at = COALESCE(next_at, $2) WHERE host = $1", {host, micros(now)});
  if (!watches) return std::unexpected(watches.error());
  return transaction.announce();
}

}  // namespace

Hosts::Hosts(store::Database& database, HostId me, std::chrono::milliseconds lease, SteadyNow now)
    : database_(database), me_(me.to_string()), lease_(lease), steady_now_(std::move(now)) {}

Result<> Hosts::enter(Timestamp now) {
  seen_.clear();
  const auto asked = steady_now_();
  auto entered = database_.write([&](Transaction& transaction) {
    return done_or_error(transaction.execute("INSERT INTO hosts (id, name, beat, started_at) VALUES ($1, $2, 0, $3) ON CONFLICT (id) DO NOTHING",
                                             {std::string_view(me_), std::string_view(name_of_machine()), micros(now)}));
  });
  if (!entered) return entered;
  shut_out_ = false;
  sure_until_ = asked + lease_;
  if (auto buried = bury_the_dead(now, Look::first); !buried) return std::unexpected(buried.error());
  return {};
}

Result<bool> Hosts::beat(Timestamp now) {
  const auto asked = steady_now_();
  std::int64_t changed = 0;
  auto counted = database_.write([&](Transaction& transaction) -> Result<> {
    auto done = transaction.execute("UPDATE hosts SET beat = beat + 1 WHERE id = $1", {std::string_view(me_)});
    if (!done) return std::unexpected(done.error());
    changed = *done;
    return {};
  });
  if (!counted) return std::unexpected(counted.error());
  if (changed == 0) {
    shut_out_ = true;
    return fail(Errc::unavailable, "another host has taken this one for dead");
  }
  sure_until_ = asked + lease_;
  return bury_the_dead(now, Look::later);
}

Result<> Hosts::leave(Timestamp now, bool interrupted) {
  return database_.write([&](Transaction& transaction) -> Result<> {
    auto gone = transaction.execute("DELETE FROM hosts WHERE id = $1", {std::string_view(me_)});
    if (!gone) return std::unexpected(gone.error());
    return *gone == 0 ? Result<>{} : set_free(transaction, me_, now, interrupted);
  });
}

// The lock makes whoever removes the row wait for this transaction, and this one for him.
Result<> Hosts::fence(Transaction& transaction) {
  bool in = false;
  auto row = transaction.execute("SELECT id FROM hosts WHERE id = $1 /*postgresql: FOR KEY SHARE*/", {std::string_view(me_)},
                                 [&in](const Row&) { in = true; });
  if (!row) return std::unexpected(row.error());
  if (in) return {};
  shut_out_ = true;
  return fail(Errc::unavailable, "another host has taken this one for dead");
}

Result<bool> Hosts::bury_the_dead(Timestamp now, Look look) {
  std::vector<std::pair<std::string, std::int64_t>> others;
  auto read = database_.read([&](Transaction& transaction) {
    others.clear();
    return done_or_error(transaction.execute("SELECT id, beat FROM hosts WHERE id <> $1", {std::string_view(me_)},
                                             [&](const Row& row) { others.emplace_back(row.text(0), row.integer(1)); }));
  });
  if (!read) return std::unexpected(read.error());
  bool any = false;
  for (const auto& [id, beat] : others) {
    const auto dead = is_dead(id, beat, look);
    if (!dead) return std::unexpected(dead.error());
    if (!*dead) continue;
    const auto buried = bury(id, beat, now);
    if (!buried) return std::unexpected(buried.error());
    any |= *buried;
  }
  return any;
}

// A place may be free for a moment while its host connects anew, so a second look is taken, except at the start: there it
// is mostly this machine's own host of before, and whoever is wrong about it loses nothing but time.
Result<bool> Hosts::is_dead(const std::string& id, std::int64_t beat, Look look) {
  const auto now = steady_now_();
  auto [entry, is_new] = seen_.try_emplace(id, Seen{beat, now, false});
  auto& seen = entry->second;
  if (seen.beat != beat) seen = {beat, now, false};
  const auto held = database_.is_held(id);
  if (!held) return std::unexpected(held.error());
  const bool twice = std::exchange(seen.gone, !*held) && !*held;
  return twice || (look == Look::first && !*held) || now - seen.since >= lease_;
}

Result<bool> Hosts::bury(const std::string& id, std::int64_t beat, Timestamp now) {
  bool buried = false;
  auto written = database_.write([&](Transaction& transaction) -> Result<> {
    buried = false;
    auto gone = transaction.execute("DELETE FROM hosts WHERE id = $1 AND beat = $2", {std::string_view(id), beat});
    if (!gone) return std::unexpected(gone.error());
    if (*gone == 0) return {};  // it lives, or somebody else was faster
    buried = true;
    return set_free(transaction, id, now, true);
  });
  if (!written) return std::unexpected(written.error());
  seen_.erase(id);
  if (buried) log::info("engine", "host {} is gone: what it had is free", id);
  return buried;
}

}  // namespace patchbay::engine
