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
 * With TICKWIRE_SENSOR defined everywhere, the client is a small one, for who reports and is told: it begins anew with every
 * connection, takes messages only while it is joined, and has not what is marked below. README.md lists what that leaves out.
 *
 * One implementation rather than inline functions: a device pays for the code once, however many files use it.
 *
 * Numbers in brackets are sections of PROTOCOL.md. Nothing here is thread safe: one client, one thread.
 */
#ifndef TICKWIRE_H
#define TICKWIRE_H

#if defined TICKWIRE_SENSOR && defined TICKWIRE_CODEC_ONLY
#error "a sensor has no codec for others: define TICKWIRE_SENSOR or TICKWIRE_CODEC_ONLY"
#endif

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
#ifdef TICKWIRE_SENSOR
    tw_bytes ext[8]; /* extensions of a command */
#endif
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

#ifdef TICKWIRE_SENSOR
#define TW_CODEC static
#else
#define TW_CODEC
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
#endif

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
                             to connect instead, if the server said so; dropped: messages that will not leave. A reason
                             beyond 32 bits, which nobody gives, is told as 2^32 - 1. An attempt
                             that the server has ended with a reason is told too: connecting before, connecting after */
    TW_EVENT_ROOM,        /* the same, of room; member: your number in it. A sensor that is joined begins anew: what was
                             known of the room is void */
    TW_EVENT_OUTCOME,     /* room, state: a tw_outcome; of TW_LOST: positions from `key` to `position`. A sensor is told only
                             TW_SNAPSHOT, where something is lost while it is joined */
    TW_EVENT_MESSAGE,     /* room, member, payload; position, tick, but of a sensor: an event */
    TW_EVENT_VALUE,       /* and key; snapshot: whether it belongs to one. An empty payload deletes */
    TW_EVENT_DIRECT,      /* and key: which message of yours it answers, or 0; position: its number */
    TW_EVENT_PRESENCE,    /* state: TW_HERE .. TW_COUNT; subject, payload, number (reason, or count); snapshot */
    TW_EVENT_SNAPSHOT,    /* of room: begins where `snapshot`, and is whole where not: replaces all values. kind: values or
                             members */
    TW_EVENT_REFUSED,     /* a message: room, kind, key, payload, number: the reason. After a resume it may come again.
                             Where it had been accepted already [12.3], and of a sensor always, room is room_count.
                             position: its number among all messages of the session, from 1 */
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

/* A room. The members are the client's own; here and below the small ones come first, and what is used often before what is not:
 * a small processor reaches them with shorter instructions. What ends in `_in` are milliseconds until then. */
typedef struct tw_room {
    uint8_t mode, state, told, tries;
    bool collecting;
#ifdef TICKWIRE_SENSOR
    bool asked;
#else
    uint8_t phase, outcome, what, asked;
    bool wanted, leave, has_id, known;
    uint32_t seen, run;
    size_t dropped;
    uint64_t epoch, position, tick, lost_from;
#endif
    uint32_t retry_in, reason;
    const char *name;
    tw_bytes presence;
    uint64_t id, member;
} tw_room;

/* What a client works with. All of it has to live as long as the client, and is the client's alone. */
typedef struct tw_config {
    uint8_t *in; /* what has come: at least TW_IN_MIN, and as much as the largest message with 24 bytes beside it */
    size_t in_size;
    uint8_t *out; /* messages until they are accepted: each takes its length and up to 20 bytes. Of a sensor everything that
                     is to leave: at least TW_CONTROL_MIN, of its token or the longest presence data */
    size_t out_size;
    tw_room *rooms; /* any number; zeroed by tw_init */
    unsigned room_count;
    tw_bytes token; /* [15.1]; empty: none */
    uint32_t seed;  /* of the backoff: different on every device, such as its serial number; not 0 */
#ifndef TICKWIRE_SENSOR
    uint8_t *control; /* one command on its way: TW_CONTROL_MIN */
    size_t control_size;
    bool renews; /* whether the program can get another token when asked by TW_EVENT_TOKEN */
#endif
} tw_config;

/* A client. The members are its own. */
typedef struct tw_client {
    uint8_t stage, frame_type, frame_flags, state, told, link, error, closing, tries;
    bool shut, hello, welcomed, ponging, unread;
#ifdef TICKWIRE_SENSOR
    uint32_t now;
#else
    bool asked_token, want_token, tell_token, renew, unconfirmed, pop, slept, hidden, astray;
    uint8_t pings, samples;
    uint32_t capabilities, rtt, sent_count, ping_in;
    size_t kept_len, cursor, tx, control_len, control_at, dropped;
#endif
    tw_room *room;
    size_t in_len, drop, left, skip, frame_bytes, out_len;
    uint32_t retry_in, dead_in, steady_in, reason, random, max_message, ping_ms;
    tw_config config;
    uint64_t pong, consumed;
#ifndef TICKWIRE_SENSOR
    uint64_t now, room_position;
    uint64_t accepted, directs, directs_lost, offset, last_time;
    uint8_t resume[1 + 64 + 8]; /* as in HELLO: its length, the token, place for a number */
#endif
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

/* Publish an event; set a value of this member, or of the room (an empty one deletes); send a direct. Events and directs
 * wait in order until they can leave, of values only the last one of a key. All wait in `out` until they are accepted.
 * Of a sensor all have TW_DROP, and what is TW_OK is on its way: whether it arrives is not told, but that it was refused. */
tw_result tw_publish(tw_client *client, unsigned room, tw_bytes payload, unsigned options);
tw_result tw_set(tw_client *client, unsigned room, uint64_t key, tw_bytes payload, unsigned options);

/* How many bytes of messages have neither been accepted nor told; 0: everything has arrived, or was told not to have. Of a
 * sensor: how many bytes have not been taken by tw_written. */
size_t tw_pending(const tw_client *client);

#ifndef TICKWIRE_SENSOR /* what follows it has not */

void tw_leave(tw_client *client, unsigned room);
tw_result tw_set_room(tw_client *client, unsigned room, uint64_t key, tw_bytes payload, unsigned options);
tw_result tw_send(tw_client *client, unsigned room, uint64_t member, tw_bytes payload, unsigned options);

/* Asks for nothing more of a room, or for all again [6.11]. */
void tw_pause(tw_client *client, unsigned room, bool paused);

/* Another token: told to the server at once, and in the next hello. It has to live as long as the client. False where
 * `control` is too small for it. */
bool tw_set_token(tw_client *client, tw_bytes token);

/* The server's time in microseconds, by the best of the last pings. It does not go back within a connection; 0 before the first. */
uint64_t tw_server_time(tw_client *client);

#endif

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

/* Of a function that is called in several places: compilers take some of these for cheaper inline than they are. */
#ifdef __GNUC__
#define TW_ONCE __attribute__((noinline))
#else
#define TW_ONCE
#endif

/* ------------------------------------------------------------------------------------------------ codec */

#ifndef TICKWIRE_SENSOR
/* What the numbers of a frame look like: v is a varint, s a string, a digit so many bytes. By command, then ping of a
 * client, ping and answer of a server, event of a client, its other data, data of a server. */
static const char tw_layouts[] =
    ";vvv;v14vvvvvvv;v1s;vvv118vvvv;v;vv;vv;v;vv;v8vv;v1vv;;vs;s;vv;vvvs;v;vvv;vv;v4vvv;v;vv;vv2";
#endif

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

static void tw_spoil(tw_reader *in)
{
    in->bad = true;
    in->left = 0;
}

TW_CODEC uint64_t tw_get(tw_reader *in)
{
    const uint8_t *at = in->at;
    size_t len = 0;
    uint64_t value = 0;
    while (len < in->left && len < 7 && at[len] > 0x7f) len++;
    if (len < in->left) {
        in->at += len + 1;
        in->left -= len + 1;
        /* [3.1] eight bytes at most, minimal, and below 2^53. */
        if (at[len] <= 0x7f && (at[len] > 0 || len == 0)) {
            do value = value << 7 | (at[len] & 0x7f);
            while (len-- > 0);
            if (value >> 53 == 0) return value;
        }
    }
    tw_spoil(in);
    return 0;
}

TW_ONCE TW_CODEC tw_bytes tw_get_bytes(tw_reader *in, uint64_t len)
{
    tw_bytes bytes = tw_span(in->at, 0);
    if (len > in->left) {
        tw_spoil(in);
    } else {
        bytes.len = (size_t)len;
        in->at += bytes.len;
        in->left -= bytes.len;
    }
    return bytes;
}

static tw_bytes tw_get_string(tw_reader *in)
{
    return tw_get_bytes(in, tw_get(in));
}

static unsigned tw_get_byte(tw_reader *in)
{
    tw_bytes byte = tw_get_bytes(in, 1);
    return byte.len > 0 ? *byte.at : 0;
}

static void tw_put_byte(tw_writer *out, unsigned byte)
{
    if (out->len < out->size) out->at[out->len] = (uint8_t)byte;
    out->len++;
}

TW_CODEC void tw_put_bytes(tw_writer *out, tw_bytes bytes)
{
    for (; bytes.len > 0; bytes.len--) tw_put_byte(out, *bytes.at++);
}

TW_CODEC void tw_put(tw_writer *out, uint64_t value)
{
    for (; value > 0x7f; value >>= 7) tw_put_byte(out, (unsigned)value | 0x80);
    tw_put_byte(out, (unsigned)value);
}

#ifndef TICKWIRE_SENSOR
/* Appends the low `len` bytes, the highest first. */
static void tw_put_fixed(tw_writer *out, uint64_t value, unsigned len)
{
    uint8_t bytes[8];
    unsigned i;
    for (i = 8; i > 0; value >>= 8) bytes[--i] = (uint8_t)value;
    tw_put_bytes(out, tw_span(bytes + 8 - len, len));
}
#endif

TW_ONCE static void tw_put_string(tw_writer *out, tw_bytes bytes)
{
    tw_put(out, bytes.len);
    tw_put_bytes(out, bytes);
}

#ifndef TICKWIRE_SENSOR
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
#endif

/* What a list of extensions is. ODD: there is one that has to be understood. */
enum { TW_LIST_BAD, TW_LIST_FINE, TW_LIST_ODD };

#ifndef TICKWIRE_SENSOR
/* Walks a list of extensions [3.3], and takes the content of `type`. */
static unsigned tw_walk(tw_bytes list, uint64_t type, tw_bytes *content)
{
    tw_reader in = tw_read(list);
    uint64_t least = 0;
    unsigned result = TW_LIST_FINE;
    while (in.left > 0) {
        uint64_t found = tw_get(&in);
        tw_bytes bytes = tw_get_string(&in);
        /* Ascending. */
        if (in.bad || found < least) return TW_LIST_BAD;
        least = found + 1;
        if (found == type) *content = bytes;
        if (found & 1) result = TW_LIST_ODD;
    }
    return result;
}

bool tw_extension(tw_bytes list, uint64_t type, tw_bytes *content)
{
    *content = tw_span(NULL, 0);
    tw_walk(list, type, content);
    return content->at != NULL;
}
#endif

#ifndef TICKWIRE_SENSOR
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
        frame->command = (uint8_t)tw_get_byte(&in);
        frame->request = tw_get(&in);
    }
    for (layout = tw_layout(from, frame); *layout != ';' && *layout != 0; layout++) {
        if (*layout == 'v') {
            *arg++ = tw_get(&in);
        } else if (*layout == 's') {
            frame->text = tw_get_string(&in);
        } else {
            int len = *layout - '0';
            for (; len > 0; len--) *arg = *arg << 8 | tw_get_byte(&in);
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
    return tw_fields(from, type, flags, payload, frame) &&
           (!tw_has_list(frame) || tw_walk(frame->rest, 0, &content) != TW_LIST_BAD);
}
#endif

#ifdef TICKWIRE_SENSOR
/* What the numbers of the commands look like that a server sends to a sensor, from 0: v is a varint, a digit so many bytes that
 * are not for sensors. */
static const char tw_layouts[] = ";;v14vvvvvvv;;vvv118vvvv;;vv;vv;v;vv;v8vv;";

/* Walks the extensions of a frame [3.3], and keeps those that it may have. */
static unsigned tw_walk(tw_frame *frame)
{
    tw_reader in = tw_read(frame->rest);
    uint64_t least = 0;
    unsigned result = TW_LIST_FINE;
    memset(frame->ext, 0, sizeof frame->ext);
    while (in.left > 0) {
        uint64_t type = tw_get(&in);
        tw_bytes content = tw_get_string(&in);
        /* Ascending. */
        if (in.bad || type < least) return TW_LIST_BAD;
        least = type + 1;
        if (type < 8) frame->ext[type] = content;
        if (type & 1) result = TW_LIST_ODD;
    }
    return result;
}

/* Reads the numbers of a command that is known; what is behind them is left in `rest`. */
static bool tw_fields(tw_bytes payload, tw_frame *frame)
{
    tw_reader in = tw_read(payload);
    const char *layout = tw_layouts;
    uint64_t *arg = frame->arg;
    unsigned left = tw_get_byte(&in);
    frame->command = (uint8_t)left;
    frame->request = tw_get(&in);
    if (left > TW_GAP) left = 0;
    while (left > 0)
        if (*layout++ == ';') left--;
    for (; *layout != ';'; layout++) {
        *arg = 0;
        if (*layout == 'v') *arg = tw_get(&in);
        else tw_get_bytes(&in, (uint64_t)(*layout - '0'));
        arg++;
    }
    frame->rest = tw_span(in.at, in.left);
    return !in.bad;
}
#endif

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

#ifndef TICKWIRE_SENSOR
void tw_encode(tw_side from, const tw_frame *frame, tw_writer *out)
{
    size_t start = out->len;
    const uint64_t *arg = frame->arg;
    const char *layout;
    tw_put_fixed(out, (uint64_t)frame->type << 24 | frame->flags, 4);
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
            tw_put_fixed(out, *arg++, (unsigned)(*layout - '0'));
        }
    }
    tw_put_bytes(out, frame->rest);
    tw_patch(out, start);
}
#endif

