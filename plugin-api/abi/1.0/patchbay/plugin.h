/* patchbay/plugin.h: the plugin ABI, version 1.0. C99 and C++; other languages need nothing else.
 *
 * A plugin is a shared object that exports one function, pbay_plugin_v1(). It returns a constant table of functions:
 * what the host may ask of the plugin. create() hands the plugin another table: what it may ask of the host. Nothing
 * else crosses the boundary. A plugin does no I/O of its own: it asks, the host does, and resume() brings the answer.
 *
 * THE RULES
 *
 * 1. Memory. Nobody frees what the other side made.
 *      - What the host hands to a task (pbay_call, pbay_request, pbay_frame and all they point to) stays valid until
 *        that task has ended: no copies are needed, also across resume().
 *      - pbay_reply and what it points to are borrowed for the resume() call.
 *      - What the plugin passes to a host function is borrowed for that call.
 *      - Text that a host function hands out lives until the plugin returns to the host.
 *      - pbay_plugin and its manifest live while the object is mapped; pbay_host from create() until destroy() returned.
 *
 * 2. Threads. Each function is marked:
 *      [strand]   called by the host; never two at once in one instance, though not always on the same thread; never
 *                 re-entered, because no host function calls the plugin
 *      [in call]  called by the plugin from inside a [strand] call into the same instance, on that thread, and from
 *                 nowhere else; it does not wait
 *      [any]      any thread, any time
 *    A plugin starts no threads, does not fork, and installs no signal or exit handlers. A [strand] call returns
 *    promptly: the host complains after 50 ms.
 *
 * 3. Tasks. watch, stop, poll, webhook, socket and reaction each begin a task. It ends with exactly one finish(), before
 *    the call returns or in a later resume(). Between calls it waits for http() or sleep(); a task that returns with
 *    neither an end nor a wait is ended by the host with PBAY_E_INTERNAL. Each accepted wait is answered by exactly one
 *    resume(), also after the task has ended.
 *
 * 4. Commits. Emitted events and the new state become durable together when the task finishes with PBAY_OK, and not at
 *    all otherwise. A task that failed for a reason that may pass is run again with the same key and the next attempt:
 *    so work is done at least once, and keys make it once.
 *
 * 5. State. An instance may be thrown away and made anew, of this or another version, here or in another process,
 *    between any two tasks. What must last is the state, which the host keeps and hands to each call. Tasks of one
 *    watch run one after another; webhook() alone may run while watch() waits (providers call back before they answer)
 *    and must then not change the state.
 *
 * 6. Time. The wall clock is now_ms, milliseconds since 1970. At deadline_ms, or sooner, the host cancels a task: its
 *    waits are answered with PBAY_E_CANCELLED, and no new ones are accepted.
 *
 * 7. Growth. Structs begin with their size and grow only at the end; whoever reads what 1.0 did not have asks
 *    PBAY_HAS() first. pbay_str and pbay_header never change. Unknown statuses and kinds are to be expected. Unused and
 *    reserved fields are zero.
 *
 * 8. Nothing is thrown, longjmp()ed or exit()ed across the boundary. Text is UTF-8, not NUL-terminated; ptr may be NULL
 *    when len is 0. Handles are numbers; 0 is none.
 */
#ifndef PBAY_PLUGIN_H
#define PBAY_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PBAY_ABI_1_0 0x00010000u
#define PBAY_ABI PBAY_ABI_1_0 /* of this header: major << 16 | minor */

#define PBAY_EXPORT __attribute__((visibility("default")))

/* Does the struct that p points to, as the other side made it, have this field? */
#define PBAY_HAS(p, field) ((const char *)&(p)->field + sizeof((p)->field) <= (const char *)(p) + (p)->size)

typedef struct pbay_str {
  const char *ptr;
  size_t len;
} pbay_str;

/* Initialises a pbay_str from a literal. */
#define PBAY_LIT(text) \
  { (text), sizeof(text) - 1 }

typedef struct pbay_header {
  pbay_str name; /* incoming ones are in lower case */
  pbay_str value;
} pbay_header;

/* ---- statuses ---------------------------------------------------------------------------------------------------- */

typedef int32_t pbay_status;
enum {
  PBAY_OK = 0,

  /* may pass: the host runs the task again */
  PBAY_E_INTERNAL = -1,  /* a bug here; a status that the reader does not know reads as this */
  PBAY_E_CANCELLED = -2, /* by the host: deadline, shutdown, reload, no longer wanted */
  PBAY_E_REMOTE = -3,    /* no answer, or not a useful one */
  PBAY_E_RATE = -4,      /* told to wait: see next_ms */

