// kill -9 in the middle of the commits, on every database.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <tuple>

#include "contract/journal_fixture.hpp"
#include "contract/places.hpp"

namespace patchbay::journal {
namespace {

using testing::SizeIs;

// The child appends until it has seen some commits, tells the parent of each by a pipe, and kills itself with others
// still on their way.
[[noreturn]] void append_and_die(const test::Place& place, int pipe, UserId user, FlowId flow, WatchId watch) {
  auto database = place.open();
  Loop loop;
  Journal journal{"host"};
  GroupCommit commit(*database, loop, {&journal}, {});
  journal.attach(commit, 0);
  int committed = 0;
  for (int i = 0; i < 400; ++i) {
    Ingest made;
    made.watch = watch;
    made.flow = flow;
    made.user = user;
    made.now = system_clock().now();
    auto& delivery = made.delivery.emplace();
    delivery.id = DeliveryId::make(made.now);
    auto body = std::make_shared<const std::string>(12'000, 'b');
    delivery.body = *body;
    delivery.owner = std::move(body);
    delivery.method = "POST";
    made.events.push_back(
        {.id = EventId::make(made.now), .key = fmt::format("k{}", i), .is_body = true, .run = RunId::make(made.now)});
    if (!journal.append(made, [&](Result<Ingest> result) {
          if (!result) _exit(3);
          const auto id = result->delivery->id.to_string();
          if (::write(pipe, id.data(), id.size()) != static_cast<ssize_t>(id.size())) _exit(4);
          if (++committed == 120) ::kill(::getpid(), SIGKILL);
        })) {
      _exit(5);
    }
    (void)loop.run_ready();
  }
  loop.run_until([] { return false; }, kLongEnough);
  _exit(6);
}

class JournalCrash : public testing::TestWithParam<test::Adapter> {};

INSTANTIATE_TEST_SUITE_P(Databases, JournalCrash, testing::ValuesIn(test::adapters()),
                         [](const auto& info) { return info.param.name; });

TEST_P(JournalCrash, LosesNothingThatWasAcknowledged) {
  const auto place = GetParam().make();
  UserId user;
  FlowId flow;
  WatchId watch;
  {  // no thread and no open database in the child
    Fixture before(place->open());
    before.add_watch(before.watch);
    std::tie(user, flow, watch) = std::tuple(before.user, before.flow, before.watch);
  }
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) append_and_die(*place, ends[1], user, flow, watch);
  ::close(ends[1]);
  std::string acknowledged;
  std::array<char, 4096> buffer{};
  for (ssize_t got = 0; (got = ::read(ends[0], buffer.data(), buffer.size())) > 0;) {
    acknowledged.append(buffer.data(), static_cast<std::size_t>(got));
  }
  ::close(ends[0]);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "status " << status;
  ASSERT_EQ(acknowledged.size(), 120U * 36);

  Fixture after(place->open());
  for (std::size_t at = 0; at < acknowledged.size(); at += 36) {
    const auto id = DeliveryId::parse(acknowledged.substr(at, 36));
    ASSERT_TRUE(id);
    const auto found = find_delivery(*after.database, user, *id);
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ(found->body.size(), 12'000U);
    ASSERT_THAT(found->event_list, SizeIs(1));
    EXPECT_TRUE(found->event_list[0].run);
  }
  EXPECT_EQ(after.count("events"), after.count("deliveries"));
  EXPECT_EQ(after.count("runs"), after.count("deliveries"));
}

}  // namespace
}  // namespace patchbay::journal
