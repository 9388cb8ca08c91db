/* tickwire.h: a Tickwire client for devices, in one C99 header that never allocates.
 *
 *   your socket --tw_feed--> client --tw_next----> what came: events, values, directs, states
 *   your socket <-tw_output- client <--tw_publish, tw_set, tw_send, tw_join-- your program
 *   your clock  --tw_poll--> client: TW_OPEN a connection now, TW_SHUT the one there is, or nothing
 *
 * It knows no socket, no clock and no heap: bytes and milliseconds go in, bytes and events come out. All
 * memory is the caller's (tw_config), and stays of the size it has. It speaks PROTOCOL.md over a stream of
 * bytes (TCP, or TLS of yours around it), and behaves as clients/SPEC.md says; README.md lists what it leaves out.
 *
 * In exactly one file:      #define TICKWIRE_IMPLEMENTATION
 *                           #include "tickwire.h"
 * Everywhere else:          #include "tickwire.h"
 *
 * With TICKWIRE_CODEC_ONLY defined beside it, only the codec is compiled, for who has a client already.
 *
 * One implementation rather than inline functions: a device pays for the code once, however many files use it.
 *
 * Numbers in brackets are sections of PROTOCOL.md. Nothing here is thread safe: one client, one thread.
 */
#ifndef TICKWIRE_H
#define TICKWIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------------------ codec */

/* Bytes that belong to somebody else. */
typedef struct tw_bytes {
    const uint8_t *at;
    size_t len;
} tw_bytes;

/* Takes fields off the front of bytes. Once `bad`, it stays so, and everything it gives is 0. */
typedef struct tw_reader {
    const uint8_t *at;
    size_t left;
    bool bad;
} tw_reader;

/* Appends to a buffer of `size` bytes. `len` goes on beyond `size`: then it did not fit. */
typedef struct tw_writer {
    uint8_t *at;
    size_t size;
    size_t len;
} tw_writer;

/* Frame types [5]. */
enum { TW_DATA = 1, TW_CONTROL = 2, TW_PING = 3 };

/* Kinds of data [5]: bits 1 to 3 of the flags. */
enum { TW_KIND_EVENT, TW_KIND_VALUE, TW_KIND_PRESENCE, TW_KIND_DIRECT, TW_KIND_SNAPSHOT, TW_KIND_MEMBERS };

/* Flags [5]. ANSWER is of pings, the others of data. */
enum {
    TW_FLAG_ANSWER = 0x01,
    TW_FLAG_COMPRESSED = 0x01,
    TW_FLAG_URGENT = 0x10,
    TW_FLAG_ACKNOWLEDGE = 0x20,
    TW_FLAG_MORE = 0x40
};

/* Commands [6]. */
enum {
    TW_HELLO = 1, TW_WELCOME, TW_JOIN, TW_JOINED, TW_LEAVE, TW_LEFT, TW_REFUSED, TW_CLOSE, TW_GOING_AWAY,
    TW_GAP, TW_RECEIVE, TW_DONE, TW_PRESENCE, TW_TOKEN, TW_MEMBERS, TW_PAGE, TW_ACCEPTED
};

/* Capabilities [10.3]. */
enum { TW_CAN_RESUME = 1, TW_CAN_HISTORY = 2, TW_CAN_RECEIVE = 8, TW_CAN_TOKEN = 16, TW_CAN_ACCEPTED = 32 };

/* Modes of a join [6.3]. */
enum { TW_MODE_PUBLISH = 1, TW_MODE_RECEIVE = 2, TW_MODE_BOTH = 3, TW_MODE_MEMBERS = 4 };

/* States of a member in a presence record [8.5]. */
enum { TW_HERE = 1, TW_AWAY = 2, TW_GONE = 3, TW_COUNT = 4 };

/* Who sent a frame: the layouts differ. */
typedef enum tw_side { TW_FROM_CLIENT, TW_FROM_SERVER } tw_side;

/* A frame. `arg` holds its numbers in the order of the wire, fixed-width ones and epochs (8 bytes, big-endian) too:
 *
 *   data from a client  handle [, key or member]                  rest: the payload
 *   data from a server  room, position, tick (16 bits)            rest: the records
 *   control             the arguments of the command [6]          text: its string; rest: its extensions
 *   ping                as in [9]                                 rest: its extensions
 */
typedef struct tw_frame {
    uint8_t type;
    uint8_t flags;
    uint8_t command;  /* of a control frame */
    uint64_t request; /* of a control frame */
    uint64_t arg[10]; /* WELCOME and JOINED have that many */
    tw_bytes text;
    tw_bytes rest;
} tw_frame;

/* A message within a data frame of a server [8.2]. */
typedef struct tw_record {
    uint64_t len;    /* of the payload */
    uint64_t member;
    uint64_t key;    /* of values, snapshots and directs; else 0 */
} tw_record;

/* The payload of a presence record [8.5]. */
typedef struct tw_presence {
    uint8_t state;   /* TW_HERE .. TW_COUNT; others are to be ignored */
    uint64_t number; /* GONE: the reason; COUNT: the members */
    tw_bytes subject;
    tw_bytes data;
} tw_presence;

/* Takes a varint [3.1]: below 2^53 and minimal, else the reader is bad. */
uint64_t tw_get(tw_reader *in);

/* Takes `len` bytes. */
tw_bytes tw_get_bytes(tw_reader *in, uint64_t len);

/* Appends a varint; `value` is below 2^53. */
void tw_put(tw_writer *out, uint64_t value);

/* Appends bytes. */
void tw_put_bytes(tw_writer *out, tw_bytes bytes);

/* Reads a frame's payload. False where it cannot be read; a command that is not known can. Bytes stay where they are. */
bool tw_decode(tw_side from, uint8_t type, uint8_t flags, tw_bytes payload, tw_frame *frame);

/* Appends a frame, header included. */
void tw_encode(tw_side from, const tw_frame *frame, tw_writer *out);

/* Takes length, member and key of a record of this kind. The payload follows in the reader. */
tw_record tw_get_record(tw_reader *in, uint8_t kind);

/* Reads the payload of a presence record. False where it cannot be read. */
bool tw_get_presence(tw_bytes payload, tw_presence *presence);

/* Finds an extension in a list [3.3]. False where it is not there. */
bool tw_extension(tw_bytes list, uint64_t type, tw_bytes *content);

/* ----------------------------------------------------------------------------------------------- client */

/* Smallest `in_size`: the longest control frame without texts and foreign extensions, with room to spare. A frame that
 * is longer is read as far as it fits, a message that is longer is skipped and told (TW_EVENT_SKIPPED). */
#define TW_IN_MIN 128

/* `control_size` for a token, a resume token (64), a name (64) and presence data, of which one frame holds at most one
 * each; 64 for everything else in it. */
#define TW_CONTROL_MIN(token, presence) (192 + (token) + (presence))

/* States of a client, as in SPEC.md, section 1. */
typedef enum tw_state { TW_DISCONNECTED, TW_CONNECTING, TW_CONNECTED, TW_CLOSED } tw_state;

/* States of a room. */
typedef enum tw_room_state { TW_ROOM_LEFT, TW_ROOM_JOINING, TW_ROOM_JOINED } tw_room_state;

/* What a join that comes back tells, as in SPEC.md, section 4. */
typedef enum tw_outcome { TW_NO_OUTCOME, TW_RECOVERED, TW_LOST, TW_SNAPSHOT } tw_outcome;

/* What the caller's loop has to do. */
typedef enum tw_action {
    TW_NOTHING, /* go on */
    TW_OPEN,    /* open a connection, then say tw_opened, or tw_lost where there is none to be had */
    TW_SHUT     /* close the connection, then say tw_lost */
} tw_action;

/* What became of a message. */
typedef enum tw_result {
    TW_OK,
    TW_FULL,      /* no place in `out` until older messages are accepted */
    TW_TOO_LARGE, /* larger than `out`, or than the server takes */
    TW_DROPPED,   /* it could not leave at once, and had TW_DROP */
    TW_NO_ROOM    /* the room is not wanted, or the client is closed */
} tw_result;

/* Options of a message. */
enum {
    TW_DROP = 1,                /* throw it away where it cannot leave at once */
    TW_URGENT = TW_FLAG_URGENT  /* the room flushes at once [11.6] */
};

/* Options of a join, beside the modes [6.3]. */
enum { TW_ECHO = 0x80 /* the client's own messages are told too */ };

/* Kinds of errors, as in SPEC.md, section 8. */
typedef enum tw_error {
    TW_NO_ERROR,
    TW_ERROR_PROTOCOL, /* the server sent what cannot be read, or must not come */
    TW_ERROR_VERSION,  /* the server speaks another version, or is none */
    TW_ERROR_TOKEN     /* a newer token was refused; the old one goes on counting. `number` is the reason */
} tw_error;

