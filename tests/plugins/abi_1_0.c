/* A plugin of ABI 1.0, kept as it was written for it and built with that header (plugin-api/abi/1.0): hosts of every later
 * minor version load it and give it what 1.0 promised. Not to be changed. */
#include <patchbay/plugin.h>
#include <stddef.h>
#include <string.h>

static const char manifest[] PBAY_IN_MANIFEST = PBAY_JSON({
  "patchbay": 1, "id": "first", "version": "1.0.0", "name": "First", "base_url": "https://first.example",
  "http": {"hosts": ["first.example"]},
  "reactions": [{"id": "echo", "name": "Echo",
                 "params": {"type": "object", "required": ["say"], "properties": {"say": {"type": "string"}}}}]
});

static const pbay_host *host;

static pbay_str text(const char *z) {
  pbay_str s;
  s.ptr = z;
  s.len = strlen(z);
  return s;
}

static pbay_status create(const pbay_host *given, pbay_str config, void **self) {
  (void)config;
  host = given;
  *self = &host;
  return PBAY_OK;
}
static void destroy(void *self) { (void)self; }

static void finish(uint64_t task, pbay_status status, const char *output) {
  pbay_result result;
  memset(&result, 0, sizeof result);
  result.size = sizeof result;
  result.status = status;
  if (output != NULL) result.output = text(output);
  host->finish(host, task, &result);
}

static void reaction(void *self, const pbay_call *call) {
  const pbay_ext_json *json = (const pbay_ext_json *)host->extension(host, text(PBAY_EXT_JSON));
  pbay_http request;
  (void)self;
  memset(&request, 0, sizeof request);
  request.size = sizeof request;
  request.method = text("POST");
  request.url = text("https://first.example/say");
  if (json == NULL || json->get(host, call->params, text("/say"), &request.body) != PBAY_OK ||
      json->quote(host, request.body, &request.body) != PBAY_OK ||
      host->http(host, call->task, 1, &request) != PBAY_OK) {
    finish(call->task, PBAY_E_ARG, NULL);
  }
}
static void resume(void *self, const pbay_reply *reply) {
  (void)self;
  if (reply->status == PBAY_OK && reply->http_status == 200) {
    finish(reply->task, PBAY_OK, "{\"answer\":200}");
  } else {
    finish(reply->task, PBAY_E_REMOTE, NULL);
  }
}

static const pbay_plugin table = {sizeof(pbay_plugin), PBAY_ABI_1_0, PBAY_ABI_1_0, 0, {manifest, sizeof manifest - 1},
                                  create, destroy, NULL, NULL, NULL, NULL, NULL, reaction, resume, NULL};
const pbay_plugin *pbay_plugin_v1(void) { return &table; }
