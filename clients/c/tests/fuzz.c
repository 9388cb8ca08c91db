/* Anything a server can send, at any time, in pieces of any size, to a client that does anything: nothing is read or written
 * outside of its buffers, nothing overflows, everything ends. And what the codec reads, it writes again as it was.
 *
 *   clang -fsanitize=fuzzer,address,undefined tests/fuzz.c       the first byte chooses: codec or client
 */
#include <stdlib.h>
#include <string.h>

#define TICKWIRE_IMPLEMENTATION
#include "../tickwire.h"
#include "choices.h"

static void round_trip(const uint8_t *bytes, size_t len)
{
    static uint8_t written[70000];
    tw_side from = bytes[0] & 2 ? TW_FROM_SERVER : TW_FROM_CLIENT;
    uint8_t type = (uint8_t)(bytes[1] % 3 + 1), flags = bytes[2];
    tw_frame frame;
    tw_writer out;
    out.at = written;
    out.size = sizeof written;
    out.len = 0;
    if (len > 60000 || !tw_decode(from, type, flags, tw_span(bytes + 3, len - 3), &frame)) return;
    tw_encode(from, &frame, &out);
    MUST(out.len == len - 3 + 4 && memcmp(written + 4, bytes + 3, len - 3) == 0);
}

static void check(const tw_client *c)
{
    size_t offset = 0, frames = 0;
    tw_frame frame;
    MUST(c->drop <= c->in_len && c->in_len <= c->config.in_size);
    MUST(c->cursor <= c->kept_len && c->kept_len <= c->out_len && c->out_len <= c->config.out_size);
    while (offset < c->out_len) {
        if (offset == c->kept_len && !c->unconfirmed) MUST(frames == c->sent_count || !(c->capabilities & TW_CAN_ACCEPTED));
        offset += tw_peek(c, offset, &frame);
        MUST(frame.arg[0] > 0 && frame.arg[0] <= c->config.room_count);
        frames++;
    }
    MUST(offset == c->out_len && tw_wait(c) <= 60000);
    MUST(c->control_at <= c->control_len && c->control_len <= c->config.control_size);
}

static void drain(tw_client *c)
{
    tw_event event;
    unsigned sum = 0;
    size_t i;
    while (tw_next(c, &event)) {
        check(c);
        for (i = 0; i < event.payload.len; i++) sum += event.payload.at[i];
        for (i = 0; i < event.subject.len; i++) sum += event.subject.at[i];
    }
    if (sum == 0xdeadbeef) abort();
    /* Who sleeps now misses nothing, and is not woken for nothing. */
    MUST(c->ponging || !c->unread);
}

/* A frame that can be read, so that the fuzzer gets beyond the greeting. */
static size_t say(struct choices *from, uint8_t *bytes, size_t size)
{
    tw_frame frame;
    tw_writer out;
    unsigned what = choose(from), i;
    out.at = bytes;
    out.size = size;
    out.len = 0;
    memset(&frame, 0, sizeof frame);
    frame.type = (uint8_t)(what % 3 + 1);
    frame.flags = (uint8_t)choose(from);
    frame.command = (uint8_t)(choose(from) % 20);
    frame.request = choose(from) % 16;
    for (i = 0; i < 10; i++) frame.arg[i] = choose(from) % 4;
    if (frame.command == TW_WELCOME) frame.arg[0] = 0x3b, frame.arg[5] = 200;
    frame.rest = tw_span(from->at, from->left < 12 ? from->left : 12);
    tw_encode(TW_FROM_SERVER, &frame, &out);
    return out.len <= size ? out.len : 0;
}

static void flush(tw_client *c)
{
    tw_bytes ready;
    while ((ready = tw_output(c)).len > 0) tw_written(c, ready.len);
}

static void tell(tw_client *c, uint8_t command, const uint64_t *arg, tw_bytes rest)
{
    uint8_t bytes[200];
    tw_frame frame;
    tw_writer out;
    out.at = bytes;
    out.size = sizeof bytes;
    out.len = 0;
    memset(&frame, 0, sizeof frame);
    frame.type = TW_CONTROL;
    frame.command = command;
    memcpy(frame.arg, arg, sizeof frame.arg);
    frame.rest = rest;
    tw_encode(TW_FROM_SERVER, &frame, &out);
    tw_feed(c, bytes, out.len);
    drain(c);
    flush(c);
}

