/* The sensor (TICKWIRE_SENSOR): the vectors, as far as it reads them, and its rules against a clock that is a number. */
#include <stdio.h>
#include <string.h>

#define TICKWIRE_SENSOR
#define TICKWIRE_IMPLEMENTATION
#include "../tickwire.h"

#include "vectors.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))
#define CHECK(what) ((what) ? (void)passed++ : (failed++, (void)printf("%s, line %d: %s\n", test, __LINE__, #what)))

static unsigned passed, failed, left_out;
static const char *test;
static uint8_t in[70000], out[300], sent[1000];
static tw_room rooms[2];
static tw_client client;
static tw_event event;
static size_t sent_len;
static uint64_t clock_ms;

static tw_bytes text(const char *from)
{
    return tw_span((const uint8_t *)from, strlen(from));
}

static tw_bytes bytes_at(struct span span)
{
    return tw_span(blob + span.at, span.len);
}

static bool same(tw_bytes a, tw_bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static void begin(const char *name)
{
    tw_config config;
    test = name;
    memset(&config, 0, sizeof config);
    config.in = in, config.in_size = sizeof in;
    config.out = out, config.out_size = sizeof out;
    config.rooms = rooms, config.room_count = 2;
    config.token = text("a.b.c");
    config.seed = 42;
    clock_ms = 1000;
    CHECK(tw_init(&client, &config));
    tw_poll(&client, clock_ms);
}

/* Everything there is to send, into `sent`, byte by byte. */
static void flush(void)
{
    sent_len = 0;
    while (tw_output(&client).len > 0 && sent_len < sizeof sent) {
        sent[sent_len++] = *tw_output(&client).at;
        tw_written(&client, 1);
    }
}

static bool was_sent(const char *hex)
{
    unsigned byte;
    size_t len = 0;
    for (; *hex != 0; hex += *hex == ' ' ? 1 : 2)
        if (*hex != ' ' && (sscanf(hex, "%2x", &byte) != 1 || len >= sent_len || sent[len++] != byte)) return false;
    return len == sent_len;
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

static bool next(unsigned type)
{
    return tw_next(&client, &event) && event.type == type;
}

static bool got(unsigned type)
{
    tw_event last;
    bool found = false;
    while (tw_next(&client, &last))
        if (last.type == type) event = last, found = true;
    return found;
}

static void open_link(void)
{
    clock_ms += tw_wait(&client);
    CHECK(tw_poll(&client, clock_ms) == TW_OPEN);
    tw_opened(&client);
    flush();
}

static const char welcome[] = "02 00 17 00 02 01 00 00 5a17c0de 05 00 64 80 80 01 08 98 75 00 02 03 616263";

/* Connected, and in room 0, whose number is 7; this member is 1. */
static void enter(const char *name)
{
    begin(name);
    tw_connect(&client);
    CHECK(tw_join(&client, 0, "arena", TW_MODE_BOTH, text("")) && got(TW_EVENT_STATE));
    open_link();
    CHECK(was_sent("d7545701 02000c00 0101 000000 0105 612e622e63 02000a00 03 02 01 03 05 6172656e61"));
    say(welcome);
    CHECK(next(TW_EVENT_STATE) && event.state == TW_CONNECTED);
    say("02 00 13 00 04 02 01 07 01 03 00 0123456789abcdef 05 00 00 00");
    CHECK(next(TW_EVENT_ROOM) && event.state == TW_ROOM_JOINED && event.member == 1);
}

/* As if a room with this number had been joined, with echo. */
static void stand(const char *name, uint64_t room)
{
    begin(name);
    client.link = TW_LINK_OPEN;
    client.hello = client.welcomed = true;
    client.state = client.told = TW_CONNECTED;
    rooms[0].id = room;
    rooms[0].mode = TW_ECHO;
    rooms[0].asked = true;
    rooms[0].state = rooms[0].told = TW_ROOM_JOINED;
    client.dead_in = 60000;
}

/* ---------------------------------------------------------------------------------------------- the vectors */

static bool is_read(uint8_t type, uint8_t flags, uint8_t command)
{
    if (type == TW_DATA) return (TW_KINDS >> tw_kind(flags) & 1) != 0;
    return type == TW_PING || (type == TW_CONTROL && command >= TW_WELCOME && command <= TW_GAP);
}

static void check_command(const struct frame_vector *vector)
{
    tw_bytes hex = bytes_at(vector->hex);
    const char *layout = tw_layouts;
    tw_frame frame;
    unsigned i;
    bool read = tw_fields(tw_span(hex.at + 4, hex.len - 4), &frame) && tw_walk(&frame) != TW_LIST_BAD;
    CHECK(read && frame.command == vector->command && frame.request == vector->request);
    for (i = vector->command; i > 0; layout++)
        if (*layout == ';') i--;
    for (i = 0; i < vector->count; i++)
        if (layout[i] == 'v') CHECK(frame.arg[i] == vector->arg[i]);
    for (i = 0; i < vector->pieces; i++) {
        const struct piece *piece = &pieces[vector->first + i];
        if (piece->number < 8) CHECK(same(tw_ext(&frame, (unsigned)piece->number), bytes_at(piece->bytes)));
    }
}

static void check_data(const struct frame_vector *vector)
{
    size_t i;
    tw_bytes hex = bytes_at(vector->hex);
    bool snapshot = tw_kind(vector->flags) == TW_KIND_SNAPSHOT;
    stand(vector->name, vector->arg[0]);
    CHECK(tw_feed(&client, hex.at, hex.len) == hex.len);
    if (vector->flags & TW_FLAG_COMPRESSED) {
        CHECK(got(TW_EVENT_ERROR));
        return;
    }
    if (snapshot) CHECK(next(TW_EVENT_SNAPSHOT) && event.snapshot);
    for (i = 0; i < vector->pieces; i++) {
        const struct piece *piece = &pieces[vector->first + i];
        CHECK(tw_next(&client, &event) && event.member == piece->number && event.key == piece->other);
        CHECK(same(event.payload, bytes_at(piece->bytes)) && event.snapshot == snapshot);
    }
    if (snapshot && !(vector->flags & TW_FLAG_MORE)) CHECK(next(TW_EVENT_SNAPSHOT) && !event.snapshot);
    CHECK(!tw_next(&client, &event) && client.consumed == hex.len);
}

static void check_frame(const struct frame_vector *vector)
{
    tw_bytes hex = bytes_at(vector->hex);
    test = vector->name;
    if (!vector->server || !is_read(vector->type, vector->flags, vector->command)) {
        left_out++;
    } else if (vector->type == TW_CONTROL) {
        check_command(vector);
    } else if (vector->type == TW_DATA) {
        check_data(vector);
    } else {
        stand(vector->name, 0);
        tw_feed(&client, hex.at, hex.len);
        CHECK(!tw_next(&client, &event) && client.ponging == !(vector->flags & TW_FLAG_ANSWER));
        if (client.ponging) CHECK(client.pong == vector->arg[0]);
    }
}

/* What cannot be read ends the connection. */
static void check_malformed(const struct malformed_vector *vector)
{
    tw_bytes hex = bytes_at(vector->hex);
    tw_reader head;
    if (!vector->server || vector->reason == 203 || hex.len < 5 || !is_read(hex.at[0], hex.at[3], hex.at[4])) {
        left_out++;
        return;
    }
    head = tw_read(tw_span(hex.at + 4, hex.len - 4));
    stand(vector->name, tw_get(&head));
    /* Of a ping only its two numbers are read. */
    if (hex.at[0] == TW_PING && (hex.at[3] & TW_FLAG_ANSWER || (tw_get(&head), !head.bad))) {
        left_out++;
        return;
    }
    if (hex.at[0] == TW_CONTROL && hex.at[4] == TW_WELCOME) client.welcomed = false;
    tw_feed(&client, hex.at, hex.len);
    CHECK(got(TW_EVENT_ERROR) && event.state == TW_ERROR_PROTOCOL);
}

static void run_vectors(void)
{
    size_t i;
    test = "varints";
    for (i = 0; i < COUNT(varints); i++) {
        tw_reader from = tw_read(bytes_at(varints[i].hex));
        tw_writer to = tw_write(sent, sizeof sent, 0);
        CHECK(tw_get(&from) == varints[i].value && !from.bad && from.left == 0);
        tw_put(&to, varints[i].value);
        CHECK(same(tw_span(sent, to.len), bytes_at(varints[i].hex)));
    }
    for (i = 0; i < COUNT(bad_varints); i++) {
        tw_reader from = tw_read(bytes_at(bad_varints[i]));
        CHECK(tw_get(&from) == 0 && from.bad);
    }
    for (i = 0; i < COUNT(frames); i++) check_frame(&frames[i]);
    for (i = 0; i < COUNT(plain); i++) check_frame(&plain[i]);
    for (i = 0; i < COUNT(malformed); i++) check_malformed(&malformed[i]);
    left_out += (unsigned)(COUNT(presences) + COUNT(bad_presences));
}

/* ------------------------------------------------------------------------------------------------ the rules */

static void test_messages(void)
{
    enter("what comes, what leaves, and how much was taken");
    say("01 00 14 00 07 06 1170 04 02 73686f74 04 01 6f776e21 02 00 6869"); /* members 2, 1 (this one), 0 */
    CHECK(next(TW_EVENT_MESSAGE) && same(event.payload, text("shot")) && event.member == 2);
    CHECK(next(TW_EVENT_MESSAGE) && same(event.payload, text("hi")) && !tw_next(&client, &event));
    say("01 00 0a 04 07 07 1171 04 03 01 01 75 64 01 00 08 06 07 01 1170 01 02 00 61"); /* presence, a direct */
    CHECK(!tw_next(&client, &event));
    say("03 00 03 00 85 01 00 01 00 08 02 07 07 1171 01 02 0b 62");
    CHECK(!tw_next(&client, &event) && tw_wait(&client) > 0);
    flush();
    /* WELCOME 27, JOINED 23, data 24, 14 and 12. */
    CHECK(was_sent("03 00 04 01 85 01 64 00") && tw_wait(&client) == 0);
    CHECK(next(TW_EVENT_VALUE) && event.key == 11 && same(event.payload, text("b")) && !tw_next(&client, &event));
    CHECK(tw_publish(&client, 0, text("e"), TW_URGENT) == TW_OK && tw_set(&client, 0, 2, text("v"), 0) == TW_OK);
    CHECK(tw_pending(&client) == 6 + 7);
    flush();
    CHECK(was_sent("01 00 02 10 01 65 01 00 03 02 01 04 76") && tw_pending(&client) == 0);
}

static void test_places(void)
{
    static const uint8_t large[300] = {0};
    enter("what has no place is not taken, and said");
    CHECK(tw_publish(&client, 1, text("x"), 0) == TW_NO_ROOM && tw_publish(&client, 9, text("x"), 0) == TW_NO_ROOM);
    CHECK(tw_publish(&client, 0, tw_span(large, 101), 0) == TW_TOO_LARGE); /* WELCOME said 100 */
    CHECK(tw_publish(&client, 0, tw_span(large, 100), 0) == TW_OK && tw_publish(&client, 0, tw_span(large, 100), 0) == TW_OK);
    CHECK(tw_publish(&client, 0, tw_span(large, 100), 0) == TW_FULL && tw_pending(&client) == 210);
    /* The answer to a ping waits for place too, and is not lost. */
    CHECK(tw_publish(&client, 0, tw_span(large, 82), 0) == TW_OK && tw_pending(&client) == 297);
    say("03 00 02 00 05 00");
    CHECK(!tw_next(&client, &event) && tw_output(&client).len == 297 && client.ponging);
    tw_written(&client, 297);
    flush();
    CHECK(sent_len == 7 && sent[0] == TW_PING);
    tw_lost(&client);
    CHECK(next(TW_EVENT_STATE) && event.state == TW_CONNECTING && next(TW_EVENT_ROOM) && event.state == TW_ROOM_JOINING);
    CHECK(tw_publish(&client, 0, text("x"), 0) == TW_DROPPED && tw_pending(&client) == 0);
    /* What was handed out before the line broke is not there any more. */
    tw_written(&client, 5);
    CHECK(tw_pending(&client) == 0);
}

static void test_refusals(void)
{
    enter("a message that is refused");
    say("02 00 05 00 07 00 02 ec01");
    CHECK(next(TW_EVENT_REFUSED) && event.number == 236 && event.position == 2 && event.room == 2);

    enter("left by the server: again, later; refused: never");
    say("02 00 04 00 06 00 01 07");
    CHECK(next(TW_EVENT_ROOM) && event.state == TW_ROOM_JOINING && event.number == 7);
    flush();
    CHECK(sent_len == 0 && tw_wait(&client) >= 500 && tw_wait(&client) <= 1000);
    tw_poll(&client, clock_ms += 1000);
    flush();
    CHECK(sent_len == 14 && sent[4] == TW_JOIN);
    say("02 00 05 00 07 02 00 f001");
    CHECK(next(TW_EVENT_ROOM) && event.state == TW_ROOM_LEFT && event.number == 240);
    CHECK(tw_publish(&client, 0, text("x"), 0) == TW_NO_ROOM && client.state == TW_CONNECTED);
    CHECK(tw_join(&client, 0, "other", TW_MODE_PUBLISH, text("p")));
    flush();
    CHECK(was_sent("02000d00 03 02 01 01 05 6f74686572 06 01 70"));

    enter("a gap: what was known is void");
    say("02 00 0d 00 0a 00 07 0123456789abcdef 0b 0c");
    CHECK(next(TW_EVENT_OUTCOME) && event.state == TW_SNAPSHOT && event.room == 0 && !tw_next(&client, &event));
}

static void test_endings(void)
{
    unsigned i;
    enter("going away: exactly then");
    say("02 00 06 00 09 00 8d1d 904e");
    CHECK(next(TW_EVENT_STATE) && event.state == TW_CONNECTING && event.number == 100);
    flush();
    CHECK(was_sent("02 00 04 00 08 01 c801") && tw_poll(&client, clock_ms += 2000) == TW_SHUT);
    tw_lost(&client);
    CHECK(next(TW_EVENT_ROOM) && tw_wait(&client) == 1725);

    enter("full: when it was told; where to instead");
    say("02 00 11 00 08 00 65 02 04 736f6f6e 04 02 a006 06 02 623a");
    CHECK(next(TW_EVENT_STATE) && event.number == 101 && same(event.payload, text("soon")) && same(event.subject, text("b:")));
    CHECK(tw_poll(&client, clock_ms) == TW_SHUT);
    tw_lost(&client);
    CHECK(got(TW_EVENT_ROOM) && tw_wait(&client) == 800);

    enter("removed: for good");
    say("02 00 04 00 08 00 f301");
    CHECK(next(TW_EVENT_STATE) && event.state == TW_CLOSED && event.number == 243 && next(TW_EVENT_ROOM) && event.number == 243);
    CHECK(!tw_join(&client, 0, "a", TW_MODE_BOTH, text("")));

    enter("the program closes");
    tw_close(&client);
    CHECK(next(TW_EVENT_STATE) && event.state == TW_CLOSED && event.number == 200 && next(TW_EVENT_ROOM));
    flush();
    CHECK(was_sent("02 00 04 00 08 01 c801") && tw_poll(&client, clock_ms += 2000) == TW_SHUT);

    enter("what cannot be read: said, told, and again");
    say("01 00 02 00 07 80");
    CHECK(next(TW_EVENT_STATE) && event.number == 201 && got(TW_EVENT_ERROR) && event.state == TW_ERROR_PROTOCOL);
    flush();
    CHECK(was_sent("02 00 04 00 08 01 c901"));

    enter("silence: twice the interval and 5 s");
    for (i = 0; i < 34; i++) CHECK(tw_poll(&client, clock_ms += 1000) == TW_NOTHING);
    CHECK(tw_poll(&client, clock_ms += 1000) == TW_SHUT);

    begin("no Tickwire at all");
    tw_connect(&client);
    CHECK(got(TW_EVENT_STATE));
    open_link();
    say("48 54 54 50");
    CHECK(got(TW_EVENT_ERROR) && event.state == TW_ERROR_VERSION && client.state == TW_CLOSED);

    begin("backoff grows, also where the clock's low half begins anew");
    clock_ms = UINT32_MAX - 3000;
    tw_poll(&client, clock_ms);
    tw_connect(&client);
    CHECK(got(TW_EVENT_STATE) && tw_poll(&client, clock_ms) == TW_OPEN);
    for (i = 0; i < 40; i++) {
        uint32_t bound = i < 6 ? 500 + ((uint32_t)500 << i) : 20000, wait;
        tw_lost(&client);
        wait = tw_wait(&client);
        CHECK(wait >= 500 && wait <= (bound < 20000 ? bound : 20000));
        CHECK(tw_poll(&client, clock_ms + wait - 1) == TW_NOTHING);
        clock_ms += wait;
        CHECK(tw_poll(&client, clock_ms) == TW_OPEN);
    }
}

int main(void)
{
    run_vectors();
    test_messages();
    test_places();
    test_refusals();
    test_endings();
    printf("sensor: %u passed, %u failed; %u vectors are not for it\n", passed, failed, left_out);
    return failed != 0;
}
