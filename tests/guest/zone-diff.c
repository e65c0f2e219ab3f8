/*
 * Compare two zoned disks: do the same to both and expect the same
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A pseudo-random sequence of writes, reads and zone operations runs on two
 * disks of the same geometry.  After every one of them both must have returned
 * the same result and must report the same zones, and reads must return the
 * same data.
 *
 * The second disk, the reference, is Linux null_blk.  Where the two may
 * differ, and why:
 *
 * VICTIM   With no open resource left, opening a zone closes an implicitly
 *          open one.  VIRTIO leaves the choice to the device.  null_blk goes
 *          round the zones, the zone model takes the least recently used one.
 *          The same number of zones must be open and closed.
 *
 * FINISH   FINISH of an empty or closed zone takes no resource in the zone
 *          model, as the zone is never open meanwhile.  null_blk demands the
 *          resources that opening the zone would take: it closes an implicitly
 *          open zone for them or, if there is none, fails.
 *
 * REOPEN   A closed zone is active already, and opening it needs no more than
 *          an open resource.  null_blk frees one by closing another zone only
 *          if an active resource is free too, and else fails.
 *
 * NO_WP    The write pointer of a full or a conventional zone has no defined
 *          value and is not compared.
 *
 * UNWRITTEN  Data at and behind the write pointer has no defined value and is
 *          not compared: null_blk returns 0xff, the null disk zeroes.
 *
 * STALE    If a reset of several zones fails for one of them, Linux takes the
 *          others for not reset, too, and fails the writes to them.  They are
 *          reset once more, one by one.
 *
 * After an excused difference the zones concerned are made equal on both
 * disks, so that everything afterwards is compared again without exception.
 *
 * With -q the first disk is used through qemu-io, on a node whose disk is a
 * null_blk as well.  What it reports must be what the kernel says of its disk,
 * and of the above only NO_WP and UNWRITTEN are excused.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/blkzoned.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include "zone-diff-qemu-io.h"

#define SECTOR 512
#define MAX_ZONES 256
/* No more than both take in one request, or the kernel splits it */
#define MAX_IO (64 * 1024)
#define HISTORY 12
#define LINE 160

typedef enum Op {
    OP_WRITE,
    OP_READ,
    OP_OPEN,
    OP_CLOSE,
    OP_FINISH,
    OP_RESET,
} Op;

static const struct {
    const char *name;
    unsigned long request;
    const char *qemu_io;
} op_table[] = {
    [OP_WRITE] = { "write" },
    [OP_READ] = { "read" },
    [OP_OPEN] = { "open", BLKOPENZONE, "zone_open" },
    [OP_CLOSE] = { "close", BLKCLOSEZONE, "zone_close" },
    [OP_FINISH] = { "finish", BLKFINISHZONE, "zone_finish" },
    [OP_RESET] = { "reset", BLKRESETZONE, "zone_reset" },
};

typedef struct Disk {
    const char *path;
    int fd;
    QemuIo *qemu_io;    /* NULL: use it directly */
    struct blk_zone zones[MAX_ZONES];
    uint8_t *data;
} Disk;

/* What is done to both disks; positions in sectors */
typedef struct Action {
    Op op;
    uint64_t start;
    uint64_t count;
} Action;

/* What the zones allow, the same for both disks */
static struct {
    unsigned int nr_zones;
    uint64_t zone_size;
    uint64_t capacity;
    uint64_t block;
    unsigned int max_open;
    unsigned int max_active;
} geometry;

static Disk ours, reference;
static uint64_t seed, random_state;
static char history[HISTORY][LINE];
static unsigned int nr_actions, nr_failed, nr_victim, nr_finish, nr_reopen;

static void __attribute__((noreturn, format(printf, 1, 2)))
die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    exit(2);
}

/* xorshift64* */
static uint64_t random_u64(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 0x2545f4914f6cdd1dULL;
}

static uint64_t random_below(uint64_t n)
{
    return (random_u64() >> 16) % n;
}