/* What tw_next tells. Which fields count is said behind each. `payload` and `subject` are gone with the next call. */
typedef enum tw_event_type {
    TW_EVENT_NONE,
    TW_EVENT_STATE,       /* before, state, number: the reason, or 0; payload: a text for people (escape it); subject: where
                             to connect instead, if the server said so; dropped: messages that will not leave. An attempt
                             that the server has ended with a reason is told too: connecting before, connecting after */
    TW_EVENT_ROOM,        /* the same, of room; member: your number in it */
    TW_EVENT_OUTCOME,     /* room, state: a tw_outcome; of TW_LOST: positions from `key` to `position` */
    TW_EVENT_MESSAGE,     /* room, member, payload, position, tick: an event */
    TW_EVENT_VALUE,       /* and key; snapshot: whether it belongs to one. An empty payload deletes */
    TW_EVENT_DIRECT,      /* and key: which message of yours it answers, or 0; position: its number */
    TW_EVENT_PRESENCE,    /* state: TW_HERE .. TW_COUNT; subject, payload, number (reason, or count); snapshot */
    TW_EVENT_SNAPSHOT,    /* of room: begins where `snapshot`, and is whole where not: replaces all values. kind: values or
                             members */
    TW_EVENT_REFUSED,     /* a message: room, kind, key, payload, number: the reason. After a resume it may come again.
                             Where it had been accepted already [12.3], room is room_count */
    TW_EVENT_UNCONFIRMED, /* a message that may have arrived or not, and is not sent again: room, kind, key, payload */
    TW_EVENT_SKIPPED,     /* a message larger than `in`: room, kind, member, key, number: its bytes */
    TW_EVENT_PAUSED,      /* room: what tw_pause asked for is done; number 0, or the reason why not */
    TW_EVENT_TOKEN,       /* the token is not valid any more: say tw_set_token, or tw_close */
    TW_EVENT_LOST_DIRECTS, /* directs that will not come: those with the numbers `key` to `position` [12.2] */
    TW_EVENT_ERROR        /* state: a tw_error */
} tw_event_type;

/* What has happened. Keys are as on the wire: 2 * key of a member's value, 2 * key + 1 of the room's [7.2]. */
typedef struct tw_event {
    tw_event_type type;
    uint8_t state;
    uint8_t before;
    uint8_t kind;
    bool snapshot;
    unsigned room; /* its index in tw_config.rooms */
    uint64_t member;
    uint64_t key;
    uint64_t position;
    uint64_t tick;
    uint64_t number;
    size_t dropped;
    tw_bytes payload;
    tw_bytes subject;
} tw_event;

/* A room. The members are the client's own. */
typedef struct tw_room {
    const char *name;
    tw_bytes presence;
    uint64_t id, epoch, position, member, tick, reason, lost_from, retry_at;
    uint32_t seen, run, tries;
    size_t dropped;
    uint8_t mode, phase, state, told, outcome, what, asked;
    bool wanted, leave, known, has_id, collecting;
} tw_room;

/* What a client works with. All of it has to live as long as the client, and is the client's alone. */
typedef struct tw_config {
    uint8_t *in; /* what has come: at least TW_IN_MIN, and as much as the largest message with 24 bytes beside it */
    size_t in_size;
    uint8_t *out; /* messages until they are accepted: each takes its length and up to 20 bytes */
    size_t out_size;
    uint8_t *control; /* one command on its way: TW_CONTROL_MIN */
    size_t control_size;
    tw_room *rooms; /* any number; zeroed by tw_init */
    unsigned room_count;
    tw_bytes token; /* [15.1]; empty: none */
    bool renews;    /* whether the program can get another token when asked by TW_EVENT_TOKEN */
    uint32_t seed;  /* of the backoff: different on every device, such as its serial number; not 0 */
} tw_config;

/* A client. The members are its own. */
typedef struct tw_client {
    tw_config config;
    uint64_t now, at, dead_at, up_at, ping_at, reason, pong;
    uint64_t consumed, accepted, directs, directs_lost, max_message, ping_ms;
    uint64_t room_position, frame_bytes;
    uint64_t offset, last_time;
    size_t in_len, drop, left, skip;
    size_t out_len, kept_len, cursor, tx;
    size_t control_len, control_at, dropped;
    uint32_t random, tries, capabilities, rtt, sent_count;
    uint8_t resume[64];
    uint8_t resume_len, stage, frame_type, frame_flags, pings, samples;
    uint8_t state, told, link, error, closing;
    tw_room *room;
    bool shut, hello, welcomed, resumed, ponging, renew, asked_token, want_token, tell_token, unconfirmed, pop, hidden, slept, unread;
} tw_client;

/* Begins: disconnected, in no room. False where a buffer is too small. */
bool tw_init(tw_client *client, const tw_config *config);

/* Tells the time: milliseconds of a clock that never goes back. To be called in every round of the caller's loop. */
tw_action tw_poll(tw_client *client, uint64_t now);

/* Milliseconds until there is something to do without the server: tw_poll by itself, or 0 where tw_next can go on, such as
 * behind a ping whose answer has left. At most a minute. */
uint32_t tw_wait(const tw_client *client);

/* The connection that TW_OPEN asked for is there. */
void tw_opened(tw_client *client);

/* The connection is gone, or there was none to be had. */
void tw_lost(tw_client *client);

/* How many bytes tw_feed would take now; 0 where an answer has to leave first (tw_output). */
size_t tw_space(const tw_client *client);

/* Brings bytes of the server: how many were taken, which is all of them up to tw_space. */
size_t tw_feed(tw_client *client, const uint8_t *bytes, size_t len);

/* Takes what has happened next. False: nothing more for now; then look for output, and sleep no longer than tw_wait. Each round
 * of the loop takes all. */
bool tw_next(tw_client *client, tw_event *event);

/* Bytes for the server; none where `len` is 0. They stay until any other call. Tell by tw_written how many went. */
tw_bytes tw_output(tw_client *client);
void tw_written(tw_client *client, size_t len);

/* As in SPEC.md, section 1. tw_close gives up what waits; what has left and was not accepted is told, TW_EVENT_UNCONFIRMED.
 * CLOSED does not come back. */
void tw_connect(tw_client *client);
void tw_disconnect(tw_client *client);
void tw_close(tw_client *client);

/* Wants a room, from now on: `mode` is TW_MODE_..., with TW_ECHO. Name and presence data have to live until the room is
 * left. False where the index is in use, or not there. */
bool tw_join(tw_client *client, unsigned room, const char *name, uint8_t mode, tw_bytes presence);
void tw_leave(tw_client *client, unsigned room);

/* Asks for nothing more of a room, or for all again [6.11]. */
void tw_pause(tw_client *client, unsigned room, bool paused);

/* Publish an event; set a value of this member, or of the room (an empty one deletes); send a direct. Events and directs
 * wait in order until they can leave, of values only the last one of a key. All wait in `out` until they are accepted. */
tw_result tw_publish(tw_client *client, unsigned room, tw_bytes payload, unsigned options);
tw_result tw_set(tw_client *client, unsigned room, uint64_t key, tw_bytes payload, unsigned options);
tw_result tw_set_room(tw_client *client, unsigned room, uint64_t key, tw_bytes payload, unsigned options);
tw_result tw_send(tw_client *client, unsigned room, uint64_t member, tw_bytes payload, unsigned options);

/* How many bytes of messages have neither been accepted nor told; 0: everything has arrived, or was told not to have. */
size_t tw_pending(const tw_client *client);

/* Another token: told to the server at once, and in the next hello. It has to live as long as the client. False where
 * `control` is too small for it. */
bool tw_set_token(tw_client *client, tw_bytes token);

/* The server's time in microseconds, by the best of the last pings. It does not go back within a connection; 0 before the first. */
uint64_t tw_server_time(tw_client *client);

#ifdef __cplusplus
}
#endif
#endif /* TICKWIRE_H */

/* ======================================================================================================= */
#ifdef TICKWIRE_IMPLEMENTATION
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------------------ codec */

/* What the numbers of a frame look like: v is a varint, s a string, a digit so many bytes. By command, then ping of a
 * client, ping and answer of a server, event of a client, its other data, data of a server. */
static const char tw_layouts[] =
    ";vvv;v14vvvvvvv;v1s;vvv118vvvv;v;vv;vv;v;vv;v8vv;v1vv;;vs;s;vv;vvvs;v;vvv;vv;v4vvv;v;vv;vv2";

static tw_bytes tw_span(const uint8_t *at, size_t len)
{
    tw_bytes bytes;
    bytes.at = at;
    bytes.len = len;
    return bytes;
}

/* [5] bits 1 to 3. */
static uint8_t tw_kind(uint8_t flags)
{
    return (uint8_t)(flags >> 1 & 7);
}

static tw_reader tw_read(tw_bytes bytes)
{
    tw_reader in;
    in.at = bytes.at;
    in.left = bytes.len;
    in.bad = false;
    return in;
}

uint64_t tw_get(tw_reader *in)
{
    uint64_t value = 0;
    unsigned shift;
    for (shift = 0; shift < 56 && in->left > 0; shift += 7) {
        uint8_t byte = *in->at++;
        in->left--;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            /* [3.1] minimal, and below 2^53. */
            if ((byte == 0 && shift > 0) || value >> 53 != 0) break;
            return value;
        }
    }
    in->bad = true;
    in->left = 0;
    return 0;
}

tw_bytes tw_get_bytes(tw_reader *in, uint64_t len)
{
    tw_bytes bytes = tw_span(in->at, 0);
    if (len > in->left) {
        in->bad = true;
        in->left = 0;
    } else {
        bytes.len = (size_t)len;
        in->at += bytes.len;
        in->left -= bytes.len;
    }
    return bytes;
}

void tw_put_bytes(tw_writer *out, tw_bytes bytes)
{
    if (bytes.len > 0 && out->len <= out->size && bytes.len <= out->size - out->len)
        memcpy(out->at + out->len, bytes.at, bytes.len);
    out->len += bytes.len;
}

