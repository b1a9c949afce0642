#include "vault/keys/key_ring.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "core/log.hpp"
#include "vault/aead.hpp"

namespace patchbay::vault {
namespace {

constexpr std::size_t kLongestId = 64;

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (true) {
    const auto space = line.find(' ');
    words.push_back(line.substr(0, space));
    if (space == std::string_view::npos) return words;
    line.remove_prefix(space + 1);
  }
}

// nullopt: wrong. The state of a line without a word is settled later.
std::optional<RingKey> parse_line(std::string_view line, bool& says_state) {
  const auto words = words_of(line);
  if (words.size() < 2 || words.size() > 3 || words[0].empty() || words[0].size() > kLongestId) return std::nullopt;
  RingKey key{.id = std::string(words[0]), .bytes = {}, .state = KeyState::readable};
  says_state = words.size() == 3;
  if (says_state && words[1] == "-" && words[2] == "dropped") {
    key.state = KeyState::dropped;
    return key;
  }
  if (says_state && words[2] != "active" && words[2] != "readable") return std::nullopt;
  if (says_state && words[2] == "active") key.state = KeyState::active;
  auto bytes = from_hex(words[1]);
  if (!bytes || bytes->size() != kKeyBytes) return std::nullopt;
  key.bytes = Secret(*std::move(bytes));
  return key;
}

// Its digits are written where the secret itself is kept.
Secret to_text(const std::vector<RingKey>& keys) {
  std::string text;
  text.reserve(keys.size() * (kLongestId + 2 * kKeyBytes + 12));  // so that no copy stays behind when it grows
  for (const auto& key : keys) {
    auto digits = key.state == KeyState::dropped ? std::string("-") : to_hex(key.bytes.reveal());
    fmt::format_to(std::back_inserter(text), "{} {} {}\n", key.id, digits, name_of(key.state));
    wipe(digits);
  }
  return Secret(std::move(text));
}

RingKey new_key() {
  return {.id = "k" + to_hex(random_bytes(4)), .bytes = Secret::random(kKeyBytes), .state = KeyState::active};
}

template <class Keys>
auto find_in(Keys& keys, std::string_view id) {
  return std::find_if(keys.begin(), keys.end(), [id](const auto& key) { return key.id == id; });
}

}  // namespace

Result<KeyRing::Keys> KeyRing::parse(const std::string& file, std::string_view text) {
  Keys keys;
  RingKey* last_unsaid = nullptr;
  std::size_t active = 0;
  keys.reserve(static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) + 1);
  for (int number = 1; !text.empty(); ++number) {
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.empty() || line.starts_with('#')) continue;
    bool says_state = false;
    auto key = parse_line(line, says_state);
    if (!key) {
      return fail(Errc::invalid, fmt::format("{}:{}: must be '<key id> <64 hexadecimal digits>', with or without 'active' or "
                                             "'readable' behind it, or '<key id> - dropped'",
                                             file, number));
    }
    if (find_in(keys, key->id) != keys.end()) {
      return fail(Errc::invalid, fmt::format("{}:{}: key '{}' stands twice", file, number, key->id));
    }
    active += key->state == KeyState::active ? 1 : 0;
    keys.push_back(*std::move(key));
    if (!says_state) last_unsaid = &keys.back();
  }
  if (active == 0 && last_unsaid != nullptr) {
    last_unsaid->state = KeyState::active;
    active = 1;
  }
  if (active == 0) return fail(Errc::invalid, file + " holds no key that seals: `patchbay keys init` makes one");
  if (active > 1) return fail(Errc::invalid, file + " holds more than one active key: only one can seal");
  return keys;
}

Result<std::shared_ptr<KeyRing>> KeyRing::open(KeyFile file) {
  std::shared_ptr<KeyRing> ring(new KeyRing(std::move(file)));
  if (auto done = ring->read(); !done) return std::unexpected(done.error());
  return ring;
}

Result<> KeyRing::create(const KeyFile& file) { return create_key_file(file, to_text({new_key()})); }

Result<> KeyRing::read() {
  auto text = read_key_file(file_);
  if (!text) return std::unexpected(text.error());
  auto keys = parse(file_.path, text->text.reveal());
  if (!keys) return std::unexpected(keys.error());
  const std::lock_guard lock(mutex_);
  keys_ = std::make_shared<const Keys>(*std::move(keys));
  version_ = text->version;
  return {};
}

// A file that became wrong leaves the keys that are in memory as they are.
std::shared_ptr<const KeyRing::Keys> KeyRing::present() {
  const auto version = version_of(file_);
  {
    const std::lock_guard lock(mutex_);
    if (version == version_) return keys_;
    version_ = version;  // one look and one message for each change
  }
  if (auto done = read(); !done) log::error("vault", "the keys stay as they were: {}", done.error().message);
  else log::info("vault", "the keys of {} were read anew", file_.path);
  const std::lock_guard lock(mutex_);
  return keys_;
}

Result<RingKey> KeyRing::active() {
  const auto keys = present();
  for (const auto& key : *keys) {
    if (key.state == KeyState::active) return key;
  }
  return fail(Errc::internal, "the key ring has no active key");
}

Result<RingKey> KeyRing::find(std::string_view id) {
  auto keys = present();
  auto found = find_in(*keys, id);
  if (found == keys->end() && read()) {
    keys = present();
    found = find_in(*keys, id);
  }
  if (found == keys->end()) {
    return fail(Errc::denied, fmt::format("it was sealed with key '{}', which is not in {}", id, file_.path));
  }
  if (found->state == KeyState::dropped) return fail(Errc::denied, fmt::format("it was sealed with key '{}', which was dropped", id));
  return *found;
}

std::vector<KeyInfo> KeyRing::keys() {
  std::vector<KeyInfo> infos;
  const auto keys = present();
  for (const auto& key : *keys) infos.push_back({key.id, key.state});
  return infos;
}

Result<> KeyRing::change(const std::function<Result<>(Keys&)>& change) {
  auto changed = change_key_file(file_, [&](std::string_view text) -> Result<Secret> {
    auto keys = parse(file_.path, text);
    if (!keys) return std::unexpected(keys.error());
    if (auto done = change(*keys); !done) return std::unexpected(done.error());
    return to_text(*keys);
  });
  return changed ? read() : changed;
}

Result<std::string> KeyRing::rotate() {
  auto made = new_key();
  const auto id = made.id;
  auto changed = change([&](Keys& keys) -> Result<> {
    for (auto& key : keys) {
      if (key.state == KeyState::active) key.state = KeyState::readable;
    }
    keys.push_back(std::move(made));
    return {};
  });
  if (!changed) return std::unexpected(changed.error());
  return id;
}

Result<> KeyRing::drop(std::string_view id) {
  return change([&](Keys& keys) -> Result<> {
    const auto found = find_in(keys, id);
    if (found == keys.end()) return fail(Errc::not_found, fmt::format("there is no key '{}'", id));
    if (found->state == KeyState::active) return fail(Errc::conflict, fmt::format("key '{}' seals: `patchbay keys rotate` first", id));
    found->bytes = Secret();
    found->state = KeyState::dropped;
    return {};
  });
}

}  // namespace patchbay::vault