static const char *cond_name(unsigned int cond)
{
    static const char *const names[16] = {
        "nw", "em", "oi", "oe", "cl", [13] = "ro", [14] = "fu", [15] = "of",
    };

    return cond < 16 && names[cond] ? names[cond] : "??";
}

static bool has_wp(const struct blk_zone *z)
{
    return z->cond == BLK_ZONE_COND_EMPTY || z->cond == BLK_ZONE_COND_CLOSED ||
           z->cond == BLK_ZONE_COND_IMP_OPEN ||
           z->cond == BLK_ZONE_COND_EXP_OPEN;
}

static bool same_zone(const struct blk_zone *a, const struct blk_zone *b)
{
    return a->start == b->start && a->len == b->len &&
           a->capacity == b->capacity && a->type == b->type &&
           a->cond == b->cond && a->non_seq == b->non_seq &&
           a->reset == b->reset && (!has_wp(a) || a->wp == b->wp);
}

static void report_by_kernel(Disk *disk)
{
    static struct {
        struct blk_zone_report head;
        struct blk_zone zones[MAX_ZONES];
    } buf;

    memset(&buf, 0, sizeof(buf));
    buf.head.nr_zones = MAX_ZONES;
    if (ioctl(disk->fd, BLKREPORTZONE, &buf) < 0) {
        die("%s: zone report: %s", disk->path, strerror(errno));
    }
    if (geometry.nr_zones == 0) {
        geometry.nr_zones = buf.head.nr_zones;
    }
    if (buf.head.nr_zones != geometry.nr_zones) {
        die("%s reports %u zones, expected %u", disk->path, buf.head.nr_zones,
            geometry.nr_zones);
    }
    memcpy(disk->zones, buf.zones, sizeof(disk->zones));
}

static bool same_zone_lists(const struct blk_zone *a, const struct blk_zone *b)
{
    for (unsigned int i = 0; i < geometry.nr_zones; i++) {
        if (!same_zone(&a[i], &b[i])) {
            return false;
        }
    }
    return true;
}

static void report(Disk *disk)
{
    struct blk_zone zones[MAX_ZONES];

    report_by_kernel(disk);
    if (disk->qemu_io &&
        (qemu_io_report(disk->qemu_io, zones, MAX_ZONES) !=
         geometry.nr_zones || !same_zone_lists(zones, disk->zones))) {
        die("%s: the node reports other zones than the kernel after "
            "operation %u; seed %" PRIu64, disk->path, nr_actions, seed);
    }
}

static bool same_zones(void)
{
    return same_zone_lists(ours.zones, reference.zones);
}

static unsigned int count_zones(const Disk *disk, bool open_only)
{
    unsigned int n = 0;

    for (unsigned int i = 0; i < geometry.nr_zones; i++) {
        switch (disk->zones[i].cond) {
        case BLK_ZONE_COND_IMP_OPEN:
        case BLK_ZONE_COND_EXP_OPEN:
            n++;
            break;
        case BLK_ZONE_COND_CLOSED:
            n += !open_only;
            break;
        }
    }
    return n;
}

static void __attribute__((noreturn)) differ(const char *what)
{
    printf("%s after operation %u; seed %" PRIu64 "\n", what, nr_actions, seed);
    printf("the last operations, in sectors:\n");
    for (unsigned int i = 0; i < HISTORY; i++) {
        const char *line = history[(nr_actions + 1 + i) % HISTORY];

        if (*line) {
            printf("  %s\n", line);
        }
    }
    printf("%-5s %-9s %-22s %s\n", "zone", "start", ours.path, reference.path);
    for (unsigned int i = 0; i < geometry.nr_zones; i++) {
        const struct blk_zone *a = &ours.zones[i], *b = &reference.zones[i];

        printf("%-5u %-9llu %s wp +%-15lld %s wp +%-15lld%s\n", i, a->start,
               cond_name(a->cond), (long long)(a->wp - a->start),
               cond_name(b->cond), (long long)(b->wp - b->start),
               same_zone(a, b) ? "" : " <--");
    }
    exit(1);
}

