/* A plugin that breaks the rules of plugin.h, each by the reaction or trigger that is named after it. */
#include <patchbay/plugin.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

static const char manifest[] PBAY_IN_MANIFEST = PBAY_JSON({
  "patchbay": 1, "id": "breaker", "version": "1.0.0", "name": "Breaker", "base_url": "https://breaker.example",
  "http": {"hosts": ["breaker.example"], "headers": {"Accept": "application/json"}},
  "auth": {"account": {"type": "token", "fields": {"token": {}}, "inject": {"header": "Authorization", "value": "Bearer {token}"}}},
  "webhook": {"verify": {"scheme": "none"}},
  "triggers": [{"id": "hook", "name": "Hook", "mode": "webhook"}, {"id": "poll", "name": "Poll", "mode": "poll"}],
  "reactions": [{"id": "any", "name": "Any"}]
});

static const pbay_host *host;

static pbay_status create(const pbay_host *h, pbay_str config, void **self) {
  (void)config;
  host = h;
  *self = &host;
  return PBAY_OK;
}
static void destroy(void *self) { (void)self; }

static pbay_str text(const char *z) {
  pbay_str s;
  s.ptr = z;
  s.len = strlen(z);
  return s;
}
static int is(pbay_str a, const char *b) { return a.len == strlen(b) && memcmp(a.ptr, b, a.len) == 0; }

static pbay_status finish(uint64_t task, pbay_status status, const char *output) {
  pbay_result r;
  memset(&r, 0, sizeof r);
  r.size = sizeof r;
  r.status = status;
  if (output) r.output = text(output);
  return host->finish(host, task, &r);
}
static pbay_status ask(const pbay_call *c, const char *url) {
  pbay_http q;
  memset(&q, 0, sizeof q);
  q.size = sizeof q;
  q.flags = PBAY_EXPAND;
  q.account = c->account;
  q.method = text("POST");
  q.url = text(url);
  q.body = c->callback_secret;
  return host->http(host, c->task, 7, &q);
}
static pbay_status emit(uint64_t task, const char *key, const char *data) {
  pbay_event e;
  memset(&e, 0, sizeof e);
  e.size = sizeof e;
  e.key = text(key);
  if (data) e.data = text(data);
  return host->emit(host, task, &e);
}

static void reaction(void *self, const pbay_call *c) {
  (void)self;
  if (is(c->name, "ends_twice")) {
    finish(c->task, PBAY_OK, "{\"n\":1}");
    finish(c->task, PBAY_OK, "{\"n\":2}");
  } else if (is(c->name, "ends_another")) {
    finish(c->task + 1000, PBAY_OK, "{}");
    finish(c->task, PBAY_OK, "{}");
  } else if (is(c->name, "never_ends")) {
    return;
  } else if (is(c->name, "no_json")) {
    finish(c->task, PBAY_OK, "not json");
  } else if (is(c->name, "null_text")) {
    pbay_result r;
    memset(&r, 0, sizeof r);
    r.size = sizeof r;
    r.output.len = 1000;
    host->finish(host, c->task, &r);
  } else if (is(c->name, "emits")) {
    emit(c->task, "k", "{}");
    finish(c->task, PBAY_OK, "{}");
  } else if (is(c->name, "unknown_status")) {
    finish(c->task, -9999, NULL);
  } else if (is(c->name, "waits")) {
    if (ask(c, "https://breaker.example/x") != PBAY_OK) finish(c->task, PBAY_E_INTERNAL, NULL);
  } else if (is(c->name, "ends_and_waits")) {
    ask(c, "https://breaker.example/x");
    finish(c->task, PBAY_OK, "{}");
  } else if (is(c->name, "segfaults")) {
    *(volatile int *)c->watch = 1; /* a reaction has no watch: 0 */
  } else if (is(c->name, "aborts")) {
    abort();
  } else if (is(c->name, "spins")) {
    for (;;) {
    }
  } else if (is(c->name, "allocates")) {
    const size_t size = (size_t)2 << 30;
    volatile char *memory = malloc(size);
    size_t at;
    for (at = 0; at < size; at += 4096) memory[at] = 1;
    finish(c->task, PBAY_OK, "{}");
    free((void *)memory);
  } else if (is(c->name, "forks")) {
    while (fork() >= 0) {
    }
    finish(c->task, PBAY_OK, "{}");
  } else if (is(c->name, "opens")) {
    finish(c->task, open("/etc/passwd", O_RDONLY) < 0 ? PBAY_E_ARG : PBAY_OK, NULL);
  } else if (is(c->name, "connects")) {
    finish(c->task, socket(AF_INET, SOCK_STREAM, 0) < 0 ? PBAY_E_ARG : PBAY_OK, NULL);
  } else if (is(c->name, "sleeps")) {
    if (host->sleep(host, c->task, 7, 3600000) != PBAY_OK) finish(c->task, PBAY_E_INTERNAL, NULL);
  } else {
    finish(c->task, PBAY_OK, "{}");
  }
}

static void watch(void *self, const pbay_call *c) {
  (void)self;
  if (ask(c, "https://breaker.example/watch") != PBAY_OK) finish(c->task, PBAY_E_INTERNAL, NULL);
}
static void stop(void *self, const pbay_call *c) {
  (void)self;
  finish(c->task, PBAY_E_GONE, NULL);
}
static void poll(void *self, const pbay_call *c) {
  (void)self;
  emit(c->task, "", "{}");
  emit(c->task, "a", "[1]");
  emit(c->task, "b", "{\"ok\":true}");
  finish(c->task, PBAY_OK, NULL);
}
static void webhook(void *self, const pbay_call *c, const pbay_request *q) {
  (void)self;
  (void)q;
  finish(c->task, emit(c->task, "body", NULL), NULL);
}
static void resume(void *self, const pbay_reply *a) {
  pbay_result r;
  (void)self;
  memset(&r, 0, sizeof r);
  r.size = sizeof r;
  r.status = a->status;
  r.message = a->body;
  if (a->status == PBAY_OK) r.output = a->body;
  host->finish(host, a->task, &r);
}

static const pbay_plugin table = {sizeof(pbay_plugin), PBAY_ABI, PBAY_ABI_1_0, 0, {manifest, sizeof manifest - 1},
                                  create, destroy, watch, stop, poll, webhook, NULL, reaction, resume, NULL};
const pbay_plugin *pbay_plugin_v1(void) { return &table; }
