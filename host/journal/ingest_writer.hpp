#pragma once

#include <span>
#include <vector>

#include "journal/ingest_item.hpp"

namespace patchbay::journal {

// Writes the Ingests of one batch, in a handful of statements however many they are. On the commit thread.
class IngestWriter {
 public:
  // host: who carries the runs out; outlives this.
  IngestWriter(store::Transaction& transaction, std::span<store::GroupCommit::Item* const> items, std::string_view host);

  Result<> write();

 private:
  Result<> refuse_stopped();
  Result<> insert_events();
  Result<> mark_duplicates();
  Result<> find_known();
  Result<> insert_deliveries();
  Result<> insert_runs();
  Result<> hand_over_runs();
  Result<> update_deliveries();
  Result<> update_watches();
  // Runs sql over params_ and empties them; returns the rows changed.
  Result<std::int64_t> flush(std::string_view sql, std::size_t columns, const store::OnRow& on_row = {});

  store::Transaction& transaction_;
  std::string_view host_;
  std::vector<IngestItem*> items_;  // without the refused ones, after refuse_stopped()
  std::vector<store::Param> params_;
};

}  // namespace patchbay::journal
