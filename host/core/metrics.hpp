#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace patchbay::metrics {

// Prometheus metrics of this process. A handle is made once (look-ups lock) and used for ever, from any thread.
using Labels = std::vector<std::pair<std::string, std::string>>;

class Counter {
 public:
  void increment(double by = 1) const;
  [[nodiscard]] double value() const;

 private:
  friend Counter counter(std::string_view, std::string_view, const Labels&);
  void* counter_ = nullptr;
};

class Gauge {
 public:
  void set(double value) const;
  void add(double by) const;
  [[nodiscard]] double value() const;

 private:
  friend Gauge gauge(std::string_view, std::string_view, const Labels&);
  void* gauge_ = nullptr;
};

class Histogram {
 public:
  void observe(double seconds) const;

 private:
  friend Histogram histogram(std::string_view, std::string_view, const Labels&);
  void* histogram_ = nullptr;
};

// The same name and labels give the same metric. Names as the field has them: patchbay_deliveries_total.
[[nodiscard]] Counter counter(std::string_view name, std::string_view help, const Labels& labels = {});
[[nodiscard]] Gauge gauge(std::string_view name, std::string_view help, const Labels& labels = {});
// Of seconds: 1 ms to 30 s.
[[nodiscard]] Histogram histogram(std::string_view name, std::string_view help, const Labels& labels = {});

// Text exposition format 0.0.4, as GET /metrics answers.
[[nodiscard]] std::string exposition();

}  // namespace patchbay::metrics
