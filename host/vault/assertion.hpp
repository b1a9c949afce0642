#pragma once

#include <string>

#include "core/bytes.hpp"
#include "core/error.hpp"
#include "core/time.hpp"
#include "vault/fields.hpp"

namespace patchbay::vault {

// A service account's assertion (RFC 7523): a JWT signed with RS256. fields: private_key (PEM), client_email (its issuer),
// and, if given, key_id and subject. Errc::invalid: the key is none.
[[nodiscard]] Result<Secret> make_assertion(const Fields& fields, std::string_view audience, std::string_view scope, Timestamp now);

}  // namespace patchbay::vault
