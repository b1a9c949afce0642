#include "vault/envelope.hpp"

#include "vault/aead.hpp"

namespace patchbay::vault {
namespace {

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes), size_(bytes.size()) {}

  std::size_t number(int bytes) {
    std::size_t value = 0;
    for (const char c : take(static_cast<std::size_t>(bytes))) value = value << 8 | static_cast<unsigned char>(c);
    return value;
  }
  std::string_view text(int length_bytes) { return take(number(length_bytes)); }
  [[nodiscard]] bool good() const { return good_; }
  [[nodiscard]] std::string_view rest() const { return rest_; }
  [[nodiscard]] std::size_t at() const { return size_ - rest_.size(); }

 private:
  std::string_view take(std::size_t size) {
    good_ = good_ && size <= rest_.size();
    if (!good_) return {};
    const auto taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }

  std::string_view rest_;
  std::size_t size_;
  bool good_ = true;
};

void append_short(std::string& head, std::string_view text) {
  head += static_cast<char>(text.size());
  head += text;
}

}  // namespace

std::optional<Envelope> read_envelope(std::string_view bytes) {
  Reader reader(bytes);
  Envelope envelope;
  envelope.format = static_cast<int>(reader.number(1));
  if (envelope.format == 1) {
    envelope.recipients.push_back({"local", reader.text(1), {}});
  } else {
    const auto count = reader.number(1);
    if (envelope.format != 2 || count == 0 || count > kMostRecipients) return std::nullopt;
    for (std::size_t i = 0; i < count; ++i) {
      const auto provider = reader.text(1);
      const auto key_id = reader.text(1);
      envelope.recipients.push_back({provider, key_id, reader.text(2)});
    }
  }
  if (!reader.good() || reader.rest().size() < kNonceBytes + kTagBytes) return std::nullopt;
  envelope.head = bytes.substr(0, reader.at());
  envelope.sealed = reader.rest();
  return envelope;
}

std::string write_head(const std::vector<Recipient>& recipients) {
  std::string head{2, static_cast<char>(recipients.size())};
  for (const auto& recipient : recipients) {
    append_short(head, recipient.provider);
    append_short(head, recipient.key_id);
    head += static_cast<char>(recipient.wrapped.size() >> 8);
    head += static_cast<char>(recipient.wrapped.size() & 0xFF);
    head += recipient.wrapped;
  }
  return head;
}

}  // namespace patchbay::vault
