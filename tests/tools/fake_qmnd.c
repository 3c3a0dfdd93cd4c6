/* SPDX-License-Identifier: MIT
 *
 * A stand-in for qmnd and qmn that behaves as badly as FAKE says: tools/node.sh must cope.
 *   (nothing)  ready at once     die     exits at once with a message
 *   unready    answers 503       stuck   ignores SIGTERM
 * It hides its program link as qmnd does.  Called with `demo`, it says so. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int serve(int port, const char *answer)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 16) != 0) {
        perror("bind");
        return 4;
    }
    for (;;) {
        char room[1024] = "";
        size_t len = 0;
        int c = accept(fd, NULL, NULL);
        if (c < 0)
            continue;
        while (len < sizeof room - 1 && !strstr(room, "\r\n\r\n")) {
            ssize_t n = read(c, room + len, sizeof room - 1 - len);
            if (n <= 0)
                break;
            len += (size_t)n;
        }
        if (write(c, answer, strlen(answer)) < 0)
            perror("write");
        close(c);
    }
}

int main(int argc, char **argv)
{
    const char *mode = getenv("FAKE") ? getenv("FAKE") : "";
    int port = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "demo") == 0) {
            printf("demo over %s\n", getenv("QMN_URL"));
            return 0;
        }
        if (strcmp(argv[i], "--listen") == 0 && i + 1 < argc)
            port = (int)strtol(strrchr(argv[i + 1], ':') + 1, NULL, 10);
    }
    if (strcmp(mode, "die") == 0) {
        fprintf(stderr, "level=error event=\"the disk is on fire\"\n");
        return 3;
    }
    if (strcmp(mode, "stuck") == 0)
        signal(SIGTERM, SIG_IGN);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    fprintf(stderr, "level=info event=\"listening\"\n");
    return serve(port, strcmp(mode, "unready") == 0
                           ? "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
                           : "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}
