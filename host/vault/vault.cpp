#include "vault/vault.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <exception>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>
#include <openssl/evp.h>

namespace patchbay::vault {
namespace {

constexpr char kFormat = 1;
constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kNonceBytes = 12;
constexpr std::size_t kTagBytes = 16;
constexpr off_t kLongestKeyFile = 64 << 10;

struct Key {
  std::string id;
  Secret bytes;
};

// What the tag covers beside the secret: an envelope that was given another key, algorithm or owner does not open.
std::string additional_data(std::string_view key_id, std::string_view purpose) {
  return fmt::format("patchbay/1|A256GCM|{}|{}", key_id, purpose);
}

using Context = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

unsigned char* raw(std::string& bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }
const unsigned char* raw(std::string_view bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }

Result<Key> parse_line(const std::string& file, int number, std::string_view line) {
  const auto space = line.find(' ');
  const auto id = line.substr(0, space);
  auto bytes = space == std::string_view::npos ? std::nullopt : from_hex(line.substr(space + 1));
  if (id.empty() || id.size() > 64 || !bytes || bytes->size() != kKeyBytes) {
    return fail(Errc::invalid, fmt::format("{}:{}: must be '<key id> <64 hexadecimal digits>'", file, number));
  }
  return Key{std::string(id), Secret(*std::move(bytes))};
}

class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  [[nodiscard]] int descriptor() const { return descriptor_; }
  [[nodiscard]] bool is_open() const { return descriptor_ >= 0; }

 private:
  int descriptor_;
};

// The whole file, after a look at who else may read it. What is checked is what is read: one descriptor.
Result<Secret> read_key_file(const std::string& name) {
  const File file(::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));  // a pipe must not hold up the start
  if (!file.is_open() && errno == ENOENT) {
    return fail(Errc::not_found,
                fmt::format("there is no key file {}: `patchbay keys init` makes one; set vault.key_file or "
                            "PATCHBAY_KEY_FILE if it stands elsewhere",
                            name));
  }
  struct stat info {};
  if (!file.is_open() || ::fstat(file.descriptor(), &info) != 0) {
    return fail(Errc::not_found, fmt::format("cannot read the key file {}: {}", name, std::strerror(errno)));
  }
  if (!S_ISREG(info.st_mode) || info.st_size > kLongestKeyFile) {
    return fail(Errc::invalid, name + " is no key file");
  }
  if ((info.st_mode & 077) != 0) {
    return fail(Errc::invalid, fmt::format("{} can be read by others: `chmod 600 {}`", name, name));
  }
  std::string text(static_cast<std::size_t>(info.st_size), '\0');
  const auto length = ::read(file.descriptor(), text.data(), text.size());
  if (length != info.st_size) {
    wipe(text);
    return fail(Errc::not_found, "cannot read the key file " + name);
  }
  return Secret(std::move(text));
}

// A name in a folder is on the disk only when the folder is.
bool sync_folder_of(const std::string& name) {
  const auto slash = name.rfind('/');
  const auto folder = slash == std::string::npos ? std::string(".") : name.substr(0, slash + 1);
  const File file(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return file.is_open() && ::fsync(file.descriptor()) == 0;
}

}  // namespace

struct Vault::Impl {
  std::vector<Key> keys;  // the last one seals
};

