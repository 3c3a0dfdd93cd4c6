/* SPDX-License-Identifier: MIT
 *
 * A stand-in for qmnd and qmn that behaves as badly as FAKE says: tools/node.sh must cope.
 *   (nothing)  ready at once     die     exits at once with a message
 *   unready    answers 503       stuck   ignores SIGTERM
 * It hides its program link as qmnd does, and leaves an admin key in its data directory.  Called
 * with `demo`, it says so. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
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

/* As the first start of a node does. */
static void leave_key(const char *dir)
{
    char path[4096];
    mkdir(dir, 0700);
    snprintf(path, sizeof path, "%s/admin-key", dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, "the key\n", 8) < 0)
        perror(path);
    close(fd);
}

int main(int argc, char **argv)
{
    const char *mode = getenv("FAKE") ? getenv("FAKE") : "";
    int port = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "demo") == 0) {
            printf("demo over %s with the key in %s\n", getenv("QMN_URL"), getenv("QMN_DATA_DIR"));
            return 0;
        }
        if (strcmp(argv[i], "--data-dir") == 0 && i + 1 < argc)
            leave_key(argv[i + 1]);
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
