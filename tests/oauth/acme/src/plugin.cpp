#include <charconv>

#include <patchbay/provider.hpp>

namespace {

using patchbay::call;
using patchbay::http;
using patchbay::operation;
using patchbay::reply;
using patchbay::request;
using patchbay::result;

std::string at(const call& c, const std::string& path) { return std::string(c.base_url()) + path; }

// RFC 3986, 2.1: everything but the unreserved characters.
std::string escaped(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' ||
                       c == '.' || c == '_' || c == '~';
    const auto byte = static_cast<unsigned char>(c);
    if (plain)
      out += c;
    else
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
  }
  return out;
}

// Of a note, as a number that grows; 0: it is none.
std::uint64_t number_in(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() ? value : 0;
}

struct Acme {
  // A hook with our URL is brought up to date by Acme itself, so there is never a second one.
  operation watch(call c) {
    if (c.name() != "note_fired") co_return c.ok().next_in(1);
    http create{"POST",
                at(c, "/hooks"),
                c.object().add("url", c.callback_url()).add("secret", c.callback_secret()).text(),
                patchbay::expand | patchbay::repeat,
                {{"Content-Type", "application/json"}}};
    auto made = co_await c.ask(create);
    if (!made.ok()) co_return c.fail(made);
    const auto id = c.json(made.body, "/id");
    if (id.empty()) co_return c.fail(PBAY_E_REMOTE, "Acme's answer is no hook");
    co_return c.ok().state(c.object().add("hook", id).text());
  }

  operation stop(call c) {
    const auto id = c.json(c.state(), "/hook");
    if (id.empty()) co_return c.ok();
    http remove{"DELETE", at(c, "/hooks/" + escaped(id))};
    auto removed = co_await c.ask(remove);
    if (removed.ok() || removed.http_status == 404) co_return c.ok();
    co_return c.fail(removed);
  }

  operation webhook(call c, request r) {
    const auto key = r.header("x-acme-delivery");
    if (key.empty()) co_return c.fail(PBAY_E_ARG, "a delivery without X-Acme-Delivery");
    const auto status = c.emit_body(key);
    co_return status == PBAY_OK ? c.ok() : c.fail(status, "the delivery is no JSON object, or too long");
  }

  // The state is {"last": 7}.
  operation poll(call c) {
    const bool first = c.state().empty();
    auto last = number_in(c.look(c.state(), "/last"));
    for (bool more = true; more;) {
      const auto before = last;
      http list{"GET", at(c, "/notes?limit=100&after=" + std::to_string(last))};
      auto listed = co_await c.ask(list);
      if (!listed.ok()) co_return c.fail(listed);
      const auto count = c.json_count(listed.body, "/notes");
      for (std::size_t i = 0; i < count; ++i) {
        const auto note = c.json(listed.body, "/notes/" + std::to_string(i));
        const auto number = number_in(c.look(note, "/id"));
        if (number <= last) continue;
        last = number;
        if (!first && c.emit(std::to_string(number), note) != PBAY_OK)
          co_return c.fail(PBAY_E_REMOTE, "a note is no JSON object");
      }
      more = first && last > before;  // what was there already is only stepped over
    }
    co_return c.ok().state(c.object().raw("last", std::to_string(last)).text());
  }

  operation reaction(call c) {
    http ask = c.name() == "write_note" ? write(c) : c.name() == "read_notes" ? read(c) : folders(c);
    auto answer = co_await c.ask(ask);
    if (!answer.ok()) co_return c.fail(answer);
    if (c.json_type(answer.body, "") != PBAY_JSON_OBJECT)
      co_return c.fail(PBAY_E_REMOTE, "Acme's answer is no JSON object");
    if (c.name() == "list_folders") co_return c.ok().output(choices(c, answer.body));
    co_return c.ok().output(answer.body);
  }

 private:
  static http write(const call& c) {
    auto note = c.object().add("text", c.param("/text"));
    if (const auto folder = c.param("/folder"); !folder.empty()) std::move(note).add("folder", folder);
    return {"POST",
            at(c, "/notes"),
            std::move(note).text(),
            0,
            {{"Content-Type", "application/json"}, {"Idempotency-Key", std::string(c.key())}}};
  }

  static http read(const call& c) {
    const auto after = c.param("/after");
    return {"GET", at(c, "/notes?limit=100&after=" + (after.empty() ? "0" : escaped(after)))};
  }

  static http folders(const call& c) {
    return {"GET", at(c, "/folders?limit=100&search=" + escaped(c.param("/search")) +
                             "&cursor=" + escaped(c.param("/cursor")))};
  }

  static std::string choices(const call& c, std::string_view page) {
    std::string list;
    for (std::size_t i = 0; i < c.json_count(page, "/folders"); ++i) {
      const auto folder = "/folders/" + std::to_string(i);
      list += (i == 0 ? "" : ",") +
              c.object().add("value", c.json(page, folder + "/id")).add("label", c.json(page, folder + "/name")).text();
    }
    const auto next = c.json_type(page, "/next") == PBAY_JSON_STRING ? c.quote(c.look(page, "/next")) : "null";
    return c.object().raw("choices", "[" + list + "]").raw("next", next).text();
  }
};

static constexpr char manifest[] PBAY_IN_MANIFEST =
#include "manifest.inc"
    ;

}  // namespace

PATCHBAY_PROVIDER(Acme)