TW_CODEC tw_record tw_get_record(tw_reader *in, uint8_t kind)
{
    tw_record record;
    record.len = tw_get(in);
    record.member = tw_get(in);
    record.key = 0;
    if (kind == TW_KIND_VALUE || kind == TW_KIND_DIRECT || kind == TW_KIND_SNAPSHOT) record.key = tw_get(in);
    return record;
}

#ifndef TICKWIRE_SENSOR
bool tw_get_presence(tw_bytes payload, tw_presence *presence)
{
    tw_reader in = tw_read(payload);
    memset(presence, 0, sizeof *presence);
    presence->state = (uint8_t)tw_get_byte(&in);
    if (presence->state == TW_HERE) {
        presence->subject = tw_get_string(&in);
        presence->data = tw_span(in.at, in.left);
    } else if (presence->state == TW_GONE || presence->state == TW_COUNT) {
        presence->number = tw_get(&in);
    }
    return !in.bad;
}
#endif

#ifndef TICKWIRE_CODEC_ONLY

/* ---------------------------------------------------------------------------------------- what is to be sent */

/* How far a JOIN has come. HELD: a session that may be resumed still has it [12.2]. */
enum { TW_PHASE_NONE, TW_PHASE_HELD, TW_PHASE_ASKED, TW_PHASE_IN, TW_PHASE_LEAVING };
enum { TW_LINK_NONE, TW_LINK_OPENING, TW_LINK_OPEN };
enum { TW_STAGE_HEADER, TW_STAGE_WHOLE, TW_STAGE_HEAD, TW_STAGE_RECORDS };
/* What reading came to. BAD and WENT are false and true. */
enum { TW_BAD, TW_WENT, TW_MORE };
/* Extensions [6]. */
enum {
    TW_EXT_TOKEN = 1,
    TW_EXT_TEXT = 2, TW_EXT_RESUME = 2,
    TW_EXT_AFTER = 4, TW_EXT_KNOWN = 4,
    TW_EXT_ADDRESS = 6, TW_EXT_SHOWN = 6, TW_EXT_LOST = 6
};
/* Request numbers: those of a room are four times its handle, and what is asked. */
enum { TW_REQUEST_HELLO = 1, TW_REQUEST_TOKEN = 2, TW_REQUEST_CLOSE = 3, TW_ASKS_JOIN = 0, TW_ASKS_LEAVE = 1, TW_ASKS_RECEIVE = 2 };

#define TW_NEVER UINT32_MAX
/* No server keeps a device away for longer, in milliseconds: a day. */
#define TW_LONGEST 86400000
/* CLOSE has left. */
#define TW_SAID 255
/* The kinds of data that are read: of a sensor not presence, directs and members. */
#ifdef TICKWIRE_SENSOR
#define TW_KINDS (1u << TW_KIND_EVENT | 1u << TW_KIND_VALUE | 1u << TW_KIND_SNAPSHOT)
#else
#define TW_KINDS 0x3fu
#endif


/* What travels as 53 bits, and here has to fit into less. */
static uint32_t tw_most(uint64_t value, uint32_t most)
{
    return value < most ? (uint32_t)value : most;
}

static tw_writer tw_write(uint8_t *at, size_t size, size_t len)
{
    tw_writer out;
    out.at = at;
    out.size = size;
    out.len = len;
    return out;
}

TW_ONCE static tw_room *tw_room_at(const tw_client *c, unsigned index)
{
    return index < c->config.room_count ? &c->config.rooms[index] : NULL;
}

/* Handles begin with 1. */
TW_ONCE static tw_room *tw_by_handle(const tw_client *c, uint64_t handle)
{
    return handle > UINT32_MAX ? NULL : tw_room_at(c, (unsigned)handle - 1);
}

static unsigned tw_handle_of(const tw_client *c, const tw_room *room)
{
    return (unsigned)(room - c->config.rooms) + 1;
}

/* Appends an extension where there is something to say. */
static void tw_put_extension(tw_writer *out, unsigned type, tw_bytes content)
{
    if (content.len == 0) return;
    tw_put_byte(out, type);
    tw_put_string(out, content);
}

/* A number from 0 to `most`. */
static uint32_t tw_random(tw_client *c, uint32_t most)
{
    c->random ^= c->random << 13;
    c->random ^= c->random >> 17;
    c->random ^= c->random << 5;
    return c->random % (most + 1);
}