/* What every session begins with; room 0 is joined, as number 1. */
static void greet(tw_client *c, bool resumed)
{
    static const uint8_t token[] = {2, 1, 'T'};
    uint64_t welcome[10] = {0x3b, 0, 7, 1000, 0, 200, 200, 3, 1000, 0};
    uint64_t joined[10] = {1, 1, 1, 3, 0, 5, 0, 50000, 0, 0};
    welcome[1] = resumed;
    welcome[9] = resumed ? c->accepted + c->sent_count / 2 : 0;
    joined[4] = c->config.rooms[0].known;
    joined[6] = c->config.rooms[0].position;
    tw_opened(c);
    flush(c);
    tell(c, TW_WELCOME, welcome, tw_span(token, sizeof token));
    tell(c, TW_JOINED, joined, tw_span(NULL, 0));
}

static void act(tw_client *c, struct choices *from)
{
    static const char *const names[] = {"a", "room", "x/y"};
    uint8_t bytes[256];
    unsigned what = choose(from), room = what / 16 % 4, len;
    tw_bytes payload = tw_span(from->at, from->left < 9 ? from->left : 9), ready;
    size_t fed;
    switch (what % 16) {
    case 0: tw_connect(c); break;
    case 1: tw_opened(c); break;
    case 2: tw_lost(c); break;
    case 3: tw_join(c, room, names[room % 3], (uint8_t)(what / 64 * 2 + 1), payload); break;
    case 4: tw_leave(c, room); break;
    case 5: tw_publish(c, room, payload, what / 64); break;
    case 6: tw_set(c, room, what / 64, payload, 0); break;
    case 7: tw_send(c, room, what / 64, payload, 0); break;
    case 8: tw_pause(c, room, what / 64 & 1); break;
    case 9: tw_set_token(c, payload); break;
    case 10: if (room == 3) tw_disconnect(c); break;
    case 11:
        if (what == 0xfb) tw_close(c);
        else if (room == 1) tw_lost(c);
        else greet(c, room == 2);
        break;
    case 12:
        len = choose(from);
        if (len > from->left) len = (unsigned)from->left;
        fed = tw_feed(c, from->at, len);
        MUST(fed <= len);
        from->at += len;
        from->left -= len;
        break;
    case 13: fed = say(from, bytes, sizeof bytes); tw_feed(c, bytes, fed); break;
    default:
        ready = tw_output(c);
        check(c);
        tw_written(c, room == 0 ? ready.len / 2 : ready.len);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct choices from;
    tw_config config;
    tw_client c;
    uint64_t now = 1;
    size_t in_size, out_size;
    if (size < 4) return 0;
    if (bytes[0] & 1) {
        round_trip(bytes, size);
        return 0;
    }
    in_size = TW_IN_MIN + (size_t)bytes[1] / 8 * 32;
    out_size = 24 + bytes[2];
    from.at = bytes + 3;
    from.left = size - 3;
    memset(&config, 0, sizeof config);
    /* Each in a place of its own, so that the sanitizer sees one byte too many. */
    config.in = (uint8_t *)malloc(config.in_size = in_size);
    config.out = (uint8_t *)malloc(config.out_size = out_size);
    config.control = (uint8_t *)malloc(config.control_size = TW_CONTROL_MIN(9, 9));
    config.rooms = (tw_room *)malloc((config.room_count = 3) * sizeof *config.rooms);
    config.renews = bytes[0] & 2;
    MUST(config.in != NULL && config.out != NULL && config.control != NULL && config.rooms != NULL);
    MUST(tw_init(&c, &config));
    tw_connect(&c);
    tw_join(&c, 0, "first", TW_MODE_BOTH | TW_MODE_MEMBERS, tw_span(NULL, 0));
    while (from.left > 0) {
        drain(&c);
        check(&c);
        now += choose(&from) * (uint64_t)40;
        if (tw_poll(&c, now) == TW_OPEN && bytes[0] & 4) greet(&c, bytes[0] & 8);
        act(&c, &from);
        check(&c);
    }
    drain(&c);
    tw_close(&c);
    drain(&c);
    MUST(tw_pending(&c) == 0);
    free(config.in);
    free(config.out);
    free(config.control);
    free(config.rooms);
    return 0;
}
