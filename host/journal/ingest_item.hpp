#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "journal/journal.hpp"
#include "journal/packed_body.hpp"

namespace patchbay::journal {

// An id as the database has it, in place: the hot path makes about ten of them a delivery.
class IdText {
 public:
  IdText() = default;
  explicit IdText(const Uuid& id);
  [[nodiscard]] std::string_view view() const { return {text_.data(), text_.size()}; }

 private:
  std::array<char, 36> text_{};
};

// What lies in the commit queue: one Ingest, and who waits for it.
class IngestItem final : public store::GroupCommit::Item {
 public:
  IngestItem(Ingest&& ingest, Journal::Done&& done) : ingest_(std::move(ingest)), done_(std::move(done)) {}

  [[nodiscard]] std::size_t bytes() const override;
  void finished(Result<> result) override;

  // On the commit thread, before each try.
  void begin_try();

  Ingest& ingest() { return ingest_; }
  [[nodiscard]] const Ingest& ingest() const { return ingest_; }
  Journal::Done& done() { return done_; }

  // The delivery that the events came with, new or stored before; null for a poll.
  [[nodiscard]] const DeliveryRecord* source() const;
  [[nodiscard]] int fresh_events() const;

  // Of this try: why nothing of this may be stored. Not found: the watch is stopped; conflict: it was changed.
  std::optional<Errc> refused;
  // Of this try: the event that was there before, with the key of one of these.
  std::string known_event;

  // Valid from the first begin_try() on.
  struct EventTexts {
    IdText id;
    IdText run;
  };
  IdText watch_text;
  IdText flow_text;
  IdText user_text;
  IdText source_text;
  std::vector<EventTexts> event_texts;
  PackedBody body;  // of a new delivery

 private:
  Ingest ingest_;
  Journal::Done done_;
  bool has_texts_ = false;
};

}  // namespace patchbay::journal
