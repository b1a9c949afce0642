#include <algorithm>
#include <charconv>

#include "core/id.hpp"
#include "github/simulator/github_simulator.hpp"

namespace patchbay::simulators {

using github::Hook;
using nlohmann::json;

namespace {

constexpr const char* kPage = "/repos/webhooks#create-a-repository-webhook";

// What the request says of a hook, over what is there. nullopt: the members are of other types than they should be.
std::optional<Hook> changed(Hook hook, const json& body) {
  try {
    hook.active = body.value("active", hook.active);
    hook.events = body.value("events", hook.events);
    const auto config = body.find("config");
    if (config == body.end()) return hook;
    // The whole configuration is replaced; a secret that is not given again is lost, as GitHub warns.
    hook.url = config->value("url", "");
    hook.content_type = config->value("content_type", "form");
    hook.secret = config->value("secret", "");
    const auto insecure = config->find("insecure_ssl");
    if (insecure != config->end())
      hook.insecure_ssl = insecure->is_string() ? insecure->get<std::string>() : insecure->dump();
    return hook;
  } catch (const json::exception&) {
    return std::nullopt;
  }
}

bool overlap(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  return std::ranges::any_of(a, [&](const auto& name) { return std::ranges::find(b, name) != b.end(); });
}

int number_in(const std::string& text, int otherwise) {
  int value = otherwise;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

}  // namespace

Response GithubSimulator::route_hooks(const Request& request, const github::Repository& repository,
                                      const std::vector<std::string>& segments) {
  if (segments.size() == 4) {
    if (request.method == "POST") return create_hook(request, repository);
    if (request.method == "GET") return list_hooks(request, repository);
    return json_response(404, github::error_json(404, "Not Found"));
  }
  Hook* hook = find_hook(repository, segments[4]);
  if (hook == nullptr) return json_response(404, github::error_json(404, "Not Found"));
  if (segments.size() == 6 && segments[5] == "pings" && request.method == "POST") {
    ping(*hook);
    return {.status = 204};
  }
  if (segments.size() != 5) return json_response(404, github::error_json(404, "Not Found"));
  if (request.method == "GET") return json_response(200, github::hook_json(*hook));
  if (request.method == "PATCH") return update_hook(request, *hook);
  if (request.method != "DELETE") return json_response(404, github::error_json(404, "Not Found"));
  std::erase_if(hooks_, [id = hook->id](const Hook& other) { return other.id == id; });
  return {.status = 204};
}

Hook* GithubSimulator::find_hook(const github::Repository& repository, const std::string& id) {
  const auto hook = std::ranges::find_if(hooks_, [&](const Hook& candidate) {
    return std::to_string(candidate.id) == id && candidate.repository.full_name() == repository.full_name();
  });
  return hook == hooks_.end() ? nullptr : &*hook;
}

json GithubSimulator::hook_faults(const Hook& hook) const {
  auto faults = json::array();
  const auto fault = [&](const char* field, const char* code, const std::string& message) {
    json entry{{"resource", "Hook"}, {"code", code}};
    if (*field != '\0') entry["field"] = field;
    if (!message.empty()) entry["message"] = message;
    faults.push_back(std::move(entry));
  };
  if (hook.url.empty()) {
    fault("url", "missing_field", "");
  } else if (!hook.url.starts_with("http://") && !hook.url.starts_with("https://")) {
    fault("url", "custom", "url is not valid");
  }
  if (hook.content_type != "json" && hook.content_type != "form") fault("content_type", "invalid", "");
  if (hook.insecure_ssl != "0" && hook.insecure_ssl != "1") fault("insecure_ssl", "invalid", "");
  if (hook.events.empty()) fault("events", "missing_field", "");
  for (const auto& event : hook.events) {
    if (!github::is_hook_event(event)) fault("events", "custom", "\"" + event + "\" is not a valid event");
    const auto same = std::ranges::count_if(hooks_, [&](const Hook& other) {
      return other.id != hook.id && other.repository.full_name() == hook.repository.full_name() &&
             overlap(other.events, {event});
    });
    if (same >= settings_.hooks_per_event) {
      fault(
          "", "custom",
          "The \"" + event + "\" event cannot have more than " + std::to_string(settings_.hooks_per_event) + " hooks");
    }
  }
  // Several may share a configuration only if their events do not overlap (docs.github.com, "Repository webhooks").
  const bool exists = std::ranges::any_of(hooks_, [&](const Hook& other) {
    return other.id != hook.id && other.repository.full_name() == hook.repository.full_name() &&
           other.url == hook.url && other.content_type == hook.content_type && overlap(other.events, hook.events);
  });
  if (exists) fault("", "custom", "Hook already exists on this repository");
  return faults;
}

Response GithubSimulator::create_hook(const Request& request, const github::Repository& repository) {
  const auto body = parse_body(request);
  if (!body.is_object()) return json_response(400, github::error_json(400, "Problems parsing JSON"));
  const auto now = settings_.clock->now();
  Hook fresh{.repository = repository, .events = {"push"}, .created = now, .updated = now};
  if (body.value("name", json("web")) != json("web")) {
    const json errors{{{"resource", "Hook"}, {"field", "name"}, {"code", "invalid"}}};
    return json_response(422, github::validation_json(errors, kPage));
  }
  auto hook = changed(std::move(fresh), body);
  if (!hook) return json_response(422, github::error_json(422, "Invalid request.", kPage));
  const auto faults = hook_faults(*hook);
  if (!faults.empty()) return json_response(422, github::validation_json(faults, kPage));
  hook->id = ++last_id_;
  hooks_.push_back(*hook);
  ping(*hook);
  const auto shape = github::hook_json(*hook);
  return json_response(201, shape, {{"Location", shape.at("url")}});
}

Response GithubSimulator::list_hooks(const Request& request, const github::Repository& repository) const {
  const int per_page = std::clamp(number_in(request.parameter("per_page"), 30), 1, 100);
  const int page = std::max(number_in(request.parameter("page"), 1), 1);
  auto list = json::array();
  int skip = per_page * (page - 1);
  for (const auto& hook : hooks_) {
    if (hook.repository.full_name() != repository.full_name() || skip-- > 0) continue;
    if (static_cast<int>(list.size()) == per_page) break;
    list.push_back(github::hook_json(hook));
  }
  return json_response(200, list);
}

Response GithubSimulator::update_hook(const Request& request, Hook& hook) {
  const auto body = parse_body(request);
  if (!body.is_object()) return json_response(400, github::error_json(400, "Problems parsing JSON"));
  auto next = changed(hook, body);
  if (!next) return json_response(422, github::error_json(422, "Invalid request.", kPage));
  const auto faults = hook_faults(*next);
  if (!faults.empty()) return json_response(422, github::validation_json(faults, kPage));
  next->updated = settings_.clock->now();
  hook = *next;
  return json_response(200, github::hook_json(hook));
}

void GithubSimulator::ping(const Hook& hook) {
  hookshot_.send({hook.url, hook.secret, "ping", Uuid::make(settings_.clock->now()).to_string(), hook.id,
                  hook.repository.id(), github::ping_json(hook).dump()},
                 [this, id = hook.id](const HookReply& reply) { note_delivery(id, reply.status); });
}

}  // namespace patchbay::simulators
