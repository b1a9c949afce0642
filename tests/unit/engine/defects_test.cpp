// What other systems of this kind got wrong in delivery, retry, replay and status: each has a test by the name of the defect.
#include <nlohmann/json.hpp>
#include <set>

#include "engine/replay.hpp"
#include "engine/run_actions.hpp"
#include "engine_rig.hpp"
#include "support/faulty_database.hpp"

namespace patchbay::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using std::chrono::seconds;

class Defects : public EngineRig {
 protected:
  std::vector<nlohmann::json> sent() const {
    std::vector<nlohmann::json> bodies;
    for (const auto& request : client_->requests) {
      if (request.provider == "discord") bodies.push_back(nlohmann::json::parse(request.body));
    }
    return bodies;
  }
  std::size_t hooks_made() const {
    return static_cast<std::size_t>(std::count_if(client_->requests.begin(), client_->requests.end(),
                                                  [](const auto& request) { return request.provider == "github" && request.method == "POST"; }));
  }
  static std::string message(const std::string& id, const std::string& after, const std::string& content) {
    return R"({"id":")" + id + R"(","reaction":"discord.send_channel_message","connection":"team","after":)" + after +
           R"(,"params":{"channel_id":"1100000000000000001","content":")" + content + R"("}})";
  }
  static std::string flow_of(const std::string& nodes) {
    return R"({"name":"f","nodes":[{"id":"opened","trigger":"github.issues","connection":"octo","params":{"owner":"octo","repo":"hello","actions":["opened"]}},)" +
           nodes + "]}";
  }
};

TEST_F(Defects, outbox_gives_up_to_dead_letter) {
  for (int i = 0; i < 3; ++i) discord_answers_.push_back(egress::HttpReply{500, {}, "{}"});
  activate(demo(R"(,"retry":{"attempts":3,"first_ms":1,"longest_ms":1})"));
  deliver(issue("x"), "d1");
  ASSERT_TRUE(wait_for_runs(1, "failed"));
  EXPECT_EQ(messages(), 3U) << "not for ever";
  const auto letters = list_dead_letters(*database_, user_, 10, "");
  ASSERT_EQ(letters->size(), 1U);
  EXPECT_EQ(letters->front().kind, "failed");
  EXPECT_THAT(letters->front().reason, HasSubstr("500"));
  ASSERT_TRUE(insert_replay(*database_, {.user = user_, .run = letters->front().run, .from = "tell"}, clock_.now()));
  engine_->look_for_runs();
  ASSERT_TRUE(wait_for_runs(1, "completed"));
  EXPECT_TRUE(list_dead_letters(*database_, user_, 10, "")->empty());
}

TEST_F(Defects, two_identical_comments_on_purpose) {
  activate(demo());
  deliver(issue("same"), "d1");
  deliver(issue("same"), "d2");
  ASSERT_TRUE(wait_for_runs(2, "completed"));
  const auto bodies = sent();
  ASSERT_EQ(bodies.size(), 2U);
  EXPECT_EQ(bodies[0].at("content"), bodies[1].at("content"));
  EXPECT_NE(bodies[0].at("nonce"), bodies[1].at("nonce")) << "two events, two messages";
}

TEST_F(Defects, two_identical_steps_of_one_run) {
  activate(flow_of(message("a", R"(["opened"])", "ping") + "," + message("b", R"(["opened"])", "ping")));
  deliver(issue("x"), "d1");
  ASSERT_TRUE(wait_for_runs(1, "completed"));
  ASSERT_EQ(sent().size(), 2U);
  EXPECT_NE(sent()[0].at("nonce"), sent()[1].at("nonce"));
}

TEST_F(Defects, same_trigger_twice_in_one_flow) {
  const std::string second = R"({"id":"again","trigger":"github.issues","connection":"octo","params":{"owner":"octo","repo":"hello","actions":["closed"]}},)";
  activate(flow_of(second + message("tell", R"(["opened","again"])", "seen")));
  std::vector<egress::HttpRequest> hooks;
  std::copy_if(client_->requests.begin(), client_->requests.end(), std::back_inserter(hooks),
               [](const auto& request) { return request.method == "POST" && request.provider == "github"; });
  ASSERT_EQ(hooks.size(), 2U);
  int events = 0;
  for (const auto& hook : hooks) {
    const auto at = hook.body.find("/hooks/") + 7;
    token_ = hook.body.substr(at, hook.body.find('"', at) - at);
    hook_secret_ = hook.expansions.at(0).second.reveal();
    for (const auto* action : {"opened", "closed"}) EXPECT_EQ(deliver(issue("x", "urgent", action), "d" + std::to_string(++events)), 204);
  }
  ASSERT_TRUE(wait_for_runs(2, "completed")) << "each trigger takes its own action";
  EXPECT_EQ(messages(), 2U);
}

