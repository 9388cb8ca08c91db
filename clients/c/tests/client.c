/* The client against a server of a few lines and a clock that is a number: every rule that the scenarios cannot time. */
#include <stdio.h>
#include <string.h>

#define TICKWIRE_IMPLEMENTATION
#include "../tickwire.h"

#define CHECK(what) \
    ((what) ? (void)passed++ : (failed++, (void)printf("%s, line %d: %s\n", test, __LINE__, #what)))

static unsigned passed, failed;
static const char *test;
static uint8_t in[160], out[120], control[TW_CONTROL_MIN(32, 0)], sent[4000];
static tw_room rooms[2];
static tw_client client;
static tw_event event, last;
static size_t sent_len;
static uint64_t clock_ms;

static tw_bytes text(const char *from)
{
    return tw_span((const uint8_t *)from, strlen(from));
}

static bool is(tw_bytes bytes, const char *expected)
{
    return bytes.len == strlen(expected) && memcmp(bytes.at, expected, bytes.len) == 0;
}

static void begin(const char *name, bool renews)
{
    tw_config config;
    test = name;
    memset(&config, 0, sizeof config);
    config.in = in, config.in_size = sizeof in;
    config.out = out, config.out_size = sizeof out;
    config.control = control, config.control_size = sizeof control;
    config.rooms = rooms, config.room_count = 2;
    config.seed = 42;
    config.renews = renews;
    clock_ms = 1000;
    CHECK(tw_init(&client, &config));
    tw_poll(&client, clock_ms);
}

/* Everything there is to send, into `sent`. */
static void flush(void)
{
    tw_bytes ready;
    sent_len = 0;
    while ((ready = tw_output(&client)).len > 0) {
        memcpy(sent + sent_len, ready.at, ready.len);
        sent_len += ready.len;
        tw_written(&client, ready.len);
    }
}

/* Whether a frame with this type, and this first byte of payload, is in `sent`. */
static const uint8_t *find(uint8_t type, uint8_t first)
{
    size_t at = sent_len > 0 && sent[0] == 0xd7 ? 4 : 0;
    for (; at + 4 < sent_len; at += 4 + ((size_t)sent[at + 1] << 8 | sent[at + 2]))
        if (sent[at] == type && sent[at + 4] == first) return sent + at;
    return NULL;
}

/* The last event of a type among all that have come; `event.type` is 0 where there is none. */
static bool got(tw_event_type type)
{
    bool found = false;
    while (tw_next(&client, &last)) {
        if (last.type == type) {
            event = last;
            found = true;
        }
    }
    return found;
}

static bool next(tw_event_type type)
{
    return tw_next(&client, &event) && event.type == type;
}

static void say(const char *hex)
{
    unsigned byte;
    for (; *hex != 0; hex += *hex == ' ' ? 1 : 2)
        if (*hex != ' ' && sscanf(hex, "%2x", &byte) == 1) {
            uint8_t one = (uint8_t)byte;
            CHECK(tw_feed(&client, &one, 1) == 1);
        }
}

static void tell(uint8_t command, uint64_t request, const uint64_t *arg, size_t args, const char *extensions)
{
    uint8_t bytes[128];
    tw_frame frame;
    tw_writer writer;
    writer.at = bytes;
    writer.size = sizeof bytes;
    writer.len = 0;
    memset(&frame, 0, sizeof frame);
    frame.type = TW_CONTROL;
    frame.command = command;
    frame.request = request;
    memcpy(frame.arg, arg, args * sizeof *arg);
    frame.rest = text(extensions);
    tw_encode(TW_FROM_SERVER, &frame, &writer);
    CHECK(writer.len <= writer.size && tw_feed(&client, bytes, writer.len) == writer.len);
}

static void open_link(void)
{
    clock_ms += tw_wait(&client);
    CHECK(tw_poll(&client, clock_ms) == TW_OPEN);
    tw_opened(&client);
    flush();
}

static void welcome(bool resumed, uint64_t accepted)
{
    uint64_t arg[10] = {0x3b, 0, 7, 5000000, 0, 100, 16384, 8, 15000, 0};
    arg[1] = resumed;
    arg[9] = accepted;
    tell(TW_WELCOME, 1, arg, 10, "\2\3abc");
}

static void joined(uint64_t outcome, uint64_t position)
{
    uint64_t arg[10] = {1, 7, 1, 3, 0, 99, 0, 50000, 70000, 0};
    arg[4] = outcome;
    arg[6] = position;
    tell(TW_JOINED, 4, arg, 10, "");
}

/* Connected, and in room 0, whose position is 10. */
static void enter(const char *name, uint8_t mode)
{
    begin(name, false);
    tw_connect(&client);
    CHECK(tw_join(&client, 0, "arena", mode, text("")));
    CHECK(got(TW_EVENT_STATE));
    open_link();
    CHECK(find(TW_CONTROL, TW_HELLO) != NULL && find(TW_CONTROL, TW_JOIN) != NULL);
    welcome(false, 0);
    joined(0, 10);
    CHECK(got(TW_EVENT_OUTCOME) && event.state == TW_SNAPSHOT && rooms[0].state == TW_ROOM_JOINED);
    flush();
}

static void breaks(void)
{
    tw_lost(&client);
    CHECK(got(TW_EVENT_STATE) && event.state == TW_CONNECTING);
}

static void test_messages(void)
{
    enter("messages, byte by byte", TW_MODE_BOTH);
    say("01 00 14 00 07 0b 1170 04 02 73686f74 04 01 6f776e21 02 00 6869"); /* members 2, 1 (this one), 0 */
    CHECK(next(TW_EVENT_MESSAGE) && is(event.payload, "shot") && event.member == 2 && event.position == 11);
    /* [8.1] 70000 is 0x11170: nothing has passed. */
    CHECK(event.tick == 70000);
    CHECK(next(TW_EVENT_MESSAGE) && is(event.payload, "hi") && event.member == 0);
    CHECK(!tw_next(&client, &event) && rooms[0].position == 11);
    say("01 00 09 02 07 0b 1171 02 02 0b 6162");
    CHECK(next(TW_EVENT_VALUE) && event.key == 11 && is(event.payload, "ab") && event.tick == 70001 && !event.snapshot);
    say("01 00 08 08 07 0b 0000 01 02 00 78");
    CHECK(next(TW_EVENT_SNAPSHOT) && event.snapshot);
    CHECK(next(TW_EVENT_VALUE) && event.snapshot && is(event.payload, "x"));
    CHECK(next(TW_EVENT_SNAPSHOT) && !event.snapshot);
    say("01 00 0a 04 07 0c 1171 04 03 01 01 75 64");
    CHECK(next(TW_EVENT_PRESENCE) && event.state == TW_HERE && is(event.subject, "u") && is(event.payload, "d"));
    say("03 00 02 00 05 00");
    CHECK(!tw_next(&client, &event));
    flush();
    CHECK(find(TW_PING, 5) != NULL && find(TW_PING, 5)[3] == TW_FLAG_ANSWER);
}

static void test_directs(void)
{
    enter("directs come once", TW_MODE_PUBLISH);
    say("01 00 0c 06 07 01 1170 01 02 00 61 01 02 00 62");
    CHECK(next(TW_EVENT_DIRECT) && is(event.payload, "a") && event.position == 1);
    CHECK(next(TW_EVENT_DIRECT) && is(event.payload, "b") && !tw_next(&client, &event));
    breaks();
    open_link();
    /* [12.2] before the room is joined again: 2 once more, then 3, which answers message 9. */
    welcome(true, 0);
    say("01 00 0c 06 07 02 1170 01 02 00 62 01 02 09 63");
    CHECK(next(TW_EVENT_STATE) && next(TW_EVENT_DIRECT) && is(event.payload, "c") && event.key == 9 && client.directs == 3);
    flush();
    say("03 00 02 00 05 00");
    CHECK(!tw_next(&client, &event));
    flush();
    /* [9] its answer says how far the application is: WELCOME and the directs, not the ping itself; and direct 3. */
    CHECK(sent_len == 7 && sent[5] == 30 + 16 && sent[6] == 3);

    enter("half a direct at the end of a frame", TW_MODE_PUBLISH);
    say("01 00 0a 06 07 01 1170 01 02 00 61 01 02");
    CHECK(next(TW_EVENT_DIRECT) && got(TW_EVENT_ERROR) && event.state == TW_ERROR_PROTOCOL);
}

static void test_sizes(void)
{
    static const char large[200] = {0};
    enter("a message that is too large is skipped, what follows is not", TW_MODE_BOTH);
    say("01 00 c3 00 07 0b 1170 b4 01 02");
    tw_next(&client, &event);
    CHECK(tw_feed(&client, (const uint8_t *)large, 100) == 100 && next(TW_EVENT_SKIPPED) && event.number == 180);
    tw_next(&client, &event);
    CHECK(tw_feed(&client, (const uint8_t *)large, 80) == 80);
    CHECK(!tw_next(&client, &event));
    say("03 02 616263 01 02 64");
    CHECK(next(TW_EVENT_MESSAGE) && is(event.payload, "abc"));
    CHECK(tw_publish(&client, 0, tw_span((const uint8_t *)large, 101), 0) == TW_TOO_LARGE);
    CHECK(tw_publish(&client, 0, tw_span((const uint8_t *)large, 100), 0) == TW_OK);
    CHECK(tw_publish(&client, 0, tw_span((const uint8_t *)large, 30), 0) == TW_FULL);
    CHECK(tw_publish(&client, 0, tw_span((const uint8_t *)large, 30), TW_DROP) == TW_DROPPED);
    CHECK(tw_publish(&client, 1, text(""), 0) == TW_NO_ROOM && tw_publish(&client, 9, text(""), 0) == TW_NO_ROOM);
}

static void test_order(void)
{
    const uint8_t *frame;
    begin("what waits: events first, of values the last, and the last frame asks", false);
    tw_connect(&client);
    tw_join(&client, 0, "arena", TW_MODE_BOTH, text(""));
    CHECK(tw_set(&client, 0, 1, text("a"), 0) == TW_OK && tw_set(&client, 0, 2, text("z"), 0) == TW_OK);
    CHECK(tw_set(&client, 0, 1, text("bb"), 0) == TW_OK && tw_publish(&client, 0, text("e"), 0) == TW_OK);
    CHECK(tw_publish(&client, 0, text("no"), TW_DROP) == TW_DROPPED);
    CHECK(tw_pending(&client) == 7 + 8 + 6);
    got(TW_EVENT_STATE);
    open_link();
    welcome(false, 0);
    got(TW_EVENT_STATE);
    flush();
    CHECK(find(TW_DATA, 1) == NULL);
    joined(0, 0);
    got(TW_EVENT_ROOM);
    flush();
    frame = find(TW_DATA, 1);
    CHECK(frame != NULL && memcmp(frame, "\1\0\2\0\1e" "\1\0\3\2\1\4z" "\1\0\4\42\1\2bb", 21) == 0);
    CHECK(tw_pending(&client) == 21);
    tell(TW_ACCEPTED, 0, (const uint64_t[]){2}, 1, "");
    CHECK(!got(TW_EVENT_ERROR) && tw_pending(&client) == 8);
    tell(TW_ACCEPTED, 0, (const uint64_t[]){4}, 1, "");
    CHECK(got(TW_EVENT_ERROR) && event.state == TW_ERROR_PROTOCOL);
}

static void test_resume(void)
{
    enter("a resumed session: what was not accepted leaves again, once, in order", TW_MODE_BOTH);
    tw_publish(&client, 0, text("1"), 0);
    tw_publish(&client, 0, text("2"), 0);
    flush();
    tw_publish(&client, 0, text("3"), 0);
    /* Half a frame leaves. */
    CHECK(tw_output(&client).len == 6);
    tw_written(&client, 3);
    breaks();
    open_link();
    CHECK(find(TW_CONTROL, TW_JOIN) != NULL);
    welcome(true, 1);
    CHECK(got(TW_EVENT_STATE) && event.state == TW_CONNECTED);
    flush();
    /* Before the room is joined again [12.2]: 2, which has a number, and not 3, which has none. */
    CHECK(find(TW_DATA, 1) != NULL && find(TW_DATA, 1)[5] == '2' && tw_pending(&client) == 12);
    joined(1, 10);
    CHECK(got(TW_EVENT_OUTCOME) && event.state == TW_RECOVERED);
    flush();
    CHECK(sent_len == 6 && sent[5] == '3');

    enter("a new session: nobody knows, and it is said", TW_MODE_BOTH);
    tw_publish(&client, 0, text("1"), 0);
    flush();
    tw_publish(&client, 0, text("2"), 0);
    breaks();
    open_link();
    welcome(false, 0);
    CHECK(next(TW_EVENT_STATE));
    CHECK(next(TW_EVENT_UNCONFIRMED) && is(event.payload, "1") && tw_output(&client).len > 0);
    joined(2, 12);
    CHECK(got(TW_EVENT_OUTCOME) && event.state == TW_LOST && event.key == 11 && event.position == 12);
    flush();
    CHECK(find(TW_DATA, 1) != NULL && find(TW_DATA, 1)[5] == '2' && client.sent_count == 1);

    enter("a session that was not asked for", TW_MODE_BOTH);
    tw_disconnect(&client);
    tw_lost(&client);
    tw_connect(&client);
    got(TW_EVENT_STATE);
    open_link();
    welcome(true, 0);
    CHECK(got(TW_EVENT_ERROR) && event.state == TW_ERROR_PROTOCOL);
}

static void test_positions(void)
{
    enter("a batch that was shown in part goes on where it broke off", TW_MODE_BOTH);
    say("01 00 0a 40 07 0b 1170 01 02 61 01 02 62");
    CHECK(next(TW_EVENT_MESSAGE) && next(TW_EVENT_MESSAGE) && !tw_next(&client, &event));
    breaks();
    open_link();
    welcome(false, 0);
    joined(1, 10);
    CHECK(got(TW_EVENT_OUTCOME) && event.state == TW_RECOVERED);
    say("01 00 0a 40 07 0b 1170 01 02 61 01 02 62 01 00 07 00 07 0b 1170 01 02 63");
    CHECK(next(TW_EVENT_MESSAGE) && is(event.payload, "c") && !tw_next(&client, &event) && rooms[0].position == 11);
    say("02 00 0d 00 0a 00 07 0000000000000063 0c 0d");
    CHECK(next(TW_EVENT_OUTCOME) && event.state == TW_LOST && event.key == 12 && event.position == 13);
    say("01 00 04 00 07 0e 1170");
    CHECK(!tw_next(&client, &event) && rooms[0].position == 14);
    say("01 00 04 00 07 10 1170");
    CHECK(got(TW_EVENT_ERROR) && event.state == TW_ERROR_PROTOCOL);
    flush();
    CHECK(find(TW_CONTROL, TW_CLOSE) != NULL && find(TW_CONTROL, TW_CLOSE)[6] == 0xc9);

    enter("compressed, though nobody offered it", TW_MODE_BOTH);
    say("01 00 04 01 07 0b 1170");
    CHECK(got(TW_EVENT_ERROR));
}

static void test_refusals(void)
{
    enter("a message that is refused is told with what it was", TW_MODE_BOTH);
    tw_publish(&client, 0, text("1"), 0);
    tw_set(&client, 0, 4, text("22"), 0);
    flush();
    tell(TW_REFUSED, 0, (const uint64_t[]){2, 106}, 2, "");
    CHECK(next(TW_EVENT_REFUSED) && event.kind == TW_KIND_VALUE && event.key == 8 && is(event.payload, "22") && event.number == 106);

    tell(TW_LEFT, 0, (const uint64_t[]){1, 7}, 2, "");
    CHECK(next(TW_EVENT_ROOM) && event.state == TW_ROOM_JOINING && event.number == 7);
    flush();
    CHECK(find(TW_CONTROL, TW_JOIN) == NULL && tw_wait(&client) >= 450 && tw_wait(&client) <= 1000);
    clock_ms += 1000;
    tw_poll(&client, clock_ms);
    flush();
    CHECK(find(TW_CONTROL, TW_JOIN) != NULL);
    tw_publish(&client, 0, text("waits"), 0);
    tell(TW_REFUSED, 4, (const uint64_t[]){0, 240}, 2, "");
    CHECK(next(TW_EVENT_ROOM) && event.state == TW_ROOM_LEFT && event.number == 240 && event.dropped == 1);
    CHECK(tw_publish(&client, 0, text("x"), 0) == TW_NO_ROOM);

    enter("leaving wins", TW_MODE_BOTH);
    tw_join(&client, 1, "other", TW_MODE_BOTH, text(""));
    flush();
    tw_leave(&client, 1);
    tell(TW_JOINED, 8, (const uint64_t[]){2, 8, 1, 3, 0, 1, 0, 0, 0, 0}, 10, "");
    CHECK(!got(TW_EVENT_OUTCOME));
    flush();
    CHECK(find(TW_CONTROL, TW_LEAVE) != NULL && tw_join(&client, 1, "third", TW_MODE_BOTH, text("")));
    flush();
    CHECK(find(TW_CONTROL, TW_JOIN) == NULL);
    tell(TW_LEFT, 9, (const uint64_t[]){2, 200}, 2, "");
    CHECK(got(TW_EVENT_ROOM) && event.state == TW_ROOM_JOINING);
    flush();
    CHECK(find(TW_CONTROL, TW_JOIN) != NULL);
}

/* In room 0, with half of a message at the socket; then that room is left, and another one is to be in its place, with a message. */
static void half_sent(const char *name)
{
    enter(name, TW_MODE_BOTH);
    tw_publish(&client, 0, text("1"), 0);
    CHECK(tw_output(&client).len == 6);
    tw_written(&client, 3);
    tw_leave(&client, 0);
    CHECK(tw_join(&client, 0, "other", TW_MODE_BOTH, text("")) && tw_publish(&client, 0, text("2"), 0) == TW_OK);
}

/* A room that was left while its JOIN was under way, and what the server had sent by then. */
static void test_leaving(void)
{
    begin("who leaves before the answer stays connected", false);
    tw_connect(&client);
    CHECK(tw_join(&client, 0, "arena", TW_MODE_BOTH, text("")) && got(TW_EVENT_STATE));
    open_link();
    welcome(false, 0);
    flush();
    CHECK(got(TW_EVENT_STATE));
    tw_leave(&client, 0);
    flush();
    CHECK(find(TW_CONTROL, TW_LEAVE) != NULL && got(TW_EVENT_NONE) == false);
    joined(0, 10);
    say("01 00 08 08 07 0a 1170 01 02 00 78"); /* a snapshot, */
    say("02 00 0d 00 0a 00 07 0000000000000063 0b 0c"); /* GAP, */
    say("01 00 08 06 07 01 1170 01 02 00 61"); /* a direct, */
    CHECK(tw_join(&client, 0, "other", TW_MODE_BOTH, text("")) && next(TW_EVENT_ROOM) && event.state == TW_ROOM_JOINING);
    CHECK(!tw_next(&client, &event) && client.state == TW_CONNECTED && client.closing == 0);
    tell(TW_LEFT, 5, (const uint64_t[]){1, 200}, 2, "");
    CHECK(!tw_next(&client, &event));
    flush();
    CHECK(find(TW_CONTROL, TW_JOIN) != NULL);
    joined(0, 3);
    CHECK(got(TW_EVENT_OUTCOME) && rooms[0].state == TW_ROOM_JOINED);

    enter("after LEAVE was refused the room is not known", TW_MODE_BOTH);
    tw_leave(&client, 0);
    flush();
    tell(TW_REFUSED, 5, (const uint64_t[]){0, 232}, 2, "");
    say("01 00 04 00 07 0b 1170");
    CHECK(got(TW_EVENT_ERROR) && event.state == TW_ERROR_PROTOCOL);

    enter("what leaves again goes before LEAVE", TW_MODE_BOTH);
    tw_publish(&client, 0, text("1"), 0);
    tw_publish(&client, 0, text("2"), 0);
    flush();
    breaks();
    tw_leave(&client, 0);
    open_link();
    CHECK(find(TW_CONTROL, TW_LEAVE) == NULL);
    welcome(true, 0);
    CHECK(got(TW_EVENT_STATE) && event.state == TW_CONNECTED);
    flush();
    CHECK(find(TW_DATA, 1) != NULL && find(TW_CONTROL, TW_LEAVE) == find(TW_DATA, 1) + 12);

    enter("and so it does where the room was asked for again", TW_MODE_BOTH);
    tw_publish(&client, 0, text("1"), 0);
    flush();
    breaks();
    open_link();
    CHECK(find(TW_CONTROL, TW_JOIN) != NULL);
    tw_leave(&client, 0);
    flush();
    CHECK(sent_len == 0);
    welcome(true, 0);
    got(TW_EVENT_NONE);
    flush();
    CHECK(find(TW_DATA, 1) != NULL && find(TW_CONTROL, TW_LEAVE) == find(TW_DATA, 1) + 6);

    half_sent("what was half sent when its room was left is sent to its end");
    flush();
    CHECK(sent_len > 3 && sent[2] == '1' && sent[3] == TW_CONTROL && sent[7] == TW_LEAVE);

    half_sent("and goes to no other room, should the connection break before that");
    breaks();
    CHECK(event.dropped == 1);
    open_link();
    welcome(true, 0);
    CHECK(got(TW_EVENT_STATE) && event.state == TW_CONNECTED);
    flush();
    CHECK(find(TW_CONTROL, TW_LEAVE) != NULL && find(TW_DATA, 1) == NULL);
    tell(TW_LEFT, 5, (const uint64_t[]){1, 200}, 2, "");
    CHECK(!got(TW_EVENT_ROOM));
    flush();
    joined(0, 3);
    CHECK(got(TW_EVENT_OUTCOME) && rooms[0].state == TW_ROOM_JOINED && tw_pending(&client) == 6);
    flush();
    CHECK(sent_len == 6 && is(tw_span(sent + 5, 1), "2"));
}

/* Whatever does not arrive is told. */
static void test_losses(void)
{
    enter("closed for good: what has left is unconfirmed, what has not is counted", TW_MODE_BOTH);
    tw_publish(&client, 0, text("1"), 0);
    tw_publish(&client, 0, text("2"), 0);
    flush();
    tw_publish(&client, 0, text("3"), 0);
    tell(TW_CLOSE, 0, (const uint64_t[]){243}, 1, "");
    CHECK(next(TW_EVENT_STATE) && event.state == TW_CLOSED && event.dropped == 1);
    CHECK(next(TW_EVENT_ROOM) && next(TW_EVENT_UNCONFIRMED) && is(event.payload, "1"));
    CHECK(next(TW_EVENT_UNCONFIRMED) && is(event.payload, "2") && !tw_next(&client, &event) && tw_pending(&client) == 0);

    enter("and so it is where the program closes, and each is told once", TW_MODE_BOTH);
    tw_publish(&client, 0, text("1"), 0);
    tw_publish(&client, 0, text("2"), 0);
    flush();
    breaks();
    open_link();
    welcome(false, 0);
    CHECK(next(TW_EVENT_STATE) && next(TW_EVENT_UNCONFIRMED) && is(event.payload, "1"));
    tw_close(&client);
    CHECK(next(TW_EVENT_STATE) && event.state == TW_CLOSED && event.dropped == 0 && next(TW_EVENT_ROOM));
    CHECK(next(TW_EVENT_UNCONFIRMED) && is(event.payload, "2") && !tw_next(&client, &event));
    flush();
    CHECK(find(TW_CONTROL, TW_CLOSE) != NULL && find(TW_DATA, 1) == NULL);

    enter("directs that the server has lost", TW_MODE_BOTH);
    say("01 00 08 06 07 01 1170 01 02 00 61");
    CHECK(next(TW_EVENT_DIRECT));
    breaks();
    open_link();
    tell(TW_WELCOME, 1, (const uint64_t[]){0x3b, 1, 7, 5000000, 0, 100, 16384, 8, 15000, 0}, 10, "\2\3abc\6\2\2\5");
    CHECK(next(TW_EVENT_STATE) && next(TW_EVENT_LOST_DIRECTS) && event.key == 2 && event.position == 5);
    say("01 00 0c 06 07 05 1170 01 02 00 61 01 02 00 62");
    CHECK(next(TW_EVENT_DIRECT) && is(event.payload, "b") && event.position == 6 && !tw_next(&client, &event));
    breaks();
    open_link();
    tell(TW_WELCOME, 1, (const uint64_t[]){0x3b, 1, 7, 5000000, 0, 100, 16384, 8, 15000, 0}, 10, "\6\2\2\6");
    CHECK(next(TW_EVENT_STATE) && !tw_next(&client, &event));

    begin("an attempt that the server ends: why, and where to instead", false);
    tw_connect(&client);
    CHECK(got(TW_EVENT_STATE));
    open_link();
    tell(TW_CLOSE, 1, (const uint64_t[]){101}, 1, "\2\4full\4\2\xa0\6\6\3b:1");
    CHECK(next(TW_EVENT_STATE) && event.before == TW_CONNECTING && event.state == TW_CONNECTING && event.number == 101);
    CHECK(is(event.payload, "full") && is(event.subject, "b:1") && !tw_next(&client, &event));
    tw_lost(&client);
    CHECK(tw_wait(&client) == 800 && !tw_next(&client, &event));

    enter("a server that says: never", TW_MODE_BOTH);
    tell(TW_CLOSE, 0, (const uint64_t[]){101}, 1, "\4\7\xff\xff\xff\xff\xff\xff\x7f");
    CHECK(got(TW_EVENT_STATE));
    tw_lost(&client);
    CHECK(client.retry_in == 86400000);
    enter("and so where it goes away", TW_MODE_BOTH);
    tell(TW_GOING_AWAY, 0, (const uint64_t[]){86400001, 10000}, 2, "");
    CHECK(got(TW_EVENT_STATE) && client.retry_in == 86400000);
}

/* A loop that sleeps tw_wait reads all that has come. */
static void test_wait(void)
{
    enter("behind a ping: there is more to read when its answer has left", TW_MODE_BOTH);
    tw_poll(&client, clock_ms += 1);
    say("03 00 02 00 05 00 01 00 07 00 07 0b 1170 01 02 61");
    CHECK(!tw_next(&client, &event));
    /* Nothing can be read before the answer has left: no loop spins. */
    CHECK(tw_wait(&client) > 0);
    flush();
    CHECK(find(TW_PING, 5) != NULL && tw_wait(&client) == 0);
    CHECK(next(TW_EVENT_MESSAGE) && is(event.payload, "a") && !tw_next(&client, &event) && tw_wait(&client) > 0);
    /* Half a frame is nothing that can be read. */
    say("01 00 07 00 07");
    CHECK(tw_wait(&client) == 0 && !tw_next(&client, &event) && tw_wait(&client) > 0);
    say("0c 1170 01 02 62");
    CHECK(tw_wait(&client) == 0 && next(TW_EVENT_MESSAGE) && !tw_next(&client, &event) && tw_wait(&client) > 0);
    say("03 00 02 00 05 00 01 00 07");
    CHECK(!tw_next(&client, &event));
    breaks();
    CHECK(tw_wait(&client) >= 500);
}

static void test_time(void)
{
    unsigned i;
    uint64_t least = UINT64_MAX, most = 0, began;
    begin("backoff grows to twenty seconds, and is never the same", false);
    tw_connect(&client);
    got(TW_EVENT_STATE);
    CHECK(tw_poll(&client, clock_ms) == TW_OPEN);
    for (i = 0; i < 40; i++) {
        uint64_t bound = i < 6 ? 500 + ((uint64_t)500 << i) : 20000, wait;
        tw_lost(&client);
        wait = tw_wait(&client);
        CHECK(wait >= 500 && wait <= (bound < 20000 ? bound : 20000));
        if (i >= 6) least = wait < least ? wait : least, most = wait > most ? wait : most;
        CHECK(tw_poll(&client, clock_ms + wait - 1) == TW_NOTHING);
        clock_ms += wait;
        CHECK(tw_poll(&client, clock_ms) == TW_OPEN);
    }
    CHECK(least < 5000 && most > 15000);
    clock_ms += 9999;
    CHECK(tw_poll(&client, clock_ms) == TW_NOTHING && tw_poll(&client, clock_ms + 1) == TW_SHUT);

    enter("a server that is silent for twice its interval and 5 s is left", TW_MODE_BOTH);
    for (i = 0; i < 34; i++) CHECK(tw_poll(&client, clock_ms += 1000) == TW_NOTHING);
    CHECK(tw_poll(&client, clock_ms += 1000) == TW_SHUT);
    CHECK(client.resume[0] > 0);

    enter("who slept asks first", TW_MODE_BOTH);
    flush();
    CHECK(tw_poll(&client, clock_ms += 3600000) == TW_NOTHING);
    flush();
    CHECK(sent_len > 0 && sent[0] == TW_PING && tw_poll(&client, clock_ms += 4999) == TW_NOTHING);
    CHECK(tw_poll(&client, clock_ms + 1) == TW_SHUT);

    enter("who slept asks once, until something comes", TW_MODE_BOTH);
    CHECK(tw_poll(&client, clock_ms += 3600000) == TW_NOTHING);
    CHECK(tw_poll(&client, clock_ms += 3600000) == TW_SHUT);
    enter("an answer, and it may sleep again", TW_MODE_BOTH);
    CHECK(tw_poll(&client, clock_ms += 3600000) == TW_NOTHING);
    say("03 00 02 00 05 00");
    got(TW_EVENT_NONE);
    CHECK(tw_poll(&client, clock_ms += 3600000) == TW_NOTHING);

    enter("a silent server is left by who sleeps as long as it may", TW_MODE_BOTH);
    for (began = clock_ms, i = 0; i < 100 && tw_poll(&client, clock_ms) == TW_NOTHING; i++) {
        flush();
        /* A loop that has received nothing. */
        CHECK(tw_feed(&client, sent, 0) == 0);
        clock_ms += tw_wait(&client);
    }
    CHECK(clock_ms - began == 35000 && client.link == TW_LINK_OPEN && client.shut);

    enter("time, by the ping with the shortest way", TW_MODE_BOTH);
    CHECK(tw_server_time(&client) == 5000000);
    /* Asked at 1,000 ms; heard at 6,001,000 us there, answered at once; back at 1,002 ms. */
    tw_poll(&client, clock_ms += 2);
    say("03 00 10 01 c0843d 00000007 e8a2ee02 e8a2ee02 00");
    CHECK(!tw_next(&client, &event) && client.rtt == 2000 && tw_server_time(&client) == 6001000 + 1000);
    tw_poll(&client, clock_ms += 1000);
    CHECK(tw_server_time(&client) == 7002000);
}

static void test_endings(void)
{
    enter("going away: exactly then, and not as a session that goes on", TW_MODE_BOTH);
    tell(TW_GOING_AWAY, 0, (const uint64_t[]){3725, 10000}, 2, "");
    CHECK(next(TW_EVENT_STATE) && event.state == TW_CONNECTING && event.number == 100);
    flush();
    CHECK(find(TW_CONTROL, TW_CLOSE) != NULL && client.resume[0] == 0);
    tw_lost(&client);
    CHECK(tw_wait(&client) == 3725);

    enter("full: after the time that was told", TW_MODE_BOTH);
    tell(TW_CLOSE, 0, (const uint64_t[]){101}, 1, "\2\4soon\4\2\xa0\6");
    CHECK(next(TW_EVENT_STATE) && event.number == 101 && is(event.payload, "soon"));
    CHECK(tw_poll(&client, clock_ms) == TW_SHUT);
    tw_lost(&client);
    CHECK(tw_wait(&client) == 800);

    enter("removed: for good", TW_MODE_BOTH);
    tw_publish(&client, 0, text("x"), 0);
    tell(TW_CLOSE, 0, (const uint64_t[]){243}, 1, "");
    CHECK(next(TW_EVENT_STATE) && event.state == TW_CLOSED && event.dropped == 1 && event.number == 243);
    CHECK(next(TW_EVENT_ROOM) && event.state == TW_ROOM_LEFT);
    tw_connect(&client);
    CHECK(client.state == TW_CLOSED && !tw_join(&client, 0, "a", TW_MODE_BOTH, text("")));

    begin("a token that is not valid: another is asked for once", true);
    CHECK(tw_set_token(&client, text("old")));
    tw_connect(&client);
    got(TW_EVENT_STATE);
    open_link();
    tell(TW_CLOSE, 1, (const uint64_t[]){242}, 1, "");
    CHECK(next(TW_EVENT_STATE) && event.state == TW_CONNECTING && event.number == 242 && next(TW_EVENT_TOKEN));
    tw_lost(&client);
    CHECK(tw_poll(&client, clock_ms += 60000) == TW_NOTHING && tw_set_token(&client, text("new")));
    open_link();
    tell(TW_CLOSE, 1, (const uint64_t[]){242}, 1, "");
    CHECK(got(TW_EVENT_STATE) && event.state == TW_CLOSED);
    CHECK(!tw_set_token(&client, text("a token that is longer than there is place for it")));

    begin("another version, and no Tickwire at all", false);
    tw_connect(&client);
    got(TW_EVENT_STATE);
    open_link();
    say("48 54 54 50 2f");
    CHECK(got(TW_EVENT_ERROR) && event.state == TW_ERROR_VERSION && client.state == TW_CLOSED);

    begin("buffers that are too small", false);
    client.config.in_size = TW_IN_MIN - 1;
    {
        tw_config config = client.config;
        CHECK(!tw_init(&client, &config));
        config.in_size = TW_IN_MIN;
        config.control_size = TW_CONTROL_MIN(0, 0) - 1;
        CHECK(!tw_init(&client, &config));
    }
}

int main(void)
{
    test_messages();
    test_directs();
    test_sizes();
    test_order();
    test_resume();
    test_positions();
    test_refusals();
    test_leaving();
    test_losses();
    test_wait();
    test_time();
    test_endings();
    printf("client: %u passed, %u failed\n", passed, failed);
    return failed != 0;
}
