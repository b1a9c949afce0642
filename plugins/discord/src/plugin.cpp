#include <patchbay/provider.hpp>

#include "nonce.hpp"

namespace {

using patchbay::call;
using patchbay::http;
using patchbay::operation;
using patchbay::reply;
using patchbay::result;

bool is_snowflake(std::string_view text) {
  return !text.empty() && text.size() <= 20 && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// discord.com/developers/docs/topics/rate-limits: the body says how long, in seconds with fractions.
result failed(const call& c, const reply& answer) {
  if (answer.http_status == 429) {
    const auto text = c.look(answer.body, "/retry_after");
    double seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (error != std::errc{} || !(seconds > 0 && seconds < 86'400)) return c.fail(answer);
    return c.fail(PBAY_E_RATE, "Discord's rate limit is used up")
        .next_in(static_cast<std::int64_t>(seconds * 1000) + 1);
  }
  const auto field = c.json(answer.body, "/errors/content/_errors/0/message");
  if (answer.http_status != 400 || field.empty()) return c.fail(answer);
  return c.fail(PBAY_E_ARG, "HTTP 400: content: " + field);
}

struct Discord {
  // For some minutes Discord answers a nonce that it knows with the message made for it, so an attempt may be repeated.
  // Whatever a template brings in, nobody is mentioned by it.
  operation reaction(call c) {
    const auto channel = c.param("/channel_id");
    if (!is_snowflake(channel)) co_return c.fail(PBAY_E_ARG, "channel_id is a number of up to 20 digits");
    http send{"POST", std::string(c.base_url()) + "/api/v10/channels/" + channel + "/messages", message(c),
              patchbay::repeat};
    auto sent = co_await c.ask(send);
    if (!sent.ok()) co_return failed(c, sent);
    // "Used for validating a message was sent" (Message object): an answer that a broken server or proxy gives to another
    // request of the same connection is none.
    const auto nonce = c.look(sent.body, "/nonce");
    if (!nonce.empty() && nonce != patchbay::discord::nonce_of(c.key())) co_return c.fail(PBAY_E_REMOTE, "Discord's answer is of another message");
    auto output = c.object()
                      .add("id", c.json(sent.body, "/id"))
                      .add("channel_id", c.json(sent.body, "/channel_id"))
                      .add("content", c.json(sent.body, "/content"))
                      .text();
    co_return c.ok().output(std::move(output));
  }

 private:
  static std::string message(const call& c) {
    auto body = c.object().add("content", c.look(c.params(), "/content"));
    if (c.look(c.params(), "/tts") == "true") std::move(body).raw("tts", "true");
    return std::move(body)
        .raw("nonce", '"' + patchbay::discord::nonce_of(c.key()) + '"')
        .raw("enforce_nonce", "true")
        .raw("allowed_mentions", R"({"parse":[]})")
        .text();
  }
};

static constexpr char manifest[] PBAY_IN_MANIFEST =
#include "manifest.inc"
    ;

}  // namespace

PATCHBAY_PROVIDER(Discord)
