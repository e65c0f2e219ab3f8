/*
 * How many zone appends a second an NVMe namespace takes by passthrough
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * usage: zone-append DISK PROCESSES SECONDS
 *
 * Each process appends 4 KiB at a time to zones of its own, one command in
 * flight, and resets them when they are full.  Blocks must have 512 bytes.
 */

#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/blkzoned.h>
#include <linux/nvme_ioctl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 512
#define LENGTH 4096
#define RESET 4

enum {
    ZONE_MGMT_SEND = 0x79,
    ZONE_APPEND = 0x7d,
    ZONE_FULL = 0x1b9,
    ZONE_BOUNDARY = 0x1b8,
    STATUS_CODE = 0x7ff,
};

static void *data;

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

/* Returns the status of the command */
static int zone_command(int fd, uint8_t opcode, uint64_t lba)
{
    struct nvme_passthru_cmd cmd = {
        .opcode = opcode,
        .nsid = ioctl(fd, NVME_IOCTL_ID),
        .cdw10 = lba,
        .cdw11 = lba >> 32,
    };
    int ret;

    if (opcode == ZONE_APPEND) {
        cmd.addr = (uintptr_t)data;
        cmd.data_len = LENGTH;
        cmd.cdw12 = LENGTH / BLOCK - 1;
    } else {
        cmd.cdw13 = RESET;
    }
    ret = ioctl(fd, NVME_IOCTL_IO_CMD, &cmd);
    if (ret < 0) {
        err(1, "command 0x%x", opcode);
    }
    return ret & STATUS_CODE;
}

static uint64_t append_until(int fd, uint64_t lba, double end)
{
    uint64_t nr = 0;

    while (nr % 64 || now() < end) {
        int status = zone_command(fd, ZONE_APPEND, lba);

        if (status == ZONE_FULL || status == ZONE_BOUNDARY) {
            status = zone_command(fd, ZONE_MGMT_SEND, lba);
            nr--;
        }
        if (status) {
            errx(1, "status 0x%x at block 0x%llx", status,
                 (unsigned long long)lba);
        }
        nr++;
    }
    return nr;
}

int main(int argc, char **argv)
{
    const int processes = argc == 4 ? atoi(argv[2]) : 0;
    const double seconds = argc == 4 ? atof(argv[3]) : 0;
    uint64_t *counts, sum = 0;
    uint32_t zone_size;
    double begin;
    int fd, i;

    if (processes < 1 || seconds <= 0) {
        errx(2, "usage: zone-append DISK PROCESSES SECONDS");
    }
    fd = open(argv[1], O_RDWR);
    if (fd < 0 || ioctl(fd, BLKGETZONESZ, &zone_size) < 0) {
        err(1, "%s", argv[1]);
    }
    counts = mmap(NULL, processes * sizeof(*counts), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    data = aligned_alloc(LENGTH, LENGTH);
    if (counts == MAP_FAILED || !data) {
        err(1, "memory");
    }
    begin = now();
    for (i = 0; i < processes; i++) {
        switch (fork()) {
        case -1:
            err(1, "fork");
        case 0:
            counts[i] = append_until(fd, (uint64_t)i * zone_size,
                                     begin + seconds);
            _exit(0);
        }
    }
    for (i = 0; i < processes; i++) {
        int status;

        if (wait(&status) < 0 || status) {
            errx(1, "a process failed");
        }
    }
    for (i = 0; i < processes; i++) {
        sum += counts[i];
    }
    printf("%.0f\n", sum / (now() - begin));
    return 0;
}