Vault::Vault(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Vault::~Vault() = default;

Result<std::unique_ptr<Vault>> Vault::open(const std::string& key_file) {
  auto text = read_key_file(key_file);
  if (!text) return std::unexpected(text.error());
  auto impl = std::make_unique<Impl>();
  auto rest = text->reveal();
  for (int number = 1; !rest.empty(); ++number) {
    const auto line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (line.empty() || line.starts_with('#')) continue;
    auto key = parse_line(key_file, number, line);
    if (!key) return std::unexpected(key.error());
    for (const auto& known : impl->keys) {
      if (known.id == key->id) {
        return fail(Errc::invalid, fmt::format("{}:{}: key '{}' stands twice", key_file, number, key->id));
      }
    }
    impl->keys.push_back(*std::move(key));
  }
  if (impl->keys.empty()) return fail(Errc::invalid, key_file + " holds no key: `patchbay keys init` makes one");
  return std::unique_ptr<Vault>(new Vault(std::move(impl)));
}

Result<> Vault::create_key_file(const std::string& key_file) {
  const File file(::open(key_file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file.is_open() && errno == EEXIST) {
    return fail(Errc::conflict,
                key_file + " exists: a key is never replaced, for what it sealed could not be read any more");
  }
  if (!file.is_open())
    return fail(Errc::unavailable, fmt::format("cannot make {}: {}", key_file, std::strerror(errno)));
  std::string key = random_bytes(kKeyBytes);
  std::string digits = to_hex(key);
  std::string line = fmt::format("k{} {}\n", to_hex(random_bytes(4)), digits);
  const bool written = ::write(file.descriptor(), line.data(), line.size()) == static_cast<ssize_t>(line.size()) &&
                       ::fsync(file.descriptor()) == 0 && sync_folder_of(key_file);
  wipe(key);
  wipe(digits);
  wipe(line);
  if (written) return {};
  ::unlink(key_file.c_str());
  return fail(Errc::unavailable, "cannot write " + key_file);
}

// format | length of the key id | key id | nonce | ciphertext | tag
std::string Vault::seal(const Secret& secret, std::string_view purpose) const {
  const auto& key = impl_->keys.back();
  const auto aad = additional_data(key.id, purpose);
  const auto nonce = random_bytes(kNonceBytes);
  const auto plain = secret.reveal();
  std::string sealed(plain.size() + kTagBytes, '\0');
  const Context context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  int length = 0;
  bool done = context != nullptr;
  done =
      done && EVP_EncryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, raw(key.bytes.reveal()), raw(nonce)) == 1;
  done = done && EVP_EncryptUpdate(context.get(), nullptr, &length, raw(aad), static_cast<int>(aad.size())) == 1;
  done =
      done && EVP_EncryptUpdate(context.get(), raw(sealed), &length, raw(plain), static_cast<int>(plain.size())) == 1;
  done = done && EVP_EncryptFinal_ex(context.get(), raw(sealed) + length, &length) == 1;
  done = done && EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes, raw(sealed) + plain.size()) == 1;
  // For want of memory, or of AES in this OpenSSL. An envelope that holds nothing would lose the secret silently.
  if (!done) std::terminate();
  std::string envelope;
  envelope += kFormat;
  envelope += static_cast<char>(key.id.size());
  return envelope + key.id + nonce + sealed;
}

Result<Secret> Vault::open_envelope(std::string_view envelope, std::string_view purpose) const {
  if (envelope.size() < 2 || envelope[0] != kFormat) return fail(Errc::denied, "not an envelope of this vault");
  const auto id_length = static_cast<unsigned char>(envelope[1]);
  if (envelope.size() < 2 + id_length + kNonceBytes + kTagBytes) return fail(Errc::denied, "the envelope is cut short");
  const auto id = envelope.substr(2, id_length);
  const Key* key = nullptr;
  for (const auto& known : impl_->keys) {
    if (known.id == id) key = &known;
  }
  if (key == nullptr)
    return fail(Errc::denied, fmt::format("it was sealed with key '{}', which is not in the key file", id));
  const auto nonce = envelope.substr(2 + id_length, kNonceBytes);
  const auto sealed = envelope.substr(2 + id_length + kNonceBytes);
  const auto ciphertext = sealed.substr(0, sealed.size() - kTagBytes);
  std::string tag(sealed.substr(ciphertext.size()));
  const auto aad = additional_data(id, purpose);
  std::string plain(ciphertext.size(), '\0');
  const Context context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  int length = 0;
  bool right = context != nullptr;
  right =
      right && EVP_DecryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, raw(key->bytes.reveal()), raw(nonce)) == 1;
  right = right && EVP_DecryptUpdate(context.get(), nullptr, &length, raw(aad), static_cast<int>(aad.size())) == 1;
  right = right && EVP_DecryptUpdate(context.get(), raw(plain), &length, raw(ciphertext),
                                     static_cast<int>(ciphertext.size())) == 1;
  right = right && EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, kTagBytes, tag.data()) == 1;
  right = right && EVP_DecryptFinal_ex(context.get(), raw(plain) + length, &length) == 1;
  if (right) return Secret(std::move(plain));
  wipe(plain);
  return fail(Errc::denied, "the envelope was changed, or belongs to something else");
}

}  // namespace patchbay::vault