/* In how many milliseconds to try again after this reason (SPEC 2). `told` is what the server said, or TW_NEVER. */
static uint32_t tw_again(tw_client *c, uint32_t reason, uint32_t told, uint8_t *tries)
{
    /* 500 ms, doubled up to 20 s, all of it random but the first 500 ms. */
    uint32_t least = 500, more = tw_most((uint32_t)500 << *tries, 20000);
    if (reason - 200 < 100 || reason - 960 < 40) return TW_NEVER;
    if (reason - 100 < 100 || reason - 930 < 30) {
        if (told != TW_NEVER) return told;
        least = more = 10000;
    } else if (*tries < 6) {
        ++*tries;
    }
    return tw_most(least + tw_random(c, more), 20000);
}

static void tw_over(tw_client *c, uint32_t reason, uint32_t told, uint8_t say);

/* The content of an extension that a frame may have. */
static tw_bytes tw_ext(const tw_frame *frame, unsigned type)
{
#ifdef TICKWIRE_SENSOR
    return frame->ext[type];
#else
    tw_bytes content;
    tw_extension(frame->rest, type, &content);
    return content;
#endif
}

/* What the server says about when to come back, in milliseconds. */
static uint32_t tw_after(const tw_frame *frame)
{
    tw_reader in;
    uint32_t told;
    in = tw_read(tw_ext(frame, TW_EXT_AFTER));
    told = tw_most(tw_get(&in), TW_LONGEST);
    return in.bad ? TW_NEVER : told;
}

static void tw_tell_state(tw_client *c, tw_event *event)
{
    event->type = TW_EVENT_STATE;
    event->before = c->told;
    event->state = c->told = c->state;
    event->number = c->reason;
#ifndef TICKWIRE_SENSOR
    event->dropped = c->dropped;
    c->dropped = 0;
#endif
}

/* The end of a session, as CLOSE tells it. */
static void tw_tell_ending(tw_client *c, const tw_frame *frame, tw_event *event)
{
    event->payload = tw_ext(frame, TW_EXT_TEXT);
    event->subject = tw_ext(frame, TW_EXT_ADDRESS);
    if (frame->arg[0] == 207) c->error = TW_ERROR_VERSION;
    tw_over(c, tw_most(frame->arg[0], UINT32_MAX), tw_after(frame), 0);
    /* An attempt that the server has ended leaves the state as it was: why, and where to instead, is told all the same. */
    if (c->state == c->told) tw_tell_state(c, event);
}

static bool tw_tell_error(tw_client *c, tw_event *event)
{
    if (c->error == TW_NO_ERROR) return false;
    event->type = TW_EVENT_ERROR;
    event->state = c->error;
    event->number = c->reason;
    c->error = TW_NO_ERROR;
    return true;
}

/* The server has said something: twice its interval and 5 s from now [9]. */
static void tw_alive(tw_client *c)
{
    if (c->welcomed) c->dead_in = 2 * c->ping_ms + 5000;
}

/* What has been read of a frame. */
static void tw_take(tw_client *c, size_t len)
{
    c->drop += len;
    c->left -= len;
}

/* Where an event is about a room. */
TW_ONCE static void tw_about(const tw_client *c, tw_event *event, unsigned type)
{
    event->type = (tw_event_type)type;
    event->kind = tw_kind(c->frame_flags);
    event->room = tw_handle_of(c, c->room) - 1;
}

/* Time has passed for what is due in so many milliseconds. */
TW_ONCE static void tw_pass(uint32_t *due_in, uint32_t passed)
{
    *due_in -= passed < *due_in ? passed : *due_in;
}

#ifdef TICKWIRE_SENSOR

/* ---------------------------------------------------------------------------------------------- the sensor */

/* Begins a frame behind what waits in `out`. */
static void tw_begin(const tw_client *c, tw_writer *out, const uint8_t *start, size_t len)
{
    *out = tw_write(c->config.out, c->config.out_size, c->out_len);
    tw_put_bytes(out, tw_span(start, len));
}

/* Ends the frame that begins at `start`. False where there is no place for it: then there is nothing of it. */
static bool tw_end(tw_client *c, tw_writer *out, size_t start)
{
    tw_patch(out, start);
    if (out->len > out->size) return false;
    c->out_len = out->len;
    return true;
}

/* Whether a room is to be joined, now or later. */
static bool tw_is_due(const tw_room *room)
{
    return room->state == TW_ROOM_JOINING && !room->asked;
}

/* Says what is due, as far as there is place for it. */
static void tw_compose(tw_client *c)
{
    /* Magic; request 1, no capabilities, any record, any frame: what is too large for `in` is skipped and told. */
    static const uint8_t hello[] = {0xd7, 0x54, 0x57, 1, TW_CONTROL, 0, 0, 0, TW_HELLO, TW_REQUEST_HELLO, 0, 0, 0};
    static const uint8_t pong[] = {TW_PING, 0, 0, TW_FLAG_ANSWER}, join[] = {TW_CONTROL, 0, 0, 0, TW_JOIN};
    tw_writer out;
    unsigned i;
    if (!c->hello) {
        c->out_len = 0;
        tw_begin(c, &out, hello, sizeof hello);
        tw_put_extension(&out, TW_EXT_TOKEN, c->config.token);
        c->hello = tw_end(c, &out, 4);
    }
    if (c->ponging) {
        tw_begin(c, &out, pong, sizeof pong);
        tw_put(&out, c->pong);
        tw_put(&out, c->consumed);
        /* No direct was seen. */
        tw_put_byte(&out, 0);
        c->ponging = !tw_end(c, &out, c->out_len);
    }
    for (i = 0; i < c->config.room_count; i++) {
        tw_room *room = &c->config.rooms[i];
        if (!tw_is_due(room) || room->retry_in > 0) continue;
        tw_begin(c, &out, join, sizeof join);
        tw_put(&out, TW_REQUEST_HELLO + 1 + i);
        tw_put(&out, i + 1);
        tw_put_byte(&out, room->mode & ~(unsigned)TW_ECHO);
        tw_put_string(&out, tw_span((const uint8_t *)room->name, strlen(room->name)));
        tw_put_extension(&out, TW_EXT_SHOWN, room->presence);
        room->asked = tw_end(c, &out, c->out_len);
    }
}

tw_bytes tw_output(tw_client *c)
{
    if (c->link != TW_LINK_OPEN || c->shut) return tw_span(NULL, 0);
    if (!c->closing) tw_compose(c);
    return tw_span(c->config.out, c->out_len);
}

void tw_written(tw_client *c, size_t len)
{
    if (len > c->out_len) len = c->out_len;
    c->out_len -= len;
    memmove(c->config.out, c->config.out + len, c->out_len);
}

static tw_result tw_queue(tw_client *c, unsigned index, unsigned kind, uint64_t key, tw_bytes payload, unsigned options)
{
    const tw_room *room = tw_room_at(c, index);
    uint8_t header[4] = {TW_DATA, 0, 0, 0};
    tw_writer out;
    if (room == NULL || room->state == TW_ROOM_LEFT) return TW_NO_ROOM;
    if (room->state != TW_ROOM_JOINED) return TW_DROPPED;
    /* With its header and its numbers, in an `out` that is empty. */
    if (payload.len > c->max_message || payload.len + 20 > c->config.out_size) return TW_TOO_LARGE;
    header[3] = (uint8_t)(kind << 1 | (options & TW_URGENT));
    tw_begin(c, &out, header, sizeof header);
    tw_put(&out, index + 1);
    if (kind == TW_KIND_VALUE) tw_put(&out, key);
    tw_put_bytes(&out, payload);
    return tw_end(c, &out, c->out_len) ? TW_OK : TW_FULL;
}

/* Forgets what belonged to this connection. `say`: the reason for a CLOSE; 0: it is broken, or closed already. */
static void tw_hang_up(tw_client *c, uint8_t say)
{
    unsigned i;
    if (c->welcomed && c->steady_in == 0) c->tries = 0;
    c->closing = false;
    if (say != 0 && c->link == TW_LINK_OPEN && c->hello) {
        /* 200 and 201 are such varints. */
        uint8_t ends[] = {TW_CONTROL, 0, 0, 0, TW_CLOSE, TW_REQUEST_HELLO, 0, 1};
        tw_writer out;
        ends[6] = say;
        tw_begin(c, &out, ends, sizeof ends);
        c->closing = tw_end(c, &out, c->out_len);
    }
    c->shut = !c->closing && c->link != TW_LINK_NONE;
    c->dead_in = 2000;
    c->hello = c->welcomed = c->ponging = false;
    c->in_len = c->drop = c->left = c->skip = 0;
    c->stage = TW_STAGE_HEADER;
    if (!c->closing) c->out_len = 0;
    for (i = 0; i < c->config.room_count; i++) {
        tw_room *room = &c->config.rooms[i];
        room->asked = false;
        if (room->state == TW_ROOM_JOINED) room->state = TW_ROOM_JOINING;
    }
}

/* For good. */
static void tw_give_up(tw_client *c, uint32_t reason)
{
    unsigned i;
    c->state = TW_CLOSED;
    c->reason = reason;
    for (i = 0; i < c->config.room_count; i++) {
        tw_room *room = &c->config.rooms[i];
        room->state = TW_ROOM_LEFT;
        room->reason = reason;
    }
}