/* What the kernel does with a range that is no such thing: nothing */
static bool is_valid_range(const Action *a)
{
    uint64_t end = a->start + a->count;

    return a->start % geometry.zone_size == 0 && end <= geometry.capacity &&
           (end == geometry.capacity || end % geometry.zone_size == 0);
}

/*
 * The kernel makes an operation on several zones one operation on each, carries
 * out all of them, and returns the error of the last one that fails
 */
static int operate_by_qemu_io(Disk *disk, const Action *a)
{
    uint64_t step = a->count;
    int last = 0;

    if (is_valid_range(a) &&
        !(a->op == OP_RESET && a->count == geometry.capacity)) {
        step = geometry.zone_size;
    }
    for (uint64_t done = 0; done < a->count; done += step) {
        uint64_t count = a->count - done < step ? a->count - done : step;
        int ret = qemu_io_operate(disk->qemu_io, op_table[a->op].qemu_io,
                                  (a->start + done) * SECTOR, count * SECTOR);
        last = ret ? ret : last;
    }
    return last;
}

static int act_by_qemu_io(Disk *disk, const Action *a)
{
    size_t bytes = a->count * SECTOR;
    int ret;

    switch (a->op) {
    case OP_WRITE:
        ret = qemu_io_write(disk->qemu_io, disk->data, a->start * SECTOR,
                            bytes);
        break;
    case OP_READ:
        ret = qemu_io_read(disk->qemu_io, disk->data, a->start * SECTOR,
                           bytes);
        break;
    default:
        return operate_by_qemu_io(disk, a);
    }
    return ret < 0 ? ret : (int)bytes;
}

static int act_by_kernel(Disk *disk, const Action *a)
{
    struct blk_zone_range range = { a->start, a->count };
    int ret;

    switch (a->op) {
    case OP_WRITE:
        ret = pwrite(disk->fd, disk->data, a->count * SECTOR,
                     a->start * SECTOR);
        break;
    case OP_READ:
        ret = pread(disk->fd, disk->data, a->count * SECTOR,
                    a->start * SECTOR);
        break;
    default:
        ret = ioctl(disk->fd, op_table[a->op].request, &range);
        break;
    }
    return ret < 0 ? -errno : ret;
}

/* Returns: bytes moved, 0 for a zone operation, or -errno */
static int act(Disk *disk, const Action *a)
{
    return disk->qemu_io ? act_by_qemu_io(disk, a) : act_by_kernel(disk, a);
}

/* Whether @a may need more open zones than there are */
static bool short_of_open(const Action *a, unsigned int open_before)
{
    uint64_t zones = (a->count + geometry.zone_size - 1) / geometry.zone_size;

    return geometry.max_open && open_before + zones > geometry.max_open;
}

static bool short_of_active(const Action *a, unsigned int active_before)
{
    uint64_t zones = (a->count + geometry.zone_size - 1) / geometry.zone_size;

    return geometry.max_active && active_before + zones > geometry.max_active;
}

static void make_equal(Disk *disk, Op op, unsigned int zone)
{
    Action a = { op, ours.zones[zone].start, ours.zones[zone].len };
    int ret = act(disk, &a);

    if (ret < 0) {
        printf("%s: %s of zone %u: %s\n", disk->path, op_table[op].name, zone,
               strerror(-ret));
        differ("zones could not be made equal");
    }
}

/* VICTIM: which zone was closed implicitly; of @disk, the one that is open */
static bool is_victim(const struct blk_zone *a, const struct blk_zone *b)
{
    return a->cond == BLK_ZONE_COND_IMP_OPEN &&
           b->cond == BLK_ZONE_COND_CLOSED && a->wp == b->wp;
}

