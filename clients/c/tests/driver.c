/* A client that is told what to do by lines, and tells by lines what happened: what conformance.py plays the scenarios with.
 *
 *   driver host port out_bytes renews
 *   in:  connect | disconnect | close | token T | join N mode | leave N | pause N | unpause N
 *        publish N drop hex | set N key hex
 *   out: state S reason | room N S reason | outcome N O | event N hex | value N member key snapshot hex | snapshot N begins kind
 *        presence N member state snapshot | done N | refused reason | unconfirmed hex | error E | token | result R
 *
 * Compiled with TICKWIRE_SENSOR it is the sensor: no leave, no pause, and a token only before it connects.
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TICKWIRE_IMPLEMENTATION
#include "../tickwire.h"

#define ROOMS 8

/* Small, so that frames come in pieces; the scenario of a slow client sends 8000 bytes at once. */
static uint8_t in[8100], out[16384], message[8192];
static tw_room rooms[ROOMS];
static char names[ROOMS][65], token[4001], line[16384];
static tw_client client;
static tw_config config;
static size_t line_len;
#ifndef TICKWIRE_SENSOR
static uint8_t control[TW_CONTROL_MIN(4000, 0)];
#endif

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

static int dial(const char *host, const char *port)
{
    struct addrinfo hints, *found;
    int fd, one = 1;
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(host, port, &hints, &found) != 0) return -1;
    fd = socket(found->ai_family, SOCK_STREAM, 0);
    if (fd >= 0 && (connect(fd, found->ai_addr, found->ai_addrlen) != 0 || fcntl(fd, F_SETFL, O_NONBLOCK) != 0)) {
        close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    if (fd >= 0) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void print_hex(tw_bytes bytes)
{
    size_t i;
    putchar(' ');
    for (i = 0; i < bytes.len; i++) printf("%02x", bytes.at[i]);
    putchar('\n');
}

static void show_event(const tw_event *event)
{
    static const char *const states[] = {"disconnected", "connecting", "connected", "closed"};
    static const char *const room_states[] = {"left", "joining", "joined"};
    static const char *const outcomes[] = {"", "recovered", "gap", "snapshot"};
    static const char *const errors[] = {"", "protocol", "version", "token"};
    const char *name = event->room < ROOMS ? names[event->room] : "";
    unsigned long member = (unsigned long)event->member, key = (unsigned long)event->key, number = (unsigned long)event->number;
    switch (event->type) {
    case TW_EVENT_STATE: printf("state %s %lu\n", states[event->state], number); break;
    case TW_EVENT_ROOM:
        printf("room %s %s %lu\n", name, room_states[event->state], number);
#ifdef TICKWIRE_SENSOR
        /* What being joined says there. */
        if (event->state == TW_ROOM_JOINED) printf("outcome %s snapshot\n", name);
#endif
        break;
    case TW_EVENT_OUTCOME: printf("outcome %s %s\n", name, outcomes[event->state]); break;
    case TW_EVENT_MESSAGE: printf("event %s", name); print_hex(event->payload); break;
    case TW_EVENT_VALUE:
        printf("value %s %lu %lu %d", name, member, key, event->snapshot);
        print_hex(event->payload);
        break;
    case TW_EVENT_SNAPSHOT: printf("snapshot %s %d %u\n", name, event->snapshot, event->kind); break;
    case TW_EVENT_PRESENCE: printf("presence %s %lu %u %d\n", name, member, event->state, event->snapshot); break;
    case TW_EVENT_PAUSED: printf("done %s\n", name); break;
    case TW_EVENT_REFUSED: printf("refused %lu\n", number); break;
    case TW_EVENT_UNCONFIRMED: printf("unconfirmed"); print_hex(event->payload); break;
    case TW_EVENT_ERROR: printf("error %s\n", errors[event->state]); break;
    case TW_EVENT_TOKEN: printf("token\n"); break;
    default: break;
    }
}

static void show(void)
{
    tw_event event;
    while (tw_next(&client, &event)) show_event(&event);
    fflush(stdout);
}

static bool transfer(int fd)
{
    uint8_t chunk[1000];
    size_t space;
    ssize_t len;
    tw_bytes ready;
    while ((space = tw_space(&client)) > 0) {
        len = recv(fd, chunk, space < sizeof chunk ? space : sizeof chunk, 0);
        if (len < 0 && errno == EAGAIN) break;
        if (len <= 0) return false;
        tw_feed(&client, chunk, (size_t)len);
        show();
    }
    while ((ready = tw_output(&client)).len > 0) {
        len = send(fd, ready.at, ready.len, MSG_NOSIGNAL);
        if (len < 0) return errno == EAGAIN;
        tw_written(&client, (size_t)len);
        show();
    }
    return true;
}

/* The index of a room's name, which keeps its place. */
static unsigned room_of(const char *name)
{
    unsigned i;
    for (i = 0; i < ROOMS; i++) {
        if (names[i][0] == 0) snprintf(names[i], sizeof names[i], "%s", name);
        if (strcmp(names[i], name) == 0) return i;
    }
    return ROOMS;
}

static tw_bytes bytes_of(const char *hex)
{
    size_t len = 0;
    unsigned byte;
    while (hex != NULL && len < sizeof message && sscanf(hex + 2 * len, "%2x", &byte) == 1) message[len++] = (uint8_t)byte;
    return tw_span(message, len);
}

static void print_result(tw_result result)
{
    static const char *const results[] = {"ok", "queue-full", "too-large", "dropped", "no-room"};
    printf("result %s\n", results[result]);
}

static void obey(char *command)
{
    char *word = strtok(command, " "), *first = strtok(NULL, " "), *second = strtok(NULL, " "), *third = strtok(NULL, " ");
    unsigned room;
    if (word == NULL) return;
    if (strcmp(word, "connect") == 0) tw_connect(&client);
    if (strcmp(word, "disconnect") == 0) tw_disconnect(&client);
    if (strcmp(word, "close") == 0) tw_close(&client);
    if (strcmp(word, "token") == 0 && first != NULL) {
        snprintf(token, sizeof token, "%s", first);
#ifdef TICKWIRE_SENSOR
        config.token = tw_span((const uint8_t *)token, strlen(token));
        tw_init(&client, &config);
#else
        tw_set_token(&client, tw_span((const uint8_t *)token, strlen(token)));
#endif
        return;
    }
    if (first == NULL || (room = room_of(first)) == ROOMS) return;
    if (strcmp(word, "join") == 0 && second != NULL)
        tw_join(&client, room, names[room], (uint8_t)atoi(second), tw_span(NULL, 0));
#ifndef TICKWIRE_SENSOR
    if (strcmp(word, "leave") == 0) tw_leave(&client, room);
    if (strcmp(word, "pause") == 0) tw_pause(&client, room, true);
    if (strcmp(word, "unpause") == 0) tw_pause(&client, room, false);
#endif
    if (strcmp(word, "publish") == 0 && second != NULL)
        print_result(tw_publish(&client, room, bytes_of(third), (unsigned)atoi(second)));
    if (strcmp(word, "set") == 0 && second != NULL)
        print_result(tw_set(&client, room, (uint64_t)atoi(second), bytes_of(third), 0));
}

/* False at the end of the input. */
static bool read_commands(void)
{
    ssize_t len = read(0, line + line_len, sizeof line - 1 - line_len);
    char *end;
    if (len <= 0) return false;
    line_len += (size_t)len;
    line[line_len] = 0;
    while ((end = strchr(line, '\n')) != NULL) {
        *end++ = 0;
        obey(line);
        line_len -= (size_t)(end - line);
        memmove(line, end, line_len + 1);
    }
    return true;
}

int main(int argc, char **argv)
{
    int fd = -1;
    if (argc < 5) return 2;
    config.in = in, config.in_size = sizeof in;
    config.out = out, config.out_size = (size_t)atoi(argv[3]);
#ifdef TICKWIRE_SENSOR
    config.out_size = sizeof out;
#else
    config.control = control, config.control_size = sizeof control;
    config.renews = atoi(argv[4]) != 0;
#endif
    config.rooms = rooms, config.room_count = ROOMS;
    config.seed = (uint32_t)getpid() * 2654435761u | 1;
    if (config.out_size > sizeof out || !tw_init(&client, &config)) return 2;
    for (;;) {
        struct pollfd ready[2] = {{0, POLLIN, 0}, {-1, POLLIN, 0}};
        tw_action action = tw_poll(&client, now());
        if (action == TW_OPEN) {
            if ((fd = dial(argv[1], argv[2])) >= 0) tw_opened(&client);
            else tw_lost(&client);
        }
        if (fd >= 0 && (action == TW_SHUT || !transfer(fd))) {
            close(fd);
            fd = -1;
            tw_lost(&client);
        }
        show();
        ready[1].fd = fd;
        if (fd >= 0 && tw_output(&client).len > 0) ready[1].events |= POLLOUT;
        poll(ready, 2, (int)tw_wait(&client));
        if (ready[0].revents != 0 && (tw_poll(&client, now()), !read_commands())) return 0;
    }
}