/* The session is over, as the server or the line will have it: what follows from the reason, 0 where there is none. */
static void tw_over(tw_client *c, uint32_t reason, uint32_t told, uint8_t say)
{
    tw_hang_up(c, say);
    if (c->state != TW_CONNECTING && c->state != TW_CONNECTED) return;
    c->state = TW_CONNECTING;
    c->reason = reason;
    c->retry_in = tw_again(c, reason, told, &c->tries);
    if (c->retry_in == TW_NEVER) tw_give_up(c, reason);
}

TW_ONCE static tw_room *tw_by_id(tw_client *c, uint64_t id)
{
    unsigned i;
    for (i = 0; i < c->config.room_count; i++) {
        tw_room *room = &c->config.rooms[i];
        if (room->state == TW_ROOM_JOINED && room->id == id) return room;
    }
    return NULL;
}

static bool tw_handle_welcome(tw_client *c, const tw_frame *frame)
{
    if (c->welcomed) return false;
    c->max_message = tw_most(frame->arg[5], 0xffff);
    c->ping_ms = tw_most(frame->arg[8], TW_LONGEST);
    c->consumed = 0;
    c->steady_in = 5000;
    c->welcomed = true;
    tw_alive(c);
    c->state = TW_CONNECTED;
    c->reason = 0;
    return true;
}

/* The server does not want this client in a room, for now or for good. */
static void tw_refuse(tw_client *c, tw_room *room, const tw_frame *frame)
{
    room->reason = tw_most(frame->arg[1], UINT32_MAX);
    room->state = TW_ROOM_JOINING;
    room->asked = false;
    room->retry_in = tw_again(c, room->reason, tw_after(frame), &room->tries);
    if (room->retry_in == TW_NEVER) room->state = TW_ROOM_LEFT;
}

/* JOINED, LEFT, or a JOIN that was refused. False where it is not about a room that may be told so. */
static bool tw_handle_room(tw_client *c, uint64_t handle, const tw_frame *frame)
{
    tw_room *room = tw_by_handle(c, handle);
    if (room == NULL || !room->asked || (frame->command == TW_LEFT) != (room->state == TW_ROOM_JOINED)) return false;
    if (frame->command != TW_JOINED) {
        tw_refuse(c, room, frame);
        return true;
    }
    room->id = frame->arg[1];
    room->member = frame->arg[2];
    room->collecting = false;
    room->state = TW_ROOM_JOINED;
    room->reason = 0;
    room->tries = 0;
    return true;
}

static bool tw_handle_control(tw_client *c, tw_bytes payload, tw_event *event)
{
    tw_frame frame;
    unsigned list;
    if (!tw_fields(payload, &frame)) return false;
    if (frame.command < TW_WELCOME || frame.command > TW_GAP) return c->welcomed;
    list = tw_walk(&frame);
    /* Of a list that is longer than `in` the end is not here. */
    if (list == TW_LIST_BAD && c->left == 0) return false;
    if (frame.command == TW_CLOSE) {
        /* [3.3] it is obeyed whatever it says beside. */
        tw_tell_ending(c, &frame, event);
        return true;
    }
    if (frame.command == TW_WELCOME) return list == TW_LIST_ODD || tw_handle_welcome(c, &frame);
    if (!c->welcomed) return false;
    if (list == TW_LIST_ODD) return true;
    switch (frame.command) {
    case TW_JOINED:
    case TW_LEFT: return tw_handle_room(c, frame.arg[0], &frame);
    case TW_REFUSED:
        if (frame.arg[0] == 0) return tw_handle_room(c, frame.request - TW_REQUEST_HELLO, &frame);
        event->type = TW_EVENT_REFUSED;
        event->room = c->config.room_count;
        event->number = frame.arg[1];
        event->position = frame.arg[0];
        break;
    case TW_GAP:
        if ((c->room = tw_by_id(c, frame.arg[0])) == NULL) return false;
        c->room->collecting = false;
        tw_about(c, event, TW_EVENT_OUTCOME);
        event->state = TW_SNAPSHOT;
        break;
    case TW_GOING_AWAY:
        event->subject = tw_ext(&frame, TW_EXT_ADDRESS);
        /* [6.9] the time is exact. */
        tw_over(c, 100, tw_most(frame.arg[0], TW_LONGEST), 200);
        break;
    default: break;
    }
    return true;
}

static bool tw_handle_ping(tw_client *c, tw_bytes payload)
{
    tw_reader in = tw_read(payload);
    /* Nobody asks here, so an answer is nothing; extensions are to be ignored. */
    if (c->frame_flags & TW_FLAG_ANSWER) return c->welcomed;
    c->ponging = true;
    c->pong = tw_get(&in);
    /* What was accepted. */
    tw_get(&in);
    return c->welcomed && !in.bad;
}

/* The head of a data frame [8.1]. */
static bool tw_handle_head(tw_client *c, tw_bytes head, tw_event *event)
{
    unsigned kind = tw_kind(c->frame_flags);
    tw_reader in = tw_read(head);
    tw_room *room;
    c->room = room = tw_by_id(c, tw_get(&in));
    /* Position and tick. */
    tw_get(&in);
    tw_get_bytes(&in, 2);
    /* Compression is not offered. */
    if (in.bad || room == NULL || c->frame_flags & TW_FLAG_COMPRESSED) return false;
    tw_take(c, head.len - in.left);
    c->stage = TW_STAGE_RECORDS;
    if (kind == TW_KIND_SNAPSHOT && !room->collecting) {
        tw_about(c, event, TW_EVENT_SNAPSHOT);
        event->snapshot = room->collecting = true;
    }
    return true;
}

/* A record whose payload is here, or is too large to be (NULL). */
static bool tw_handle_record(tw_client *c, const tw_record *record, tw_bytes payload, tw_event *event)
{
    unsigned kind = tw_kind(c->frame_flags);
    /* One's own, but in a snapshot, which replaces everything. */
    if (kind <= TW_KIND_VALUE && record->member == c->room->member && !(c->room->mode & TW_ECHO)) return true;
    tw_about(c, event, kind == TW_KIND_EVENT ? TW_EVENT_MESSAGE : TW_EVENT_VALUE);
    event->member = record->member;
    event->key = record->key;
    event->snapshot = kind == TW_KIND_SNAPSHOT;
    event->payload = payload;
    if (payload.at == NULL) {
        event->type = TW_EVENT_SKIPPED;
        event->number = record->len;
    }
    return true;
}

/* The end of a frame. */
static void tw_finish(tw_client *c, tw_event *event)
{
    c->stage = TW_STAGE_HEADER;
    /* [9] beginning with WELCOME. */
    c->consumed += c->frame_bytes;
    if (c->frame_type != TW_DATA || tw_kind(c->frame_flags) != TW_KIND_SNAPSHOT || c->frame_flags & TW_FLAG_MORE) return;
    c->room->collecting = false;
    tw_about(c, event, TW_EVENT_SNAPSHOT);
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
        if (room->state == room->told) continue;
        event->type = TW_EVENT_ROOM;
        event->room = i;
        event->member = room->member;
        event->before = room->told;
        event->state = room->told = room->state;
        event->number = room->reason;
        return true;
    }
    return tw_tell_error(c, event);
}

#else /* not TICKWIRE_SENSOR */

/* Whether news of this room are for the application, and its messages may leave. */
static bool tw_shows(const tw_room *room)
{
    return room->wanted && !room->leave && room->phase == TW_PHASE_IN;
}

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
    c->out_len -= len;
    memmove(at, at + len, c->out_len - offset);
    if (offset < c->cursor) c->cursor -= len;
    if (offset < c->kept_len) c->kept_len -= len;
}

/* Whether the message at `offset`, which is not kept, is on its way already. */
static bool tw_leaves(const tw_client *c, size_t offset)
{
    return c->tx > 0 && offset == c->cursor;
}

/* Gives up what has not left: of one room, or of all where `handle` is 0. How many messages that were. One that is leaving goes on,
 * but with this connection only: the room's place may be another's by the next. */
