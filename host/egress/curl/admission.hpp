#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace patchbay::egress {

class Exchange;

// Who may have a connection now, and who waits for one: at most so many at once to one origin, and in all. In order of
// arrival for each origin; an origin that is slow does not keep the others waiting. libcurl has such limits too, but
// one queue for all, which a single slow host can hold up. On the loop only.
class Admission {
 public:
  struct Limits {
    std::size_t per_origin;
    std::size_t total;
    std::size_t waiting;
  };
  struct Origin {
    std::size_t active = 0;
    std::list<Exchange*> waiting;
    bool is_listed = false;  // in waiting_origins_
  };
  enum class Entry { started, waiting, refused };

  // Where an exchange stands. Kept by it, untouched between enter() and leave() or withdraw().
  struct Ticket {
    Origin* origin = nullptr;
    std::list<Exchange*>::iterator place;
    bool is_waiting = false;
  };

  explicit Admission(Limits limits) : limits_(limits) {}

  [[nodiscard]] Entry enter(Exchange& exchange, Ticket& ticket, std::string_view origin);
  void leave(Ticket& ticket);     // its connection is free again; then call next() until it says none
  void withdraw(Ticket& ticket);  // waits no more
  // One that waited and may start now; its ticket has been counted as started. nullptr: none.
  [[nodiscard]] Exchange* next();
  void started(Ticket& ticket) { ticket.is_waiting = false; }

  [[nodiscard]] std::size_t active() const { return active_; }
  [[nodiscard]] std::size_t waiting() const { return waiting_; }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };

  Origin& find_or_add(std::string_view name);
  void forget_idle_origins();

  Limits limits_;
  std::unordered_map<std::string, Origin, Hash, std::equal_to<>> origins_;  // nodes do not move
  std::list<Origin*> waiting_origins_;                                      // each with somebody waiting, in turn
  std::size_t active_ = 0;
  std::size_t waiting_ = 0;
};

}  // namespace patchbay::egress