/* FINISH: done here, refused there for want of a resource */
static bool is_finish(const struct blk_zone *a, const struct blk_zone *b)
{
    return a->cond == BLK_ZONE_COND_FULL &&
           (b->cond == BLK_ZONE_COND_EMPTY || b->cond == BLK_ZONE_COND_CLOSED);
}

/* REOPEN: opened, and perhaps written, here, left closed there */
static bool is_reopen(const struct blk_zone *a, const struct blk_zone *b)
{
    return (a->cond == BLK_ZONE_COND_IMP_OPEN ||
            a->cond == BLK_ZONE_COND_EXP_OPEN ||
            a->cond == BLK_ZONE_COND_FULL) && b->cond == BLK_ZONE_COND_CLOSED;
}

/*
 * Excuse the known differences in the zones, and only where they can be: they
 * need a limit that is reached
 */
static void excuse(const Action *a, bool no_open, bool no_active)
{
    bool opens = a->op == OP_OPEN || a->op == OP_WRITE;
    int open_here = 0, open_there = 0, reopened = 0;

    for (unsigned int i = 0; i < geometry.nr_zones; i++) {
        const struct blk_zone *x = &ours.zones[i], *y = &reference.zones[i];

        if (same_zone(x, y)) {
            continue;
        }
        if (is_victim(x, y) && no_open) {
            open_here++;
            make_equal(&ours, OP_CLOSE, i);
        } else if (is_victim(y, x) && no_open) {
            open_there++;
            make_equal(&reference, OP_CLOSE, i);
        } else if (is_finish(x, y) && a->op == OP_FINISH &&
                   (no_open || no_active)) {
            nr_finish++;
            make_equal(&ours, OP_RESET, i);
            make_equal(&reference, OP_RESET, i);
        } else if (is_reopen(x, y) && opens && no_open && no_active) {
            reopened++;
            make_equal(&ours, OP_RESET, i);
            make_equal(&reference, OP_RESET, i);
        } else {
            differ("zones differ");
        }
    }
    if (a->op == OP_FINISH && open_there == 0) {
        nr_finish += open_here;
    } else if (open_here > open_there ||
               open_there > open_here + reopened) {
        differ("zones differ in number of open ones");
    } else {
        nr_victim += open_here;
    }
    nr_reopen += reopened;
    report(&ours);
    report(&reference);
    if (!same_zones()) {
        differ("zones still differ");
    }
}

/* Only what was written is compared */
static uint64_t readable(const Action *a)
{
    const struct blk_zone *z = &ours.zones[a->start / geometry.zone_size];
    uint64_t end = has_wp(z) ? z->wp : z->start + z->capacity;

    if (end <= a->start) {
        return 0;
    }
    return end - a->start < a->count ? end - a->start : a->count;
}

/* See STALE */
static void reset_again(Disk *disk, const Action *a)
{
    for (unsigned int i = 0; i < geometry.nr_zones; i++) {
        const struct blk_zone *z = &disk->zones[i];

        if (z->start >= a->start && z->start < a->start + a->count &&
            z->cond == BLK_ZONE_COND_EMPTY) {
            make_equal(disk, OP_RESET, i);
        }
    }
}

