#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "vault/keys/key_file.hpp"
#include "vault/keys/key_provider.hpp"

namespace patchbay::vault {

struct RingKey {
  std::string id;
  Secret bytes;  // empty: dropped
  KeyState state = KeyState::readable;
};

// Keys in a file, one a line: "<id> <64 hexadecimal digits> [active | readable]", or "<id> - dropped", and lines that begin
// with '#'. Without a word the last such line is the active one. The file is read again when it was changed and when a key
// is asked for that is not known, so a running host follows `patchbay keys rotate`. Any thread.
class KeyRing {
 public:
  // Errc::not_found: no such file; invalid: which line is wrong.
  [[nodiscard]] static Result<std::shared_ptr<KeyRing>> open(KeyFile file);
  // A file with one new key. Errc::conflict: there is one.
  [[nodiscard]] static Result<> create(const KeyFile& file);

  [[nodiscard]] Result<RingKey> active();
  // Errc::denied: unknown or dropped, by its id.
  [[nodiscard]] Result<RingKey> find(std::string_view id);
  [[nodiscard]] std::vector<KeyInfo> keys();

  [[nodiscard]] Result<std::string> rotate();
  // Its bytes leave the file. Errc::conflict: it is the active one; not_found: there is none.
  [[nodiscard]] Result<> drop(std::string_view id);

 private:
  using Keys = std::vector<RingKey>;

  explicit KeyRing(KeyFile file) : file_(std::move(file)) {}
  [[nodiscard]] static Result<Keys> parse(const std::string& file, std::string_view text);
  [[nodiscard]] std::shared_ptr<const Keys> present();
  Result<> read();
  Result<> change(const std::function<Result<>(Keys&)>& change);

  const KeyFile file_;
  std::mutex mutex_;                  // guards keys_ and version_
  std::shared_ptr<const Keys> keys_;
  FileVersion version_;
};

}  // namespace patchbay::vault