static void tw_put_byte(tw_writer *out, unsigned byte)
{
    uint8_t one = (uint8_t)byte;
    tw_put_bytes(out, tw_span(&one, 1));
}

void tw_put(tw_writer *out, uint64_t value)
{
    for (; value > 0x7f; value >>= 7) tw_put_byte(out, (unsigned)(value & 0x7f) | 0x80);
    tw_put_byte(out, (unsigned)value);
}

static void tw_put_string(tw_writer *out, tw_bytes bytes)
{
    tw_put(out, bytes.len);
    tw_put_bytes(out, bytes);
}

static const char *tw_layout(tw_side from, const tw_frame *frame)
{
    const char *layout = tw_layouts;
    unsigned index;
    if (frame->type == TW_CONTROL)
        index = frame->command <= TW_ACCEPTED ? frame->command : 0;
    else if (frame->type == TW_PING)
        index = from == TW_FROM_CLIENT ? 18 : 19u + (frame->flags & TW_FLAG_ANSWER);
    else
        index = from == TW_FROM_SERVER ? 23 : tw_kind(frame->flags) == 0 ? 21 : 22;
    while (index > 0)
        if (*layout++ == ';') index--;
    return layout;
}

/* Walks a list of extensions: false where it cannot be read. Takes the content of `type`, and whether there is an odd one. */
static bool tw_walk(tw_bytes list, uint64_t type, tw_bytes *content, bool *odd)
{
    tw_reader in = tw_read(list);
    uint64_t least = 0;
    while (in.left > 0) {
        uint64_t found = tw_get(&in);
        uint64_t len = tw_get(&in);
        tw_bytes bytes = tw_get_bytes(&in, len);
        /* [3.3] ascending. */
        if (in.bad || found < least) return false;
        least = found + 1;
        if (found == type) *content = bytes;
        if (found % 2 == 1) *odd = true;
    }
    return true;
}

bool tw_extension(tw_bytes list, uint64_t type, tw_bytes *content)
{
    bool odd;
    *content = tw_span(NULL, 0);
    tw_walk(list, type, content, &odd);
    return content->at != NULL;
}

/* Reads the numbers of a frame; what is behind them is left in `rest`. */
static bool tw_fields(tw_side from, uint8_t type, uint8_t flags, tw_bytes payload, tw_frame *frame)
{
    tw_reader in = tw_read(payload);
    const char *layout;
    uint64_t *arg = frame->arg;
    memset(frame, 0, sizeof *frame);
    frame->type = type;
    frame->flags = flags;
    if (type == TW_CONTROL) {
        tw_bytes command = tw_get_bytes(&in, 1);
        if (command.len > 0) frame->command = *command.at;
        frame->request = tw_get(&in);
    }
    for (layout = tw_layout(from, frame); *layout != ';' && *layout != 0; layout++) {
        if (*layout == 'v') {
            *arg++ = tw_get(&in);
        } else if (*layout == 's') {
            frame->text = tw_get_bytes(&in, tw_get(&in));
        } else {
            tw_bytes bytes = tw_get_bytes(&in, (uint64_t)(*layout - '0'));
            for (; bytes.len > 0; bytes.len--) *arg = *arg << 8 | *bytes.at++;
            arg++;
        }
    }
    frame->rest = tw_span(in.at, in.left);
    return !in.bad;
}

/* Whether the frame ends in extensions. */
static bool tw_has_list(const tw_frame *frame)
{
    return frame->type == TW_PING || (frame->type == TW_CONTROL && frame->command > 0 && frame->command <= TW_ACCEPTED);
}

bool tw_decode(tw_side from, uint8_t type, uint8_t flags, tw_bytes payload, tw_frame *frame)
{
    tw_bytes content;
    bool odd;
    return tw_fields(from, type, flags, payload, frame) &&
           (!tw_has_list(frame) || tw_walk(frame->rest, 0, &content, &odd));
}

/* Writes the length of the frame that began at `start` into its header. */
static void tw_patch(tw_writer *out, size_t start)
{
    size_t len = out->len - start - 4;
    /* [5] the length has 16 bits. */
    if (len > 0xffff) out->len = SIZE_MAX / 2;
    if (out->len > out->size) return;
    out->at[start + 1] = (uint8_t)(len >> 8);
    out->at[start + 2] = (uint8_t)len;
}

void tw_encode(tw_side from, const tw_frame *frame, tw_writer *out)
{
    size_t start = out->len;
    const uint64_t *arg = frame->arg;
    const char *layout;
    tw_put_byte(out, frame->type);
    tw_put_byte(out, 0);
    tw_put_byte(out, 0);
    tw_put_byte(out, frame->flags);
    if (frame->type == TW_CONTROL) {
        tw_put_byte(out, frame->command);
        tw_put(out, frame->request);
    }
    for (layout = tw_layout(from, frame); *layout != ';' && *layout != 0; layout++) {
        if (*layout == 'v') {
            tw_put(out, *arg++);
        } else if (*layout == 's') {
            tw_put_string(out, frame->text);
        } else {
            unsigned shift = 8 * (unsigned)(*layout - '0');
            while (shift > 0) tw_put_byte(out, (unsigned)(*arg >> (shift -= 8)) & 0xff);
            arg++;
        }
    }
    tw_put_bytes(out, frame->rest);
    tw_patch(out, start);
}

tw_record tw_get_record(tw_reader *in, uint8_t kind)
{
    tw_record record;
    record.len = tw_get(in);
    record.member = tw_get(in);
    record.key = 0;
    if (kind == TW_KIND_VALUE || kind == TW_KIND_DIRECT || kind == TW_KIND_SNAPSHOT) record.key = tw_get(in);
    return record;
}

bool tw_get_presence(tw_bytes payload, tw_presence *presence)
{
    tw_reader in = tw_read(payload);
    tw_bytes state = tw_get_bytes(&in, 1);
    memset(presence, 0, sizeof *presence);
    if (state.len > 0) presence->state = *state.at;
    if (presence->state == TW_HERE) {
        presence->subject = tw_get_bytes(&in, tw_get(&in));
        presence->data = tw_span(in.at, in.left);
    } else if (presence->state == TW_GONE || presence->state == TW_COUNT) {
        presence->number = tw_get(&in);
    }
    return !in.bad;
}

#ifndef TICKWIRE_CODEC_ONLY

/* ---------------------------------------------------------------------------------------- what is to be sent */

/* How far a JOIN has come. HELD: a session that may be resumed still has it [12.2]. */
enum { TW_PHASE_NONE, TW_PHASE_HELD, TW_PHASE_ASKED, TW_PHASE_IN, TW_PHASE_LEAVING };
enum { TW_LINK_NONE, TW_LINK_OPENING, TW_LINK_OPEN };
enum { TW_STAGE_HEADER, TW_STAGE_WHOLE, TW_STAGE_HEAD, TW_STAGE_RECORDS, TW_STAGE_REST };
/* Extensions [6]. */
enum { TW_EXT_TOKEN = 1, TW_EXT_TEXT = 2, TW_EXT_RESUME = 2, TW_EXT_SINCE = 4, TW_EXT_AFTER = 4, TW_EXT_ADDRESS = 6, TW_EXT_LOST = 6 };
/* Request numbers: JOIN, LEAVE and RECEIVE of room i are 4 + 3i and what follows. */
enum { TW_REQUEST_HELLO = 1, TW_REQUEST_TOKEN = 2, TW_REQUEST_CLOSE = 3, TW_REQUEST_ROOMS = 4 };

#define TW_NOT_TOLD UINT64_MAX
/* No server keeps a device away for longer, in milliseconds: a day. */
#define TW_LONGEST 86400000
/* CLOSE has left. */
#define TW_SAID 255

/* The message at an offset of `out`; its length, header included. */
static size_t tw_peek(const tw_client *c, size_t offset, tw_frame *frame)
{
    const uint8_t *at = c->config.out + offset;
    size_t len = (size_t)at[1] << 8 | at[2];
    tw_fields(TW_FROM_CLIENT, TW_DATA, at[3], tw_span(at + 4, len), frame);
    return len + 4;
}

static void tw_remove(tw_client *c, size_t offset, size_t len)
{
    uint8_t *at = c->config.out + offset;
    memmove(at, at + len, c->out_len - offset - len);
    c->out_len -= len;
    if (offset < c->kept_len) c->kept_len -= len;
    if (offset < c->cursor) c->cursor -= len;
}

/* The first message that has never left, and is not leaving now. */
static size_t tw_unsent(const tw_client *c)
{
    tw_frame frame;
    return c->cursor == c->kept_len && c->tx > 0 ? c->kept_len + tw_peek(c, c->kept_len, &frame) : c->kept_len;
}

/* Gives up what has not left: of one room, or of all where `handle` is 0. How many messages that were. */
static size_t tw_purge(tw_client *c, uint64_t handle)
{
    size_t offset = tw_unsent(c), count = 0;
    while (offset < c->out_len) {
        tw_frame frame;
        size_t len = tw_peek(c, offset, &frame);
        if (handle == 0 || frame.arg[0] == handle) {
            tw_remove(c, offset, len);
            count++;
        } else {
            offset += len;
        }
    }
    return count;
}

