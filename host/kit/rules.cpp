#include "kit/rules.hpp"

#include <array>

namespace patchbay::kit {
namespace {

constexpr std::array kRules = std::to_array<Rule>({
    {"load", Level::bronze, "it can be loaded, and its table is as the header says",
     "the host refuses anything else", "build with the header and the linker options of the CMake package", "", rule::load},
    {"manifest", Level::bronze, "its manifest is valid and agrees with itself",
     "flows, forms and permissions are made of it", "mend the place that the JSON Pointer names", "load", rule::manifest},
    {"exports", Level::bronze, "it exports pbay_plugin_v1 and nothing else",
     "other symbols may be taken for those of another plugin", "link with the version script plugin.map", "load",
     rule::exports},
    {"imports", Level::bronze, "it imports nothing that reaches outside: files, sockets, processes, threads, clocks",
     "a plugin asks the host, which bounds, records and repeats what it does",
     "use http(), sleep(), log() and now_ms of the host", "load", rule::imports},
    {"create", Level::bronze, "create() and destroy() work, several times over",
     "an instance is made anew at every reload and restart", "create() does no I/O and keeps nothing in globals", "manifest",
     rule::create},
    {"exceptions", Level::bronze, "no exception leaves it", "one that does ends the host",
     "catch everything in each of the functions of the table; provider.hpp does", "create", rule::exceptions},
    {"answers", Level::bronze, "every trigger and reaction of the manifest ends with a result",
     "what the manifest offers, people use", "end each task with finish(), also for names that you do not expect",
     "exceptions", rule::answers},
    {"prompt", Level::bronze, "each call returns within 50 ms of CPU time", "all plugins share the host's loop",
     "do less in a call; sleep(1) between parts", "answers", rule::prompt},
    {"contract", Level::bronze, "it keeps the rules of plugin.h", "the host ends a task whose plugin breaks them",
     "read the rule that is named, at the head of plugin.h", "answers", rule::contract},
    {"memory", Level::bronze, "it gives back all memory", "a host runs for months",
     "free in destroy() what create() made, and at the end of a task what the task made, cancelled or not", "prompt",
     rule::memory},
    {"threads", Level::bronze, "it leaves no thread behind", "threads outlive a reload, and run code that is gone",
     "start none: http() and sleep() wait without one", "prompt", rule::threads},
    {"descriptors", Level::bronze, "it leaves no file or socket open", "descriptors are the host's, and few",
     "open none", "prompt", rule::descriptors},

    {"egress", Level::silver, "it asks only for hosts that its manifest lists",
     "other requests are refused, since credentials go along", "list the host under /http/hosts", "prompt", rule::egress},
    {"outputs", Level::silver, "events and outputs are what the manifest says", "flows are checked against it",
     "mend the output or its schema", "prompt", rule::outputs},
    {"verification", Level::silver, "unsigned, tampered and old webhooks are refused", "anybody can call a webhook's URL",
     "sign the whole body (/webhook/verify/signed); with scheme custom end with PBAY_E_REJECTED", "prompt",
     rule::verification},
    {"keys", Level::silver, "the same delivery makes the same events again", "keys are how a repeated delivery is noticed",
     "use the provider's own id as the key, never a counter or the time", "prompt", rule::keys},
    {"cursor", Level::silver, "a poll neither repeats nor invents events",
     "a poll runs again after a crash, with the state that was committed last",
     "remember in the state where you are; derive keys from what the provider says", "prompt", rule::cursor},
    {"statuses", Level::silver, "the provider's errors end as the right statuses",
     "the status decides between trying again, asking the user to sign in, and giving up",
     "call::fail(reply) does it: 401 AUTH, 404 GONE, 429 RATE with next_ms, 5xx and no answer REMOTE", "prompt",
     rule::statuses},
    {"idempotent", Level::silver, "a reaction that says it can be repeated tells the provider its key",
     "attempts are repeated after a crash; without the key there would be two",
     "send the key, or say \"idempotent\": false", "prompt", rule::idempotent},
    {"cancellation", Level::silver, "a cancelled task ends", "deadlines, reloads and shutdowns cancel",
     "when a wait is answered with an error, finish()", "prompt", rule::cancellation},
    {"secrets", Level::silver, "secret references go nowhere but into requests", "what is logged or stored, people read",
     "use callback_secret with PBAY_EXPAND only", "prompt", rule::secrets},
    {"fuzz", Level::silver, "it survives whatever is sent to it", "webhooks and answers come from outside",
     "check what you read before you use it", "prompt", rule::fuzz},

    {"examples", Level::gold, "each trigger and reaction has an example that works as it stands",
     "people begin with them, and this check does",
     "under /examples: params, replies (what the provider answers) and, for a webhook, delivery", "prompt", rule::examples},
    {"docs", Level::gold, "everything that people see has a title and a description", "forms are made of them",
     "add what is named", "manifest", rule::docs},
});

}  // namespace

std::span<const Rule> rules() { return kRules; }

}  // namespace patchbay::kit
