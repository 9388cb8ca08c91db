/* uWebSockets' own publish/subscribe, driven through the C functions of the library inside PyPI's `socketify`: from
 * Python its loop spins, and its figures say nothing. uwebsockets PORT
 *
 * /ws?r=ROOM&s=0|1; none to the sender; no compression. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { const char *names[6]; int low_memory; } app_options;
typedef struct { int port; const char *host; int options; } listen_config;
typedef struct {
  int compression;
  unsigned int max_payload;
  unsigned short idle_timeout;
  unsigned int max_backpressure;
  bool close_on_backpressure, reset_idle_on_send, auto_pings;
  unsigned short max_lifetime;
  void (*upgrade)(void *, void *, void *, void *);
  void (*open)(void *, void *);
  void (*message)(void *, const char *, size_t, int, void *);
  void *drain, *ping, *pong;
  void (*close)(void *, int, const char *, size_t, void *);
  void *subscription;
} behavior;

void *uws_create_app(int, app_options);
void uws_ws(int, void *, const char *, behavior, void *);
void uws_app_listen_with_config(int, void *, listen_config, void (*)(void *, listen_config, void *), void *);
void uws_app_run(int, void *);
size_t uws_req_get_query(void *, const char *, size_t, const char **);
size_t uws_req_get_header(void *, const char *, size_t, const char **);
void uws_res_upgrade(int, void *, void *, const char *, size_t, const char *, size_t, const char *, size_t, void *);
void *uws_ws_get_user_data(int, void *);
bool uws_ws_subscribe(int, void *, const char *, size_t);
bool uws_publish(int, void *, const char *, size_t, const char *, size_t, int, bool);
bool uws_ws_publish_with_options(int, void *, const char *, size_t, const char *, size_t, int, bool);

typedef struct { char topic[16]; size_t length; bool receives; } member;

static void *app;

static void on_upgrade(void *response, void *request, void *context, void *unused) {
  (void)unused;
  const char *query = NULL, *key = NULL, *protocol = NULL, *extensions = NULL;
  member *one = calloc(1, sizeof *one);
  if (!one) abort();
  size_t length = uws_req_get_query(request, "r", 1, &query);
  one->length = query && length < sizeof one->topic ? length : 0;
  if (query) memcpy(one->topic, query, one->length);
  length = uws_req_get_query(request, "s", 1, &query);
  one->receives = query && length == 1 && query[0] == '1';
  size_t key_length = uws_req_get_header(request, "sec-websocket-key", 17, &key);
  size_t protocol_length = uws_req_get_header(request, "sec-websocket-protocol", 22, &protocol);
  size_t extensions_length = uws_req_get_header(request, "sec-websocket-extensions", 24, &extensions);
  uws_res_upgrade(0, response, one, key, key_length, protocol, protocol_length, extensions, extensions_length, context);
}

static void on_open(void *socket, void *unused) {
  (void)unused;
  member *one = uws_ws_get_user_data(0, socket);
  if (one->receives) uws_ws_subscribe(0, socket, one->topic, one->length);
}

static void on_message(void *socket, const char *bytes, size_t length, int opcode, void *unused) {
  (void)unused;
  member *one = uws_ws_get_user_data(0, socket);
  /* What a socket without subscriptions publishes goes nowhere: the app does it. */
  if (one->receives) uws_ws_publish_with_options(0, socket, one->topic, one->length, bytes, length, opcode, false);
  else uws_publish(0, app, one->topic, one->length, bytes, length, opcode, false);
}

static void on_close(void *socket, int code, const char *bytes, size_t length, void *unused) {
  (void)code, (void)bytes, (void)length, (void)unused;
  free(uws_ws_get_user_data(0, socket));
}

static void on_listen(void *socket, listen_config config, void *unused) {
  (void)unused;
  if (socket) return;
  fprintf(stderr, "port %d cannot be listened on\n", config.port);
  exit(1);
}

int main(int count, char **arguments) {
  if (count != 2) return 2;
  app = uws_create_app(0, (app_options){{0}, 0});
  behavior with = {.max_payload = 16 << 10, .max_backpressure = 64 << 20,
                   .upgrade = on_upgrade, .open = on_open, .message = on_message, .close = on_close};
  uws_ws(0, app, "/ws", with, NULL);
  uws_app_listen_with_config(0, app, (listen_config){atoi(arguments[1]), "127.0.0.1", 0}, on_listen, NULL);
  uws_app_run(0, app);
  return 0;
}
