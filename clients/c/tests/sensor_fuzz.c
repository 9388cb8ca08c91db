/* Anything a server can send, at any time, in pieces of any size, to a sensor that does anything: nothing is read or written
 * outside of its buffers, nothing overflows, everything ends.
 *
 *   clang -fsanitize=fuzzer,address,undefined tests/sensor_fuzz.c
 */
#include <stdlib.h>
#include <string.h>

#define TICKWIRE_SENSOR
#define TICKWIRE_IMPLEMENTATION
#include "../tickwire.h"
#include "choices.h"

static void drain(tw_client *c)
{
    tw_event event;
    unsigned sum = 0;
    size_t i;
    while (tw_next(c, &event)) {
        MUST(c->drop <= c->in_len && c->in_len <= c->config.in_size && c->out_len <= c->config.out_size);
        for (i = 0; i < event.payload.len; i++) sum += event.payload.at[i];
        for (i = 0; i < event.subject.len; i++) sum += event.subject.at[i];
    }
    if (sum == 0xdeadbeef) abort();
    /* Who sleeps now misses nothing, and is not woken for nothing. */
    MUST((c->ponging || !c->unread) && tw_wait(c) <= 60000);
}

/* Takes all there is to say; what is said is made of whole frames. */
static void flush(tw_client *c, size_t most)
{
    tw_bytes ready;
    while (most > 0 && (ready = tw_output(c)).len > 0) {
        size_t len = ready.len < most ? ready.len : most;
        tw_written(c, len);
        most -= len;
    }
}

/* What every session begins with; room 0 is joined, as number 1. */
static void greet(tw_client *c)
{
    static const uint8_t hello[] = {2, 0, 15, 0, 2, 1, 0, 0, 0, 0, 0, 7, 0, 0, 100, 100, 8, 100, 0};
    static const uint8_t joined[] = {2, 0, 19, 0, 4, 2, 1, 1, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 99, 5, 0, 0, 0};
    tw_opened(c);
    flush(c, SIZE_MAX);
    tw_feed(c, hello, sizeof hello);
    drain(c);
    tw_feed(c, joined, sizeof joined);
    drain(c);
}

static void act(tw_client *c, struct choices *from)
{
    unsigned what = choose(from), room = what / 16 % 4, len;
    tw_bytes payload = tw_span(from->at, from->left < 9 ? from->left : 9);
    switch (what % 10) {
    case 0: tw_connect(c); break;
    case 1: tw_opened(c); break;
    case 2: tw_lost(c); break;
    case 3: tw_join(c, room, "room", (uint8_t)(what / 64 * 2 + 1), payload); break;
    case 4: tw_publish(c, room, payload, what / 64); break;
    case 5: tw_set(c, room, what / 64, payload, 0); break;
    case 6: if (what == 0xfa) tw_close(c); else if (what == 0xf0) tw_disconnect(c); break;
    case 7: flush(c, choose(from)); break;
    default:
        len = choose(from) % 64;
        if (len > from->left) len = (unsigned)from->left;
        MUST(tw_feed(c, from->at, len) <= len);
        from->at += len;
        from->left -= len;
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct choices from;
    tw_config config;
    tw_client c;
    uint64_t now = 1;
    if (size < 3) return 0;
    from.at = bytes + 2;
    from.left = size - 2;
    memset(&config, 0, sizeof config);
    /* Each in a place of its own, so that the sanitizer sees one byte too many. */
    config.in = (uint8_t *)malloc(config.in_size = TW_IN_MIN + (size_t)bytes[1] / 8 * 32);
    config.out = (uint8_t *)malloc(config.out_size = TW_CONTROL_MIN(9, 9));
    config.rooms = (tw_room *)malloc((config.room_count = 3) * sizeof *config.rooms);
    config.token = tw_span((const uint8_t *)"a token", bytes[0] & 2 ? 7 : 0);
    MUST(config.in != NULL && config.out != NULL && config.rooms != NULL && tw_init(&c, &config));
    tw_connect(&c);
    tw_join(&c, 0, "first", TW_MODE_BOTH, tw_span(NULL, 0));
    while (from.left > 0) {
        drain(&c);
        now += choose(&from) * (uint64_t)40;
        if (tw_poll(&c, now) == TW_OPEN && bytes[0] & 1) greet(&c);
        act(&c, &from);
    }
    drain(&c);
    tw_close(&c);
    drain(&c);
    MUST(c.state == TW_CLOSED);
    free(config.in);
    free(config.out);
    free(config.rooms);
    return 0;
}
