#include "vault/reseal.hpp"

#include <fmt/format.h>

#include "vault/purpose.hpp"

namespace patchbay::vault {
namespace {

using store::Row;
using store::Transaction;

constexpr std::int64_t kLot = 100;
// A host that seals with the old key at the very moment is met by the second pass.
constexpr int kPasses = 5;

// A column that holds envelopes. The statements live as long as the program: drivers keep them by their address.
struct SealedColumn {
  std::string table;
  std::string read;     // key, envelope, subject, owner of the rows behind key $1, $2 of them
  std::string replace;  // row $1 from envelope $2 to $3
  Purpose (*purpose)(std::string_view subject, UserId owner);
};

// Columns of the table are t.x; join brings in what else subject and owner need.
SealedColumn column(const std::string& table, const std::string& key, const std::string& envelope, const std::string& subject,
                    const std::string& owner, const std::string& join, Purpose (*purpose)(std::string_view, UserId)) {
  return {table,
          fmt::format("SELECT t.{}, t.{}, {}, {} FROM {} t {} WHERE t.{} > $1 AND LENGTH(t.{}) > 0 ORDER BY t.{} LIMIT $2", key, envelope, subject,
                      owner, table, join, key, envelope, key),
          fmt::format("UPDATE {} SET {} = $3 WHERE {} = $1 AND {} = $2", table, envelope, key, envelope), purpose};
}

template <class RecordId>
RecordId id_of(std::string_view text) {
  return RecordId::parse(text).value_or(RecordId{});
}

// All that is sealed. One more table is one more line.
const std::vector<SealedColumn>& columns() {
  static const std::vector<SealedColumn> all{
      column("credentials", "id", "sealed", "t.connection_id", "c.user_id", "JOIN connections c ON c.id = t.connection_id",
             [](std::string_view id, UserId owner) { return credential_purpose(id_of<ConnectionId>(id), owner); }),
      column("watches", "id", "secret", "t.id", "t.user_id", "",
             [](std::string_view id, UserId owner) { return watch_purpose(id_of<WatchId>(id), owner); }),
      column("authorizations", "id", "sealed", "t.id", "t.user_id", "", authorization_purpose),
  };
  return all;
}

struct SealedRow {
  std::string key;
  std::string envelope;
  Purpose purpose;
  std::string anew;  // empty: stays
};

Result<std::vector<SealedRow>> read_lot(store::Database& database, const SealedColumn& column, const std::string& after) {
  std::vector<SealedRow> lot;
  auto read = database.read([&](Transaction& transaction) -> Result<> {
    lot.clear();
    auto rows = transaction.execute(column.read, {std::string_view(after), kLot}, [&](const Row& row) {
      lot.push_back({std::string(row.text(0)), std::string(row.blob(1)),
                     column.purpose(row.text(2), UserId::parse(row.text(3)).value_or(UserId{})), {}});
    });
    if (!rows) return std::unexpected(rows.error());
    return {};
  });
  if (!read) return std::unexpected(read.error());
  return lot;
}

// Fills anew where it is to be replaced.
Result<> seal_anew(const Vault& vault, const SealedColumn& column, std::vector<SealedRow>& lot, const std::vector<KeyName>& present) {
  std::vector<Sealed> sealed;
  std::vector<SealedRow*> rows;
  for (auto& row : lot) {
    if (Vault::is_present(row.envelope, present)) continue;
    sealed.push_back({row.envelope, row.purpose});
    rows.push_back(&row);
  }
  const auto opened = vault.open_all(sealed);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const auto explain = [&](const Error& error) {
      return fail(error.code, fmt::format("row {} of {} cannot be sealed anew: {}", rows[i]->key, column.table, error.message));
    };
    if (!opened[i]) return explain(opened[i].error());
    auto anew = vault.seal(*opened[i], rows[i]->purpose);
    if (!anew) return explain(anew.error());
    rows[i]->anew = *std::move(anew);
  }
  return {};
}

Result<std::int64_t> replace(store::Database& database, const SealedColumn& column, const std::vector<SealedRow>& lot) {
  std::int64_t replaced = 0;
  auto written = database.write([&](Transaction& transaction) -> Result<> {
    replaced = 0;
    for (const auto& row : lot) {
      if (row.anew.empty()) continue;
      auto changed = transaction.execute(column.replace, {std::string_view(row.key), store::Blob{row.envelope}, store::Blob{row.anew}});
      if (!changed) return std::unexpected(changed.error());
      replaced += *changed;
    }
    return {};
  });
  if (!written) return std::unexpected(written.error());
  return replaced;
}

Result<ResealProgress> reseal_column(store::Database& database, const Vault& vault, const SealedColumn& column,
                                     const std::vector<KeyName>& present, const std::function<void(const ResealProgress&)>& progress) {
  ResealProgress so_far{.table = column.table};
  for (std::string after;;) {
    auto lot = read_lot(database, column, after);
    if (!lot) return std::unexpected(lot.error());
    if (lot->empty()) return so_far;
    after = lot->back().key;
    if (auto done = seal_anew(vault, column, *lot, present); !done) return std::unexpected(done.error());
    const auto wanted = std::count_if(lot->begin(), lot->end(), [](const auto& row) { return !row.anew.empty(); });
    const auto replaced = wanted == 0 ? Result<std::int64_t>(0) : replace(database, column, *lot);
    if (!replaced) return std::unexpected(replaced.error());
    so_far.looked_at += static_cast<std::int64_t>(lot->size());
    so_far.sealed_anew += *replaced;
    so_far.changed_meanwhile += wanted - *replaced;
    progress(so_far);
  }
}

}  // namespace

Result<std::int64_t> reseal_all(store::Database& database, const Vault& vault, const std::function<void(const ResealProgress&)>& progress) {
  std::int64_t all = 0;
  for (int pass = 0; pass < kPasses; ++pass) {
    std::int64_t open = 0;
    const auto present = vault.present_keys();
    if (!present) return std::unexpected(present.error());
    for (const auto& column : columns()) {
      const auto done = reseal_column(database, vault, column, *present, progress);
      if (!done) return std::unexpected(done.error());
      all += done->sealed_anew;
      open += done->sealed_anew + done->changed_meanwhile;
    }
    if (open == 0) return all;
  }
  return all;
}

Result<std::map<KeyName, std::int64_t>> count_keys(store::Database& database) {
  std::map<KeyName, std::int64_t> counts;
  for (const auto& column : columns()) {
    for (std::string after;;) {
      const auto lot = read_lot(database, column, after);
      if (!lot) return std::unexpected(lot.error());
      if (lot->empty()) break;
      after = lot->back().key;
      for (const auto& row : *lot) {
        for (auto& name : Vault::keys_of(row.envelope)) ++counts[std::move(name)];
      }
    }
  }
  return counts;
}

}  // namespace patchbay::vault
