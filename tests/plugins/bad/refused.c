/* Plugins that a host must refuse, one a macro: BAD_ABI, BAD_NEEDS, BAD_FLAGS, BAD_SIZE, BAD_CREATE, BAD_MANIFEST,
 * BAD_JSON, BAD_FUNCTION, BAD_NULL, BAD_UNDEFINED, BAD_ENTRY, CRASHES, HANGS, CLOSES (and hangs). GOOD is none of them; nor is NEWER, which
 * was built for a later minor version, with a larger table, and needs 1.0 only. */
#include <patchbay/plugin.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(BAD_MANIFEST)
static const char manifest[] PBAY_IN_MANIFEST = PBAY_JSON({"patchbay": 1, "id": "Not An Id", "version": "1", "name": ""});
#elif defined(BAD_JSON)
static const char manifest[] PBAY_IN_MANIFEST = "{";
#else
static const char manifest[] PBAY_IN_MANIFEST = PBAY_JSON({
  "patchbay": 1, "id": "sample", "version": "1.0.0", "name": "Sample", "reactions": [{"id": "act", "name": "Act"}]
});
#endif

#if defined(BAD_UNDEFINED)
extern int nobody_defines_this(void);
#endif

static pbay_status create(const pbay_host *host, pbay_str config, void **self) {
  (void)host;
  (void)config;
  *self = NULL;
#if defined(BAD_CREATE)
  return PBAY_E_UNSUPPORTED;
#elif defined(CRASHES)
  abort();
#elif defined(HANGS) || defined(CLOSES)
#if defined(CLOSES)
  fclose(stderr);
#endif
  for (;;) {
  }
  return PBAY_OK;
#elif defined(BAD_UNDEFINED)
  return nobody_defines_this();
#else
  return PBAY_OK;
#endif
}
static void destroy(void *self) { (void)self; }
__attribute__((unused)) static void reaction(void *self, const pbay_call *call) {
  (void)self;
  (void)call;
}
static void resume(void *self, const pbay_reply *reply) {
  (void)self;
  (void)reply;
}

__attribute__((unused)) static const pbay_plugin table = {
#if defined(BAD_SIZE)
    64,
#elif defined(NEWER)
    sizeof(pbay_plugin) + 64,
#else
    sizeof(pbay_plugin),
#endif
#if defined(BAD_ABI)
    0x00020000u,
#elif defined(NEWER)
    0x00010007u,
#else
    PBAY_ABI,
#endif
#if defined(BAD_NEEDS)
    0x00010007u,
#else
    PBAY_ABI_1_0,
#endif
#if defined(BAD_FLAGS)
    1,
#else
    0,
#endif
    {manifest, sizeof manifest - 1}, create, destroy, NULL, NULL, NULL, NULL, NULL,
#if defined(BAD_FUNCTION)
    NULL,
#else
    reaction,
#endif
    resume, NULL};

#if defined(BAD_ENTRY)
PBAY_EXPORT const pbay_plugin *pbay_plugin_v2(void);
const pbay_plugin *pbay_plugin_v2(void) { return &table; }
#elif defined(BAD_NULL)
const pbay_plugin *pbay_plugin_v1(void) { return NULL; }
#else
const pbay_plugin *pbay_plugin_v1(void) { return &table; }
#endif
