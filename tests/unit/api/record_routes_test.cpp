// Runs, deliveries and connections, from rows as the engine leaves them.
#include "api_fixture.hpp"

namespace patchbay::api {
namespace {

using nlohmann::json;
using store::Blob;
using ::testing::HasSubstr;

class RecordRoutes : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    sign_up("ada@example.org");
    watch_ = WatchId::make(clock_.now()).to_string();
    const auto made = json_of(call("POST", "/flows", R"({"name": "one"})"));
    flow_ = made.at("id");
  }
  void write(std::string_view sql, std::initializer_list<store::Param> params) {
    const auto written = database_->write([&](store::Transaction& transaction) -> Result<> {
      auto rows = transaction.execute(sql, params);
      if (!rows) return std::unexpected(rows.error());
      return {};
    });
    ASSERT_TRUE(written) << written.error().message;
  }
  std::string add_delivery(std::string_view body, std::string_view status = "processed") {
    const auto id = DeliveryId::make(clock_.now()).to_string();
    write(
        "INSERT INTO deliveries (id, watch_id, flow_id, user_id, received_at, method, query, headers, body, body_size, "
        "status, attempt, http_status, events) VALUES ($1, $2, $3, $4, $5, 'POST', '', $6, $7, $9, $8, 1, 202, 0)",
        {std::string_view(id), std::string_view(watch_), std::string_view(flow_), std::string_view(user().to_string()),
         micros(clock_.now()), std::string_view(R"({"a": "b"})"), Blob{body}, status,
         static_cast<std::int64_t>(body.size())});
    return id;
  }
  std::string add_run(std::string_view status) {
    const auto id = RunId::make(clock_.now()).to_string();
    const auto event = EventId::make(clock_.now()).to_string();
    write(
        "INSERT INTO events (id, watch_id, event_key, run_id, data, occurred_at, received_at) "
        "VALUES ($1, $2, $1, $3, '{}', $4, $4)",
        {std::string_view(event), std::string_view(watch_), std::string_view(id), micros(clock_.now())});
    write(
        "INSERT INTO runs (id, flow_id, flow_version, user_id, watch_id, event_id, status, created_at) "
        "VALUES ($1, $2, 1, $3, $4, $5, $6, $7)",
        {std::string_view(id), std::string_view(flow_), std::string_view(user().to_string()), std::string_view(watch_),
         std::string_view(event), status, micros(clock_.now())});
    return id;
  }
  std::size_t count(const std::string& target) { return json_of(call("GET", target)).at("data").size(); }

  std::string watch_;
  std::string flow_;
};

TEST_F(RecordRoutes, RunsAreFilteredAndPaged) {
  const auto first = add_run("completed");
  add_run("failed");
  const auto last = add_run("running");
  EXPECT_EQ(count("/runs"), 3U);
  EXPECT_EQ(count("/runs?status=failed"), 1U);
  EXPECT_EQ(count("/runs?status=failed,running"), 2U);
  EXPECT_EQ(count("/runs?flow_id=" + flow_), 3U);
  EXPECT_EQ(count("/runs?flow_id=" + first), 0U);
  const auto page = json_of(call("GET", "/runs?limit=2"));
  ASSERT_EQ(page.at("data").size(), 2U);
  EXPECT_EQ(page["data"][0].at("id"), last);
  const auto rest = json_of(call("GET", "/runs?limit=2&cursor=" + page.at("next").get<std::string>()));
  ASSERT_EQ(rest.at("data").size(), 1U);
  EXPECT_EQ(rest["data"][0].at("id"), first);
  EXPECT_TRUE(rest.at("next").is_null());
}

TEST_F(RecordRoutes, ARunIsShownToItsOwnerOnly) {
  const auto id = add_run("completed");
  const auto shown = json_of(call("GET", "/runs/" + id));
  EXPECT_EQ(shown.at("status"), "completed");
  EXPECT_EQ(shown.at("watch_id"), watch_);
  EXPECT_TRUE(shown.at("finished_at").is_null());
  EXPECT_TRUE(shown.at("steps").is_array());
  EXPECT_EQ(call("GET", "/why?id=" + id).status, 200);
  sign_up("eve@example.org");
  EXPECT_EQ(call("GET", "/runs/" + id).status, 404);
  EXPECT_EQ(call("GET", "/why?id=" + id).status, 404);
  EXPECT_EQ(count("/runs"), 0U);
}

TEST_F(RecordRoutes, ADeliveryIsShownWithItsBody) {
  const std::string text = R"({"action":"opened"})";
  const auto id = add_delivery(text);
  const auto shown = json_of(call("GET", "/deliveries/" + id));
  EXPECT_EQ(shown.at("body"), json::parse(text));
  EXPECT_EQ(shown.at("headers"), json({{"a", "b"}}));
  EXPECT_EQ(shown.at("http_status"), 202);
  EXPECT_EQ(shown.at("body_bytes"), text.size());
  sign_up("eve@example.org");
  EXPECT_EQ(call("GET", "/deliveries/" + id).status, 404);
  EXPECT_EQ(count("/deliveries"), 0U);
}

TEST_F(RecordRoutes, ABodyThatIsNoJsonIsShownAsText) {
  EXPECT_EQ(json_of(call("GET", "/deliveries/" + add_delivery("a=1&b=2"))).at("body"), "a=1&b=2");
  EXPECT_EQ(json_of(call("GET", "/deliveries/" + add_delivery("\xff"))).at("body"), "\xef\xbf\xbd");
  EXPECT_TRUE(json_of(call("GET", "/deliveries/" + add_delivery(""))).at("body").is_null());
}

// Writing what is nested so deep as a value would take the stack.
TEST_F(RecordRoutes, ABodyThatIsNestedWithoutEndIsShownAsText) {
  const std::string deep = std::string(400'000, '[') + std::string(400'000, ']');
  EXPECT_EQ(json_of(call("GET", "/deliveries/" + add_delivery(deep))).at("body"), deep);
}

TEST_F(RecordRoutes, DeliveriesAreFiltered) {
  add_delivery("{}");
  add_delivery("{}", "dead");
  EXPECT_EQ(count("/deliveries"), 2U);
  EXPECT_EQ(count("/deliveries?status=dead"), 1U);
  EXPECT_EQ(count("/deliveries?watch_id=" + watch_), 2U);
  EXPECT_EQ(count("/deliveries?flow_id=" + watch_), 0U);
}

TEST_F(RecordRoutes, AConnectionIsShownAndRemovedByItsOwnerOnly) {
  const auto id = ConnectionId::make(clock_.now()).to_string();
  write(
      "INSERT INTO connections (id, user_id, provider, name, auth_type, state, created_at, updated_at) "
      "VALUES ($1, $2, 'github', 'octo', 'token', 'active', $3, $3)",
      {std::string_view(id), std::string_view(user().to_string()), micros(clock_.now())});
  EXPECT_EQ(json_of(call("GET", "/connections/" + id)).at("name"), "octo");
  EXPECT_EQ(count("/connections"), 1U);
  const auto mine = token_;
  sign_up("eve@example.org");
  EXPECT_EQ(count("/connections"), 0U);
  EXPECT_EQ(call("GET", "/connections/" + id).status, 404);
  EXPECT_EQ(call("DELETE", "/connections/" + id).status, 404);
  token_ = mine;
  EXPECT_EQ(call("DELETE", "/connections/" + id).status, 204);
  EXPECT_EQ(call("GET", "/connections/" + id).status, 404);
}

}  // namespace
}  // namespace patchbay::api