static void tw_reverse(uint8_t *from, uint8_t *to)
{
    while (from < to) {
        uint8_t byte = *from;
        *from++ = *--to;
        *to = byte;
    }
}

/* Brings the next message that may leave to the front of those that have not: events and directs, then values, as their
 * rooms are joined. False where there is none. */
static bool tw_select(tw_client *c)
{
    unsigned values;
    for (values = 0; values < 2; values++) {
        size_t offset = c->kept_len, len;
        for (; offset < c->out_len; offset += len) {
            tw_frame frame;
            uint8_t *first = c->config.out + c->kept_len, *at = c->config.out + offset;
            const tw_room *room;
            len = tw_peek(c, offset, &frame);
            room = &c->config.rooms[frame.arg[0] - 1];
            if (tw_kind(frame.flags) == TW_KIND_VALUE ? values == 0 : values == 1) continue;
            if (room->phase != TW_PHASE_IN || room->leave) continue;
            tw_reverse(first, at);
            tw_reverse(at, at + len);
            tw_reverse(first, at + len);
            /* [12.3] one answer for what leaves together, and sooner where place is short. */
            if (c->capabilities & TW_CAN_ACCEPTED && (c->kept_len + len == c->out_len || c->out_len > c->config.out_size / 2))
                first[3] |= TW_FLAG_ACKNOWLEDGE;
            return true;
        }
    }
    return false;
}

static void tw_put_extension(tw_writer *out, uint64_t type, tw_bytes first, tw_bytes second)
{
    tw_put(out, type);
    tw_put(out, first.len + second.len);
    tw_put_bytes(out, first);
    tw_put_bytes(out, second);
}

static void tw_compose_hello(tw_client *c, tw_frame *frame, tw_writer *out)
{
    static const uint8_t magic[] = {0xd7, 0x54, 0x57, 1};
    uint8_t buffer[8 + 1 + sizeof c->resume];
    tw_writer resume;
    resume.at = buffer;
    resume.size = sizeof buffer;
    resume.len = 0;
    tw_put_bytes(out, tw_span(magic, sizeof magic));
    frame->command = TW_HELLO;
    frame->request = TW_REQUEST_HELLO;
    frame->arg[0] = TW_CAN_RESUME | TW_CAN_HISTORY | TW_CAN_RECEIVE | TW_CAN_TOKEN | TW_CAN_ACCEPTED;
    /* Any record, any frame: what is too large for `in` is skipped and told. */
    tw_encode(TW_FROM_CLIENT, frame, out);
    if (c->config.token.len > 0) tw_put_extension(out, TW_EXT_TOKEN, c->config.token, tw_span(NULL, 0));
    tw_put_extension(out, TW_EXT_TEXT, tw_span((const uint8_t *)"tickwire.h", 10), tw_span(NULL, 0));
    if (c->resume_len > 0) {
        tw_put_string(&resume, tw_span(c->resume, c->resume_len));
        tw_put(&resume, c->directs);
        tw_put_extension(out, 4, tw_span(buffer, resume.len), tw_span(NULL, 0));
    }
    tw_patch(out, sizeof magic);
    c->hello = true;
}

/* The next command of a room. False where there is none. */
static bool tw_compose_room(tw_client *c, unsigned index, tw_frame *frame, tw_writer *out)
{
    tw_room *room = &c->config.rooms[index];
    uint8_t buffer[16];
    tw_writer since;
    unsigned i;
    frame->request = TW_REQUEST_ROOMS + 3 * (uint64_t)index;
    frame->arg[0] = (uint64_t)index + 1;
    if (room->leave) {
        if (room->phase == TW_PHASE_NONE || room->phase == TW_PHASE_LEAVING) {
            room->leave = false;
            return false;
        }
        /* Whether an earlier session goes on is not known before WELCOME. If so, what it sends again goes first [12.2]. */
        if (!c->welcomed || c->cursor < c->kept_len) return false;
        frame->command = TW_LEAVE;
        frame->request += 1;
        tw_encode(TW_FROM_CLIENT, frame, out);
        room->phase = TW_PHASE_LEAVING;
        room->leave = false;
        return true;
    }
    if (room->wanted && (room->phase == TW_PHASE_NONE || room->phase == TW_PHASE_HELD) && c->now >= room->retry_at) {
        frame->command = TW_JOIN;
        frame->arg[1] = room->mode & ~(unsigned)TW_ECHO;
        frame->text = tw_span((const uint8_t *)room->name, strlen(room->name));
        tw_encode(TW_FROM_CLIENT, frame, out);
        if (room->known) {
            since.at = buffer;
            since.size = sizeof buffer;
            since.len = 8;
            for (i = 0; i < 8; i++) buffer[i] = (uint8_t)(room->epoch >> (56 - 8 * i));
            tw_put(&since, room->position);
            tw_put_extension(out, TW_EXT_SINCE, tw_span(buffer, since.len), tw_span(NULL, 0));
        }
        if (room->presence.len > 0) tw_put_extension(out, 6, room->presence, tw_span(NULL, 0));
        tw_patch(out, 0);
        room->phase = TW_PHASE_ASKED;
        room->asked = 0;
        return true;
    }
    if (room->phase == TW_PHASE_IN && room->what != room->asked && c->capabilities & TW_CAN_RECEIVE) {
        frame->command = TW_RECEIVE;
        frame->request += 2;
        frame->arg[1] = room->what;
        frame->arg[2] = 1;
        tw_encode(TW_FROM_CLIENT, frame, out);
        room->asked = room->what;
        return true;
    }
    return false;
}

static void tw_ping(tw_client *c, uint8_t flags, uint64_t time, tw_frame *frame, tw_writer *out)
{
    frame->type = TW_PING;
    frame->flags = flags;
    frame->arg[0] = time;
    frame->arg[1] = c->consumed;
    frame->arg[2] = c->directs;
    tw_encode(TW_FROM_CLIENT, frame, out);
}

/* The next command, one at a time, so that `control` need not hold more. */
static size_t tw_compose(tw_client *c)
{
    tw_writer out;
    tw_frame frame;
    unsigned i;
    out.at = c->config.control;
    out.size = c->config.control_size;
    out.len = 0;
    memset(&frame, 0, sizeof frame);
    frame.type = TW_CONTROL;
    if (c->closing != 0) {
        if (c->closing == TW_SAID) return 0;
        frame.command = TW_CLOSE;
        frame.request = TW_REQUEST_CLOSE;
        frame.arg[0] = c->closing;
        c->closing = TW_SAID;
        tw_encode(TW_FROM_CLIENT, &frame, &out);
        return out.len;
    }
    if (!c->hello) {
        tw_compose_hello(c, &frame, &out);
        return out.len;
    }
    if (c->ponging) {
        c->ponging = false;
        tw_ping(c, TW_FLAG_ANSWER, c->pong, &frame, &out);
        return out.len;
    }
    for (i = 0; i < c->config.room_count; i++)
        if (tw_compose_room(c, i, &frame, &out)) return out.len;
    if (!c->welcomed) return 0;
    if (c->renew && c->capabilities & TW_CAN_TOKEN) {
        c->renew = false;
        memset(&frame.arg, 0, sizeof frame.arg);
        frame.command = TW_TOKEN;
        frame.request = TW_REQUEST_TOKEN;
        frame.text = c->config.token;
        tw_encode(TW_FROM_CLIENT, &frame, &out);
    } else if (c->now >= c->ping_at) {
        /* Four at once for the clock, then one every 10 s (SPEC 7). */
        c->ping_at = c->now + (++c->pings < 4 ? 500 : 10000);
        if (c->pings > 4) c->pings = 4;
        tw_ping(c, 0, c->now * 1000, &frame, &out);
    }
    return out.len;
}

tw_bytes tw_output(tw_client *c)
{
    tw_frame frame;
    if (c->link != TW_LINK_OPEN || c->shut) return tw_span(NULL, 0);
    if (c->control_len == 0 && c->tx == 0) c->control_len = tw_compose(c);
    if (c->control_len > 0) return tw_span(c->config.control + c->control_at, c->control_len - c->control_at);
    if (!c->welcomed || c->unconfirmed) return tw_span(NULL, 0);
    if (c->cursor == c->kept_len && c->tx == 0 && !tw_select(c)) return tw_span(NULL, 0);
    return tw_span(c->config.out + c->cursor + c->tx, tw_peek(c, c->cursor, &frame) - c->tx);
}

void tw_written(tw_client *c, size_t len)
{
    tw_frame frame;
    if (c->control_len > 0) {
        c->control_at += len;
        if (c->control_at >= c->control_len) c->control_at = c->control_len = 0;
        return;
    }
    if (len == 0 || c->cursor >= c->out_len) return;
    c->tx += len;
    len = tw_peek(c, c->cursor, &frame);
    if (c->tx < len) return;
    c->tx = 0;
    c->cursor += len;
    if (c->cursor <= c->kept_len) return;
    c->kept_len = c->cursor;
    if (c->capabilities & TW_CAN_ACCEPTED) {
        c->sent_count++;
    } else {
        /* [12.3] nobody will say more of it, but its number counts. */
        tw_remove(c, 0, c->kept_len);
        c->accepted++;
    }
}

