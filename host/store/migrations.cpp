#include "store/migrations.hpp"

#include <array>

#include <fmt/format.h>
#include <sodium.h>

#include "core/bytes.hpp"
#include "core/log.hpp"
#include "core/time.hpp"

namespace patchbay::store {
namespace {

struct Applied {
  int version;
  std::string name;
  std::string sha256;
};

// Of the file as it is, for all dialects: whoever edits an applied migration is to notice it on any database.
std::string sha256_of(const Migration& migration) {
  std::array<unsigned char, crypto_hash_sha256_BYTES> hash{};
  const std::string text = fmt::format("{}\n--\n{}", migration.up, migration.down);
  crypto_hash_sha256(hash.data(), reinterpret_cast<const unsigned char*>(text.data()), text.size());
  return to_hex({reinterpret_cast<const char*>(hash.data()), hash.size()});
}

// SQLite compares text by its bytes. So does PostgreSQL with this collation, whatever the database's own is: our ids are
// ordered by it.
void collate_by_bytes(std::string& sql) {
  constexpr std::string_view kType = " TEXT";
  constexpr std::string_view kCollation = " COLLATE \"C\"";
  for (auto at = sql.find(kType); at != std::string::npos; at = sql.find(kType, at + kType.size())) {
    const auto end = at + kType.size();
    if (end == sql.size() || std::string_view(" ,\n)").find(sql[end]) != std::string_view::npos) sql.insert(end, kCollation);
  }
}

// The lines of one dialect: "-- sqlite: x" stands for x there, and is left out elsewhere.
std::string in_dialect(std::string_view sql, std::string_view dialect) {
  constexpr std::array<std::string_view, 2> kDialects{"sqlite", "postgresql"};
  std::string result;
  while (!sql.empty()) {
    const auto end = std::min(sql.find('\n'), sql.size());
    auto line = sql.substr(0, end);
    sql.remove_prefix(std::min(end + 1, sql.size()));
    const auto start = std::min(line.find_first_not_of(' '), line.size());
    bool wanted = true;
    for (const auto name : kDialects) {
      const auto mark = fmt::format("-- {}: ", name);
      if (!line.substr(start).starts_with(mark)) continue;
      wanted = name == dialect;
      line.remove_prefix(start + mark.size());
      break;
    }
    if (wanted) result.append(line).append("\n");
  }
  if (dialect == "postgresql") collate_by_bytes(result);
  return result;
}

Result<std::vector<Applied>> applied(Database& database) {
  auto made = database.run_script(
      "CREATE TABLE IF NOT EXISTS schema_migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, "
      "sha256 TEXT NOT NULL, applied_at BIGINT NOT NULL)");
  if (!made) return std::unexpected(made.error());
  std::vector<Applied> list;
  auto read = database.read([&list](Transaction& transaction) -> Result<> {
    list.clear();
    auto rows = transaction.execute(
        "SELECT version, name, sha256 FROM schema_migrations ORDER BY version", {}, [&list](const Row& row) {
          list.push_back({static_cast<int>(row.integer(0)), std::string(row.text(1)), std::string(row.text(2))});
        });
    if (!rows) return std::unexpected(rows.error());
    return {};
  });
  if (!read) return std::unexpected(read.error());
  return list;
}

Result<> check_texts(const std::vector<Applied>& list, const std::vector<Migration>& known) {
  for (const auto& done : list) {
    const auto found =
        std::find_if(known.begin(), known.end(), [&](const auto& one) { return one.version == done.version; });
    if (found == known.end()) continue;  // newer than this program: the caller says so
    if (found->name != done.name || sha256_of(*found) != done.sha256) {
      return fail(Errc::conflict, fmt::format("migration {} ({}) of the database is not the one of this program: it "
                                              "was changed after it had been applied",
                                              done.version, done.name));
    }
  }
  return {};
}

std::string_view begin_of(const Database& database) {
  return database.dialect() == "sqlite" ? "BEGIN IMMEDIATE" : "BEGIN";
}

Result<> step_up(Database& database, const Migration& migration) {
  log::info("store", "migration {} ({}): up", migration.version, migration.name);
  return database.run_script(
      fmt::format("{};\n{}\nINSERT INTO schema_migrations (version, name, sha256, applied_at) VALUES ({}, '{}', '{}', "
                  "{});\nCOMMIT;",
                  begin_of(database), in_dialect(migration.up, database.dialect()), migration.version, migration.name,
                  sha256_of(migration), micros(system_clock().now())));
}

Result<> step_down(Database& database, const Migration& migration) {
  log::info("store", "migration {} ({}): down", migration.version, migration.name);
  return database.run_script(fmt::format("{};\n{}\nDELETE FROM schema_migrations WHERE version = {};\nCOMMIT;",
                                         begin_of(database), in_dialect(migration.down, database.dialect()),
                                         migration.version));
}

}  // namespace

std::vector<Migration> migrations() {
  return {
#include "migrations.inc"
  };
}

Result<MigrationState> migration_state(Database& database) {
  const auto known = migrations();
  auto list = applied(database);
  if (!list) return std::unexpected(list.error());
  if (auto checked = check_texts(*list, known); !checked) return std::unexpected(checked.error());
  return MigrationState{list->empty() ? 0 : list->back().version, known.back().version};
}

Result<> migrate(Database& database, int version) {
  const auto known = migrations();
  auto state = migration_state(database);
  if (!state) return std::unexpected(state.error());
  if (state->current > state->latest) {
    return fail(Errc::conflict, fmt::format("the database has schema {}, this program knows {}: use the newer program",
                                            state->current, state->latest));
  }
  if (version < 0 || version > state->latest) {
    return fail(Errc::invalid, fmt::format("there is no schema {}: the latest is {}", version, state->latest));
  }
  for (int next = state->current; next < version; ++next) {
    if (auto done = step_up(database, known[static_cast<std::size_t>(next)]); !done) return done;
  }
  for (int last = state->current; last > version; --last) {
    if (auto done = step_down(database, known[static_cast<std::size_t>(last) - 1]); !done) return done;
  }
  return {};
}

Result<> migrate_to_latest(Database& database) { return migrate(database, migrations().back().version); }

}  // namespace patchbay::store
