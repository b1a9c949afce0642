/* A provider on the bare C header. Each task asks once, and resume() goes on by the tag of its request. */
#include <patchbay/plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char manifest[] PBAY_IN_MANIFEST =
#include "manifest.inc"
    ;

@if webhook
enum { WATCHED = 1, STOPPED = 2, CREATED = 3 };
@end
@if poll
enum { CREATED = 3 };
@end

typedef struct provider {
  const pbay_host *host;
  const pbay_ext_json *json;
} provider;

static pbay_str text(const char *z) {
  pbay_str s;
  s.ptr = z;
  s.len = strlen(z);
  return s;
}

static const pbay_str nothing = {NULL, 0};

/* The value at an RFC 6901 pointer; empty when there is none. Lives until we return to the host. */
static pbay_str look(const provider *p, pbay_str json, const char *pointer) {
  pbay_str value = nothing;
  return p->json->get(p->host, json, text(pointer), &value) == PBAY_OK ? value : nothing;
}

static pbay_str quoted(const provider *p, pbay_str s) {
  pbay_str json = PBAY_LIT("\"\"");
  p->json->quote(p->host, s, &json);
  return json;
}

/* The texts one after the other, to be freed. */
static char *joined(const pbay_str *parts, size_t count, size_t *length) {
  size_t i;
  char *all;
  *length = 0;
  for (i = 0; i < count; ++i) *length += parts[i].len;
  all = malloc(*length + 1);
  if (all == NULL) return NULL;
  for (i = 0, *length = 0; i < count; ++i) {
    if (parts[i].len > 0) memcpy(all + *length, parts[i].ptr, parts[i].len);
    *length += parts[i].len;
  }
  return all;
}

static void finish(const provider *p, uint64_t task, pbay_status status, pbay_str message) {
  pbay_result end;
  memset(&end, 0, sizeof end);
  end.size = sizeof end;
  end.status = status;
  end.message = message;
  p->host->finish(p->host, task, &end);
}

/* Asks for method and base_url + path; body may be empty. */
static void ask(const provider *p, const pbay_call *c, uint64_t tag, const char *method, const pbay_str path[2],
                const pbay_str *body, size_t body_parts, const pbay_header *headers, size_t header_count) {
  pbay_str url_parts[3];
  pbay_http out;
  pbay_status status = PBAY_E_INTERNAL;
  char *url, *content;
  memset(&out, 0, sizeof out);
  url_parts[0] = c->base_url;
  url_parts[1] = path[0];
  url_parts[2] = path[1];
  url = joined(url_parts, 3, &out.url.len);
  content = joined(body, body_parts, &out.body.len);
  out.size = sizeof out;
  out.flags = PBAY_EXPAND;
  out.account = c->account;
  out.method = text(method);
  out.url.ptr = url;
  out.body.ptr = content;
  out.headers = headers;
  out.header_count = header_count;
  if (url != NULL && content != NULL) status = p->host->http(p->host, c->task, tag, &out);
  free(url); /* the host has copied what it needs */
  free(content);
  if (status != PBAY_OK) finish(p, c->task, status, nothing);
}

/* What an answer that was not wanted means. */
static void fail(const provider *p, const pbay_reply *a) {
  pbay_result end;
  size_t i;
  memset(&end, 0, sizeof end);
  end.size = sizeof end;
  end.message = look(p, a->body, "/message");
  if (a->status != PBAY_OK) {
    end.status = a->status;
    end.message = a->body;
  } else if (a->http_status == 401 || a->http_status == 403) {
    end.status = PBAY_E_AUTH;
  } else if (a->http_status == 404 || a->http_status == 410) {
    end.status = PBAY_E_GONE;
  } else if (a->http_status == 429) {
    end.status = PBAY_E_RATE;
  } else {
    end.status = a->http_status >= 400 && a->http_status < 500 ? PBAY_E_ARG : PBAY_E_REMOTE;
  }
  for (i = 0; i < a->header_count; ++i) {
    const pbay_header *h = &a->headers[i];
    char digits[12] = {0};
    if (h->name.len != 11 || memcmp(h->name.ptr, "retry-after", 11) != 0 || h->value.len >= sizeof digits) continue;
    memcpy(digits, h->value.ptr, h->value.len);
    end.next_ms = strtol(digits, NULL, 10) * 1000L;
    if (end.next_ms < 0) end.next_ms = 0;
  }
  p->host->finish(p->host, a->task, &end);
}

static pbay_status create(const pbay_host *host, pbay_str config, void **self) {
  provider *p = malloc(sizeof *p);
  (void)config;
  if (p == NULL) return PBAY_E_INTERNAL;
  p->host = host;
  p->json = (const pbay_ext_json *)host->extension(host, text(PBAY_EXT_JSON));
  if (p->json == NULL) {
    free(p);
    return PBAY_E_UNSUPPORTED;
  }
  *self = p;
  return PBAY_OK;
}

static void destroy(void *self) { free(self); }

@if webhook
/* The provider knows a hook by its URL, so telling it again does no harm. */
static void watch(void *self, const pbay_call *c) {
  const provider *p = self;
  const pbay_str path[2] = {PBAY_LIT("/hooks"), {NULL, 0}};
  pbay_str body[5] = {PBAY_LIT("{\"url\":"), {NULL, 0}, PBAY_LIT(",\"secret\":"), {NULL, 0}, PBAY_LIT("}")};
  body[1] = quoted(p, c->callback_url);
  body[3] = quoted(p, c->callback_secret);
  ask(p, c, WATCHED, "PUT", path, body, 5, NULL, 0);
}

