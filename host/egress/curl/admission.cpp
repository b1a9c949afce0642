#include "egress/curl/admission.hpp"

#include <algorithm>

namespace patchbay::egress {
namespace {

constexpr std::size_t kOriginsKept = 1024;  // idle ones are forgotten beyond this

}  // namespace

Admission::Entry Admission::enter(Exchange& exchange, Ticket& ticket, std::string_view name) {
  auto& origin = find_or_add(name);
  ticket.origin = &origin;
  if (active_ < limits_.total && origin.active < limits_.per_origin && origin.waiting.empty()) {
    ++active_;
    ++origin.active;
    ticket.is_waiting = false;
    return Entry::started;
  }
  if (waiting_ >= limits_.waiting) {
    ticket = {};
    return Entry::refused;
  }
  ++waiting_;
  ticket.place = origin.waiting.insert(origin.waiting.end(), &exchange);
  ticket.is_waiting = true;
  if (!origin.is_listed) {
    waiting_origins_.push_back(&origin);
    origin.is_listed = true;
  }
  return Entry::waiting;
}

void Admission::leave(Ticket& ticket) {
  --active_;
  --ticket.origin->active;
  ticket = {};
}

void Admission::withdraw(Ticket& ticket) {
  --waiting_;
  ticket.origin->waiting.erase(ticket.place);  // an origin with nobody left is unlisted by next()
  ticket = {};
}

Exchange* Admission::next() {
  for (auto rounds = waiting_origins_.size(); rounds > 0 && active_ < limits_.total; --rounds) {
    auto& origin = *waiting_origins_.front();
    if (origin.waiting.empty()) {
      waiting_origins_.pop_front();
      origin.is_listed = false;
      continue;
    }
    waiting_origins_.splice(waiting_origins_.end(), waiting_origins_, waiting_origins_.begin());
    if (origin.active >= limits_.per_origin) continue;
    auto* const exchange = origin.waiting.front();
    origin.waiting.pop_front();
    --waiting_;
    ++active_;
    ++origin.active;
    return exchange;
  }
  return nullptr;
}

Admission::Origin& Admission::find_or_add(std::string_view name) {
  if (const auto found = origins_.find(name); found != origins_.end()) return found->second;
  if (origins_.size() >= kOriginsKept) forget_idle_origins();
  return origins_.try_emplace(std::string(name)).first->second;
}

void Admission::forget_idle_origins() {
  std::erase_if(origins_, [](const auto& entry) {
    const auto& origin = entry.second;
    return origin.active == 0 && origin.waiting.empty() && !origin.is_listed;
  });
}

}  // namespace patchbay::egress