static tw_result tw_queue(tw_client *c, unsigned index, uint8_t kind, uint64_t key, tw_bytes payload, unsigned options)
{
    tw_room *room = &c->config.rooms[index];
    tw_frame frame, old;
    tw_writer out;
    size_t len, offset, found = 0, found_len = 0;
    if (index >= c->config.room_count || !room->wanted || c->state == TW_CLOSED) return TW_NO_ROOM;
    memset(&frame, 0, sizeof frame);
    frame.type = TW_DATA;
    frame.flags = (uint8_t)((unsigned)kind << 1 | (options & TW_URGENT));
    frame.arg[0] = (uint64_t)index + 1;
    frame.arg[1] = key;
    frame.rest = payload;
    out.at = NULL;
    out.size = out.len = 0;
    tw_encode(TW_FROM_CLIENT, &frame, &out);
    if (payload.len > c->max_message || out.len > c->config.out_size) return TW_TOO_LARGE;
    if (options & TW_DROP && (!c->welcomed || c->unconfirmed || room->phase != TW_PHASE_IN || room->leave)) return TW_DROPPED;
    /* Of a value only the last one waits (SPEC 5). */
    for (offset = tw_unsent(c); kind == TW_KIND_VALUE && offset < c->out_len; offset += len) {
        len = tw_peek(c, offset, &old);
        if (tw_kind(old.flags) == kind && old.arg[0] == frame.arg[0] && old.arg[1] == key) {
            found = offset;
            found_len = len;
        }
    }
    if (out.len > c->config.out_size - c->out_len + found_len) return options & TW_DROP ? TW_DROPPED : TW_FULL;
    if (found_len > 0) tw_remove(c, found, found_len);
    out.at = c->config.out;
    out.size = c->config.out_size;
    out.len = c->out_len;
    tw_encode(TW_FROM_CLIENT, &frame, &out);
    c->out_len = out.len;
    return TW_OK;
}

tw_result tw_publish(tw_client *c, unsigned room, tw_bytes payload, unsigned options)
{
    return tw_queue(c, room, TW_KIND_EVENT, 0, payload, options);
}

tw_result tw_set(tw_client *c, unsigned room, uint64_t key, tw_bytes payload, unsigned options)
{
    return tw_queue(c, room, TW_KIND_VALUE, key * 2, payload, options);
}

tw_result tw_set_room(tw_client *c, unsigned room, uint64_t key, tw_bytes payload, unsigned options)
{
    return tw_queue(c, room, TW_KIND_VALUE, key * 2 + 1, payload, options);
}

tw_result tw_send(tw_client *c, unsigned room, uint64_t member, tw_bytes payload, unsigned options)
{
    return tw_queue(c, room, TW_KIND_DIRECT, member, payload, options);
}

size_t tw_pending(const tw_client *c)
{
    return c->out_len;
}

/* ------------------------------------------------------------------------------------------------- endings */

/* A number from 0 to `most`. */
static uint64_t tw_random(tw_client *c, uint32_t most)
{
    c->random ^= c->random << 13;
    c->random ^= c->random >> 17;
    c->random ^= c->random << 5;
    return c->random % (most + 1);
}

/* When to try again after this reason (SPEC 2); UINT64_MAX: never. `told` is in milliseconds, or TW_NOT_TOLD. */
static uint64_t tw_again(tw_client *c, uint64_t reason, uint64_t told, uint32_t *tries)
{
    uint64_t later = c->now + 10000;
    if ((reason >= 200 && reason < 300) || (reason >= 960 && reason < 1000)) return UINT64_MAX;
    if ((reason >= 100 && reason < 200) || (reason >= 930 && reason < 960))
        return told != TW_NOT_TOLD ? c->now + (told < TW_LONGEST ? told : TW_LONGEST) : later + tw_random(c, 10000);
    /* 500 ms, doubled up to 20 s, all of it random but the first 500 ms; never more than 20 s. */
    later = 500 + tw_random(c, *tries < 6 ? (uint32_t)500 << *tries : 20000);
    *tries += 1;
    return c->now + (later < 20000 ? later : 20000);
}

/* Forgets what belonged to this connection. `say`: the reason for a CLOSE; 0: it is broken, or closed already. */
static void tw_hang_up(tw_client *c, uint8_t say)
{
    unsigned i;
    /* Within a frame there is no place for another. */
    if (c->link != TW_LINK_OPEN || !c->hello || c->tx > 0 || c->control_len > 0) say = 0;
    if (c->welcomed && c->now - c->up_at >= 5000) c->tries = 0;
    c->closing = say;
    c->shut = say == 0 && c->link != TW_LINK_NONE;
    c->dead_at = c->now + 2000;
    c->hello = c->welcomed = c->ponging = c->renew = false;
    c->in_len = c->drop = c->left = c->skip = c->tx = c->control_len = c->control_at = 0;
    c->stage = TW_STAGE_HEADER;
    for (i = 0; i < c->config.room_count; i++) {
        tw_room *room = &c->config.rooms[i];
        if (room->phase == TW_PHASE_LEAVING) room->leave = true;
        if (room->phase != TW_PHASE_NONE) room->phase = TW_PHASE_HELD;
        if (room->state == TW_ROOM_JOINED) room->state = TW_ROOM_JOINING;
        room->outcome = TW_NO_OUTCOME;
    }
}

/* For good: leaves the rooms, and gives up what waits. What has left is told as unconfirmed (SPEC 4). */
static void tw_give_up(tw_client *c, uint64_t reason)
{
    unsigned i;
    c->state = TW_CLOSED;
    c->reason = reason;
    c->dropped = tw_purge(c, 0);
    c->unconfirmed = c->kept_len > 0;
    c->cursor = 0;
    c->sent_count = 0;
    for (i = 0; i < c->config.room_count; i++) {
        c->config.rooms[i].wanted = false;
        c->config.rooms[i].state = TW_ROOM_LEFT;
        c->config.rooms[i].reason = reason;
    }
}

/* The session is over, as the server or the line will have it: what follows from the reason, 0 where there is none. */
static void tw_over(tw_client *c, uint64_t reason, uint64_t told, uint8_t say)
{
    tw_hang_up(c, say);
    /* [12.2] a session that was closed is over, but for these. */
    if (say != 0 || (reason != 0 && reason != 3 && reason != 5)) c->resume_len = 0;
    if (c->state != TW_CONNECTING && c->state != TW_CONNECTED) return;
    c->state = TW_CONNECTING;
    c->reason = reason;
    if ((reason == 241 || reason == 242) && c->config.renews && !c->asked_token) {
        c->asked_token = c->want_token = c->tell_token = true;
        c->at = c->now;
        return;
    }
    c->at = tw_again(c, reason, told, &c->tries);
    if (c->at == UINT64_MAX) tw_give_up(c, reason);
}

/* The server sent what cannot be read, or must not come. */
static void tw_broken(tw_client *c)
{
    c->error = TW_ERROR_PROTOCOL;
    tw_over(c, 0, TW_NOT_TOLD, 201);
    c->reason = 201;
}

/* --------------------------------------------------------------------------------------------- what has come */

/* Drops what has been accepted. False where the server says more than can be. */
static bool tw_accept(tw_client *c, uint64_t number)
{
    tw_frame frame;
    if (!(c->capabilities & TW_CAN_ACCEPTED)) return true;
    if (number > c->accepted + c->sent_count) return false;
    while (c->accepted < number) {
        size_t len = tw_peek(c, 0, &frame);
        /* After a resume: accepted, but not sent again yet. */
        if (c->cursor < len && c->welcomed) return false;
        tw_remove(c, 0, len);
        c->accepted++;
        c->sent_count--;
    }
    return true;
}

/* Whether news of this room are for the application. */
static bool tw_shows(const tw_room *room)
{
    return room->wanted && !room->leave && room->phase == TW_PHASE_IN;
}

static tw_room *tw_by_handle(tw_client *c, uint64_t handle)
{
    return handle > 0 && handle <= c->config.room_count ? &c->config.rooms[handle - 1] : NULL;
}

/* The room of a request; none that there is, where it is of no room. Of 64 bits a small processor divides by a routine. */
static uint32_t tw_room_of(uint64_t request)
{
    return request < TW_REQUEST_ROOMS || request > UINT32_MAX ? UINT32_MAX : ((uint32_t)request - TW_REQUEST_ROOMS) / 3;
}

static tw_room *tw_by_id(tw_client *c, uint64_t id)
{
    unsigned i;
    for (i = 0; i < c->config.room_count; i++)
        if (c->config.rooms[i].has_id && c->config.rooms[i].id == id) return &c->config.rooms[i];
    return NULL;
}

static uint64_t tw_after(const tw_frame *frame)
{
    tw_bytes content;
    tw_reader in;
    uint64_t told;
    if (!tw_extension(frame->rest, TW_EXT_AFTER, &content)) return TW_NOT_TOLD;
    in = tw_read(content);
    told = tw_get(&in);
    return in.bad ? TW_NOT_TOLD : told;
}

static void tw_tell_state(tw_client *c, tw_event *event)
{
    event->type = TW_EVENT_STATE;
    event->before = c->told;
    event->state = c->told = c->state;
    event->number = c->reason;
    event->dropped = c->dropped;
    c->dropped = 0;
}

/* Tells about the message at `offset` of `out`. */
static void tw_tell_message(const tw_client *c, size_t offset, tw_event *event)
{
    tw_frame frame;
    tw_peek(c, offset, &frame);
    event->room = (unsigned)frame.arg[0] - 1;
    event->kind = tw_kind(frame.flags);
    event->key = frame.arg[1];
    event->payload = frame.rest;
}

