#include "vault/keys/pkcs11_module.hpp"

#include <map>
#include <mutex>

#include <dlfcn.h>
#include <fmt/format.h>

namespace patchbay::vault {
namespace {

struct Loaded {
  std::mutex mutex;  // guards by_path, and the start and the end of modules
  std::map<std::string, std::weak_ptr<Pkcs11Module>> by_path;
};

Loaded& loaded() {
  static auto* all = new Loaded;  // modules may be used until the process ends
  return *all;
}

}  // namespace

Result<std::shared_ptr<Pkcs11Module>> Pkcs11Module::load(const std::string& path) {
  const std::lock_guard lock(loaded().mutex);
  auto& known = loaded().by_path[path];
  if (auto module = known.lock()) return module;
  void* library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) return fail(Errc::unavailable, fmt::format("the PKCS#11 module cannot be loaded: {}", ::dlerror()));
  const auto list = reinterpret_cast<CK_C_GetFunctionList>(::dlsym(library, "C_GetFunctionList"));
  CK_FUNCTION_LIST* functions = nullptr;
  if (list == nullptr || list(&functions) != CKR_OK || functions == nullptr) {
    return fail(Errc::unavailable, path + " is no PKCS#11 module");
  }
  CK_C_INITIALIZE_ARGS arguments{};
  arguments.flags = CKF_OS_LOCKING_OK;
  const auto started = functions->C_Initialize(&arguments);
  if (started != CKR_OK && started != CKR_CRYPTOKI_ALREADY_INITIALIZED) {
    return fail(Errc::unavailable, fmt::format("the PKCS#11 module {} does not start: {:#x}", path, started));
  }
  std::shared_ptr<Pkcs11Module> module(new Pkcs11Module(functions));
  known = module;
  return module;
}

Pkcs11Module::~Pkcs11Module() {
  const std::lock_guard lock(loaded().mutex);
  functions_->C_Finalize(nullptr);
}

}  // namespace patchbay::vault
