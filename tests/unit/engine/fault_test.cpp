// A whole scenario, over and over, with another one of its writes going wrong each time: nothing that was accepted is
// lost, and nothing is done twice under another key.
#include <array>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "engine_rig.hpp"
#include "support/faulty_database.hpp"

namespace patchbay::engine {
namespace {

using support::Fault;
using support::FaultyDatabase;

class EveryWrite : public EngineRig, public ::testing::WithParamInterface<Fault> {
 protected:
  // One round on a new database. False: the scenario has no such write.
  bool run(int write) {
    EngineRig::TearDown();
    random_.seed(static_cast<unsigned>(write));
    messages_by_text_.clear();
    EngineRig::SetUp();
    activate(demo(R"(,"retry":{"attempts":5,"first_ms":1,"longest_ms":2})"));
    auto* faulty = wrap();
    faulty->arm(GetParam(), write);
    discord_answers_ = {egress::HttpReply{200, {}, R"({"id":"1"})"}, egress::HttpReply{500, {}, "{}"}};
    for (const auto* id : {"d1", "d2", "d2", "d3"}) {
      send(id);
      jump();
    }
    bool ended = loop_->run_until([&] { return unarmed_runs() == 3 || faulty->happened(); }, std::chrono::seconds{20});
    const bool crashes = GetParam() == Fault::crash_before || GetParam() == Fault::crash_after;
    const bool happened = faulty->happened();
    faulty->arm(GetParam(), 1 << 30);  // the rest goes well
    if (happened && crashes) {
      crash();
      boot();
      for (const auto& id : std::set(unanswered_)) send(id);  // the provider tries again
    }
    // Where a clock was set back, what waits is due when it has come there again.
    ended = loop_->run_until(
        [&] {
          clock_.advance(std::chrono::milliseconds{50});
          return runs({"completed"}).size() == 3;
        },
        std::chrono::seconds{20});
    note_messages();
    EXPECT_TRUE(ended) << "write " << write << ": " << runs({"completed"}).size() << " of 3 runs have ended";
    EXPECT_EQ(runs().size(), 3U) << "write " << write;
    EXPECT_EQ(messages_by_text_.size(), 3U) << "write " << write;
    for (const auto& [text, nonces] : messages_by_text_) EXPECT_EQ(nonces.size(), 1U) << "write " << write << ": " << text << " has two keys";
    return happened;
  }

  // Clocks are set, forwards and back. The seed is the number of the write, so that a failure can be had again.
  void jump() {
    const int seconds = std::uniform_int_distribution<int>(-3, 5)(random_);
    clock_.advance(std::chrono::seconds{seconds});
  }
  // What the test looks at by itself is not a read of the engine.
  std::size_t unarmed_runs() {
    auto* faulty = static_cast<FaultyDatabase*>(database_.get());
    return faulty->unarmed([this] { return runs({"completed"}).size(); });
  }

  FaultyDatabase* wrap() {
    // The engine was made with the real one: it starts anew on this.
    crash();
    wraps_ = true;
    boot();
    wraps_ = false;
    return static_cast<FaultyDatabase*>(database_.get());
  }
  std::unique_ptr<store::Database> opened(std::unique_ptr<store::Database> database) override {
    if (wraps_) return std::make_unique<FaultyDatabase>(std::move(database));
    return database;
  }

  // As a provider does: until it is told 2xx.
  void send(const std::string& id) {
    for (int tries = 0; tries < 5; ++tries) {
      if (deliver(issue("issue " + id), id) / 100 == 2) {
        unanswered_.erase(id);
        return;
      }
    }
    unanswered_.insert(id);
  }

  void crash() override {
    note_messages();
    EngineRig::crash();
  }
  void note_messages() {
    if (!client_) return;
    for (const auto& request : client_->requests) {
      if (request.provider != "discord") continue;
      const auto body = nlohmann::json::parse(request.body);
      messages_by_text_[body.at("content")].insert(body.at("nonce").dump());
    }
  }

  bool wraps_ = false;
  std::mt19937 random_;
  std::set<std::string> unanswered_;
  std::map<std::string, std::set<std::string>> messages_by_text_;
};

TEST_P(EveryWrite, MayGoWrong) {
  int write = 1;
  while (run(write) && !HasFailure()) ++write;
  // How often it reads depends on how long it takes.
  EXPECT_GT(write, GetParam() == Fault::read_refused ? 2 : 5) << "the scenario calls the store more often than that";
}

std::string name_of_fault(const ::testing::TestParamInfo<Fault>& info) {
  constexpr std::array kNames{"refused", "answer_lost", "crash_before", "crash_after", "late", "read_refused"};
  return kNames[static_cast<std::size_t>(info.param)];
}
INSTANTIATE_TEST_SUITE_P(Engine, EveryWrite,
                         ::testing::Values(Fault::refused, Fault::answer_lost, Fault::crash_before, Fault::crash_after, Fault::late,
                                           Fault::read_refused),
                         name_of_fault);

}  // namespace
}  // namespace patchbay::engine