/* [12.2] directs that are lost; what was told of them before is not told again. */
static void tw_handle_lost_directs(tw_client *c, const tw_frame *frame)
{
    tw_bytes content;
    tw_reader in;
    uint64_t first, last;
    if (!tw_extension(frame->rest, TW_EXT_LOST, &content)) return;
    in = tw_read(content);
    first = tw_get(&in);
    last = tw_get(&in);
    if (in.bad || last < first || last <= c->directs) return;
    c->directs_lost = first > c->directs ? first : c->directs + 1;
    c->directs = last;
}

static bool tw_handle_welcome(tw_client *c, const tw_frame *frame)
{
    tw_bytes token;
    unsigned i;
    bool resumed = frame->arg[1] & 1;
    if (c->welcomed || (resumed && c->resume_len == 0)) return false;
    c->capabilities = (uint32_t)frame->arg[0];
    c->max_message = frame->arg[5];
    /* Ten minutes at most, so that nothing overflows. */
    c->ping_ms = frame->arg[8] < 600000 ? frame->arg[8] : 600000;
    c->offset = frame->arg[3] - c->now * 1000;
    c->rtt = UINT32_MAX;
    c->samples = c->pings = 0;
    c->last_time = c->consumed = 0;
    c->up_at = c->ping_at = c->now;
    c->dead_at = c->now + 2 * c->ping_ms + 5000;
    c->cursor = 0;
    if (resumed) {
        if (frame->arg[9] < c->accepted || !tw_accept(c, frame->arg[9])) return false;
        tw_handle_lost_directs(c, frame);
    } else {
        c->directs = c->accepted = 0;
        c->sent_count = 0;
        c->unconfirmed = c->kept_len > 0;
        for (i = 0; i < c->config.room_count; i++) {
            tw_room *room = &c->config.rooms[i];
            room->has_id = false;
            if (room->phase == TW_PHASE_HELD) room->phase = TW_PHASE_NONE;
        }
    }
    c->resume_len = 0;
    if (c->capabilities & TW_CAN_RESUME && tw_extension(frame->rest, TW_EXT_RESUME, &token) && token.len <= sizeof c->resume) {
        memcpy(c->resume, token.at, token.len);
        c->resume_len = (uint8_t)token.len;
    }
    c->welcomed = true;
    c->asked_token = false;
    c->state = TW_CONNECTED;
    c->reason = 0;
    return true;
}

static bool tw_handle_joined(tw_client *c, const tw_frame *frame)
{
    tw_room *room = tw_by_handle(c, frame->arg[0]);
    uint64_t position = frame->arg[6];
    if (room == NULL) return false;
    if (room->phase != TW_PHASE_ASKED && room->phase != TW_PHASE_LEAVING) return false;
    /* News of it come until LEFT, and are hidden. */
    room->id = frame->arg[1];
    room->has_id = true;
    if (room->phase == TW_PHASE_LEAVING) return true;
    room->member = frame->arg[2];
    room->tick = frame->arg[8];
    room->phase = TW_PHASE_IN;
    room->collecting = false;
    room->run = 0;
    if (!tw_shows(room)) return true;
    room->outcome = TW_SNAPSHOT;
    if (room->known && frame->arg[4] == 1) {
        /* [12.1] every batch behind the one that was asked for follows. */
        if (frame->arg[5] != room->epoch || position != room->position) return false;
        room->outcome = TW_RECOVERED;
    } else if (room->known && frame->arg[4] == 2 && frame->arg[5] == room->epoch && position > room->position) {
        room->outcome = TW_LOST;
        room->lost_from = room->position + 1;
    }
    if (room->outcome != TW_RECOVERED) room->seen = 0;
    room->epoch = frame->arg[5];
    room->position = position;
    /* Without receiving there is nothing to miss. */
    room->known = room->mode & TW_MODE_RECEIVE;
    room->state = TW_ROOM_JOINED;
    room->reason = room->tries = 0;
    return true;
}

/* The server has it no more. */
static void tw_forget(tw_room *room)
{
    room->phase = TW_PHASE_NONE;
    room->has_id = false;
}

/* The server does not want this client in a room, for now or for good. */
static void tw_refuse(tw_client *c, tw_room *room, const tw_frame *frame)
{
    bool asked = room->leave || !room->wanted;
    tw_forget(room);
    room->leave = false;
    if (asked) return;
    room->reason = frame->arg[1];
    room->state = TW_ROOM_JOINING;
    room->retry_at = tw_again(c, room->reason, tw_after(frame), &room->tries);
    if (room->retry_at == UINT64_MAX) {
        room->wanted = room->known = false;
        room->state = TW_ROOM_LEFT;
        room->dropped = tw_purge(c, (uint64_t)(room - c->config.rooms) + 1);
    }
}

static void tw_handle_refused(tw_client *c, const tw_frame *frame, tw_event *event)
{
    uint32_t index = tw_room_of(frame->request);
    uint64_t number = frame->arg[0] - c->accepted;
    tw_room *room = tw_by_handle(c, (uint64_t)index + 1);
    size_t offset = 0;
    tw_frame old;
    if (frame->arg[0] > 0) {
        event->type = TW_EVENT_REFUSED;
        event->number = frame->arg[1];
        /* What was accepted before is not here any more: a direct whose receiver has left [12.3]. */
        event->room = c->config.room_count;
        if (number == 0 || number > c->sent_count) return;
        while (--number > 0) offset += tw_peek(c, offset, &old);
        tw_tell_message(c, offset, event);
    } else if (frame->request == TW_REQUEST_TOKEN) {
        event->type = TW_EVENT_ERROR;
        event->state = TW_ERROR_TOKEN;
        event->number = frame->arg[1];
    } else if (frame->request >= TW_REQUEST_ROOMS && room != NULL) {
        unsigned which = (uint32_t)(frame->request - TW_REQUEST_ROOMS) % 3;
        if (which == 2) {
            event->type = TW_EVENT_PAUSED;
            event->room = index;
            event->number = frame->arg[1];
        } else if (which == 0 ? room->phase == TW_PHASE_ASKED : room->phase == TW_PHASE_LEAVING) {
            /* Of a LEAVE: it had ended before, and what was joined since is asked for again. */
            if (which == 1) tw_forget(room);
            else tw_refuse(c, room, frame);
        }
    }
}

static bool tw_handle_gap(tw_client *c, const tw_frame *frame)
{
    tw_room *room = tw_by_id(c, frame->arg[0]);
    uint64_t from = frame->arg[2], to = frame->arg[3];
    if (room == NULL) return false;
    if (!tw_shows(room)) return true;
    room->collecting = false;
    room->outcome = TW_SNAPSHOT;
    if (frame->arg[1] == room->epoch) {
        if (to < from) return true;
        /* [8.3] what lies before the gap must have come. */
        if (from > room->position + 1) return false;
        room->outcome = TW_LOST;
        room->lost_from = from;
        if (to < room->position) to = room->position;
    }
    room->epoch = frame->arg[1];
    room->position = to;
    room->seen = room->run = 0;
    return true;
}

static bool tw_handle_control(tw_client *c, tw_bytes payload, bool partial, tw_event *event)
{
    tw_frame frame;
    tw_bytes content;
    tw_room *room;
    bool odd = false;
    if (!tw_fields(TW_FROM_SERVER, TW_CONTROL, 0, payload, &frame)) return false;
    if (!tw_has_list(&frame)) return c->welcomed;
    /* Of a list that is longer than `in` the end is not here. */
    if (!tw_walk(frame.rest, 0, &content, &odd) && !partial) return false;
    if (!c->welcomed && frame.command != TW_WELCOME && frame.command != TW_CLOSE) return false;
    /* [3.3] CLOSE is obeyed whatever it says beside. */
    if (odd && frame.command != TW_CLOSE) return true;
    room = tw_by_handle(c, frame.arg[0]);
    switch (frame.command) {
    case TW_WELCOME: return tw_handle_welcome(c, &frame);
    case TW_JOINED: return tw_handle_joined(c, &frame);
    case TW_LEFT:
        if (room == NULL) return false;
        if (room->phase == TW_PHASE_LEAVING) tw_forget(room);
        else if (room->phase == TW_PHASE_IN) tw_refuse(c, room, &frame);
        break;
    case TW_REFUSED: tw_handle_refused(c, &frame, event); break;
    case TW_DONE:
        if ((uint32_t)(frame.request - TW_REQUEST_ROOMS) % 3 == 2 && tw_room_of(frame.request) < c->config.room_count) {
            event->type = TW_EVENT_PAUSED;
            event->room = tw_room_of(frame.request);
        }
        break;
    case TW_GAP: return tw_handle_gap(c, &frame);
    case TW_ACCEPTED: return tw_accept(c, frame.arg[0]);
    case TW_CLOSE:
        tw_extension(frame.rest, TW_EXT_TEXT, &event->payload);
        tw_extension(frame.rest, TW_EXT_ADDRESS, &event->subject);
        if (frame.arg[0] == 207) c->error = TW_ERROR_VERSION;
        tw_over(c, frame.arg[0], tw_after(&frame), 0);
        /* An attempt that the server has ended leaves the state as it was: why, and where to instead, is told all the same. */
        if (c->state == c->told) tw_tell_state(c, event);
        break;
    case TW_GOING_AWAY:
        tw_extension(frame.rest, TW_EXT_ADDRESS, &event->subject);
        /* [6.9] the time is exact, and whoever goes keeps no session. */
        tw_over(c, 100, frame.arg[0], 200);
        break;
    default: break;
    }
    return true;
}

