#include "bench/results.hpp"

#include <cmath>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>

namespace patchbay::bench {
namespace {

using Json = nlohmann::ordered_json;

double rounded(double value, double digits = 1000) { return std::round(value * digits) / digits; }

Json outcome_json(const Outcome& outcome) {
  return {{"accepted", outcome.accepted},
          {"refused", outcome.refused},
          {"unanswered", outcome.unanswered},
          {"arrived", outcome.arrived},
          {"lost", outcome.lost},
          {"doubled", outcome.doubled},
          {"repeated", outcome.repeated},
          {"reactions_per_s", rounded(outcome.reactions_per_s, 10)}};
}

Json throughput_json(const Throughput& result) {
  Json json{{"concurrency", result.concurrency},
            {"cpu_ms_per_reaction", rounded(result.cpu_ms_per_reaction, 10000)},
            {"response_p50_ms", rounded(result.response_ms.p50)},
            {"response_p99_ms", rounded(result.response_ms.p99)},
            {"response_max_ms", rounded(result.response_ms.most)},
            {"end_to_end_p50_ms", rounded(result.end_to_end_ms.p50)},
            {"end_to_end_p99_ms", rounded(result.end_to_end_ms.p99)},
            {"end_to_end_max_ms", rounded(result.end_to_end_ms.most)},
            {"rss_loaded_mb", rounded(result.resident_mb, 10)}};
  json.update(outcome_json(result));
  return json;
}

template <class Member>
std::size_t sum_over_all(const Results& results, Member member) {
  std::size_t sum = 0;
  for (const auto& outcome : results.w1) sum += outcome.*member;
  for (const auto& outcome : results.w3) sum += outcome.*member;
  return sum;
}

using Cell = std::function<std::string(const Results&)>;

std::string number(double value, int digits) {
  char text[48];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string row(const std::string& title, const Results& patchbay, const Results* reference, const Cell& cell) {
  char line[160];
  std::snprintf(line, sizeof line, "%-44s %14s %14s\n", title.c_str(), cell(patchbay).c_str(),
                reference == nullptr ? "-" : cell(*reference).c_str());
  return line;
}

}  // namespace

nlohmann::ordered_json to_json(const Results& results) {
  const auto& top = results.w1.back();
  Json json = throughput_json(top);
  json["lost"] = sum_over_all(results, &Outcome::lost);
  json["doubled"] = sum_over_all(results, &Outcome::doubled);
  json["repeated"] = sum_over_all(results, &Outcome::repeated);
  json["rss_idle_mb"] = rounded(results.idle.resident_mb, 10);
  json["start_ms"] = rounded(results.idle.start_ms, 10);
  if (results.idle_loaded) {
    json["sleeping_flows"] = results.sleeping_flows;
    json["rss_sleeping_flows_mb"] = rounded(results.idle_loaded->resident_mb, 10);
    json["start_sleeping_flows_ms"] = rounded(results.idle_loaded->start_ms, 10);
  }
  json["w1"] = Json::array();
  for (const auto& result : results.w1) json["w1"].push_back(throughput_json(result));
  json["w3"] = Json::array();
  for (const auto& outcome : results.w3) json["w3"].push_back(outcome_json(outcome));
  return json;
}

std::string to_table(const Results& patchbay, const Results* reference) {
  std::string table;
  const auto add = [&](const std::string& title, const Cell& cell) { table += row(title, patchbay, reference, cell); };
  char head[160];
  std::snprintf(head, sizeof head, "%-44s %14s %14s\n", "", "patchbay", "bare node");
  table += head;
  for (std::size_t i = 0; i < patchbay.w1.size(); ++i) {
    const std::string at = "W1 c" + std::to_string(patchbay.w1[i].concurrency) + "  ";
    add(at + "CPU ms / reaction", [i](const Results& r) { return number(r.w1.at(i).cpu_ms_per_reaction, 4); });
    add(at + "reactions / s", [i](const Results& r) { return number(r.w1.at(i).reactions_per_s, 0); });
    add(at + "response p50 / p99 ms", [i](const Results& r) {
      return number(r.w1.at(i).response_ms.p50, 1) + " / " + number(r.w1.at(i).response_ms.p99, 1);
    });
    add(at + "end to end p50 / p99 ms", [i](const Results& r) {
      return number(r.w1.at(i).end_to_end_ms.p50, 1) + " / " + number(r.w1.at(i).end_to_end_ms.p99, 1);
    });
    add(at + "refused, lost, doubled", [i](const Results& r) {
      const auto& w1 = r.w1.at(i);
      return std::to_string(w1.refused) + ", " + std::to_string(w1.lost) + ", " + std::to_string(w1.doubled);
    });
    add(at + "resident MB after it", [i](const Results& r) { return number(r.w1.at(i).resident_mb, 1); });
  }
  add("W2 idle, 1 flow: resident MB", [](const Results& r) { return number(r.idle.resident_mb, 1); });
  add("W2 idle, 1 flow: start ms", [](const Results& r) { return number(r.idle.start_ms, 1); });
  if (patchbay.idle_loaded) {
    const std::string flows = "W2 idle, " + std::to_string(patchbay.sleeping_flows) + " flows: ";
    const auto cell = [](double Idle::*member, int digits) -> Cell {
      return [=](const Results& r) { return r.idle_loaded ? number((*r.idle_loaded).*member, digits) : "-"; };
    };
    add(flows + "resident MB", cell(&Idle::resident_mb, 1));
    add(flows + "start ms", cell(&Idle::start_ms, 1));
  }
  for (std::size_t i = 0; i < patchbay.w3.size(); ++i) {
    add("W3 kill -9, round " + std::to_string(i + 1) + ": lost of accepted", [i](const Results& r) {
      return std::to_string(r.w3.at(i).lost) + " of " + std::to_string(r.w3.at(i).accepted);
    });
    add("   doubled; repeated with the same key", [i](const Results& r) {
      return std::to_string(r.w3.at(i).doubled) + "; " + std::to_string(r.w3.at(i).repeated);
    });
  }
  return table;
}

}  // namespace patchbay::bench
