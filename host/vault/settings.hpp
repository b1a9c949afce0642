#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace patchbay::vault {

// What happens when a key provider does not answer.
// strict: sealing needs the first provider; opening, the first one of those that the envelope names.
// fallback: what is sealed can be opened by each provider that answered then, and the next one is asked when one is down.
enum class Failover { strict, fallback };

struct TransitSettings {
  std::string url;  // "https://vault.example.com:8200"; http only to this machine
  std::string mount = "transit";
  std::string key = "patchbay";
  std::string name_space;  // X-Vault-Namespace; empty: none
  std::string token_file;  // read at each call, for agents renew it; empty: PATCHBAY_VAULT_TRANSIT_TOKEN
  std::string ca_file;     // certificates to trust; empty: the system's
  std::chrono::milliseconds timeout{3'000};
};

struct Pkcs11Settings {
  std::string module;  // "/usr/lib/softhsm/libsofthsm2.so"
  std::string token;   // its label
  std::string key = "patchbay";  // label of the AES keys; the one with the greatest CKA_ID wraps
  std::string pin_file;
};

struct VaultSettings {
  std::string key_file = "var/patchbay.key";
  std::string credential;  // name of a systemd credential that holds the key ring, instead of key_file; empty: none
  std::vector<std::string> providers{"local"};  // local, transit, pkcs11; the first one is asked first
  Failover failover = Failover::strict;
  TransitSettings transit;
  Pkcs11Settings pkcs11;
};

}  // namespace patchbay::vault
