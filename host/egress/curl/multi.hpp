#pragma once

#include <functional>
#include <memory>
#include <vector>

#include <curl/curl.h>
#include <boost/asio/io_context.hpp>

#include "egress/curl/lazy_alarm.hpp"
#include "egress/curl/socket_poller.hpp"
#include "egress/curl/transfer.hpp"

namespace patchbay::egress {

// libcurl's multi handle on asio: it says which sockets and which time it waits for, and is called when they come.
// On the loop only.
class Multi {
 public:
  struct Completed {
    Transfer* transfer;
    CURLcode code;
  };
  // What finished in one wake-up; the transfers are out of the multi handle again. Not called from within add() or
  // remove(). May destroy the Multi.
  using Sink = std::function<void(const std::vector<Completed>&)>;

  [[nodiscard]] static Result<std::unique_ptr<Multi>> create(boost::asio::io_context& context, std::size_t connections,
                                                             Sink sink);
  ~Multi();
  Multi(const Multi&) = delete;
  Multi& operator=(const Multi&) = delete;

  [[nodiscard]] Result<> add(Transfer& transfer);
  void remove(Transfer& transfer);  // before it finished
  [[nodiscard]] SocketPoller& poller() { return *poller_; }

 private:
  Multi(boost::asio::io_context& context, Sink sink);
  void act(curl_socket_t socket, int events);
  void collect();
  void timer_changed(long timeout_ms);
  void kick();

  static int on_socket(CURL* easy, curl_socket_t socket, int what, void* self, void* unused);
  static int on_timer(CURLM* multi, long timeout_ms, void* self);

  boost::asio::io_context& context_;
  Sink sink_;
  std::unique_ptr<SocketPoller> poller_;
  LazyAlarm alarm_;
  CURLM* multi_ = nullptr;
  bool kicked_ = false;  // a post is under way that lets libcurl run what is due at once
  std::vector<Completed> completed_;
  std::shared_ptr<char> alive_ = std::make_shared<char>();  // posts that are late see that it went
};

}  // namespace patchbay::egress