static bool tw_handle_ping(tw_client *c, tw_bytes payload)
{
    tw_frame frame;
    uint64_t now = c->now * 1000, trip;
    if (!c->welcomed || !tw_decode(TW_FROM_SERVER, TW_PING, c->frame_flags, payload, &frame)) return false;
    if (!(c->frame_flags & TW_FLAG_ANSWER)) {
        c->ponging = true;
        c->pong = frame.arg[0];
        return tw_accept(c, frame.arg[1]);
    }
    /* [9] of what was never asked, nothing is learned. */
    trip = now - frame.arg[0] - (frame.arg[3] - frame.arg[2]);
    if (frame.arg[0] <= now && trip <= now - frame.arg[0] && (trip <= c->rtt || ++c->samples >= 8)) {
        c->rtt = trip < UINT32_MAX ? (uint32_t)trip : UINT32_MAX - 1;
        c->samples = 0;
        c->offset = (frame.arg[2] + frame.arg[3] - frame.arg[0] - now) / 2;
        /* The sum may be negative: the half of it keeps its sign. */
        if ((frame.arg[2] + frame.arg[3] - frame.arg[0] - now) >> 63) c->offset |= (uint64_t)1 << 63;
    }
    return tw_accept(c, frame.arg[4]);
}

/* The head of a data frame [8.1]. */
static bool tw_handle_head(tw_client *c, tw_bytes head, tw_event *event)
{
    uint8_t kind = tw_kind(c->frame_flags);
    tw_frame frame;
    tw_room *room;
    if (!tw_fields(TW_FROM_SERVER, TW_DATA, c->frame_flags, head, &frame)) return false;
    /* Compression is not offered. */
    if (c->frame_flags & TW_FLAG_COMPRESSED) return false;
    c->room = room = tw_by_id(c, frame.arg[0]);
    c->room_position = frame.arg[1];
    if (room == NULL) return false;
    c->drop += head.len - frame.rest.len;
    c->left -= head.len - frame.rest.len;
    c->stage = TW_STAGE_RECORDS;
    /* [12.2] directs come before the room is joined again; all else comes again behind that. */
    c->hidden = kind == TW_KIND_DIRECT ? !room->wanted || room->leave || room->phase == TW_PHASE_LEAVING : !tw_shows(room);
    if (c->hidden) {
        c->skip = c->left;
        return true;
    }
    if ((kind == TW_KIND_EVENT || kind == TW_KIND_PRESENCE) && c->room_position != room->position + 1) return false;
    if (kind >= TW_KIND_SNAPSHOT) {
        if (!room->collecting) {
            event->type = TW_EVENT_SNAPSHOT;
            event->room = (unsigned)(room - c->config.rooms);
            event->kind = kind;
            event->snapshot = true;
        }
        room->collecting = true;
    } else {
        /* [8.1] only the low 16 bits travel; within 32767 ticks of the last one there is one answer. */
        room->tick += (uint64_t)(int64_t)(int16_t)(uint16_t)(frame.arg[2] - room->tick);
    }
    return true;
}

/* A record whose payload is here, or is too large to be (NULL). */
static bool tw_handle_record(tw_client *c, const tw_record *record, tw_bytes payload, tw_event *event)
{
    uint8_t kind = tw_kind(c->frame_flags);
    tw_room *room = c->room;
    tw_presence presence;
    static const tw_event_type types[] = {TW_EVENT_MESSAGE, TW_EVENT_VALUE, TW_EVENT_PRESENCE, TW_EVENT_DIRECT,
                                          TW_EVENT_VALUE, TW_EVENT_PRESENCE};
    event->position = c->room_position;
    if (kind == TW_KIND_DIRECT && c->room_position++ <= c->directs) return true;
    if (kind == TW_KIND_DIRECT) c->directs = event->position;
    if (kind == TW_KIND_EVENT || kind == TW_KIND_PRESENCE) {
        /* What was shown of a batch before its connection broke is not shown again (SPEC 4). */
        if (++room->run <= room->seen) return true;
        room->seen = room->run;
    }
    if (kind != TW_KIND_DIRECT && !tw_shows(room)) return true;
    /* One's own, but in a snapshot, which replaces everything. */
    if (kind <= TW_KIND_VALUE && record->member == room->member && !(room->mode & TW_ECHO)) return true;
    event->room = (unsigned)(room - c->config.rooms);
    event->kind = kind;
    event->member = record->member;
    event->key = record->key;
    event->tick = room->tick;
    event->snapshot = kind >= TW_KIND_SNAPSHOT;
    event->payload = payload;
    if (payload.at == NULL) {
        event->type = TW_EVENT_SKIPPED;
        event->number = record->len;
        return true;
    }
    event->type = types[kind];
    if (event->type == TW_EVENT_PRESENCE) {
        if (!tw_get_presence(payload, &presence)) return false;
        event->state = presence.state;
        event->number = presence.number;
        event->subject = presence.subject;
        event->payload = presence.data;
        /* [8.5] to be ignored. */
        if (presence.state < TW_HERE || presence.state > TW_COUNT) event->type = TW_EVENT_NONE;
    }
    return true;
}

/* The end of a frame. */
static void tw_finish(tw_client *c, tw_event *event)
{
    uint8_t kind = tw_kind(c->frame_flags);
    tw_room *room = c->room;
    c->stage = TW_STAGE_HEADER;
    /* [9] beginning with WELCOME. */
    c->consumed += c->frame_bytes;
    if (c->frame_type != TW_DATA || kind > TW_KIND_MEMBERS || c->hidden || !tw_shows(room)) return;
    if (c->frame_flags & TW_FLAG_MORE) return;
    if (kind == TW_KIND_EVENT || kind == TW_KIND_PRESENCE) {
        room->position = c->room_position;
        room->seen = room->run = 0;
    } else if (kind >= TW_KIND_SNAPSHOT) {
        room->collecting = false;
        event->type = TW_EVENT_SNAPSHOT;
        event->room = (unsigned)(room - c->config.rooms);
        event->kind = kind;
    }
}

static bool tw_read_header(tw_client *c, const uint8_t *at)
{
    c->frame_type = at[0];
    c->frame_flags = at[3];
    c->left = (size_t)at[1] << 8 | at[2];
    c->frame_bytes = c->left + 4;
    c->drop += 4;
    if (c->frame_type == TW_CONTROL || c->frame_type == TW_PING) {
        c->stage = TW_STAGE_WHOLE;
    } else if (c->welcomed) {
        bool known = c->frame_type == TW_DATA && tw_kind(c->frame_flags) <= TW_KIND_MEMBERS;
        /* [5] what is not known is skipped: its length is. */
        c->stage = known ? TW_STAGE_HEAD : TW_STAGE_REST;
        c->skip = known ? 0 : c->left;
    } else if (c->frame_type == TW_DATA) {
        return false;
    } else {
        /* No Tickwire server begins like this, and none will be here soon. */
        c->error = TW_ERROR_VERSION;
        tw_over(c, 206, TW_NOT_TOLD, 0);
    }
    return true;
}

static bool tw_read_record(tw_client *c, tw_bytes bytes, size_t have, bool *waits, tw_event *event)
{
    tw_reader in = tw_read(bytes);
    tw_record record = tw_get_record(&in, tw_kind(c->frame_flags));
    size_t head = bytes.len - in.left;
    bool fits;
    if (in.bad || record.len > c->left - head) return false;
    fits = record.len <= c->config.in_size - head;
    *waits = fits && have < head + record.len;
    if (*waits) return true;
    c->drop += head;
    c->left -= head;
    if (fits) {
        tw_bytes payload = tw_span(c->config.in + c->drop, (size_t)record.len);
        c->drop += payload.len;
        c->left -= payload.len;
        return tw_handle_record(c, &record, payload, event);
    }
    c->skip = (size_t)record.len;
    return tw_handle_record(c, &record, tw_span(NULL, 0), event);
}

/* One piece of what has come: a header, a command, a record. False where more is needed. */
static bool tw_step(tw_client *c, tw_event *event)
{
    size_t have = c->in_len - c->drop, need;
    const uint8_t *at = c->config.in + c->drop;
    bool fine = true, waits = false;
    /* [9] the answer first, or the next ping would take its place. */
    if (c->ponging || c->closing != 0 || c->shut || c->link != TW_LINK_OPEN) return false;
    if (c->skip > 0) {
        need = c->skip < have ? c->skip : have;
        c->drop += need;
        c->skip -= need;
        c->left -= need;
        return need > 0;
    }
    switch (c->stage) {
    case TW_STAGE_HEADER:
        if (have < 4) return false;
        fine = tw_read_header(c, at);
        break;
    case TW_STAGE_WHOLE:
        need = c->left < c->config.in_size ? c->left : c->config.in_size;
        if (have < need) return false;
        c->drop += need;
        c->left -= need;
        c->skip = c->left;
        c->stage = TW_STAGE_REST;
        fine = c->frame_type == TW_PING ? tw_handle_ping(c, tw_span(at, need))
                                        : tw_handle_control(c, tw_span(at, need), c->left > 0, event);
        break;
    case TW_STAGE_HEAD:
        /* Two varints and two bytes, or the whole frame. */
        need = c->left < 18 ? c->left : 18;
        if (have < need) return false;
        fine = tw_handle_head(c, tw_span(at, need), event);
        break;
    case TW_STAGE_RECORDS:
        if (c->left > 0) {
            /* Three varints, or what is left. */
            need = c->left < 24 ? c->left : 24;
            if (have < need) return false;
            fine = tw_read_record(c, tw_span(at, need), have, &waits, event);
            break;
        }
        tw_finish(c, event);
        break;
    default: tw_finish(c, event); break;
    }
    if (!fine) {
        event->type = TW_EVENT_NONE;
        tw_broken(c);
    }
    return !waits;
}

