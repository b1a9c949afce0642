#include "engine/watch_source.hpp"

#include <utility>

#include "core/log.hpp"
#include "engine/watch_secrets.hpp"

namespace patchbay::engine {

Result<std::optional<WatchRecord>> WatchSource::opened(Result<std::optional<WatchRecord>> record) const {
  if (record && *record) open_secrets(vault_, {&**record, 1});
  return record;
}

void WatchSource::open_secret(const std::shared_ptr<Watch>& watch) {
  if (std::exchange(opens_secret_, true)) return;
  refresh(watch, [this](Result<>) { opens_secret_ = false; });
}

std::shared_ptr<Watch> WatchSource::insert(WatchRecord record) {
  auto watch = std::make_shared<Watch>(std::move(record));
  watch->adopt(registry_);
  if (watch->provider == nullptr) {
    log::warn("engine", "watch {} sleeps: no plugin offers {}.{}", watch->record.id.to_string(), watch->record.provider,
              watch->record.trigger);
  }
  if (watch->record.status == "active") watches_.insert(watch);
  return watch;
}

void WatchSource::find(std::string_view token, Found found) {
  if (under_way_ >= kAtOnce) return found(fail(Errc::exhausted, "too many unknown callback URLs are being looked for"));
  ++under_way_;
  background_.post([this, alive = alive_, token = std::string(token), found = std::move(found)]() mutable {
    auto record = opened(store_.active_watch(token));
    loop_.post([this, alive, record = std::move(record), found = std::move(found)]() mutable {
      if (!*alive) return;
      --under_way_;
      if (!record) return found(std::unexpected(record.error()));
      if (!*record) return found(std::shared_ptr<Watch>());
      auto known = watches_.find((*record)->id);  // two asked at once
      found(known ? known : insert(**std::move(record)));
    });
  });
}

void WatchSource::refresh(const std::shared_ptr<Watch>& watch, std::move_only_function<void(Result<>)> done) {
  background_.post([this, alive = alive_, watch, id = watch->record.id, done = std::move(done)]() mutable {
    auto record = read(id);
    loop_.post([this, alive, watch, record = std::move(record), done = std::move(done)]() mutable {
      if (!*alive) return;
      if (!record) return done(std::unexpected(record.error()));
      if (*record && watch->record.secret.empty()) watch->record.secret = (*record)->secret;
      if (!*record || (*record)->status != "active") {
        if (watches_.find(watch->record.id) == watch) watches_.erase(watch->record.id);
        return done(fail(Errc::not_found, "the watch is not active any more"));
      }
      if ((*record)->revision > watch->record.revision) watch->record = **std::move(record);
      done({});
    });
  });
}

}  // namespace patchbay::engine
