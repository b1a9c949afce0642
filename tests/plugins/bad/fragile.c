/* A plugin that aborts at the first attempt at what says "crash", or does not come back from what says "hang", and does it
   at the second. */
#include <patchbay/plugin.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const char manifest[] PBAY_IN_MANIFEST = PBAY_JSON({
  "patchbay": 1, "id": "fragile", "version": "1.0.0", "name": "Fragile",
  "webhook": {"verify": {"scheme": "none"}},
  "triggers": [{"id": "hook", "name": "Hook", "mode": "webhook"}],
  "reactions": [{"id": "work", "name": "Work", "idempotent": true,
                 "params": {"type": "object", "properties": {"how": {"type": "string"}}}}]
});

static volatile unsigned spins;
static const pbay_host *host;
static const pbay_ext_json *json;

static pbay_str text(const char *z) {
  pbay_str s;
  s.ptr = z;
  s.len = strlen(z);
  return s;
}
static pbay_status create(const pbay_host *h, pbay_str config, void **self) {
  (void)config;
  host = h;
  json = (const pbay_ext_json *)h->extension(h, text(PBAY_EXT_JSON));
  *self = &host;
  return PBAY_OK;
}
static void destroy(void *self) { (void)self; }

static void finish(uint64_t task, const char *output) {
  pbay_result r;
  memset(&r, 0, sizeof r);
  r.size = sizeof r;
  r.output = text(output);
  host->finish(host, task, &r);
}
static pbay_str look(pbay_str in, const char *pointer) {
  pbay_str value = {NULL, 0};
  json->get(host, in, text(pointer), &value);
  return value;
}
static void crash_if_told(const pbay_call *c, pbay_str how) {
  if (c->attempt != 1) return;
  if (how.len == 5 && memcmp(how.ptr, "crash", 5) == 0) abort();
  while (how.len == 4 && memcmp(how.ptr, "hang", 4) == 0) spins = spins + 1;
}

static void watch(void *self, const pbay_call *c) {
  (void)self;
  host->log(host, c->task, PBAY_LOG_INFO, c->callback_url); /* where a test sends its webhooks */
  finish(c->task, "");
}
static void stop(void *self, const pbay_call *c) {
  (void)self;
  finish(c->task, "");
}
static void webhook(void *self, const pbay_call *c, const pbay_request *q) {
  pbay_event event;
  (void)self;
  crash_if_told(c, look(q->body, "/webhook"));
  memset(&event, 0, sizeof event);
  event.size = sizeof event;
  event.key = look(q->body, "/key");
  host->emit(host, c->task, &event);
  finish(c->task, "");
}
static void reaction(void *self, const pbay_call *c) {
  (void)self;
  crash_if_told(c, look(c->params, "/how"));
  finish(c->task, "{}");
}
static void resume(void *self, const pbay_reply *a) {
  (void)self;
  finish(a->task, "");
}

static const pbay_plugin table = {sizeof(pbay_plugin), PBAY_ABI, PBAY_ABI_1_0, 0, {manifest, sizeof manifest - 1},
                                  create, destroy, watch, stop, NULL, webhook, NULL, reaction, resume, NULL};
const pbay_plugin *pbay_plugin_v1(void) { return &table; }
