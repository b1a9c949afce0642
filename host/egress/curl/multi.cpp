#include "egress/curl/multi.hpp"

#include <csignal>

#include <boost/asio/post.hpp>

namespace patchbay::egress {
namespace {

// libcurl's global state: made once, before the first handle, and kept. With CURLOPT_NOSIGNAL libcurl leaves SIGPIPE to
// us, and OpenSSL's writes raise it; nobody in this process wants it.
bool start_libcurl() {
  static const bool started = [] {
    if (std::signal(SIGPIPE, SIG_IGN) == SIG_ERR) return false;
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  }();
  return started;
}

}  // namespace

Multi::Multi(boost::asio::io_context& context, Sink sink)
    : context_(context), sink_(std::move(sink)), alarm_(context, [this] {
        act(CURL_SOCKET_TIMEOUT, 0);
        collect();
      }) {}

Result<std::unique_ptr<Multi>> Multi::create(boost::asio::io_context& context, std::size_t connections, Sink sink) {
  if (!start_libcurl()) return fail(Errc::internal, "libcurl does not start");
  std::unique_ptr<Multi> self(new Multi(context, std::move(sink)));
  auto poller = SocketPoller::create(
      context, {.ready =
                    [multi = self.get()](int socket, bool readable, bool writable) {
                      multi->act(socket, (readable ? CURL_CSELECT_IN : 0) | (writable ? CURL_CSELECT_OUT : 0));
                    },
                .batch_done = [multi = self.get()] { multi->collect(); }});
  if (!poller) return std::unexpected(std::move(poller.error()));
  self->poller_ = std::move(*poller);
  self->multi_ = curl_multi_init();
  if (self->multi_ == nullptr) return fail(Errc::internal, "libcurl makes no multi handle");
  curl_multi_setopt(self->multi_, CURLMOPT_SOCKETFUNCTION, &Multi::on_socket);
  curl_multi_setopt(self->multi_, CURLMOPT_SOCKETDATA, self.get());
  curl_multi_setopt(self->multi_, CURLMOPT_TIMERFUNCTION, &Multi::on_timer);
  curl_multi_setopt(self->multi_, CURLMOPT_TIMERDATA, self.get());
  // How many connections are kept. How many there may be is decided before a request comes here.
  curl_multi_setopt(self->multi_, CURLMOPT_MAXCONNECTS, static_cast<long>(connections));
  return self;
}

Multi::~Multi() {
  if (multi_ != nullptr) curl_multi_cleanup(multi_);  // closes the connections, by way of the poller
}

Result<> Multi::add(Transfer& transfer) {
  if (const auto code = curl_multi_add_handle(multi_, transfer.easy()); code != CURLM_OK) {
    return fail(Errc::internal, curl_multi_strerror(code));
  }
  return {};
}

void Multi::remove(Transfer& transfer) {
  curl_multi_remove_handle(multi_, transfer.easy());
  std::erase_if(completed_, [&](const Completed& one) { return one.transfer == &transfer; });
}

void Multi::act(curl_socket_t socket, int events) {
  int running = 0;
  curl_multi_socket_action(multi_, socket, events, &running);
}

void Multi::collect() {
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    CURL* const easy = message->easy_handle;
    const auto code = message->data.result;  // message is gone after the next call
    Transfer* transfer = nullptr;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &transfer);
    curl_multi_remove_handle(multi_, easy);
    completed_.push_back({transfer, code});
  }
  if (completed_.empty()) return;
  const auto batch = std::exchange(completed_, {});
  sink_(batch);
}

int Multi::on_socket(CURL* /*easy*/, curl_socket_t socket, int what, void* self, void* /*unused*/) {
  static_cast<Multi*>(self)->poller_->watch(socket, what == CURL_POLL_IN || what == CURL_POLL_INOUT,
                                            what == CURL_POLL_OUT || what == CURL_POLL_INOUT);
  return 0;
}

int Multi::on_timer(CURLM* /*multi*/, long timeout_ms, void* self) {
  static_cast<Multi*>(self)->timer_changed(timeout_ms);
  return 0;
}

void Multi::timer_changed(long timeout_ms) {
  if (timeout_ms < 0) return alarm_.clear();
  if (timeout_ms == 0) return kick();
  alarm_.set(std::chrono::steady_clock::now() + std::chrono::milliseconds{timeout_ms});
}

// All transfers that were added in one round of the loop begin in one call.
void Multi::kick() {
  if (kicked_) return;
  kicked_ = true;
  boost::asio::post(context_, [this, alive = std::weak_ptr<char>(alive_)] {
    if (alive.expired()) return;
    kicked_ = false;
    act(CURL_SOCKET_TIMEOUT, 0);
    collect();
  });
}

}  // namespace patchbay::egress
