/* A sensor: sets a value and publishes an event every so often, and comes back when its connection breaks.
 *
 *   cc -std=c99 -Os -o publisher examples/publisher.c
 *   ./publisher 127.0.0.1 7071 sensors/kitchen          for ever, one reading a second
 *   ./publisher 127.0.0.1 7071 sensors/kitchen 20 50    twenty readings, one every 50 ms; ends when all are accepted
 *
 * All memory is in the static variables below. Written for POSIX sockets; on a device only `now`, `dial`, and the calls of
 * poll, recv and send are different.
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

static uint8_t in[512], out[2048], control[TW_CONTROL_MIN(0, 16)];
static tw_room rooms[1];
static tw_client client;

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

static tw_bytes text(const char *from)
{
    tw_bytes bytes = {(const uint8_t *)from, strlen(from)};
    return bytes;
}

/* A socket that does not block, or -1. The connection itself is waited for, which a device with more to do would not. */
static int dial(const char *host, const char *port)
{
    struct addrinfo hints, *found;
    int fd = -1, one = 1;
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

/* Everything that has happened. Events of others would be here too, had we joined to receive. */
static void show(void)
{
    static const char *const states[] = {"disconnected", "connecting", "connected", "closed"};
    tw_event event;
    while (tw_next(&client, &event)) {
        if (event.type == TW_EVENT_STATE) printf("%s, reason %u\n", states[event.state], (unsigned)event.number);
        if (event.type == TW_EVENT_REFUSED) printf("refused: reason %u\n", (unsigned)event.number);
        if (event.type == TW_EVENT_UNCONFIRMED) printf("nobody knows whether a reading arrived\n");
    }
    fflush(stdout);
}

/* Reads and writes until neither goes on. False where the connection is gone. */
static bool transfer(int fd)
{
    uint8_t chunk[256];
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

int main(int argc, char **argv)
{
    unsigned long count = argc > 4 ? strtoul(argv[4], NULL, 10) : 0, every = argc > 5 ? strtoul(argv[5], NULL, 10) : 1000;
    unsigned long made = 0;
    uint64_t due;
    tw_config config;
    int fd = -1;
    if (argc < 4) {
        fprintf(stderr, "usage: %s host port room [count [milliseconds]]\n", argv[0]);
        return 2;
    }
    memset(&config, 0, sizeof config);
    config.in = in, config.in_size = sizeof in;
    config.out = out, config.out_size = sizeof out;
    config.control = control, config.control_size = sizeof control;
    config.rooms = rooms, config.room_count = 1;
    config.seed = (uint32_t)getpid() * 2654435761u | 1;
    due = now();
    tw_init(&client, &config);
    tw_poll(&client, due);
    tw_connect(&client);
    if (!tw_join(&client, 0, argv[3], TW_MODE_PUBLISH, text("a sensor"))) return 2;
    for (;;) {
        struct pollfd ready = {-1, POLLIN, 0};
        uint64_t time = now(), wait;
        tw_action action = tw_poll(&client, time);
        if (action == TW_OPEN) {
            if ((fd = dial(argv[1], argv[2])) >= 0) tw_opened(&client);
            else tw_lost(&client);
        }
        if (time >= due && (count == 0 || made < count)) {
            char reading[64];
            int len = snprintf(reading, sizeof reading, "%lu", made);
            tw_bytes bytes = {(const uint8_t *)reading, (size_t)len};
            due += every;
            /* A reading that finds no place in `out` comes again in the next round. */
            if (tw_publish(&client, 0, bytes, 0) == TW_OK) {
                tw_set(&client, 0, 0, bytes, 0);
                made++;
            }
        }
        /* Everything has arrived. */
        if (count > 0 && made == count && tw_pending(&client) == 0) tw_close(&client);
        if (fd >= 0 && (action == TW_SHUT || !transfer(fd))) {
            close(fd);
            fd = -1;
            tw_lost(&client);
        }
        show();
        if (client.state == TW_CLOSED && fd < 0) return client.reason == 200 ? 0 : 1;
        wait = tw_wait(&client);
        if ((count == 0 || made < count) && due < time + wait) wait = due > time ? due - time : 0;
        ready.fd = fd;
        if (fd >= 0 && tw_output(&client).len > 0) ready.events |= POLLOUT;
        poll(&ready, fd >= 0, (int)wait);
    }
}
