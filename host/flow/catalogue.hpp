#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace patchbay::flow {

// What a flow may name. The plugin registry implements it; tests use a fixed one.
struct OperationSchema {
  std::string params;  // JSON Schema of the parameters, as text
  std::string output;  // JSON Schema of the event or result
};

class Catalogue {
 public:
  virtual ~Catalogue() = default;
  // full_name is "github.issues". nullopt: there is none.
  [[nodiscard]] virtual std::optional<OperationSchema> trigger(std::string_view full_name) const = 0;
  [[nodiscard]] virtual std::optional<OperationSchema> reaction(std::string_view full_name) const = 0;
  // For "did you mean": all names of that kind.
  [[nodiscard]] virtual std::vector<std::string> trigger_names() const = 0;
  [[nodiscard]] virtual std::vector<std::string> reaction_names() const = 0;
  // Does the provider want a connection (has it an "auth" in its manifest)?
  [[nodiscard]] virtual bool needs_connection(std::string_view provider) const = 0;
};

}  // namespace patchbay::flow
