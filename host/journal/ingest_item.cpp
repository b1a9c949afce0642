#include "journal/ingest_item.hpp"

namespace patchbay::journal {

IdText::IdText(const Uuid& id) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::size_t at = 0;
  for (std::size_t i = 0; i < id.bytes().size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text_[at++] = '-';
    text_[at++] = kDigits[id.bytes()[i] >> 4];
    text_[at++] = kDigits[id.bytes()[i] & 15];
  }
}

std::size_t IngestItem::bytes() const {
  std::size_t total = sizeof(*this);
  for (const auto* delivery : {&ingest_.delivery, &ingest_.finished_delivery}) {
    if (*delivery) total += (*delivery)->body.size() + (*delivery)->headers_json.size() + (*delivery)->query.size();
  }
  for (const auto& event : ingest_.events) total += sizeof(event) + event.key.size() + event.data.size();
  if (ingest_.state) total += ingest_.state->size();
  return total;
}

void IngestItem::finished(Result<> result) {
  if (!result) return done_(std::unexpected(std::move(result.error())));
  if (refused) {
    return done_(fail(*refused, *refused == Errc::conflict ? "the watch was changed in the meantime" : "the watch is not active any more"));
  }
  done_(std::move(ingest_));
}

void IngestItem::begin_try() {
  refused.reset();
  known_event.clear();
  for (auto& event : ingest_.events) event.duplicate = false;
  if (std::exchange(has_texts_, true)) return;
  watch_text = IdText(ingest_.watch.uuid());
  flow_text = IdText(ingest_.flow.uuid());
  user_text = IdText(ingest_.user.uuid());
  if (const auto* delivery = source()) source_text = IdText(delivery->id.uuid());
  if (ingest_.delivery) body = PackedBody(ingest_.delivery->body);
  event_texts.reserve(ingest_.events.size());
  for (const auto& event : ingest_.events) event_texts.push_back({IdText(event.id.uuid()), IdText(event.run.uuid())});
}

const DeliveryRecord* IngestItem::source() const {
  if (ingest_.delivery) return &*ingest_.delivery;
  return ingest_.finished_delivery ? &*ingest_.finished_delivery : nullptr;
}

int IngestItem::fresh_events() const {
  return static_cast<int>(
      std::count_if(ingest_.events.begin(), ingest_.events.end(), [](const auto& event) { return !event.duplicate; }));
}

}  // namespace patchbay::journal