static void run(const Action *a)
{
    unsigned int open_before = count_zones(&reference, true);
    unsigned int active_before = count_zones(&reference, false);
    char *line = history[++nr_actions % HISTORY];
    bool no_open = short_of_open(a, open_before);
    bool no_active = short_of_active(a, active_before);
    unsigned int excused = nr_finish + nr_reopen;
    int ret, ref;

    ret = act(&ours, a);
    ref = act(&reference, a);
    if (ours.qemu_io && ref == -EINVAL) {
        ref = -EIO;     /* qemu-io tells only what is short from the rest */
    }
    snprintf(line, LINE, "%u: %s %" PRIu64 "+%" PRIu64 ": %d %s, %d %s",
             nr_actions, op_table[a->op].name, a->start, a->count,
             ret, ret < 0 ? strerror(-ret) : "",
             ref, ref < 0 ? strerror(-ref) : "");
    nr_failed += ref < 0;
    report(&ours);
    report(&reference);

    if (!same_zones()) {
        if (ours.qemu_io) {
            differ("zones differ");
        }
        excuse(a, no_open, no_active);
    }
    /* The reference alone fails, and only where a zone showed why */
    if (ret != ref && (excused == nr_finish + nr_reopen ||
                       !((ref == -ETOOMANYREFS && no_open) ||
                         (ref == -EOVERFLOW && no_active)))) {
        differ("results differ");
    }
    if (a->op == OP_READ && ret > 0 &&
        memcmp(ours.data, reference.data, readable(a) * SECTOR)) {
        differ("data differs");
    }
    if (a->op == OP_RESET && a->count > geometry.zone_size && ref < 0) {
        reset_again(&ours, a);
        reset_again(&reference, a);
    }
}

static uint64_t align(uint64_t sectors)
{
    return sectors - sectors % geometry.block;
}

/* Up to MAX_IO, any number of blocks */
static uint64_t random_length(void)
{
    return align(random_below(MAX_IO / SECTOR)) + geometry.block;
}

static void fill_random(void)
{
    uint64_t *words = (uint64_t *)ours.data;

    for (size_t i = 0; i < MAX_IO / sizeof(*words); i++) {
        words[i] = random_u64();
    }
    memcpy(reference.data, ours.data, MAX_IO);
}

/* The kernel splits a request at the border of a zone, and qemu-io does not */
static uint64_t within_zone(uint64_t start, uint64_t count)
{
    uint64_t rest = geometry.zone_size - start % geometry.zone_size;

    return rest < count ? rest : count;
}

static void run_write(uint64_t start, uint64_t count)
{
    Action a = { OP_WRITE, start, count };

    if (ours.qemu_io) {
        a.count = within_zone(start, count);
    }
    fill_random();
    run(&a);
}

/* Write up to the capacity: the last of these writes makes the zone full */
static void run_fill(const struct blk_zone *z)
{
    uint64_t end = z->start + z->capacity;
    uint64_t pos = has_wp(z) ? z->wp : z->start;

    while (pos < end) {
        uint64_t n = MAX_IO / SECTOR;

        n = end - pos < n ? end - pos : n;
        run_write(pos, n);
        pos += n;
    }
}

static void run_read(void)
{
    Action a = { OP_READ, align(random_below(geometry.capacity)),
                 random_length() };

    a.count = within_zone(a.start, a.count);
    if (ours.qemu_io && a.count > QEMU_IO_MAX_READ / SECTOR) {
        a.count = QEMU_IO_MAX_READ / SECTOR;
    }
    run(&a);
}

/* One zone mostly; at times several, all, or a range that is none */
static void run_mgmt(const struct blk_zone *z)
{
    Action a = { OP_OPEN + random_below(4), z->start, z->len };
    uint64_t dice = random_below(100);

    if (dice < 2) {
        a.start = 0;
        a.count = geometry.capacity;
    } else if (dice < 10) {
        a.count *= 2 + random_below(3);
    } else if (dice < 14) {
        a.start += geometry.block * (1 + random_below(8));
    } else if (dice < 16) {
        a.start += geometry.capacity;
    } else if (dice < 18) {
        a.count += geometry.block;
    }
    /*
     * Opening several zones is several requests.  If they run out of open
     * zones, the VICTIM of one decides how the next one fares.
     */
    if (a.op == OP_OPEN && a.count > z->len &&
        short_of_open(&a, count_zones(&reference, true))) {
        a.start = z->start;
        a.count = z->len;
    }
    run(&a);
}