static void stop(void *self, const pbay_call *c) {
  const provider *p = self;
  const pbay_str path[2] = {PBAY_LIT("/hooks"), {NULL, 0}};
  pbay_str body[3] = {PBAY_LIT("{\"url\":"), {NULL, 0}, PBAY_LIT("}")};
  body[1] = quoted(p, c->callback_url);
  ask(p, c, STOPPED, "DELETE", path, body, 3, NULL, 0);
}

/* The host has checked the signature. */
static void webhook(void *self, const pbay_call *c, const pbay_request *r) {
  const provider *p = self;
  pbay_event event;
  memset(&event, 0, sizeof event);
  event.size = sizeof event;
  event.key = look(p, r->body, "/id"); /* no data: the event is the request's body */
  if (event.key.len == 0) {
    finish(p, c->task, PBAY_OK, nothing); /* a ping */
    return;
  }
  finish(p, c->task, p->host->emit(p->host, c->task, &event), nothing);
}
@end
@if poll
/* The state is the last id that was seen. The first poll only remembers where we are. */
static void poll(void *self, const pbay_call *c) {
  pbay_str path[2] = {PBAY_LIT("/items?after="), {NULL, 0}};
  path[1] = c->state;
  /* The tag is the call itself, which lives as long as its task. */
  ask(self, c, (uint64_t)(uintptr_t)c, "GET", path, NULL, 0, NULL, 0);
}

static int same(pbay_str a, pbay_str b) { return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0; }

static void take_items(const provider *p, const pbay_call *c, const pbay_reply *a) {
  uint64_t count = 0, i;
  uint32_t type;
  char pointer[40];
  pbay_result end;
  memset(&end, 0, sizeof end);
  end.size = sizeof end;
  if (c->state.len == 0) end.state = text("0");
  p->json->type(p->host, a->body, text("/items"), &type, &count);
  for (i = 0; i < count; ++i) {
    pbay_event event;
    memset(&event, 0, sizeof event);
    event.size = sizeof event;
    snprintf(pointer, sizeof pointer, "/items/%lu", (unsigned long)i);
    event.data = look(p, a->body, pointer);
    event.key = look(p, event.data, "/id");
    if (event.key.len == 0 || same(event.key, c->state)) continue;
    end.state = event.key;
    if (c->state.len > 0 && p->host->emit(p->host, a->task, &event) != PBAY_OK) {
      finish(p, a->task, PBAY_E_REMOTE, text("an item is no JSON object"));
      return;
    }
  }
  p->host->finish(p->host, a->task, &end);
}
@end

/* The key is the same at every attempt, so a provider that knows it makes one item. */
static void reaction(void *self, const pbay_call *c) {
  const provider *p = self;
  const pbay_str path[2] = {PBAY_LIT("/items"), {NULL, 0}};
  pbay_str body[3] = {PBAY_LIT("{\"title\":"), {NULL, 0}, PBAY_LIT("}")};
  pbay_header key;
  key.name = text("Idempotency-Key");
  key.value = c->key;
  body[1] = quoted(p, look(p, c->params, "/title"));
  ask(p, c, CREATED, "POST", path, body, 3, &key, 1);
}

static void created(const provider *p, const pbay_reply *a) {
  const pbay_str id = look(p, a->body, "/id");
  pbay_str parts[3] = {PBAY_LIT("{\"id\":"), {NULL, 0}, PBAY_LIT("}")};
  pbay_result end;
  char *output;
  if (id.len == 0) {
    finish(p, a->task, PBAY_E_REMOTE, text("the answer is no item"));
    return;
  }
  memset(&end, 0, sizeof end);
  end.size = sizeof end;
  parts[1] = quoted(p, id);
  output = joined(parts, 3, &end.output.len);
  end.output.ptr = output;
  if (output == NULL) end.status = PBAY_E_INTERNAL;
  p->host->finish(p->host, a->task, &end);
  free(output);
}

static void resume(void *self, const pbay_reply *a) {
  const provider *p = self;
  const int ok = a->status == PBAY_OK && a->http_status >= 200 && a->http_status < 300;
@if webhook
  if (a->tag == STOPPED && a->status == PBAY_OK && a->http_status == 404) {
    finish(p, a->task, PBAY_OK, nothing);
    return;
  }
@end
  if (!ok) {
    fail(p, a);
  } else if (a->tag == CREATED) {
    created(p, a);
  } else {
@if webhook
    finish(p, a->task, PBAY_OK, nothing);
@end
@if poll
    take_items(p, (const pbay_call *)(uintptr_t)a->tag, a);
@end
  }
}

static const pbay_plugin table = {
    sizeof(pbay_plugin), PBAY_ABI, PBAY_ABI_1_0, 0, {manifest, sizeof manifest - 1}, create, destroy,
@if webhook
    watch, stop, NULL, webhook,
@end
@if poll
    NULL, NULL, poll, NULL,
@end
    NULL, reaction, resume, NULL};

const pbay_plugin *pbay_plugin_v1(void) { return &table; }
