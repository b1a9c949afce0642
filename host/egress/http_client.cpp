#include "egress/http_client.hpp"

namespace patchbay::egress {

std::string_view HttpReply::header(std::string_view lower_case_name) const {
  for (const auto& [name, value] : headers) {
    if (name == lower_case_name) return value;
  }
  return {};
}

}  // namespace patchbay::egress
