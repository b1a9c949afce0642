#include "vault/fields.hpp"

#include <nlohmann/json.hpp>

#include "core/json.hpp"

namespace patchbay::vault {
namespace {

Secret basic(const Fields& fields) {
  const auto user = fields.find("username");
  const auto password = fields.find("password");
  std::string pair;
  pair.reserve(512);
  if (user != fields.end()) pair += user->second.reveal();
  pair += ':';
  if (password != fields.end()) pair += password->second.reveal();
  Secret encoded(to_base64(pair));
  wipe(pair);
  return encoded;
}

}  // namespace

// Written into one buffer that is large enough, so that no copy stays behind when it grows.
Secret to_payload(const Fields& fields) {
  std::size_t size = 2;
  for (const auto& [name, value] : fields) size += 6 * (name.size() + value.reveal().size()) + 6;
  std::string text;
  text.reserve(size);
  for (const auto& [name, value] : fields) {
    text += text.empty() ? '{' : ',';
    append_json_quoted(text, name);
    text += ':';
    append_json_quoted(text, value.reveal());
  }
  text += text.empty() ? "{}" : "}";
  Secret payload(text);
  wipe(text);
  return payload;
}

std::optional<Fields> from_payload(const Secret& payload) {
  auto object = nlohmann::json::parse(payload.reveal(), nullptr, false);
  if (!object.is_object()) return std::nullopt;
  Fields fields;
  bool strings = true;
  for (auto& [name, value] : object.items()) {
    strings = strings && value.is_string();
    if (!value.is_string()) continue;
    auto& text = value.get_ref<std::string&>();
    fields.emplace(name, Secret(text));
    wipe(text);
  }
  if (!strings) return std::nullopt;
  return fields;
}

Result<Secret> expand(std::string_view format, const Fields& fields) {
  std::string text;
  for (std::size_t at = 0; at < format.size();) {
    const auto open = format.find('{', at);
    text += format.substr(at, open - at);
    if (open == std::string_view::npos) break;
    const auto close = format.find('}', open);
    if (close == std::string_view::npos) return fail(Errc::invalid, "a placeholder has no end");
    const auto name = std::string(format.substr(open + 1, close - open - 1));
    const auto field = fields.find(name);
    if (field == fields.end() && name != "basic") return fail(Errc::invalid, "the connection has no " + name);
    text += field == fields.end() ? basic(fields).reveal() : field->second.reveal();
    at = close + 1;
  }
  Secret expanded(text);
  wipe(text);
  return expanded;
}

}  // namespace patchbay::vault
