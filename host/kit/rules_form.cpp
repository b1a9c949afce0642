#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "egress/target.hpp"
#include "kit/elf.hpp"
#include "kit/rules.hpp"
#include "plugin/schema.hpp"

namespace patchbay::kit::rule {
namespace {

using nlohmann::json;

// Calls visit(pointer, kind, operation) for each trigger and reaction.
template <class Visit>
void for_each_operation(const json& manifest, Visit visit) {
  for (const std::string kind : {"trigger", "reaction"}) {
    const auto list = manifest.value(kind + "s", json::array());
    for (std::size_t i = 0; i < list.size(); ++i) visit(fmt::format("/{}s/{}", kind, i), kind, list[i]);
  }
}

// Scopes that the manifest's ways to sign in know; empty: they name none.
std::set<std::string> known_scopes(const json& manifest) {
  std::set<std::string> scopes;
  const auto schemes = manifest.value("auth", json::object());
  for (const auto& [id, auth] : schemes.items()) {
    if (auth.value("type", "") == "oauth2") return {};  // its "scopes" are asked for always, and others with them
    const auto declared = auth.value("scopes", std::vector<std::string>{});
    scopes.insert(declared.begin(), declared.end());
  }
  return scopes;
}

void check_example(Subject& subject, const std::string& pointer, const json& operation) {
  const auto params = plugin::Schema::compile(operation.value("params", json{{"type", "object"}}).dump());
  const auto output = plugin::Schema::compile(operation.value("output", json{{"type", "object"}}).dump());
  const auto list = operation.value("examples", json::array());
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto here = fmt::format("{}/examples/{}", pointer, i);
    if (!list[i].is_object()) {
      subject.found(here, "an example is an object with params");
      continue;
    }
    for (const auto& fault : params->check(list[i].value("params", json::object()).dump())) {
      subject.found(here + "/params", "params does not take it: " + fault);
    }
    if (!list[i].contains("output")) continue;
    for (const auto& fault : output->check(list[i]["output"].dump())) {
      subject.found(here + "/output", "output does not take it: " + fault);
    }
  }
}

void check_titles(Subject& subject, const std::string& pointer, const json& schema) {
  const auto properties = schema.value("properties", json::object());
  for (const auto& [name, property] : properties.items()) {
    if (property.is_object() && property.contains("title")) continue;
    subject.found(fmt::format("{}/properties/{}", pointer, name), "it has no title");
  }
}

}  // namespace

void load(Subject& subject) {
  const auto opened = open_plugin(subject.file());
  if (opened) return;
  const std::string_view why = opened.error().message;
  if (why.starts_with("manifest:") || why.starts_with("the manifest")) return;  // the rule after this one
  subject.found(subject.file(), opened.error().message);
}

void manifest(Subject& subject) {
  const auto& declared = subject.manifest();
  const auto base = declared.value("base_url", "");
  const auto hosts = declared.value("/http/hosts"_json_pointer, std::vector<std::string>{});
  if (!base.empty() && !patchbay::egress::is_host_allowed(hosts, host_of(base))) {
    subject.found("/http/hosts", fmt::format("the host of base_url, {}, is not listed", host_of(base)));
  }
  const auto scopes = known_scopes(declared);
  for_each_operation(declared, [&](const std::string& pointer, const std::string&, const json& operation) {
    check_example(subject, pointer, operation);
    const auto wanted = operation.value("scopes", json::array());
    if (!wanted.empty() && !declared.contains("auth")) {
      subject.found(pointer + "/scopes", "it wants scopes, but nobody can sign in: there is no /auth");
    }
    for (const auto& scope : wanted) {
      if (scopes.empty() || scopes.contains(scope.get<std::string>())) continue;
      subject.found(pointer + "/scopes", fmt::format("no /auth knows the scope '{}'", scope.get<std::string>()));
    }
  });
}

void exports(Subject& subject) {
  const auto symbols = read_symbols(subject.file());
  if (!symbols) return subject.found(subject.file(), symbols.error().message);
  for (const auto& name : symbols->exports) {
    if (name != PBAY_ENTRY && !name.starts_with("__")) subject.found("exported symbol", name);
  }
}

void imports(Subject& subject) {
  const auto symbols = read_symbols(subject.file());
  if (!symbols) return subject.found(subject.file(), symbols.error().message);
  for (const auto& name : symbols->imports) {
    if (!may_import(name)) subject.found("imported symbol", name);
  }
}

void examples(Subject& subject) {
  for (const auto& operation : subject.operations()) {
    if (!operation.example.given) {
      if (operation.verb != plugin::Verb::watch && operation.verb != plugin::Verb::stop) {
        subject.found(operation.where, "it has no example");
      }
      continue;
    }
    const auto played = subject.play(operation);
    if (!played.outcome) continue;  // the rule "answers" has said so
    if (played.outcome->error) {
      subject.found(operation.where, "its example fails: " + played.outcome->error->message);
    } else if (operation.verb == plugin::Verb::webhook && played.outcome->events.empty()) {
      subject.found(operation.where, "the delivery of its example makes no event");
    }
  }
}

void docs(Subject& subject) {
  const auto& declared = subject.manifest();
  for (const auto* field : {"description", "name"}) {
    if (declared.value(field, "").empty()) subject.found(fmt::format("/{}", field), "it is missing");
  }
  const auto schemes = declared.value("auth", json::object());
  for (const auto& [id, auth] : schemes.items()) {
    const auto fields = auth.value("fields", json::object());
    for (const auto& [name, field] : fields.items()) {
      if (!field.contains("title")) subject.found(fmt::format("/auth/{}/fields/{}", id, name), "it has no title");
    }
  }
  for_each_operation(declared, [&](const std::string& pointer, const std::string&, const json& operation) {
    if (operation.value("description", "").empty()) subject.found(pointer, "it has no description");
    check_titles(subject, pointer + "/params", operation.value("params", json::object()));
    if (!operation.contains("output")) subject.found(pointer, "it does not say what it puts out: /output is missing");
  });
}

}  // namespace patchbay::kit::rule
