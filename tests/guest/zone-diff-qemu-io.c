/*
 * A zoned disk that is used through the commands of qemu-io
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * qemu-io reads its commands from a pipe, and its answer to each ends in the
 * prompt for the next.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "zone-diff-qemu-io.h"

#define PROMPT "qemu-io> "
#define MAX_ANSWER (256 * 1024)

struct QemuIo {
    FILE *commands;
    int answers;
    char answer[MAX_ANSWER];
    char data_file[64];
};

static void __attribute__((noreturn, format(printf, 1, 2)))
die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    printf("qemu-io: ");
    vprintf(format, args);
    va_end(args);
    printf("\n");
    exit(2);
}

/* Read up to the next prompt, and cut that off */
static void read_answer(QemuIo *q)
{
    size_t len = 0, end = strlen(PROMPT);

    do {
        ssize_t n = read(q->answers, q->answer + len, MAX_ANSWER - 1 - len);

        if (n <= 0) {
            q->answer[len] = '\0';
            die("no prompt behind this: %s", q->answer);
        }
        len += n;
    } while (len < end || memcmp(q->answer + len - end, PROMPT, end));
    q->answer[len - end] = '\0';
}

QemuIo *qemu_io_start(const char *command)
{
    QemuIo *q = calloc(1, sizeof(*q));
    int in[2], out[2];
    pid_t pid;

    if (!q || pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0) {
        die("%s", strerror(errno));
    }
    pid = fork();
    if (pid < 0) {
        die("%s", strerror(errno));
    }
    if (pid == 0) {
        dup2(in[0], STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        dup2(out[1], STDERR_FILENO);
        execl("/bin/sh", "sh", "-c", command, NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    q->commands = fdopen(in[1], "w");
    q->answers = out[0];
    snprintf(q->data_file, sizeof(q->data_file), "/tmp/zone-diff.%ld",
             (long)getpid());
    read_answer(q);
    return q;
}

static void __attribute__((format(printf, 2, 3)))
run(QemuIo *q, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vfprintf(q->commands, format, args);
    va_end(args);
    fputc('\n', q->commands);
    if (fflush(q->commands)) {
        die("%s", strerror(errno));
    }
    read_answer(q);
}

/* The errors of the last command */
static int result(const QemuIo *q)
{
    if (!strstr(q->answer, " failed: ")) {
        return 0;
    }
    if (strstr(q->answer, "too many zones are open")) {
        return -ETOOMANYREFS;
    }
    if (strstr(q->answer, "too many zones are active")) {
        return -EOVERFLOW;
    }
    return -EIO;
}

/* For commands that print only errors; what is none of those ends the test */
static int quiet_result(const QemuIo *q)
{
    int ret = result(q);

    if (ret == 0 && *q->answer) {
        die("unexpected: %s", q->answer);
    }
    return ret;
}

int qemu_io_write(QemuIo *q, const void *data, uint64_t offset, size_t bytes)
{
    FILE *f = fopen(q->data_file, "w");

    if (!f || fwrite(data, 1, bytes, f) != bytes || fclose(f)) {
        die("%s: %s", q->data_file, strerror(errno));
    }
    run(q, "write -q -s %s %" PRIu64 " %zu", q->data_file, offset, bytes);
    return quiet_result(q);
}

/* Lines as '00000000:  cd cd ... cd  ................' */
static size_t parse_dump(const char *line, uint8_t *data, size_t bytes)
{
    size_t done = 0;

    while (line && *line) {
        int i, len = 0;

        if (sscanf(line, "%*[0-9a-f]:  %n", &len) == 0 && len) {
            line += len;
            for (i = 0; i < 16 && done < bytes; i++) {
                if (sscanf(line, "%2hhx %n", &data[done], &len) != 1) {
                    die("not a line of a dump: %s", line);
                }
                line += len;
                done++;
            }
        }
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    return done;
}

int qemu_io_read(QemuIo *q, uint8_t *data, uint64_t offset, size_t bytes)
{
    int ret;

    if (bytes > QEMU_IO_MAX_READ) {
        die("%zu bytes are too many to read", bytes);
    }
    run(q, "read -v %" PRIu64 " %zu", offset, bytes);
    ret = result(q);
    if (ret == 0 && parse_dump(q->answer, data, bytes) != bytes) {
        die("not as much data as asked for: %s", q->answer);
    }
    return ret;
}

int qemu_io_operate(QemuIo *q, const char *command, uint64_t offset,
                    uint64_t bytes)
{
    run(q, "%s %" PRIu64 " %" PRIu64, command, offset, bytes);
    return quiet_result(q);
}

unsigned int qemu_io_report(QemuIo *q, struct blk_zone *zones,
                            unsigned int max)
{
    unsigned int n = 0;
    const char *line;

    run(q, "zone_report 0 %u", max);
    for (line = q->answer; *line; line = strchr(line, '\n') + 1) {
        struct blk_zone z = { 0 };
        unsigned int cond, type;

        if (n == max ||
            sscanf(line, "start: 0x%llx, len 0x%llx, cap 0x%llx, wptr 0x%llx, "
                   "zcond:%u, [type: %u]", &z.start, &z.len, &z.capacity,
                   &z.wp, &cond, &type) != 6 || !strchr(line, '\n')) {
            die("not a zone: %s", line);
        }
        z.cond = cond;
        z.type = type;
        zones[n++] = z;
    }
    return n;
}
