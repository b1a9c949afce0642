#include "core/metrics.hpp"

#include <map>
#include <mutex>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace patchbay::metrics {
namespace {

// Never destroyed: handles live in static objects too.
prometheus::Registry& registry() {
  static auto* const instance = new prometheus::Registry;
  return *instance;
}

prometheus::Labels to_map(const Labels& labels) { return {labels.begin(), labels.end()}; }

}  // namespace

void Counter::increment(double by) const { static_cast<prometheus::Counter*>(counter_)->Increment(by); }
double Counter::value() const { return static_cast<prometheus::Counter*>(counter_)->Value(); }
void Gauge::set(double value) const { static_cast<prometheus::Gauge*>(gauge_)->Set(value); }
void Gauge::add(double by) const { static_cast<prometheus::Gauge*>(gauge_)->Increment(by); }
double Gauge::value() const { return static_cast<prometheus::Gauge*>(gauge_)->Value(); }
void Histogram::observe(double seconds) const { static_cast<prometheus::Histogram*>(histogram_)->Observe(seconds); }

Counter counter(std::string_view name, std::string_view help, const Labels& labels) {
  auto& family = prometheus::BuildCounter().Name(std::string(name)).Help(std::string(help)).Register(registry());
  Counter handle;
  handle.counter_ = &family.Add(to_map(labels));
  return handle;
}

Gauge gauge(std::string_view name, std::string_view help, const Labels& labels) {
  auto& family = prometheus::BuildGauge().Name(std::string(name)).Help(std::string(help)).Register(registry());
  Gauge handle;
  handle.gauge_ = &family.Add(to_map(labels));
  return handle;
}

Histogram histogram(std::string_view name, std::string_view help, const Labels& labels) {
  static const prometheus::Histogram::BucketBoundaries kSeconds{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                                                0.25,  0.5,    1,     2.5,  5,     10,   30};
  auto& family = prometheus::BuildHistogram().Name(std::string(name)).Help(std::string(help)).Register(registry());
  Histogram handle;
  handle.histogram_ = &family.Add(to_map(labels), kSeconds);
  return handle;
}

std::string exposition() { return prometheus::TextSerializer().Serialize(registry().Collect()); }

}  // namespace patchbay::metrics