/* What is to be told before anything else is read. */
static bool tw_tell(tw_client *c, tw_event *event)
{
    unsigned i;
    if (c->state != c->told) {
        tw_tell_state(c, event);
        return true;
    }
    for (i = 0; i < c->config.room_count; i++) {
        tw_room *room = &c->config.rooms[i];
        event->room = i;
        event->member = room->member;
        if (room->state != room->told) {
            event->type = TW_EVENT_ROOM;
            event->before = room->told;
            event->state = room->told = room->state;
            event->number = room->reason;
            event->dropped = room->dropped;
            room->dropped = 0;
            return true;
        }
        if (room->outcome != TW_NO_OUTCOME) {
            event->type = TW_EVENT_OUTCOME;
            event->state = room->outcome;
            event->key = room->lost_from;
            event->position = room->position;
            room->outcome = TW_NO_OUTCOME;
            return true;
        }
    }
    if (c->error != TW_NO_ERROR) {
        event->type = TW_EVENT_ERROR;
        event->state = c->error;
        event->number = c->reason;
        c->error = TW_NO_ERROR;
        return true;
    }
    if (c->tell_token) {
        event->type = TW_EVENT_TOKEN;
        c->tell_token = false;
        return true;
    }
    if (c->directs_lost > 0) {
        event->type = TW_EVENT_LOST_DIRECTS;
        event->key = c->directs_lost;
        event->position = c->directs;
        c->directs_lost = 0;
        return true;
    }
    if (c->unconfirmed) {
        event->type = TW_EVENT_UNCONFIRMED;
        tw_tell_message(c, 0, event);
        c->pop = true;
        return true;
    }
    return false;
}

bool tw_next(tw_client *c, tw_event *event)
{
    tw_frame frame;
    memset(event, 0, sizeof *event);
    if (c->pop) {
        c->pop = false;
        tw_remove(c, 0, tw_peek(c, 0, &frame));
        c->cursor = 0;
        c->unconfirmed = c->kept_len > 0;
        /* What was never written begins behind: its place is the front now. */
        if (!c->unconfirmed) c->cursor = c->kept_len;
    }
    while (!tw_tell(c, event)) {
        if (!tw_step(c, event)) {
            /* What is behind a ping is read when its answer has left. */
            if (!c->ponging) c->unread = false;
            return false;
        }
        if (event->type != TW_EVENT_NONE) return true;
    }
    return true;
}

size_t tw_space(const tw_client *c)
{
    /* What comes behind the end is thrown away. */
    if (c->link != TW_LINK_OPEN || c->closing != 0 || c->shut) return SIZE_MAX;
    return c->config.in_size - c->in_len + c->drop;
}

size_t tw_feed(tw_client *c, const uint8_t *bytes, size_t len)
{
    size_t space = tw_space(c);
    if (space == SIZE_MAX) return len;
    if (c->drop > 0) {
        c->in_len -= c->drop;
        memmove(c->config.in, c->config.in + c->drop, c->in_len);
        c->drop = 0;
    }
    if (len > space) len = space;
    if (len > 0) memcpy(c->config.in + c->in_len, bytes, len);
    c->in_len += len;
    if (len == 0) return 0;
    c->unread = true;
    c->slept = false;
    /* [9] twice its interval and 5 s. */
    if (c->welcomed) c->dead_at = c->now + 2 * c->ping_ms + 5000;
    return len;
}

/* -------------------------------------------------------------------------------------- what the caller wants */

bool tw_init(tw_client *c, const tw_config *config)
{
    memset(c, 0, sizeof *c);
    c->config = *config;
    c->random = config->seed != 0 ? config->seed : 1;
    c->max_message = 0xffff;
    memset(config->rooms, 0, config->room_count * sizeof *config->rooms);
    return config->in_size >= TW_IN_MIN && tw_set_token(c, config->token);
}

tw_action tw_poll(tw_client *c, uint64_t now)
{
    c->now = now;
    if (c->link == TW_LINK_NONE) {
        if (c->state != TW_CONNECTING || c->state != c->told || c->want_token || now < c->at) return TW_NOTHING;
        c->link = TW_LINK_OPENING;
        c->dead_at = now + 10000;
        return TW_OPEN;
    }
    if (now >= c->dead_at && !c->shut) {
        if (c->welcomed && !c->slept && now - c->dead_at >= 5000) {
            /* So late is who slept: the server is asked (SPEC 2), and once, until it says something. */
            c->slept = true;
            c->ping_at = now;
            c->dead_at = now + 5000;
        } else if (c->closing != 0) {
            c->shut = true;
        } else {
            tw_over(c, 0, TW_NOT_TOLD, 0);
        }
    }
    return c->shut ? TW_SHUT : TW_NOTHING;
}

uint32_t tw_wait(const tw_client *c)
{
    uint64_t until = c->now + 60000;
    unsigned i;
    if (c->unread && !c->ponging && c->in_len > c->drop) return 0;
    if (c->link == TW_LINK_NONE) {
        if (c->state == TW_CONNECTING && !c->want_token && c->at < until) until = c->at;
    } else {
        if (c->dead_at < until) until = c->dead_at;
        if (c->welcomed && c->ping_at < until) until = c->ping_at;
        for (i = 0; c->welcomed && i < c->config.room_count; i++) {
            const tw_room *room = &c->config.rooms[i];
            if (room->wanted && room->phase == TW_PHASE_NONE && room->retry_at < until) until = room->retry_at;
        }
    }
    return until > c->now ? (uint32_t)(until - c->now) : 0;
}

void tw_opened(tw_client *c)
{
    if (c->link == TW_LINK_OPENING) c->link = TW_LINK_OPEN;
}

void tw_lost(tw_client *c)
{
    bool broke = c->link != TW_LINK_NONE && !c->shut && c->closing == 0;
    c->link = TW_LINK_NONE;
    c->shut = false;
    c->closing = 0;
    if (broke) tw_over(c, 0, TW_NOT_TOLD, 0);
}

void tw_connect(tw_client *c)
{
    if (c->state != TW_DISCONNECTED) return;
    c->state = TW_CONNECTING;
    c->at = c->now;
    c->tries = 0;
    c->reason = 0;
    c->asked_token = c->want_token = false;
}

void tw_disconnect(tw_client *c)
{
    if (c->state == TW_CLOSED || c->state == TW_DISCONNECTED) return;
    c->state = TW_DISCONNECTED;
    c->reason = 200;
    c->resume_len = 0;
    tw_hang_up(c, 200);
}

void tw_close(tw_client *c)
{
    if (c->state == TW_CLOSED) return;
    tw_disconnect(c);
    tw_give_up(c, 200);
}

bool tw_join(tw_client *c, unsigned index, const char *name, uint8_t mode, tw_bytes presence)
{
    tw_room *room = &c->config.rooms[index];
    if (index >= c->config.room_count || room->wanted || c->state == TW_CLOSED ||
        TW_CONTROL_MIN(0, presence.len) > c->config.control_size || strlen(name) > 64)
        return false;
    room->name = name;
    room->mode = mode;
    room->presence = presence;
    room->wanted = true;
    room->state = TW_ROOM_JOINING;
    room->retry_at = 0;
    room->tries = 0;
    room->reason = 0;
    room->what = 0;
    return true;
}

void tw_leave(tw_client *c, unsigned index)
{
    tw_room *room = &c->config.rooms[index];
    if (index >= c->config.room_count || !room->wanted) return;
    room->wanted = room->known = false;
    room->leave = room->phase != TW_PHASE_NONE && room->phase != TW_PHASE_LEAVING;
    room->state = TW_ROOM_LEFT;
    room->reason = 200;
    room->outcome = TW_NO_OUTCOME;
    room->dropped = tw_purge(c, (uint64_t)index + 1);
}

void tw_pause(tw_client *c, unsigned index, bool paused)
{
    /* [6.11] 2 is nothing, 0 is all. */
    if (index < c->config.room_count) c->config.rooms[index].what = paused ? 2 : 0;
}

bool tw_set_token(tw_client *c, tw_bytes token)
{
    if (TW_CONTROL_MIN(token.len, 0) > c->config.control_size) return false;
    c->config.token = token;
    c->renew = c->welcomed;
    c->want_token = false;
    return true;
}

uint64_t tw_server_time(tw_client *c)
{
    uint64_t time = c->now * 1000 + c->offset;
    if (!c->welcomed) return c->last_time;
    if (time > c->last_time) c->last_time = time;
    return c->last_time;
}

#endif /* TICKWIRE_CODEC_ONLY */

#ifdef __cplusplus
}
#endif
#endif /* TICKWIRE_IMPLEMENTATION */