TEST_F(Defects, push_to_other_repo_is_ignored) {
  const auto hello = activate(demo());
  auto definition = demo();
  definition.replace(definition.find("\"hello\""), 7, "\"other\"");
  const auto other = activate(definition);
  EXPECT_EQ(deliver(issue("x"), "d1"), 204);
  ASSERT_TRUE(wait_for_runs(1, "completed"));
  EXPECT_EQ(runs().at(0).flow, other);
  EXPECT_NE(runs().at(0).flow, hello);
}

TEST_F(Defects, restart_is_idempotent_at_provider) {
  activate(demo());
  EXPECT_EQ(hooks_made(), 1U);
  crash();
  boot();
  loop_->run_until([] { return false; }, std::chrono::milliseconds{100});
  EXPECT_EQ(hooks_made(), 0U) << "the provider notices nothing of a restart";
  EXPECT_EQ(deliver(issue("x"), "d1"), 204);
  EXPECT_TRUE(wait_for_runs(1, "completed"));
}

TEST_F(Defects, webhook_starts_workflow) {
  activate(demo());
  EXPECT_EQ(deliver(issue("x"), "d1"), 204);
  EXPECT_TRUE(wait_for_runs(1, "completed"));
}

TEST_F(Defects, diamond_runs_once) {
  activate(flow_of(message("left", R"(["opened"])", "left") + "," + message("right", R"(["opened"])", "right") + "," +
                   message("join", R"(["left","right"])", "join")));
  deliver(issue("x"), "d1");
  ASSERT_TRUE(wait_for_runs(1, "completed"));
  ASSERT_EQ(sent().size(), 3U);
  EXPECT_EQ(sent().back().at("content"), "join");
}

TEST_F(Defects, merge_waits) {
  client_->silent_to = [](const auto& request) { return request.body.find("left") != std::string::npos; };
  activate(flow_of(message("left", R"(["opened"])", "left") + "," + message("right", R"(["opened"])", "right") + "," +
                   message("join", R"(["left","right"])", "join")));
  deliver(issue("x"), "d1");
  ASSERT_TRUE(loop_->run_until([&] { return messages() == 2; }, seconds{5}));
  loop_->run_until([] { return false; }, std::chrono::milliseconds{100});
  EXPECT_EQ(messages(), 2U) << "the other branch is not done";
}

TEST_F(Defects, if_takes_one_branch) {
  activate(flow_of(R"({"id":"urgent","if":"{{ 'urgent' in opened.issue.labels.name }}","after":["opened"]},)" +
                   message("yes", R"(["urgent:true"])", "yes") + "," + message("no", R"(["urgent:false"])", "no")));
  deliver(issue("x"), "d1");
  deliver(issue("x", "later"), "d2");
  ASSERT_TRUE(wait_for_runs(2, "completed"));
  std::multiset<std::string> contents;
  for (const auto& body : sent()) contents.insert(body.at("content"));
  EXPECT_THAT(contents, ElementsAre("no", "yes"));
}

TEST_F(Defects, template_cannot_execute) {
  activate(demo());
  deliver(issue("<%= process.exit() %> ${7*7} {{ opened.issue.number }} $eval(1)"), "d1");
  ASSERT_TRUE(wait_for_runs(1, "completed"));
  EXPECT_EQ(sent().at(0).at("content"), "mona: <%= process.exit() %> ${7*7} {{ opened.issue.number }} $eval(1)");
}

// The second of two that are under way is answered 2xx only with what is stored.
class InFlight : public Defects {
 protected:
  std::unique_ptr<store::Database> opened(std::unique_ptr<store::Database> database) override {
    auto faulty = std::make_unique<support::FaultyDatabase>(std::move(database));
    faulty_ = faulty.get();
    return faulty;
  }
  support::FaultyDatabase* faulty_ = nullptr;
};

TEST_F(InFlight, inflight_duplicate_then_failure) {
  activate(demo());
  faulty_->arm(support::Fault::refused, 1);
  const auto first = send(issue("x"), "d1");
  const auto second = send(issue("x"), "d1");
  ASSERT_TRUE(loop_->run_until([&] { return first->has_value() && second->has_value(); }, seconds{10}));
  EXPECT_EQ(**first, 503) << "its write fails";
  // Whether they are one write or two, who is told 2xx has a run.
  if (**second == 503) {
    EXPECT_TRUE(runs().empty());
    EXPECT_EQ(deliver(issue("x"), "d1"), 204);
  }
  ASSERT_TRUE(wait_for_runs(1, "completed"));
  EXPECT_EQ(runs().size(), 1U);
  EXPECT_EQ(messages(), 1U);
}

}  // namespace
}  // namespace patchbay::engine
