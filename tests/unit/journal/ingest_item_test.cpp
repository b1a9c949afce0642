#include "journal/ingest_item.hpp"

#include <gtest/gtest.h>

namespace patchbay::journal {
namespace {

TEST(IdText, IsWhatTheIdSays) {
  for (const auto* text : {"00000000-0000-0000-0000-000000000000", "0190abcd-ef01-7234-9abc-def012345678"}) {
    EXPECT_EQ(IdText(*Uuid::parse(text)).view(), text);
  }
  const auto made = Uuid::make(from_millis(1'700'000'000'000));
  EXPECT_EQ(IdText(made).view(), made.to_string());
}

TEST(IngestItem, CountsTheBytesThatItKeepsAlive) {
  const IngestItem empty(Ingest{}, {});
  Ingest made;
  made.delivery.emplace().body = std::string_view("0123456789");
  made.events.emplace_back().data = std::string(500, 'x');
  made.state = std::string(1000, 's');
  const IngestItem item(std::move(made), {});
  EXPECT_GE(item.bytes(), empty.bytes() + 1510);
  EXPECT_LT(item.bytes(), empty.bytes() + 2510);
}

TEST(IngestItem, ForgetsWhatATryThatWasRolledBackFound) {
  Ingest made;
  made.events.emplace_back();
  IngestItem item(std::move(made), {});
  item.begin_try();
  item.refused = Errc::conflict;
  item.ingest().events[0].duplicate = true;
  EXPECT_EQ(item.fresh_events(), 0);
  item.begin_try();
  EXPECT_FALSE(item.refused);
  EXPECT_EQ(item.fresh_events(), 1);
}

TEST(IngestItem, TellsWhyNothingWasStored) {
  Errc told = Errc::internal;
  const auto note = [&told](Result<Ingest> result) { told = result.error().code; };
  IngestItem refused(Ingest{}, note);
  refused.refused = Errc::not_found;
  refused.finished({});
  EXPECT_EQ(told, Errc::not_found);
  IngestItem failed(Ingest{}, note);
  failed.finished(fail(Errc::exhausted, "the disk is full"));
  EXPECT_EQ(told, Errc::exhausted);
}

TEST(DeliveryStatus, HasTheNamesThatAreStored) {
  EXPECT_EQ(name_of(DeliveryStatus::pending), "pending");
  EXPECT_EQ(name_of(DeliveryStatus::processing), "processing");
  EXPECT_EQ(name_of(DeliveryStatus::processed), "processed");
  EXPECT_EQ(name_of(DeliveryStatus::retry_ready), "retry_ready");
  EXPECT_EQ(name_of(DeliveryStatus::dead), "dead");
}

}  // namespace
}  // namespace patchbay::journal
