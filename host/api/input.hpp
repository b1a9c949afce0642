#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "api/message.hpp"
#include "core/bytes.hpp"
#include "core/time.hpp"

namespace patchbay::api {

// Reads a JSON object strictly and notes every fault, so that a user hears of all at once: unknown members, missing
// ones, wrong types, duplicates, what stands behind the object.
class BodyReader {
 public:
  explicit BodyReader(const std::string& body);
  ~BodyReader();
  BodyReader(const BodyReader&) = delete;
  BodyReader& operator=(const BodyReader&) = delete;

  std::string text(std::string_view name);  // required
  std::optional<std::string> optional_text(std::string_view name);
  std::optional<std::vector<std::string>> optional_texts(std::string_view name);  // a list of texts
  Secret secret(std::string_view name);                 // required text that must not be kept
  const nlohmann::json* object(std::string_view name);  // required; nullptr when it is not there
  void fault(std::string pointer, std::string code, std::string detail);

  // Every member was asked for, and all were right. Otherwise the answer to give.
  [[nodiscard]] std::optional<Response> refusal(const std::string& request_id);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// limit, cursor and what else a list takes. Values that make no sense are faults; the router has refused unknown names.
class QueryReader {
 public:
  explicit QueryReader(const Request& request) : request_(request) {}

  int limit(int standard = 50);  // 1 to 200
  // An id, as a cursor is one; nullopt when it is not given.
  template <class Id>
  std::optional<Id> id(const std::string& name) {
    const auto given = text(name);
    if (!given) return std::nullopt;
    const auto parsed = Id::parse(*given);
    if (!parsed) faults_.push_back({name, "invalid", "'" + *given + "' is not an id"});
    return parsed;
  }
  std::optional<std::string> text(const std::string& name);
  std::optional<Timestamp> time(const std::string& name);  // RFC 3339
  // A comma-separated list of the words of `allowed`.
  std::vector<std::string> words(const std::string& name, const std::vector<std::string_view>& allowed);
  // A single word of `allowed`.
  std::optional<std::string> word(const std::string& name, const std::vector<std::string_view>& allowed);
  [[nodiscard]] std::optional<Response> refusal() const;

 private:
  const Request& request_;
  std::vector<Fault> faults_;
};

// Cuts a list that is always read whole down to the page behind `after`, in the order of the ids. True: more follow.
template <class Items, class Id>
bool cut_to_page(Items& items, const std::optional<Id>& after, int limit) {
  std::sort(items.begin(), items.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  if (after) std::erase_if(items, [&](const auto& item) { return item.id <= *after; });
  const bool more = std::ssize(items) > limit;
  if (more) items.erase(items.begin() + limit, items.end());
  return more;
}

}  // namespace patchbay::api
