#pragma once

#include "kit/subject.hpp"

// What the rules do, one function each; check_rules.cpp lists them with their reasons.
namespace patchbay::kit::rule {

// rules_form.cpp: what the file and its manifest say
void load(Subject& subject);
void manifest(Subject& subject);
void exports(Subject& subject);
void imports(Subject& subject);
void examples(Subject& subject);
void docs(Subject& subject);

// rules_conduct.cpp: how it behaves as an object of the ABI
void create(Subject& subject);
void exceptions(Subject& subject);
void answers(Subject& subject);
void contract(Subject& subject);
void prompt(Subject& subject);
void memory(Subject& subject);
void threads(Subject& subject);
void descriptors(Subject& subject);
void cancellation(Subject& subject);

// rules_promise.cpp: whether it can be relied on
void egress(Subject& subject);
void verification(Subject& subject);
void keys(Subject& subject);
void cursor(Subject& subject);
void statuses(Subject& subject);
void idempotent(Subject& subject);
void outputs(Subject& subject);
void secrets(Subject& subject);
void fuzz(Subject& subject);

}  // namespace patchbay::kit::rule