  /* will not pass: the host tells the user and does not run the task again */
  PBAY_E_ARG = -16, /* the request makes no sense */
  PBAY_E_UNSUPPORTED = -17,
  PBAY_E_AUTH = -18,     /* credentials refused: the account must be connected again */
  PBAY_E_GONE = -19,     /* the remote object is no more; ends a watch, and is success to stop() */
  PBAY_E_REJECTED = -20, /* webhook: not from who it says: 401, dropped */
  PBAY_E_LIMIT = -21,    /* too big, too many */
  PBAY_E_CLOSED = -22    /* no such task or socket any more */
};

/* ---- what the host hands to the plugin --------------------------------------------------------------------------- */

/* One piece of work. */
typedef struct pbay_call {
  uint32_t size;
  uint32_t attempt; /* 1 at first; higher when an earlier attempt may have had its effect */
  uint64_t task;
  uint64_t watch;   /* 0: a reaction */
  uint64_t account; /* for http(): the connection whose credentials go along; 0: none */
  int64_t now_ms;
  int64_t deadline_ms;
  pbay_str name;     /* which trigger or reaction of the manifest */
  pbay_str params;   /* JSON object that the manifest's schema has accepted */
  pbay_str key;      /* the same at every attempt at this work: the idempotency key */
  pbay_str state;    /* as last committed for this watch; empty at first */
  pbay_str shared;   /* as last committed for what this watch shares with others; empty in this version */
  pbay_str base_url; /* of the provider's API, without a slash at its end: the configuration's, else the manifest's */
  uint32_t state_version; /* of the manifest that wrote the state */
  uint32_t reserved;
  pbay_str callback_url;    /* live before watch() is called */
  pbay_str callback_secret; /* a secret reference: see PBAY_EXPAND */
} pbay_call;

/* A request that reached callback_url. */
typedef struct pbay_request {
  uint32_t size;
  uint32_t verified; /* 1: the manifest's scheme has passed; 0: it says "custom" or "none" */
  pbay_str method;
  pbay_str query;
  pbay_str body;
  const pbay_header *headers;
  size_t header_count;
} pbay_request;

enum {
  PBAY_FRAME_CONNECT = 1, /* in: call connect() and finish; comes again, with back-off, after CLOSED */
  PBAY_FRAME_OPEN = 2,    /* in */
  PBAY_FRAME_TEXT = 3,    /* in, out */
  PBAY_FRAME_BINARY = 4,  /* in, out */
  PBAY_FRAME_CLOSED = 5,  /* in, out: code is the close code */
  PBAY_FRAME_TICK = 6     /* out: from now on one every `code` milliseconds; in: here it is */
};

/* Something on a WebSocket. The host has the socket, the pings and the reconnecting. */
typedef struct pbay_frame {
  uint32_t size;
  uint32_t kind;
  uint64_t socket;
  uint32_t code;
  uint32_t flags; /* out: PBAY_EXPAND */
  pbay_str data;
} pbay_frame;

/* The answer to http() or sleep(). */
typedef struct pbay_reply {
  uint32_t size;
  pbay_status status; /* PBAY_OK: answered, whatever http_status says; or slept */
  uint64_t task;
  uint64_t tag;
  int64_t now_ms;
  uint32_t http_status;
  uint32_t reserved;
  pbay_str body;
  const pbay_header *headers;
  size_t header_count;
} pbay_reply;

/* ---- what the plugin hands to the host --------------------------------------------------------------------------- */

/* Credentials never pass through here. The host adds them and sends them only to the hosts that the manifest lists,
 * follows redirects, and repeats what is safe to repeat. */
enum {
  PBAY_EXPAND = 1u, /* put secrets in the place of the secret references in url, headers and body. A reference is a
                       random string, so nothing that a user wrote can be one. */
  PBAY_REPEAT = 2u  /* safe to repeat, though the method does not say so */
};

typedef struct pbay_http {
  uint32_t size;
  uint32_t flags;
  uint64_t account; /* pbay_call.account, or 0 */
  pbay_str auth;    /* which of the manifest's "auth"; empty: the connection's own */
  pbay_str method;
  pbay_str url;
  pbay_str body;
  const pbay_header *headers;
  size_t header_count;
} pbay_http;

/* Something happened: flows may start. */
typedef struct pbay_event {
  uint32_t size;
  uint32_t reserved;
  int64_t time_ms; /* when it did; 0: now */
  pbay_str key;    /* required: what the provider calls this event; a second one with it is dropped */
  pbay_str data;   /* JSON object, as the trigger's "output" says. ptr NULL: the body of the request, word for word,
                      which is then neither copied nor stored twice */
} pbay_event;

