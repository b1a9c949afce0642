#pragma once

#include <chrono>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/error.hpp"

namespace boost::asio {
class io_context;
}

// What the host and a plugin's own process say to each other: frames on a socket pair, in this machine's byte order.
namespace patchbay::plugin::isolation {

enum class Kind : std::uint8_t {
  // to the process
  settings = 1,
  begin,
  cancel,
  reply,
  ping,
  quit,
  // to the host
  hello = 32,
  outcome,
  http,
  http_cancel,
  log,
  violation,
  pong,
  denied,
};

inline constexpr std::size_t kLargestFrame = 32 << 20;

// Makes a frame: its length, its kind, then what is added.
class Writer {
 public:
  explicit Writer(Kind kind) : bytes_(sizeof(std::uint32_t), '\0') { bytes_.push_back(static_cast<char>(kind)); }
  void reserve(std::size_t bytes) { bytes_.reserve(bytes); }
  Writer& number(std::int64_t value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Writer& text(std::string_view value) {
    const auto size = static_cast<std::uint32_t>(value.size());
    bytes_.append(reinterpret_cast<const char*>(&size), sizeof size);
    bytes_.append(value);
    return *this;
  }
  [[nodiscard]] std::string take() {
    const auto size = static_cast<std::uint32_t>(bytes_.size() - sizeof(std::uint32_t));
    std::memcpy(bytes_.data(), &size, sizeof size);
    return std::move(bytes_);
  }

 private:
  std::string bytes_;
};

// Reads what a Writer made, in the same order. What is not there reads as 0 or empty, and good() is false from then on:
// the other side may be in anybody's hands.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  std::int64_t number() {
    std::int64_t value = 0;
    if (!take(&value, sizeof value)) return 0;
    return value;
  }
  std::string_view text() {
    std::uint32_t size = 0;
    if (!take(&size, sizeof size) || size > bytes_.size()) {
      good_ = false;
      return {};
    }
    const auto value = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return value;
  }
  [[nodiscard]] bool good() const { return good_; }

 private:
  bool take(void* into, std::size_t size) {
    good_ = good_ && bytes_.size() >= size;
    if (!good_) return false;
    std::memcpy(into, bytes_.data(), size);
    bytes_.remove_prefix(size);
    return true;
  }
  std::string_view bytes_;
  bool good_ = true;
};

// One end of the socket pair on an asio loop. Its owner's thread only.
class Channel {
 public:
  using OnFrame = std::function<void(Kind, std::string_view)>;  // the bytes live until it returns
  using OnClosed = std::function<void()>;                       // once; nothing comes after it

  // Takes the descriptor over.
  Channel(boost::asio::io_context& context, int descriptor);
  ~Channel();
  void start(OnFrame on_frame, OnClosed on_closed);
  // What does not fit into the socket at once is kept and sent later; more than kLargestFrame of it closes the channel.
  void send(std::string frame);
  void close();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

// For the first words, before there is a loop: blocking, at most for limit. Errc::unavailable: closed; timeout.
[[nodiscard]] Result<> write_frame(int descriptor, std::string_view frame);
[[nodiscard]] Result<std::string> read_frame(int descriptor, std::chrono::milliseconds limit);  // kind, then content

}  // namespace patchbay::plugin::isolation