static void run_one(void)
{
    const struct blk_zone *z =
        &reference.zones[random_below(geometry.nr_zones)];
    uint64_t dice = random_below(100);
    uint64_t anywhere = align(random_below(z->len));

    if (dice < 30) {
        run_write(has_wp(z) ? z->wp : z->start + anywhere, random_length());
    } else if (dice < 36) {
        run_write(z->start + anywhere, random_length());
    } else if (dice < 40) {
        run_fill(z);
    } else if (dice < 50) {
        run_read();
    } else {
        run_mgmt(z);
    }
}

static unsigned int limit(const Disk *disk, const char *name)
{
    char path[PATH_MAX];
    unsigned int value;
    FILE *f;

    snprintf(path, sizeof(path), "/sys/block/%s/queue/%s",
             strrchr(disk->path, '/') + 1, name);
    f = fopen(path, "r");
    if (!f || fscanf(f, "%u", &value) != 1) {
        die("%s cannot be read", path);
    }
    fclose(f);
    return value;
}

static void open_disk(Disk *disk, const char *path)
{
    uint64_t bytes;
    int block;
    Action reset;

    disk->path = path;
    disk->fd = open(path, O_RDWR | O_DIRECT);
    if (disk->fd < 0 || ioctl(disk->fd, BLKGETSIZE64, &bytes) < 0 ||
        ioctl(disk->fd, BLKSSZGET, &block) < 0) {
        die("%s: %s", path, strerror(errno));
    }
    if (posix_memalign((void **)&disk->data, 4096, MAX_IO)) {
        die("out of memory");
    }
    if (disk == &ours) {
        geometry.capacity = bytes / SECTOR;
        geometry.block = block / SECTOR;
        geometry.max_open = limit(disk, "max_open_zones");
        geometry.max_active = limit(disk, "max_active_zones");
    } else if (geometry.capacity != bytes / SECTOR ||
               geometry.block != (uint64_t)block / SECTOR ||
               geometry.max_open != limit(disk, "max_open_zones") ||
               geometry.max_active != limit(disk, "max_active_zones")) {
        die("%s has another size, block size or limit than %s", path,
            ours.path);
    }
    report_by_kernel(disk);
    geometry.zone_size = disk->zones[0].len;
    reset = (Action) { OP_RESET, 0, geometry.capacity };
    if (act(disk, &reset) < 0) {
        die("%s: reset: %s", path, strerror(errno));
    }
    report(disk);
}

static void print_excuses(void)
{
    printf("excused: VICTIM %u, FINISH %u, REOPEN %u\n", nr_victim, nr_finish,
           nr_reopen);
}

int main(int argc, char **argv)
{
    unsigned int wanted = 1000;
    const char *command = NULL;
    bool bad = false;
    int c;

    seed = time(NULL) ^ ((uint64_t)getpid() << 32);
    while (!bad && (c = getopt(argc, argv, "n:q:s:")) != -1) {
        switch (c) {
        case 'n':
            bad = sscanf(optarg, "%u", &wanted) != 1;
            break;
        case 'q':
            command = optarg;
            break;
        case 's':
            bad = sscanf(optarg, "%" SCNu64, &seed) != 1;
            break;
        default:
            bad = true;
            break;
        }
    }
    if (bad || argc - optind != 2) {
        die("usage: zone-diff [-n OPERATIONS] [-s SEED] [-q QEMU-IO-COMMAND] "
            "DISK REFERENCE");
    }
    random_state = seed ? seed : 1;

    if (command) {
        ours.qemu_io = qemu_io_start(command);
    }
    open_disk(&ours, argv[optind]);
    open_disk(&reference, argv[optind + 1]);
    printf("seed %" PRIu64 ": %u zones, %u may be open, %u active\n", seed,
           geometry.nr_zones, geometry.max_open, geometry.max_active);
    fflush(stdout);
    if (!same_zones()) {
        differ("zones differ");
    }
    while (nr_actions < wanted) {
        run_one();
    }
    printf("%u operations, the same on both; %u of them failed\n", nr_actions,
           nr_failed);
    if (!ours.qemu_io) {
        print_excuses();
    }
    return 0;
}
