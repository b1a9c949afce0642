#pragma once

#include <string>
#include <vector>

#include "flow/draft.hpp"

namespace patchbay::flow {

// The edges of a draft between places in it, and what follows from them.
struct Graph {
  struct Source {
    std::size_t node;
    std::string port;  // as flow.hpp's Edge has it
    std::string pointer;
  };
  std::vector<std::vector<Source>> sources;    // of each node
  std::vector<std::size_t> order;              // each stands behind its sources; the written order where that is free
  std::vector<std::vector<bool>> runs_before;  // [a][b]: b runs before a

  // Problems: duplicate ids, unknown nodes and ports, cycles with their path, nodes that no trigger leads to, no
  // trigger.
  [[nodiscard]] static Graph build(const Draft& draft, std::vector<Problem>& problems);
};

}  // namespace patchbay::flow