/* The end of a task. */
typedef struct pbay_result {
  uint32_t size;
  pbay_status status;
  pbay_str message;      /* for people, when status is not PBAY_OK */
  pbay_str output;       /* reaction: JSON object; webhook: body of the answer */
  pbay_str content_type; /* webhook: of that body */
  pbay_str state;        /* the new one; ptr NULL: as it was */
  pbay_str route;        /* watch: forward() finds it by this; ptr NULL: as it was */
  int64_t next_ms;       /* 0: the host decides; else in so many ms: poll again, renew the watch, or try again */
  uint32_t http_status;  /* webhook: of the answer; 0: 204 */
  uint32_t reserved;
} pbay_result;

enum { PBAY_LOG_DEBUG = 1, PBAY_LOG_INFO = 2, PBAY_LOG_WARN = 3, PBAY_LOG_ERROR = 4 };

/* What a plugin may ask of the host. No entry is NULL. */
typedef struct pbay_host pbay_host;
struct pbay_host {
  uint32_t size;
  uint32_t abi;

  /* A line for the log; task may be 0. Never fails. Never log a secret. [in call] */
  void (*log)(const pbay_host *host, uint64_t task, uint32_t level, pbay_str text);

  /* A counter or gauge that the manifest names; others are dropped. [in call] */
  void (*metric)(const pbay_host *host, pbay_str name, double value);

  /* Adds an event to the task, kept until finish(). PBAY_E_ARG: no key, data is no JSON object, or the task has no
   * watch; PBAY_E_LIMIT: too many, too big. [in call] */
  pbay_status (*emit)(const pbay_host *host, uint64_t task, const pbay_event *event);

  /* In a webhook() or socket() that many watches share (watch is 0): when the task has finished, make the same call
   * again for each watch with this route. This version of the host answers PBAY_E_UNSUPPORTED. [in call] */
  pbay_status (*forward)(const pbay_host *host, uint64_t task, pbay_str route);

  /* Ends the task, whatever it returns. PBAY_E_LIMIT or PBAY_E_ARG: the result was not acceptable, and that is now the
   * task's status; PBAY_E_CLOSED: there is no such task. [in call] */
  pbay_status (*finish)(const pbay_host *host, uint64_t task, const pbay_result *result);

  /* Asks, and returns at once; resume() brings the answer with this tag. Unless it returns PBAY_OK there will be none.
   * [in call] */
  pbay_status (*http)(const pbay_host *host, uint64_t task, uint64_t tag, const pbay_http *request);
  pbay_status (*sleep)(const pbay_host *host, uint64_t task, uint64_t tag, int64_t ms);

  /* In a PBAY_FRAME_CONNECT: where to, with which headers and credentials; the host connects when the task has
   * finished. This version of the host answers PBAY_E_UNSUPPORTED. [in call] */
  pbay_status (*connect)(const pbay_host *host, uint64_t task, const pbay_http *where);

  /* Sends a frame (TEXT, BINARY, CLOSED) or sets the TICK. As connect(). [in call] */
  pbay_status (*send)(const pbay_host *host, uint64_t task, const pbay_frame *frame);

  /* More of the host, by name and revision ("patchbay.json/1"): a constant table that lives as long as pbay_host; NULL
   * if this host does not have it. [in call] */
  const void *(*extension)(const pbay_host *host, pbay_str id);
};

/* ---- the plugin -------------------------------------------------------------------------------------------------- */

typedef struct pbay_plugin {
  uint32_t size;
  uint32_t abi;   /* PBAY_ABI of the header it was built with */
  uint32_t needs; /* the oldest ABI of a host that it can do with */
  uint32_t flags; /* 0 */

  pbay_str manifest; /* JSON; also in the section PBAY_MANIFEST, to be read without running a line */

  /* Makes an instance. No I/O. config: {"settings":{...}}. On failure: log why, free everything, return the reason.
   * [strand] */
  pbay_status (*create)(const pbay_host *host, pbay_str config, void **self);

  /* After the last task has ended and the last resume() has returned; nothing is called after it. [strand] */
  void (*destroy)(void *self);

  /* These six begin a task; one that no trigger or reaction of the manifest needs may be NULL. */

  /* Make the provider tell us: create the remote subscription, keep its id in the state. Called again, with the state,
   * to renew or repair it, and after a crash without it: must then not make a second one. [strand] */
  void (*watch)(void *self, const pbay_call *call);

  /* Undo that. [strand] */
  void (*stop)(void *self, const pbay_call *call);

  /* Look for what is new since the state. At first (empty state) only remember where we are. When there is more than a
   * page, take one and finish with next_ms = 1. [strand] */
  void (*poll)(void *self, const pbay_call *call);

  /* A request came. Its answer waits for finish(), but not for long: manifest "patience". [strand] */
  void (*webhook)(void *self, const pbay_call *call, const pbay_request *request);

  /* A frame came, or the socket changed. [strand] */
  void (*socket)(void *self, const pbay_call *call, const pbay_frame *frame);

  /* Do it. key is for providers that can refuse to do a thing twice. [strand] */
  void (*reaction)(void *self, const pbay_call *call);

  /* A task goes on: the answer to its http() or sleep(). [strand] */
  void (*resume)(void *self, const pbay_reply *reply);

  /* More of the plugin, as pbay_host.extension; NULL: nothing. [any], also before create() */
  const void *(*extension)(pbay_str id);
} pbay_plugin;