static size_t tw_purge(tw_client *c, unsigned handle)
{
    size_t offset = c->kept_len, count = 0;
    while (offset < c->out_len) {
        tw_frame frame;
        size_t len = tw_peek(c, offset, &frame);
        bool leaves = tw_leaves(c, offset), meant = handle == 0 || frame.arg[0] == handle;
        if (meant && !leaves) {
            tw_remove(c, offset, len);
            count++;
        } else {
            if (meant) c->astray = true;
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

/* Chooses the next message that may leave: events and directs first, then values, as their rooms are joined. What has left stands
 * in its order, so it is brought to the front of what has not. False where there is none. */
static bool tw_select(tw_client *c)
{
    uint8_t *first = c->config.out + c->kept_len, *at;
    unsigned values;
    for (values = 0; values < 2; values++) {
        size_t offset = c->kept_len, len;
        for (; offset < c->out_len; offset += len) {
            tw_frame frame;
            len = tw_peek(c, offset, &frame);
            if ((tw_kind(frame.flags) == TW_KIND_VALUE) != values || !tw_shows(tw_by_handle(c, frame.arg[0]))) continue;
            at = c->config.out + offset;
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

/* Whether a room is to be joined, now or later. */
static bool tw_is_due(const tw_room *room)
{
    return room->wanted && room->phase <= TW_PHASE_HELD;
}

/* What is to be said of a room. False where there is nothing. */
static bool tw_ask(tw_client *c, tw_room *room, tw_frame *frame)
{
    frame->arg[0] = tw_handle_of(c, room);
    frame->request = 4 * frame->arg[0];
    if (room->leave) {
        if (room->phase == TW_PHASE_NONE || room->phase == TW_PHASE_LEAVING) {
            room->leave = false;
            return false;
        }
        /* Whether an earlier session goes on is not known before WELCOME. If so, what it sends again goes first [12.2]. */
        if (!c->welcomed || c->cursor < c->kept_len) return false;
        frame->command = TW_LEAVE;
        frame->request |= TW_ASKS_LEAVE;
        room->phase = TW_PHASE_LEAVING;
        room->leave = false;
        return true;
    }
    if (tw_is_due(room) && room->retry_in == 0) {
        frame->command = TW_JOIN;
        frame->arg[1] = room->mode & ~(unsigned)TW_ECHO;
        frame->text = tw_span((const uint8_t *)room->name, strlen(room->name));
        room->phase = TW_PHASE_ASKED;
        room->asked = 0;
        return true;
    }
    if (room->phase == TW_PHASE_IN && room->what != room->asked && c->capabilities & TW_CAN_RECEIVE) {
        frame->command = TW_RECEIVE;
        frame->request |= TW_ASKS_RECEIVE;
        frame->arg[1] = room->asked = room->what;
        frame->arg[2] = 1;
        return true;
    }
    return false;
}

/* What is to be said next. False where there is nothing. */
static bool tw_choose(tw_client *c, tw_frame *frame)
{
    unsigned i;
    if (c->closing != 0) {
        if (c->closing == TW_SAID) return false;
        frame->command = TW_CLOSE;
        frame->request = TW_REQUEST_CLOSE;
        frame->arg[0] = c->closing;
        c->closing = TW_SAID;
        return true;
    }
    if (!c->hello) {
        /* Any record, any frame: what is too large for `in` is skipped and told. */
        frame->command = TW_HELLO;
        frame->request = TW_REQUEST_HELLO;
        frame->arg[0] = TW_CAN_RESUME | TW_CAN_HISTORY | TW_CAN_RECEIVE | TW_CAN_TOKEN | TW_CAN_ACCEPTED;
        c->hello = true;
        return true;
    }
    if (c->ponging) {
        c->ponging = false;
        frame->type = TW_PING;
        frame->flags = TW_FLAG_ANSWER;
        frame->arg[0] = c->pong;
        return true;
    }
    for (i = 0; i < c->config.room_count; i++)
        if (tw_ask(c, &c->config.rooms[i], frame)) return true;
    if (!c->welcomed) return false;
    if (c->renew && c->capabilities & TW_CAN_TOKEN) {
        c->renew = false;
        frame->command = TW_TOKEN;
        frame->request = TW_REQUEST_TOKEN;
        frame->text = c->config.token;
        return true;
    }
    if (c->ping_in == 0) {
        /* Four at once for the clock, then one every 10 s (SPEC 7). */
        c->ping_in = 10000;
        if (c->pings < 3) {
            c->pings++;
            c->ping_in = 500;
        }
        frame->type = TW_PING;
        frame->arg[0] = c->now * 1000;
        return true;
    }
    return false;
}

/* What is known of a session, or of a room: bytes that the server gave, and a number. */
static void tw_put_known(tw_writer *out, uint8_t *bytes, size_t size, size_t len, uint64_t number)
{
    tw_writer known = tw_write(bytes, size, len);
    tw_put(&known, number);
    tw_put_extension(out, TW_EXT_KNOWN, tw_span(bytes, known.len));
}

/* The next command, one at a time, so that `control` need not hold more. */
static size_t tw_compose(tw_client *c)
{
    static const uint8_t magic[] = {0xd7, 0x54, 0x57, 1};
    tw_writer out = tw_write(c->config.control, c->config.control_size, 0);
    tw_frame frame;
    size_t start;
    memset(&frame, 0, sizeof frame);
    frame.type = TW_CONTROL;
    if (!tw_choose(c, &frame)) return 0;
    if (frame.type == TW_PING) {
        frame.arg[1] = c->consumed;
        frame.arg[2] = c->directs;
    }
    if (frame.command == TW_HELLO) tw_put_bytes(&out, tw_span(magic, sizeof magic));
    start = out.len;
    tw_encode(TW_FROM_CLIENT, &frame, &out);
    if (frame.command == TW_HELLO) {
        tw_put_extension(&out, TW_EXT_TOKEN, c->config.token);
        tw_put_extension(&out, TW_EXT_TEXT, tw_span((const uint8_t *)"tickwire.h", 10));
        if (c->resume[0] > 0) tw_put_known(&out, c->resume, sizeof c->resume, 1u + c->resume[0], c->directs);
    } else if (frame.command == TW_JOIN) {
        const tw_room *room = tw_by_handle(c, frame.arg[0]);
        if (room->known) {
            uint8_t since[16];
            tw_writer epoch = tw_write(since, sizeof since, 0);
            tw_put_fixed(&epoch, room->epoch, 8);
            tw_put_known(&out, since, sizeof since, 8, room->position);
        }
        tw_put_extension(&out, TW_EXT_SHOWN, room->presence);
    }
    tw_patch(&out, start);
    return out.len;
}

tw_bytes tw_output(tw_client *c)
{
    tw_frame frame;
    if (c->link == TW_LINK_OPEN && !c->shut) {
        if (c->control_len == 0 && c->tx == 0) c->control_len = tw_compose(c);
        if (c->control_len > 0) return tw_span(c->config.control + c->control_at, c->control_len - c->control_at);
        if (c->welcomed && !c->unconfirmed && (c->cursor < c->kept_len || c->tx > 0 || tw_select(c)))
            return tw_span(c->config.out + c->cursor + c->tx, tw_peek(c, c->cursor, &frame) - c->tx);
    }
    return tw_span(NULL, 0);
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
    c->astray = false;
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

/* The value with the key of `frame` that waits: its length, or 0. */
static size_t tw_find(const tw_client *c, const tw_frame *frame, size_t *found)
{
    size_t offset = c->kept_len, len;
    for (; offset < c->out_len; offset += len) {
        tw_frame old;
        len = tw_peek(c, offset, &old);
        *found = offset;
        if (tw_kind(old.flags) == TW_KIND_VALUE && old.arg[0] == frame->arg[0] && old.arg[1] == frame->arg[1] &&
            !tw_leaves(c, offset))
            return len;
    }
    return 0;
}

static tw_result tw_queue(tw_client *c, unsigned index, unsigned kind, uint64_t key, tw_bytes payload, unsigned options)
{
    const tw_room *room = tw_room_at(c, index);
    size_t found, found_len;
    tw_writer out;
    tw_frame frame;
    if (room == NULL || !room->wanted) return TW_NO_ROOM;
    if (payload.len > c->max_message) return TW_TOO_LARGE;
    memset(&frame, 0, sizeof frame);
    frame.type = TW_DATA;
    frame.flags = (uint8_t)(kind << 1 | (options & TW_URGENT));
    frame.arg[0] = (uint64_t)index + 1;
    frame.arg[1] = key;
    frame.rest = payload;
    /* Behind the others, for its length. */
    out = tw_write(c->config.out, c->config.out_size, c->out_len);
    tw_encode(TW_FROM_CLIENT, &frame, &out);
    if (out.len - c->out_len > out.size) return TW_TOO_LARGE;
    if (options & TW_DROP && !tw_shows(room)) return TW_DROPPED;
    /* Of a value only the last one waits (SPEC 5). */
    found_len = kind == TW_KIND_VALUE ? tw_find(c, &frame, &found) : 0;
    if (out.len - found_len > out.size) return options & TW_DROP ? TW_DROPPED : TW_FULL;
    if (found_len > 0) tw_remove(c, found, found_len);
    out.len = c->out_len;
    tw_encode(TW_FROM_CLIENT, &frame, &out);
    c->out_len = out.len;
    return TW_OK;
}

/* ------------------------------------------------------------------------------------------------- endings */

/* Forgets what belonged to this connection. `say`: the reason for a CLOSE; 0: it is broken, or closed already. */
static void tw_hang_up(tw_client *c, uint8_t say)
{
    unsigned i;
    tw_frame frame;
    /* What was leaving when its room was left. */
    if (c->astray) {
        tw_remove(c, c->cursor, tw_peek(c, c->cursor, &frame));
        c->astray = false;
        c->dropped++;
    }
    /* Within a frame there is no place for another. */
    if (c->link != TW_LINK_OPEN || !c->hello || c->tx > 0 || c->control_len > 0) say = 0;
    if (c->welcomed && c->steady_in == 0) c->tries = 0;
    c->closing = say;
    c->shut = say == 0 && c->link != TW_LINK_NONE;
    c->dead_in = 2000;
    c->hello = c->welcomed = c->ponging = false;
    c->in_len = c->drop = c->left = c->skip = c->tx = c->control_len = c->control_at = 0;
    c->stage = TW_STAGE_HEADER;
    c->renew = false;
    for (i = 0; i < c->config.room_count; i++) {
        tw_room *room = &c->config.rooms[i];
        if (room->phase == TW_PHASE_LEAVING) room->leave = true;
        if (room->phase != TW_PHASE_NONE) room->phase = TW_PHASE_HELD;
        if (room->state == TW_ROOM_JOINED) room->state = TW_ROOM_JOINING;
        room->outcome = TW_NO_OUTCOME;
    }
}

/* For good: leaves the rooms, and gives up what waits. What has left is told as unconfirmed (SPEC 4). */
static void tw_give_up(tw_client *c, uint32_t reason)
{
    unsigned i;
    c->state = TW_CLOSED;
    c->reason = reason;
    c->dropped += tw_purge(c, 0);
    c->cursor = 0;
    c->unconfirmed = c->kept_len > 0;
    c->sent_count = 0;
    for (i = 0; i < c->config.room_count; i++) {
        tw_room *room = &c->config.rooms[i];
        room->wanted = false;
        room->state = TW_ROOM_LEFT;
        room->reason = reason;
    }
}

/* The session is over, as the server or the line will have it: what follows from the reason, 0 where there is none. */
static void tw_over(tw_client *c, uint32_t reason, uint32_t told, uint8_t say)
{
    tw_hang_up(c, say);
    /* [12.2] a session that was closed is over, but for these. */
    if (say != 0 || (reason != 0 && reason != 3 && reason != 5)) c->resume[0] = 0;
    if (c->state != TW_CONNECTING && c->state != TW_CONNECTED) return;
    c->state = TW_CONNECTING;
    c->reason = reason;
    c->retry_in = 0;
    if (reason - 241 < 2 && c->config.renews && !c->asked_token) {
        c->asked_token = c->want_token = c->tell_token = true;
        return;
    }
    c->retry_in = tw_again(c, reason, told, &c->tries);
    if (c->retry_in == TW_NEVER) tw_give_up(c, reason);
}

/* --------------------------------------------------------------------------------------------- what has come */

/* Drops what has been accepted. False where the server says more than can be. */
static bool tw_accept(tw_client *c, uint64_t number)
{
    tw_frame frame;
    if (!(c->capabilities & TW_CAN_ACCEPTED)) return true;
    if (number - c->accepted > c->sent_count) return false;
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

TW_ONCE static tw_room *tw_by_id(tw_client *c, uint64_t id)
{
    unsigned i;
    for (i = 0; i < c->config.room_count; i++) {
        tw_room *room = &c->config.rooms[i];
        if (room->has_id && room->id == id) return room;
    }
    return NULL;
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
    tw_extension(frame->rest, TW_EXT_LOST, &content);
    in = tw_read(content);
    first = tw_get(&in);
    last = tw_get(&in);
    if (in.bad || last < first || last <= c->directs) return;
    c->directs_lost = first > c->directs ? first : c->directs + 1;
    c->directs = last;
}

/* Whether the session goes on, as WELCOME says, or another begins. False where it cannot. */
static bool tw_handle_session(tw_client *c, const tw_frame *frame)
{
    unsigned i;
    tw_bytes token;
    bool resumed = frame->arg[1] & 1;
    c->capabilities = (uint32_t)frame->arg[0];
    c->offset = frame->arg[3] - c->now * 1000;
    c->rtt = UINT32_MAX;
    c->samples = c->pings = 0;
    c->last_time = 0;
    c->ping_in = 0;
    c->cursor = 0;
    if (resumed) {
        if (c->resume[0] == 0 || !tw_accept(c, frame->arg[9])) return false;
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
    c->resume[0] = 0;
    tw_extension(frame->rest, TW_EXT_RESUME, &token);
    if (c->capabilities & TW_CAN_RESUME && token.len < sizeof c->resume - 8) {
        tw_writer out = tw_write(c->resume, sizeof c->resume, 0);
        tw_put_string(&out, token);
    }
    return true;
}

static bool tw_handle_welcome(tw_client *c, const tw_frame *frame)
{
    if (c->welcomed) return false;
    if (!tw_handle_session(c, frame)) return false;
    c->max_message = tw_most(frame->arg[5], 0xffff);
    c->ping_ms = tw_most(frame->arg[8], TW_LONGEST);
    c->consumed = 0;
    c->steady_in = 5000;
    c->welcomed = true;
    tw_alive(c);
    c->asked_token = false;
    c->state = TW_CONNECTED;
    c->reason = 0;
    return true;
}

static bool tw_handle_joined(tw_room *room, const tw_frame *frame)
{
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
        if (frame->arg[5] != room->epoch || frame->arg[6] != room->position) return false;
        room->outcome = TW_RECOVERED;
    } else {
        if (room->known && frame->arg[4] == 2 && frame->arg[5] == room->epoch && frame->arg[6] > room->position) {
            room->outcome = TW_LOST;
            room->lost_from = room->position + 1;
        }
        room->seen = 0;
    }
    room->epoch = frame->arg[5];
    room->position = frame->arg[6];
    /* Without receiving there is nothing to miss. */
    room->known = room->mode & TW_MODE_RECEIVE;
    room->state = TW_ROOM_JOINED;
    room->reason = 0;
    room->tries = 0;
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
    room->reason = tw_most(frame->arg[1], UINT32_MAX);
    room->state = TW_ROOM_JOINING;
    room->retry_in = tw_again(c, room->reason, tw_after(frame), &room->tries);
    if (room->retry_in == TW_NEVER) {
        room->wanted = false;
        room->known = false;
        room->state = TW_ROOM_LEFT;
        room->dropped = tw_purge(c, tw_handle_of(c, room));
    }
}

/* DONE or REFUSED: of what was asked of a room. */
static void tw_handle_answer(tw_client *c, const tw_frame *frame, tw_event *event)
{
    tw_room *room = tw_by_handle(c, frame->request >> 2);
    unsigned which = (unsigned)frame->request & 3;
    if (room == NULL) return;
    if (which == TW_ASKS_RECEIVE) {
        event->type = TW_EVENT_PAUSED;
        event->room = tw_handle_of(c, room) - 1;
        event->number = frame->arg[1];
    }
    if (frame->command == TW_DONE) return;
    if (which == TW_ASKS_JOIN && room->phase == TW_PHASE_ASKED) tw_refuse(c, room, frame);
    /* It had ended before, and what was joined since is asked for again. */
    if (which == TW_ASKS_LEAVE && room->phase == TW_PHASE_LEAVING) tw_forget(room);
}

static void tw_handle_refused(tw_client *c, const tw_frame *frame, tw_event *event)
{
    uint64_t number = frame->arg[0] - c->accepted;
    size_t offset = 0;
    tw_frame old;
    if (frame->arg[0] > 0) {
        event->type = TW_EVENT_REFUSED;
        event->number = frame->arg[1];
        event->position = frame->arg[0];
        /* What was accepted before is not here any more: a direct whose receiver has left [12.3]. */
        event->room = c->config.room_count;
        if (number == 0 || number > c->sent_count) return;
        while (--number > 0) offset += tw_peek(c, offset, &old);
        tw_tell_message(c, offset, event);
    } else if (frame->request == TW_REQUEST_TOKEN) {
        event->type = TW_EVENT_ERROR;
        event->state = TW_ERROR_TOKEN;
        event->number = frame->arg[1];
    } else {
        tw_handle_answer(c, frame, event);
    }
}

static bool tw_handle_gap(tw_room *room, const tw_frame *frame)
{
    uint64_t from = frame->arg[2], to = frame->arg[3];
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

static bool tw_handle_control(tw_client *c, tw_bytes payload, tw_event *event)
{
    tw_frame frame;
    tw_bytes content;
    tw_room *room;
    unsigned list;
    if (!tw_fields(TW_FROM_SERVER, TW_CONTROL, 0, payload, &frame)) return false;
    if (!tw_has_list(&frame)) return c->welcomed;
    list = tw_walk(frame.rest, 0, &content);
    /* Of a list that is longer than `in` the end is not here. */
    if (list == TW_LIST_BAD && c->left == 0) return false;
    if (frame.command == TW_CLOSE) {
        /* [3.3] it is obeyed whatever it says beside. */
        tw_tell_ending(c, &frame, event);
        return true;
    }
    if (!c->welcomed && frame.command != TW_WELCOME) return false;
    if (list == TW_LIST_ODD) return true;
    room = frame.command == TW_GAP ? tw_by_id(c, frame.arg[0]) : tw_by_handle(c, frame.arg[0]);
    switch (frame.command) {
    case TW_WELCOME: return tw_handle_welcome(c, &frame);
    case TW_JOINED: return room != NULL && tw_handle_joined(room, &frame);
    case TW_LEFT:
        if (room == NULL) return false;
        if (room->phase == TW_PHASE_LEAVING) tw_forget(room);
        else if (room->phase == TW_PHASE_IN) tw_refuse(c, room, &frame);
        break;
    case TW_REFUSED: tw_handle_refused(c, &frame, event); break;
    case TW_GAP: return room != NULL && tw_handle_gap(room, &frame);
    case TW_DONE: tw_handle_answer(c, &frame, event); break;
    case TW_ACCEPTED: return tw_accept(c, frame.arg[0]);
    case TW_GOING_AWAY:
        event->subject = tw_ext(&frame, TW_EXT_ADDRESS);
        /* [6.9] the time is exact, and whoever goes keeps no session. */
        tw_over(c, 100, tw_most(frame.arg[0], TW_LONGEST), 200);
        break;
    default: break;
    }
    return true;
}

static bool tw_handle_ping(tw_client *c, tw_bytes payload)
{
    tw_frame frame;
    if (!c->welcomed || !tw_decode(TW_FROM_SERVER, TW_PING, c->frame_flags, payload, &frame)) return false;
    if (!(c->frame_flags & TW_FLAG_ANSWER)) {
        c->ponging = true;
        c->pong = frame.arg[0];
    }
    if (c->frame_flags & TW_FLAG_ANSWER) {
        uint64_t now = c->now * 1000, since = now - frame.arg[0], trip = since - (frame.arg[3] - frame.arg[2]);
        /* [9] of what was never asked, nothing is learned. */
        if (frame.arg[0] <= now && trip <= since && (trip <= c->rtt || ++c->samples >= 8)) {
            uint64_t twice = frame.arg[2] + frame.arg[3] - frame.arg[0] - now;
            c->rtt = tw_most(trip, UINT32_MAX - 1);
            c->samples = 0;
            /* The sum may be negative: the half of it keeps its sign. */
            c->offset = twice / 2 | (twice & (uint64_t)1 << 63);
        }
        return tw_accept(c, frame.arg[4]);
    }
    return tw_accept(c, frame.arg[1]);
}

/* The head of a data frame [8.1]. */
static bool tw_handle_head(tw_client *c, tw_bytes head, tw_event *event)
{
    unsigned kind = tw_kind(c->frame_flags);
    tw_frame frame;
    tw_room *room;
    if (!tw_fields(TW_FROM_SERVER, TW_DATA, c->frame_flags, head, &frame)) return false;
    /* Compression is not offered. */
    if (c->frame_flags & TW_FLAG_COMPRESSED) return false;
    c->room = room = tw_by_id(c, frame.arg[0]);
    c->room_position = frame.arg[1];
    if (room == NULL) return false;
    tw_take(c, head.len - frame.rest.len);
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
            tw_about(c, event, TW_EVENT_SNAPSHOT);
            event->snapshot = true;
        }
        room->collecting = true;
    } else {
        /* [8.1] only the low 16 bits travel; within 32767 ticks of the last one there is one answer. */
        room->tick += (uint64_t)(int16_t)((unsigned)frame.arg[2] - (unsigned)room->tick);
    }
    return true;
}

/* A record whose payload is here, or is too large to be (NULL). */
static bool tw_handle_record(tw_client *c, const tw_record *record, tw_bytes payload, tw_event *event)
{
    static const uint8_t types[] = {TW_EVENT_MESSAGE, TW_EVENT_VALUE, TW_EVENT_PRESENCE, TW_EVENT_DIRECT, TW_EVENT_VALUE,
                                    TW_EVENT_PRESENCE};
    unsigned kind = tw_kind(c->frame_flags);
    tw_room *room = c->room;
    event->position = c->room_position;
    if (kind == TW_KIND_DIRECT) {
        if (c->room_position++ <= c->directs) return true;
        c->directs = event->position;
    } else if (kind == TW_KIND_EVENT || kind == TW_KIND_PRESENCE) {
        /* What was shown of a batch before its connection broke is not shown again (SPEC 4). */
        if (++room->run <= room->seen) return true;
        room->seen = room->run;
    }
    if (kind != TW_KIND_DIRECT && !tw_shows(room)) return true;
    /* One's own, but in a snapshot, which replaces everything. */
    if (kind <= TW_KIND_VALUE && record->member == room->member && !(room->mode & TW_ECHO)) return true;
    tw_about(c, event, types[kind]);
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
    if (event->type == TW_EVENT_PRESENCE) {
        tw_presence presence;
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
    unsigned kind = tw_kind(c->frame_flags);
    c->stage = TW_STAGE_HEADER;
    /* [9] beginning with WELCOME. */
    c->consumed += c->frame_bytes;
    if (c->frame_type != TW_DATA || kind > TW_KIND_MEMBERS || c->hidden || !tw_shows(c->room)) return;
    if (c->frame_flags & TW_FLAG_MORE) return;
    if (kind >= TW_KIND_SNAPSHOT) {
        c->room->collecting = false;
        tw_about(c, event, TW_EVENT_SNAPSHOT);
    }
    else if (kind == TW_KIND_EVENT || kind == TW_KIND_PRESENCE) {
        c->room->position = c->room_position;
        c->room->seen = c->room->run = 0;
    }
}

/* What is to be told of a room. */
static bool tw_tell_room(tw_room *room, tw_event *event)
{
    event->member = room->member;
    if (room->state != room->told) {
        event->type = TW_EVENT_ROOM;
        event->before = room->told;
        event->state = room->told = room->state;
        event->number = room->reason;
        event->dropped = room->dropped;
        room->dropped = 0;
    } else if (room->outcome != TW_NO_OUTCOME) {
        event->type = TW_EVENT_OUTCOME;
        event->state = room->outcome;
        event->key = room->lost_from;
        event->position = room->position;
        room->outcome = TW_NO_OUTCOME;
    }
    return event->type != TW_EVENT_NONE;
}

/* What is to be told before anything else is read. */
static bool tw_tell(tw_client *c, tw_event *event)
{
    if (c->state != c->told) {
        tw_tell_state(c, event);
        return true;
    }
    for (event->room = 0; event->room < c->config.room_count; event->room++)
        if (tw_tell_room(&c->config.rooms[event->room], event)) return true;
    if (tw_tell_error(c, event)) return true;
    if (c->tell_token) {
        event->type = TW_EVENT_TOKEN;
        c->tell_token = false;
    } else if (c->directs_lost > 0) {
        event->type = TW_EVENT_LOST_DIRECTS;
        event->key = c->directs_lost;
        event->position = c->directs;
        c->directs_lost = 0;
    } else if (c->unconfirmed) {
        event->type = TW_EVENT_UNCONFIRMED;
        tw_tell_message(c, 0, event);
        c->pop = true;
    }
    return event->type != TW_EVENT_NONE;
}

#endif /* TICKWIRE_SENSOR */

/* ------------------------------------------------------------------------------------------ bytes and pieces */

static bool tw_read_header(tw_client *c, const uint8_t *at)
{
    c->frame_type = at[0];
    c->frame_flags = at[3];
    c->drop += 4;
    c->left = (size_t)at[1] << 8 | at[2];
    c->frame_bytes = c->left + 4;
    if (c->frame_type == TW_CONTROL || c->frame_type == TW_PING) {
        c->stage = TW_STAGE_WHOLE;
    } else if (c->welcomed) {
        c->stage = TW_STAGE_HEAD;
        if (c->frame_type != TW_DATA || (TW_KINDS >> tw_kind(c->frame_flags) & 1) == 0) {
            /* [5] what is not known, or not for sensors, is skipped: its length is known. */
            c->stage = TW_STAGE_RECORDS;
            c->skip = c->left;
        }
    } else if (c->frame_type == TW_DATA) {
        return false;
    } else {
        /* No Tickwire server begins like this, and none will be here soon. */
        c->error = TW_ERROR_VERSION;
        tw_over(c, 206, TW_NEVER, 0);
    }
    return true;
}

static unsigned tw_read_record(tw_client *c, tw_bytes bytes, size_t have, tw_event *event)
{
    tw_reader in = tw_read(bytes);
    tw_record record = tw_get_record(&in, tw_kind(c->frame_flags));
    size_t head = bytes.len - in.left, len = (size_t)record.len;
    tw_bytes payload = tw_span(NULL, 0);
    if (in.bad || record.len > c->left - head) return TW_BAD;
    if (len <= c->config.in_size - head) {
        if (have < head + len) return TW_MORE;
        payload = tw_span(bytes.at + head, len);
        head += len;
    } else {
        c->skip = len;
    }
    tw_take(c, head);
    return tw_handle_record(c, &record, payload, event);
}

/* One piece of what has come: a header, a command, a record. False where more is needed. */
static bool tw_step(tw_client *c, tw_event *event)
{
    /* The most that one piece but a record has: a header; a command; two varints and two bytes; three varints. */
    static const uint8_t most[] = {4, 0, 18, 24};
    size_t have = c->in_len - c->drop, need = most[c->stage];
    tw_bytes piece;
    unsigned went;
    /* [9] the answer first, or the next ping would take its place. */
    if (c->ponging || c->closing != 0 || c->shut || c->link != TW_LINK_OPEN) return false;
    if (c->skip > 0) {
        need = c->skip < have ? c->skip : have;
        c->skip -= need;
        tw_take(c, need);
        return need > 0;
    }
    if (c->stage == TW_STAGE_WHOLE) need = c->config.in_size;
    if (c->stage != TW_STAGE_HEADER && need > c->left) need = c->left;
    if (have < need) return false;
    piece = tw_span(c->config.in + c->drop, need);
    if (c->stage == TW_STAGE_HEADER) {
        went = tw_read_header(c, piece.at);
    } else if (c->stage == TW_STAGE_WHOLE) {
        tw_take(c, need);
        c->skip = c->left;
        c->stage = TW_STAGE_RECORDS;
        went = c->frame_type == TW_PING ? tw_handle_ping(c, piece) : tw_handle_control(c, piece, event);
    } else if (c->stage == TW_STAGE_HEAD) {
        went = tw_handle_head(c, piece, event);
    } else if (need > 0) {
        went = tw_read_record(c, piece, have, event);
    } else {
        tw_finish(c, event);
        went = TW_WENT;
    }
    if (went == TW_BAD) {
        /* The server sent what cannot be read, or must not come. */
        event->type = TW_EVENT_NONE;
        c->error = TW_ERROR_PROTOCOL;
        tw_over(c, 0, TW_NEVER, 201);
        c->reason = 201;
    }
    return went != TW_MORE;
}

bool tw_next(tw_client *c, tw_event *event)
{
    memset(event, 0, sizeof *event);
#ifndef TICKWIRE_SENSOR
    if (c->pop) {
        tw_frame frame;
        c->pop = false;
        tw_remove(c, 0, tw_peek(c, 0, &frame));
        c->cursor = 0;
        c->unconfirmed = c->kept_len > 0;
        /* What was never written begins behind: its place is the front now. */
        if (!c->unconfirmed) c->cursor = c->kept_len;
    }
#endif
    while (!tw_tell(c, event)) {
        event->member = 0;
        event->room = 0;
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
    if (len > space) len = space;
    if (len == 0) return 0;
    c->in_len -= c->drop;
    memmove(c->config.in, c->config.in + c->drop, c->in_len);
    c->drop = 0;
    memcpy(c->config.in + c->in_len, bytes, len);
    c->in_len += len;
    c->unread = true;
#ifndef TICKWIRE_SENSOR
    c->slept = false;
#endif
    tw_alive(c);
    return len;
}

/* -------------------------------------------------------------------------------------- what the caller wants */

bool tw_init(tw_client *c, const tw_config *config)
{
    memset(c, 0, sizeof *c);
    c->config = *config;
    c->random = config->seed != 0 ? config->seed : 1;
    memset(config->rooms, 0, config->room_count * sizeof *config->rooms);
#ifdef TICKWIRE_SENSOR
    return config->in_size >= TW_IN_MIN && config->out_size >= TW_CONTROL_MIN(config->token.len, 0);
#else
    c->max_message = 0xffff;
    return config->in_size >= TW_IN_MIN && tw_set_token(c, config->token);
#endif
}

tw_action tw_poll(tw_client *c, uint64_t now)
{
    unsigned i;
#ifdef TICKWIRE_SENSOR
    /* Its low 32 bits do: seven weeks. */
    uint32_t passed = (uint32_t)now - c->now;
    c->now = (uint32_t)now;
#else
    uint32_t passed = tw_most(now - c->now, UINT32_MAX);
    /* So late is who slept. */
    bool late = passed >= c->dead_in + 5000;
    tw_pass(&c->ping_in, passed);
    c->now = now;
#endif
    tw_pass(&c->retry_in, passed);
    tw_pass(&c->dead_in, passed);
    tw_pass(&c->steady_in, passed);
    for (i = 0; i < c->config.room_count; i++) tw_pass(&c->config.rooms[i].retry_in, passed);
    if (c->link == TW_LINK_NONE) {
        if (c->state != TW_CONNECTING || c->state != c->told || c->retry_in > 0) return TW_NOTHING;
#ifndef TICKWIRE_SENSOR
        if (c->want_token) return TW_NOTHING;
#endif
        c->link = TW_LINK_OPENING;
        c->dead_in = 10000;
        return TW_OPEN;
    }
    if (c->dead_in == 0 && !c->shut) {
        if (c->closing != 0) {
            c->shut = true;
#ifndef TICKWIRE_SENSOR
        } else if (late && c->welcomed && !c->slept) {
            /* The server is asked (SPEC 2), and once, until it says something. */
            c->slept = true;
            c->ping_in = 0;
            c->dead_in = 5000;
#endif
        } else {
            tw_over(c, 0, TW_NEVER, 0);
        }
    }
    return c->shut ? TW_SHUT : TW_NOTHING;
}

uint32_t tw_wait(const tw_client *c)
{
    uint32_t wait = 60000;
    unsigned i;
    if (c->unread && !c->ponging && c->in_len > c->drop) return 0;
    if (c->link == TW_LINK_NONE) {
#ifndef TICKWIRE_SENSOR
        if (c->want_token) return wait;
#endif
        return c->state == TW_CONNECTING ? tw_most(c->retry_in, wait) : wait;
    }
    wait = tw_most(c->dead_in, wait);
    if (!c->welcomed) return wait;
#ifndef TICKWIRE_SENSOR
    wait = tw_most(c->ping_in, wait);
#endif
    for (i = 0; i < c->config.room_count; i++) {
        const tw_room *room = &c->config.rooms[i];
        if (tw_is_due(room)) wait = tw_most(room->retry_in, wait);
    }
    return wait;
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
    if (broke) tw_over(c, 0, TW_NEVER, 0);
}

void tw_connect(tw_client *c)
{
    if (c->state != TW_DISCONNECTED) return;
    c->state = TW_CONNECTING;
    c->retry_in = 0;
    c->tries = 0;
    c->reason = 0;
#ifndef TICKWIRE_SENSOR
    c->asked_token = c->want_token = false;
#endif
}

void tw_disconnect(tw_client *c)
{
    if (c->state == TW_CLOSED || c->state == TW_DISCONNECTED) return;
    c->state = TW_DISCONNECTED;
    c->reason = 200;
#ifndef TICKWIRE_SENSOR
    c->resume[0] = 0;
#endif
    tw_hang_up(c, 200);
}

void tw_close(tw_client *c)
{
    if (c->state == TW_CLOSED) return;
    tw_disconnect(c);
    tw_give_up(c, 200);
}

tw_result tw_publish(tw_client *c, unsigned room, tw_bytes payload, unsigned options)
{
    return tw_queue(c, room, TW_KIND_EVENT, 0, payload, options);
}

tw_result tw_set(tw_client *c, unsigned room, uint64_t key, tw_bytes payload, unsigned options)
{
    return tw_queue(c, room, TW_KIND_VALUE, key * 2, payload, options);
}

#ifndef TICKWIRE_SENSOR
tw_result tw_set_room(tw_client *c, unsigned room, uint64_t key, tw_bytes payload, unsigned options)
{
    return tw_queue(c, room, TW_KIND_VALUE, key * 2 + 1, payload, options);
}
#endif

size_t tw_pending(const tw_client *c)
{
    return c->out_len;
}

bool tw_join(tw_client *c, unsigned index, const char *name, uint8_t mode, tw_bytes presence)
{
    tw_room *room = tw_room_at(c, index);
    if (room == NULL || c->state == TW_CLOSED || strlen(name) > 64) return false;
#ifdef TICKWIRE_SENSOR
    if (room->state != TW_ROOM_LEFT || TW_CONTROL_MIN(0, presence.len) > c->config.out_size) return false;
    room->asked = false;
#else
    if (room->wanted || TW_CONTROL_MIN(0, presence.len) > c->config.control_size) return false;
    room->wanted = true;
    room->what = 0;
#endif
    room->name = name;
    room->mode = mode;
    room->presence = presence;
    room->state = TW_ROOM_JOINING;
    room->retry_in = 0;
    room->tries = 0;
    room->reason = 0;
    return true;
}

#ifndef TICKWIRE_SENSOR
tw_result tw_send(tw_client *c, unsigned room, uint64_t member, tw_bytes payload, unsigned options)
{
    return tw_queue(c, room, TW_KIND_DIRECT, member, payload, options);
}

void tw_leave(tw_client *c, unsigned index)
{
    tw_room *room = tw_room_at(c, index);
    if (room == NULL || !room->wanted) return;
    room->wanted = false;
    room->leave = room->phase != TW_PHASE_NONE && room->phase != TW_PHASE_LEAVING;
    room->state = TW_ROOM_LEFT;
    room->reason = 200;
    room->outcome = TW_NO_OUTCOME;
    room->dropped = tw_purge(c, index + 1);
    room->known = false;
}

void tw_pause(tw_client *c, unsigned index, bool paused)
{
    tw_room *room = tw_room_at(c, index);
    /* [6.11] 2 is nothing, 0 is all. */
    if (room != NULL) room->what = paused ? 2 : 0;
}

bool tw_set_token(tw_client *c, tw_bytes token)
{
    if (TW_CONTROL_MIN(token.len, 0) > c->config.control_size) return false;
    c->config.token = token;
    c->want_token = false;
    c->renew = c->welcomed;
    return true;
}

uint64_t tw_server_time(tw_client *c)
{
    uint64_t time = c->now * 1000 + c->offset;
    if (c->welcomed && time > c->last_time) c->last_time = time;
    return c->last_time;
}

#endif

#endif /* TICKWIRE_CODEC_ONLY */

#ifdef __cplusplus
}
#endif
#endif /* TICKWIRE_IMPLEMENTATION */
