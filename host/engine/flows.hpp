#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.hpp"
#include "core/id.hpp"
#include "core/time.hpp"
#include "flow/flow.hpp"

namespace patchbay::engine {

// A flow as it is kept. state: draft (never ran), active, inactive, archived.
struct FlowRecord {
  FlowId id;
  UserId user;
  std::string name;
  std::string state;
  int version = 0;         // counts the saves; the ETag
  std::string definition;  // JSON, as it was given
  Timestamp created;
  Timestamp updated;
};

// Why a flow was not taken: problems when its JSON is at fault, else only the error.
struct Rejection {
  Error error;
  std::vector<flow::Problem> problems;
};
template <class T = void>
using Checked = std::expected<T, Rejection>;

// Users' flows: saved, checked, switched on and off. Any thread but the loop's; calls block, activate() and
// deactivate() for as long as the provider takes (bounded by the call's deadline, 30 s).
class Flows {
 public:
  virtual ~Flows() = default;

  // All problems at once; nothing is saved.
  virtual Checked<> validate(std::string_view definition) = 0;
  virtual Checked<FlowRecord> create(UserId user, std::string_view definition) = 0;
  // Saves a new version. Errc::conflict when if_version is given and is not the present one. A flow that is active goes
  // on with the new version: triggers that did not change keep their watch.
  virtual Checked<FlowRecord> update(UserId user, FlowId id, std::string_view definition,
                                     std::optional<int> if_version) = 0;
  virtual Result<FlowRecord> find(UserId user, FlowId id) = 0;
  // Newest first; before is the cursor.
  virtual Result<std::vector<FlowRecord>> list(UserId user, int limit, std::optional<FlowId> before) = 0;

  // Makes every trigger's provider tell us (watch), then sets the flow active. When one refuses, those that were made
  // are undone and the flow stays as it was. Already active: nothing happens.
  virtual Checked<FlowRecord> activate(UserId user, FlowId id) = 0;
  // From the return on no event starts a run. The providers are told to stop; one that does not answer is told again in
  // the background. Runs that have begun go on.
  virtual Result<FlowRecord> deactivate(UserId user, FlowId id) = 0;
  // Deactivates, then removes the flow; its runs stay.
  virtual Result<> remove(UserId user, FlowId id) = 0;
};

}  // namespace patchbay::engine