/* The one exported symbol. Does nothing but return the address of a constant. [any] */
PBAY_EXPORT const pbay_plugin *pbay_plugin_v1(void);

#define PBAY_ENTRY "pbay_plugin_v1"
#define PBAY_MANIFEST ".patchbay.manifest"

/* static const char manifest[] PBAY_IN_MANIFEST = PBAY_JSON({ "id": "example" }); */
#define PBAY_IN_MANIFEST __attribute__((section(PBAY_MANIFEST)))
#define PBAY_JSON(...) #__VA_ARGS__

/* ---- extensions of the host: all [in call] ----------------------------------------------------------------------- */

enum {
  PBAY_JSON_NONE = 0, /* nothing there */
  PBAY_JSON_NULL = 1,
  PBAY_JSON_BOOLEAN = 2,
  PBAY_JSON_NUMBER = 3,
  PBAY_JSON_STRING = 4,
  PBAY_JSON_ARRAY = 5,
  PBAY_JSON_OBJECT = 6
};

/* JSON for providers that bring no parser. The body of a webhook is parsed already: asking about it is cheap. */
#define PBAY_EXT_JSON "patchbay.json/1"
typedef struct pbay_ext_json {
  uint32_t size;
  uint32_t reserved;
  /* The value at an RFC 6901 pointer: a string's text, anything else as JSON. PBAY_E_GONE: nothing there; PBAY_E_ARG:
   * not JSON. */
  pbay_status (*get)(const pbay_host *host, pbay_str json, pbay_str pointer, pbay_str *value);
  /* text as a JSON string, with its quotes */
  pbay_status (*quote)(const pbay_host *host, pbay_str text, pbay_str *json);
  /* PBAY_JSON_… of the value at pointer, and the number of its elements or members */
  pbay_status (*type)(const pbay_host *host, pbay_str json, pbay_str pointer, uint32_t *type, uint64_t *count);
} pbay_ext_json;

/* For webhooks whose scheme the manifest cannot say. key may be a secret reference. */
#define PBAY_EXT_CRYPTO "patchbay.crypto/1"
typedef struct pbay_ext_crypto {
  uint32_t size;
  uint32_t reserved;
  pbay_status (*hmac_sha256)(const pbay_host *host, pbay_str key, pbay_str data, uint8_t mac[32]);
  /* in constant time; PBAY_E_REJECTED: they differ */
  pbay_status (*equal)(const pbay_host *host, pbay_str a, pbay_str b);
  pbay_status (*ed25519_verify)(const pbay_host *host, const uint8_t key[32], const uint8_t signature[64],
                                pbay_str data);
  /* standard or URL alphabet, padded or not */
  pbay_status (*base64_decode)(const pbay_host *host, pbay_str text, pbay_str *bytes);
} pbay_ext_crypto;

/* ---- the layout, held still -------------------------------------------------------------------------------------- */

#if defined(__LP64__)
#define PBAY_SAME(name, a, b) typedef char pbay_assert_##name[(a) == (b) ? 1 : -1]
PBAY_SAME(str, sizeof(pbay_str), 16);
PBAY_SAME(header, sizeof(pbay_header), 32);
PBAY_SAME(call_name, offsetof(pbay_call, name), 48);
PBAY_SAME(call_base_url, offsetof(pbay_call, base_url), 128);
PBAY_SAME(call, offsetof(pbay_call, callback_secret), 168);
PBAY_SAME(request, offsetof(pbay_request, header_count), 64);
PBAY_SAME(frame, offsetof(pbay_frame, data), 24);
PBAY_SAME(reply, offsetof(pbay_reply, header_count), 64);
PBAY_SAME(http, offsetof(pbay_http, header_count), 88);
PBAY_SAME(event, offsetof(pbay_event, data), 32);
PBAY_SAME(result, offsetof(pbay_result, http_status), 96);
PBAY_SAME(host, offsetof(pbay_host, extension), 80);
PBAY_SAME(plugin, offsetof(pbay_plugin, extension), 104);
PBAY_SAME(ext_json, offsetof(pbay_ext_json, type), 24);
PBAY_SAME(ext_crypto, offsetof(pbay_ext_crypto, base64_decode), 32);
#undef PBAY_SAME
#endif

#ifdef __cplusplus
}
#endif
#endif /* PBAY_PLUGIN_H */
