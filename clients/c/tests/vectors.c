/* Runs tests/vectors through the codec: every frame is read, compared by its fields, and written again. Frames of both
 * sides, though a client reads only those of a server and writes only its own. Compiled as C99 and as C++. */
#include <stdio.h>
#include <string.h>

#define TICKWIRE_IMPLEMENTATION
#include "../tickwire.h"

#include "vectors.h"

#define COUNT(list) (sizeof(list) / sizeof *(list))
#define CHECK(what, name) (passed++, (what) ? (void)0 : (passed--, failed++, (void)printf("%s: %s\n", name, #what)))

static unsigned passed, failed;
static uint8_t buffer[70000];

static tw_bytes bytes_at(struct span span)
{
    return tw_span(blob + span.at, span.len);
}

static bool same(tw_bytes a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, blob + b.at, a.len) == 0);
}

static tw_writer writer(void)
{
    tw_writer out;
    out.at = buffer;
    out.size = sizeof buffer;
    out.len = 0;
    return out;
}

static bool same_records(const struct frame_vector *vector, tw_bytes rest)
{
    tw_reader in = tw_read(rest);
    uint8_t kind = (vector->flags & 0x0e) / 2;
    size_t i;
    for (i = 0; i < vector->pieces; i++) {
        const struct piece *piece = &pieces[vector->first + i];
        tw_record record = tw_get_record(&in, kind);
        tw_bytes payload = tw_get_bytes(&in, record.len);
        if (in.bad || record.member != piece->number || record.key != piece->other || !same(payload, piece->bytes))
            return false;
    }
    return in.left == 0;
}

static bool same_extensions(const struct frame_vector *vector, tw_bytes rest)
{
    tw_reader in = tw_read(rest);
    size_t i;
    for (i = 0; i < vector->pieces; i++) {
        const struct piece *piece = &pieces[vector->first + i];
        uint64_t type = tw_get(&in), len = tw_get(&in);
        tw_bytes content = tw_get_bytes(&in, len), found;
        if (in.bad || type != piece->number || !same(content, piece->bytes)) return false;
        if (!tw_extension(rest, type, &found) || !same(found, piece->bytes)) return false;
    }
    return in.left == 0;
}

static void check_frame(const struct frame_vector *vector)
{
    tw_side from = vector->server ? TW_FROM_SERVER : TW_FROM_CLIENT;
    tw_bytes hex = bytes_at(vector->hex);
    tw_writer out = writer();
    tw_frame frame;
    bool read = hex.len >= 4 && tw_decode(from, hex.at[0], hex.at[3], tw_span(hex.at + 4, hex.len - 4), &frame);
    CHECK(read, vector->name);
    if (!read) return;
    CHECK(frame.type == vector->type && frame.flags == vector->flags && frame.command == vector->command, vector->name);
    CHECK(frame.request == vector->request, vector->name);
    CHECK(memcmp(frame.arg, vector->arg, sizeof frame.arg) == 0, vector->name);
    CHECK(same(frame.text, vector->text), vector->name);
    if (vector->behind == RECORDS) CHECK(same_records(vector, frame.rest), vector->name);
    else if (vector->behind == EXTENSIONS) CHECK(same_extensions(vector, frame.rest), vector->name);
    else CHECK(same(frame.rest, vector->rest), vector->name);
    tw_encode(from, &frame, &out);
    CHECK(out.len == hex.len && memcmp(buffer, hex.at, hex.len) == 0, vector->name);
    /* What does not fit is not written, and the length says so. */
    memset(buffer, 0xee, 8);
    out = writer();
    out.size = hex.len - 1;
    tw_encode(from, &frame, &out);
    CHECK(out.len > out.size, vector->name);
}

/* A header that announces more than 16384 bytes is refused by a limit that this codec does not have: it reads in pieces. */
static void check_malformed(const struct malformed_vector *vector)
{
    tw_bytes hex = bytes_at(vector->hex);
    tw_frame frame;
    bool read;
    if (!vector->server || vector->reason == 203) return;
    if (hex.at[0] < TW_DATA || hex.at[0] > TW_PING) return;
    read = tw_decode(TW_FROM_SERVER, hex.at[0], hex.at[3], tw_span(hex.at + 4, hex.len - 4), &frame);
    if (read && hex.at[0] == TW_DATA) {
        tw_reader in = tw_read(frame.rest);
        uint8_t kind = (hex.at[3] & 0x0e) / 2;
        tw_presence presence;
        while (read && in.left > 0) {
            tw_record record = tw_get_record(&in, kind);
            tw_bytes payload = tw_get_bytes(&in, record.len);
            read = !in.bad;
            if (read && (kind == TW_KIND_PRESENCE || kind == TW_KIND_MEMBERS)) read = tw_get_presence(payload, &presence);
        }
    }
    CHECK(!read, vector->name);
}

int main(void)
{
    size_t i;
    for (i = 0; i < COUNT(varints); i++) {
        tw_reader in = tw_read(bytes_at(varints[i].hex));
        tw_writer out = writer();
        CHECK(tw_get(&in) == varints[i].value && !in.bad && in.left == 0, "varint");
        tw_put(&out, varints[i].value);
        CHECK(same(tw_span(buffer, out.len), varints[i].hex), "varint");
    }
    for (i = 0; i < COUNT(bad_varints); i++) {
        tw_reader in = tw_read(bytes_at(bad_varints[i]));
        CHECK(tw_get(&in) == 0 && in.bad, "bad varint");
    }
    for (i = 0; i < COUNT(frames); i++) check_frame(&frames[i]);
    for (i = 0; i < COUNT(plain); i++) check_frame(&plain[i]);
    for (i = 0; i < COUNT(presences); i++) {
        tw_presence presence;
        CHECK(tw_get_presence(bytes_at(presences[i].hex), &presence), "presence");
        CHECK(presence.state == presences[i].state && presence.number == presences[i].number, "presence");
        CHECK(same(presence.subject, presences[i].subject) && same(presence.data, presences[i].data), "presence");
    }
    for (i = 0; i < COUNT(bad_presences); i++) {
        tw_presence presence;
        CHECK(!tw_get_presence(bytes_at(bad_presences[i]), &presence), "bad presence");
    }
    for (i = 0; i < COUNT(malformed); i++) check_malformed(&malformed[i]);
    printf("vectors: %u passed, %u failed\n", passed, failed);
    return failed != 0;
}
