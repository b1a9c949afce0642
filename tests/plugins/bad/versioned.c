/* One provider in several builds, for the tests of reloading: BUILD is its number and STATE its state version; with
 * WITHOUT_TRIGGER it has no trigger, and with FAILS its create() does. */
#include <patchbay/plugin.h>
#include <stddef.h>
#include <string.h>

#ifndef STATE
#define STATE "1"
#endif
#ifdef WITHOUT_TRIGGER
#define TRIGGERS "[]"
#else
#define TRIGGERS "[{\"id\": \"hook\", \"name\": \"Hook\", \"mode\": \"webhook\"}]"
#endif
static const char manifest[] PBAY_IN_MANIFEST =
    "{\"patchbay\": 1, \"id\": \"versioned\", \"version\": \"" BUILD ".0.0\", \"name\": \"Versioned\", \"state\": {\"version\": " STATE
    "}, \"webhook\": {\"verify\": {\"scheme\": \"none\"}}, \"triggers\": " TRIGGERS
    ", \"reactions\": [{\"id\": \"which\", \"name\": \"Which\"}, {\"id\": \"waits\", \"name\": \"Waits\"}]}";

static const pbay_host *host;

static pbay_status create(const pbay_host *h, pbay_str config, void **self) {
  (void)config;
  host = h;
  *self = &host;
#ifdef FAILS
  return PBAY_E_UNSUPPORTED;
#else
  return PBAY_OK;
#endif
}
static void destroy(void *self) { (void)self; }

static void end(uint64_t task, pbay_status status) {
  static const char output[] = "{\"build\":" BUILD "}";
  pbay_result r;
  memset(&r, 0, sizeof r);
  r.size = sizeof r;
  r.status = status;
  if (status == PBAY_OK) {
    r.output.ptr = output;
    r.output.len = sizeof output - 1;
  }
  host->finish(host, task, &r);
}

static void reaction(void *self, const pbay_call *c) {
  (void)self;
  if (c->name.len == 5 && memcmp(c->name.ptr, "waits", 5) == 0) {
    host->sleep(host, c->task, 1, 600);
  } else {
    end(c->task, PBAY_OK);
  }
}
static void answer(void *self, const pbay_call *c) {
  (void)self;
  end(c->task, PBAY_OK);
}
static void webhook(void *self, const pbay_call *c, const pbay_request *q) {
  (void)self;
  (void)q;
  end(c->task, PBAY_OK);
}
static void resume(void *self, const pbay_reply *a) {
  (void)self;
  end(a->task, a->status);
}

static const pbay_plugin table = {sizeof(pbay_plugin), PBAY_ABI, PBAY_ABI_1_0, 0, {manifest, sizeof manifest - 1},
                                  create, destroy, answer, answer, NULL, webhook, NULL, reaction, resume, NULL};
const pbay_plugin *pbay_plugin_v1(void) { return &table; }
