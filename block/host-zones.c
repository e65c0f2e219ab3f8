/*
 * Host zoned devices: what the Linux kernel says of a disk and its zones
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/host-utils.h"
#include "qemu/units.h"
#include "host-zones.h"

#ifdef CONFIG_LINUX
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <linux/fs.h>
#endif
#ifdef HAVE_HOST_ZONES
#include <linux/blkzoned.h>
#endif

/* The unit of the kernel, whatever the block size of the disk is */
#define SECTOR_SIZE 512

#ifdef CONFIG_LINUX

/*
 * Limits, from sysfs
 */

/*
 * Read an attribute, without its newline.  A missing one is no error: *@text
 * is then NULL.
 */
static bool read_text(const char *dir, const char *name, char **text,
                      Error **errp)
{
    g_autofree char *path = g_strdup_printf("%s/%s", dir, name);
    g_autoptr(GError) err = NULL;

    *text = NULL;
    if (g_file_get_contents(path, text, NULL, &err)) {
        g_strchomp(*text);
        return true;
    }
    if (g_error_matches(err, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
        return true;
    }
    error_setg(errp, "%s", err->message);
    return false;
}

/* Read a number of at most @max; if it is missing, *@value stays as it is */
static bool read_number(const char *dir, const char *name, uint64_t max,
                        uint64_t *value, Error **errp)
{
    g_autofree char *text = NULL;
    uint64_t number;

    if (!read_text(dir, name, &text, errp)) {
        return false;
    }
    if (!text) {
        return true;
    }
    if (qemu_strtou64(text, NULL, 10, &number) < 0 || number > max) {
        error_setg(errp, "%s/%s: '%s' is not a number between 0 and %" PRIu64,
                   dir, name, text, max);
        return false;
    }
    *value = number;
    return true;
}

static bool read_model(const char *queue, BlockZoneModel *model, Error **errp)
{
    g_autofree char *text = NULL;

    if (!read_text(queue, "zoned", &text, errp)) {
        return false;
    }
    if (!text || g_str_equal(text, "none")) {
        /* Kernels without zones do not have the attribute */
        *model = BLK_Z_NONE;
    } else if (g_str_equal(text, "host-managed")) {
        *model = BLK_Z_HM;
    } else if (g_str_equal(text, "host-aware")) {
        *model = BLK_Z_HA;
    } else {
        error_setg(errp, "%s/zoned: '%s' is not a known model of zones",
                   queue, text);
        return false;
    }
    return true;
}

static bool read_zone_size(const char *queue, int64_t length, HostZones *hz,
                           Error **errp)
{
    BlockZoneLimits *l = &hz->limits;
    uint64_t sectors = 0, zones;

    if (!read_number(queue, "chunk_sectors", UINT32_MAX, &sectors, errp)) {
        return false;
    }
    if (!sectors || length <= 0) {
        error_setg(errp, "%s: %s is 0", queue,
                   sectors ? "the size of the disk" : "the zone size");
        return false;
    }
    l->zone_size = sectors * SECTOR_SIZE;
    zones = (length - 1) / l->zone_size + 1;
    if (zones > UINT32_MAX) {
        error_setg(errp, "%s: too many zones", queue);
        return false;
    }
    l->nr_zones = zones;
    hz->length = length;
    return true;
}

static bool read_granularity(const char *queue, BlockZoneLimits *l,
                             Error **errp)
{
    uint64_t logical = SECTOR_SIZE, physical, granularity = 0;

    if (!read_number(queue, "logical_block_size", UINT32_MAX, &logical,
                     errp)) {
        return false;
    }
    physical = logical;
    if (!read_number(queue, "physical_block_size", UINT32_MAX, &physical,
                     errp) ||
        !read_number(queue, "zone_write_granularity", UINT32_MAX, &granularity,
                     errp)) {
        return false;
    }
    if (!granularity) {
        /* A host-managed disk is written in physical blocks by its standard */
        granularity = l->model == BLK_Z_HM ? physical : logical;
    }
    granularity = MAX(granularity, logical);
    if (granularity < SECTOR_SIZE || !is_power_of_2(granularity) ||
        l->zone_size % granularity) {
        error_setg(errp, "%s: a write granularity of %" PRIu64 " does not fit "
                   "zones of %" PRId64 " bytes", queue, granularity,
                   l->zone_size);
        return false;
    }
    l->write_granularity = granularity;
    return true;
}

static bool read_transfer_limits(const char *queue, HostZones *hz,
                                 Error **errp)
{
    BlockZoneLimits *l = &hz->limits;
    uint64_t kb = 0, segments = 0, append = 0;

    if (!read_number(queue, "max_sectors_kb", UINT32_MAX, &kb, errp) ||
        !read_number(queue, "max_segments", UINT32_MAX, &segments, errp) ||
        !read_number(queue, "zone_append_max_bytes", INT64_MAX, &append,
                     errp)) {
        return false;
    }
    hz->max_transfer = kb * KiB;
    hz->max_segments = segments;

    /* An append is carried out as a write, and should stay a single one */
    append = MIN_NON_ZERO(append, hz->max_transfer);
    append = MIN_NON_ZERO(append, l->zone_size);
    append = MIN(append, INT_MAX);
    if (l->model == BLK_Z_HM) {
        l->max_append_bytes = MAX(QEMU_ALIGN_DOWN(append,
                                                  l->write_granularity),
                                  l->write_granularity);
    }
    return true;
}

static bool read_resources(const char *queue, BlockZoneLimits *l, Error **errp)
{
    uint64_t open = 0, active = 0;

    if (!read_number(queue, "max_open_zones", UINT32_MAX, &open, errp) ||
        !read_number(queue, "max_active_zones", UINT32_MAX, &active, errp)) {
        return false;
    }
    l->max_open_zones = open;
    l->max_active_zones = active;
    return true;
}

static bool check_partition(const char *device, const HostZones *hz,
                            Error **errp)
{
    uint64_t start = UINT64_MAX, sectors = 0;
    int64_t zone_sectors = hz->limits.zone_size / SECTOR_SIZE;

    if (!read_number(device, "start", INT64_MAX / SECTOR_SIZE, &start, errp)) {
        return false;
    }
    /* The last zone of the disk may be shorter than the others */
    if (!read_number(device, "../size", INT64_MAX / SECTOR_SIZE, &sectors,
                     errp)) {
        return false;
    }
    if (start == UINT64_MAX || start % zone_sectors ||
        (hz->length % hz->limits.zone_size &&
         start + hz->length / SECTOR_SIZE != sectors)) {
        error_setg(errp, "The partition does not consist of whole zones of %"
                   PRId64 " bytes: use the whole disk, or align the partition",
                   hz->limits.zone_size);
        return false;
    }
    return true;
}

bool host_zones_probe_sysfs(const char *device, int64_t length, HostZones *hz,
                            bool *known, Error **errp)
{
    g_autofree char *own_queue = g_strdup_printf("%s/queue", device);
    g_autofree char *disk_queue = g_strdup_printf("%s/../queue", device);
    g_autofree char *partition = g_strdup_printf("%s/partition", device);
    bool is_partition = access(partition, F_OK) == 0;
    const char *queue = is_partition ? disk_queue : own_queue;

    *hz = (HostZones) { .limits.model = BLK_Z_NONE };
    *known = access(queue, R_OK | X_OK) == 0;
    if (!*known) {
        return true;
    }
    if (!read_model(queue, &hz->limits.model, errp)) {
        return false;
    }
    if (hz->limits.model == BLK_Z_NONE) {
        return true;
    }
    return read_zone_size(queue, length, hz, errp) &&
           read_granularity(queue, &hz->limits, errp) &&
           read_transfer_limits(queue, hz, errp) &&
           read_resources(queue, &hz->limits, errp) &&
           (!is_partition || check_partition(device, hz, errp));
}

/* As ioctl(), but returns 0 or -errno */
static int call_kernel(int fd, unsigned long request, void *arg)
{
    int ret;

    do {
        ret = ioctl(fd, request, arg);
    } while (ret < 0 && errno == EINTR);
    return ret < 0 ? -errno : 0;
}

/* Without sysfs, all that can be told is that a disk is not zoned */
static bool probe_ioctl(int fd, Error **errp)
{
    uint32_t sectors = 0;
    int ret = -ENOTTY;

#ifdef BLKGETZONESZ
    ret = call_kernel(fd, BLKGETZONESZ, &sectors);
#endif
    if (ret == -ENOTTY || (ret == 0 && !sectors)) {
        return true;
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "Whether it is zoned cannot be told: "
                         "make sysfs available at /sys");
    } else {
        error_setg(errp, "It is zoned, but its limits cannot be read: make "
                   "sysfs available at /sys");
    }
    return false;
}

int64_t host_zones_length(int fd)
{
    uint64_t length = 0;

    return call_kernel(fd, BLKGETSIZE64, &length) < 0 ? 0
           : MIN(length, INT64_MAX);
}

bool host_zones_probe(int fd, HostZones *hz, Error **errp)
{
    g_autofree char *device = NULL;
    bool known;
    struct stat st;

    *hz = (HostZones) { .limits.model = BLK_Z_NONE };
    if (fstat(fd, &st) < 0) {
        error_setg_errno(errp, errno, "Could not stat it");
        return false;
    }

    device = g_strdup_printf("/sys/dev/block/%u:%u", major(st.st_rdev),
                             minor(st.st_rdev));
    if (!host_zones_probe_sysfs(device, host_zones_length(fd), hz, &known,
                                errp)) {
        return false;
    }
    if (!known) {
        return probe_ioctl(fd, errp);
    }
#ifndef HAVE_HOST_ZONES
    if (hz->limits.model != BLK_Z_NONE) {
        error_setg(errp, "It is zoned, and this QEMU was built without "
                   "support for zoned disks of the host: build it with the "
                   "headers of Linux 5.9 or later");
        return false;
    }
#endif
    return true;
}

#else /* !CONFIG_LINUX */

int64_t host_zones_length(int fd)
{
    return 0;
}

bool host_zones_probe(int fd, HostZones *hz, Error **errp)
{
    *hz = (HostZones) { .limits.model = BLK_Z_NONE };
    return true;
}

#endif /* !CONFIG_LINUX */

#ifdef HAVE_HOST_ZONES

/*
 * Zones
 */

/* 64 bytes each: what one request of a report may take of memory */
#define CHUNK_ZONES 4096

/* A real I/O error: the kernel's reasons are not those of the contract */
static int real_error(int ret)
{
    return block_zone_errno_is_guest_error(ret) ? -EIO : ret;
}

/* The result is below 2^63 for all sectors of a disk */
static int64_t to_bytes(uint64_t sectors)
{
    return MIN(sectors, INT64_MAX / SECTOR_SIZE) * SECTOR_SIZE;
}

static BlockZoneState known_state(uint8_t cond)
{
    switch (cond) {
    case BLK_ZONE_COND_NOT_WP:
    case BLK_ZONE_COND_EMPTY:
    case BLK_ZONE_COND_IMP_OPEN:
    case BLK_ZONE_COND_EXP_OPEN:
    case BLK_ZONE_COND_CLOSED:
    case BLK_ZONE_COND_READONLY:
    case BLK_ZONE_COND_FULL:
    case BLK_ZONE_COND_OFFLINE:
        /* The numbers are the same */
        return cond;
    default:
        return BLK_ZS_OFFLINE;
    }
}

/* Set the write pointer, whose value from the kernel is @wp */
static bool set_write_pointer(BlockZoneDescriptor *d, int64_t wp)
{
    switch (d->state) {
    case BLK_ZS_NOT_WP:
    case BLK_ZS_RDONLY:
    case BLK_ZS_OFFLINE:
        d->wp = -1;
        return true;
    case BLK_ZS_EMPTY:
        d->wp = d->start;
        return true;
    case BLK_ZS_FULL:
        d->wp = d->start + d->length;
        return true;
    default:
        d->wp = wp;
        return wp >= d->start && wp <= d->start + d->cap;
    }
}

bool host_zones_describe(const HostZones *hz, int64_t start,
                         const struct blk_zone *zone, bool has_capacity,
                         BlockZoneDescriptor *d)
{
    *d = (BlockZoneDescriptor) {
        .start = start,
        .length = MIN(hz->limits.zone_size, hz->length - start),
        .type = zone->type,
        .state = known_state(zone->cond),
    };
    d->cap = has_capacity ? to_bytes(zone->capacity) : d->length;

    if (to_bytes(zone->start) != d->start ||
        to_bytes(zone->len) != d->length ||
        d->cap <= 0 || d->cap > d->length ||
        !QEMU_IS_ALIGNED(d->cap, hz->limits.write_granularity)) {
        return false;
    }
    switch (zone->type) {
    case BLK_ZONE_TYPE_CONVENTIONAL:
        if (d->state != BLK_ZS_RDONLY && d->state != BLK_ZS_OFFLINE) {
            d->state = BLK_ZS_NOT_WP;
        }
        break;
    case BLK_ZONE_TYPE_SEQWRITE_REQ:
    case BLK_ZONE_TYPE_SEQWRITE_PREF:
        if (d->state == BLK_ZS_NOT_WP) {
            return false;
        }
        break;
    default:
        return false;
    }
    return set_write_pointer(d, to_bytes(zone->wp));
}

/* Report at most @room zones from @start on; returns their number or -errno */
static int report_chunk(int fd, const HostZones *hz, int64_t start,
                        struct blk_zone_report *rep, unsigned int room,
                        BlockZoneDescriptor *zones)
{
    bool has_capacity;
    unsigned int i;
    int ret;

    memset(rep, 0, sizeof(*rep));
    rep->sector = start / SECTOR_SIZE;
    rep->nr_zones = room;
    ret = call_kernel(fd, BLKREPORTZONE, rep);
    if (ret < 0) {
        return real_error(ret);
    }
    if (!rep->nr_zones || rep->nr_zones > room) {
        return -EIO;
    }
    has_capacity = rep->flags & BLK_ZONE_REP_CAPACITY;
    for (i = 0; i < rep->nr_zones; i++) {
        if (start >= hz->length ||
            !host_zones_describe(hz, start, &rep->zones[i], has_capacity,
                                 &zones[i])) {
            return -EIO;
        }
        start += hz->limits.zone_size;
    }
    return i;
}

/* How many zones there are from the zone at @offset on, but at most @room */
static unsigned int zones_from(const HostZones *hz, int64_t offset,
                               unsigned int room)
{
    uint32_t index = offset / hz->limits.zone_size;

    return MIN(hz->limits.nr_zones - index, room);
}

int host_zones_report(int fd, const HostZones *hz, int64_t offset,
                      unsigned int *nr_zones, BlockZoneDescriptor *zones)
{
    g_autofree struct blk_zone_report *rep = NULL;
    unsigned int wanted, done;
    int64_t start;

    if (offset < 0 || offset >= hz->length) {
        return -EINVAL;
    }
    start = QEMU_ALIGN_DOWN(offset, hz->limits.zone_size);
    wanted = zones_from(hz, offset, *nr_zones);
    *nr_zones = 0;
    if (!wanted) {
        return 0;
    }
    rep = g_try_malloc(sizeof(*rep) +
                       MIN(wanted, CHUNK_ZONES) * sizeof(rep->zones[0]));
    if (!rep) {
        return -ENOMEM;
    }
    for (done = 0; done < wanted;) {
        int ret = report_chunk(fd, hz, start + done * hz->limits.zone_size,
                               rep, MIN(wanted - done, CHUNK_ZONES),
                               zones + done);
        if (ret < 0) {
            return ret;
        }
        done += ret;
    }
    *nr_zones = done;
    return 0;
}

/*
 * Operations
 */

/* Adjacent zones that an operation has to change */
typedef struct ZoneRun {
    int64_t offset;
    int64_t len;
} ZoneRun;

/* What an operation is going to do */
typedef struct ZonePlan {
    BlockZoneOp op;
    int64_t offset;
    int64_t len;
    bool all;                   /* skip zones that it does not concern */
    GArray *runs;               /* of ZoneRun */
    uint32_t concerned;         /* zones of the range that it concerns */
    /* Other zones, if they are looked at */
    uint32_t explicit;          /* explicitly open */
    uint32_t active;
} ZonePlan;

/*
 * A reset always does: it puts a write pointer right that the kernel keeps of
 * its own, and that may be another one than the disk's
 */
static bool needs_change(BlockZoneOp op, BlockZoneState state)
{
    switch (op) {
    case BLK_ZO_OPEN:
        return state != BLK_ZS_EOPEN;
    case BLK_ZO_CLOSE:
    case BLK_ZO_CLOSE_ACTIVE:
        return state != BLK_ZS_CLOSED;
    case BLK_ZO_FINISH:
        return state != BLK_ZS_FULL;
    case BLK_ZO_RESET:
        return true;
    case BLK_ZO_OFFLINE:
        return state != BLK_ZS_OFFLINE;
    }
    return true;
}

static void plan_change(ZonePlan *plan, const BlockZoneDescriptor *d)
{
    ZoneRun run = { d->start, d->length };

    if (plan->runs->len) {
        ZoneRun *last = &g_array_index(plan->runs, ZoneRun,
                                       plan->runs->len - 1);
        if (last->offset + last->len == d->start) {
            last->len += d->length;
            return;
        }
    }
    g_array_append_val(plan->runs, run);
}

static int plan_zone(ZonePlan *plan, const BlockZoneDescriptor *d)
{
    bool skipped = plan->all && !block_zone_op_concerns(plan->op, d->state);
    int ret;

    if (d->start < plan->offset || d->start >= plan->offset + plan->len ||
        skipped) {
        plan->explicit += d->state == BLK_ZS_EOPEN;
        plan->active += zone_state_is_active(d->state);
        return 0;
    }
    ret = block_zone_op_check(plan->op, d->type, d->state);
    if (ret < 0) {
        return ret;
    }
    plan->concerned++;
    if (needs_change(plan->op, d->state)) {
        plan_change(plan, d);
    }
    return 0;
}

/*
 * Several zones are opened together or not at all, so that it must be known in
 * advance whether they can be.  One zone is left to the disk: it knows best.
 */
static bool must_count(const HostZones *hz, const ZonePlan *plan)
{
    const BlockZoneLimits *l = &hz->limits;

    return plan->op == BLK_ZO_OPEN && plan->len > l->zone_size &&
           (l->max_open_zones || l->max_active_zones);
}

static int check_resources(const HostZones *hz, const ZonePlan *plan)
{
    const BlockZoneLimits *l = &hz->limits;

    if (l->max_active_zones &&
        (int64_t)plan->active + plan->concerned > l->max_active_zones) {
        return -EOVERFLOW;
    }
    if (l->max_open_zones &&
        (int64_t)plan->explicit + plan->concerned > l->max_open_zones) {
        return -ETOOMANYREFS;
    }
    return 0;
}

/* Returns: 0, or why the operation is refused */
static int make_plan(int fd, const HostZones *hz, ZonePlan *plan)
{
    g_autofree BlockZoneDescriptor *zones = NULL;
    bool count = must_count(hz, plan);
    int64_t offset = count ? 0 : plan->offset;
    int64_t end = count ? hz->length : plan->offset + plan->len;
    unsigned int room = zones_from(hz, offset, CHUNK_ZONES);
    int ret;

    room = MIN(room, (end - offset - 1) / hz->limits.zone_size + 1);
    zones = g_try_new(BlockZoneDescriptor, room);
    if (!zones) {
        return -ENOMEM;
    }
    while (offset < end) {
        unsigned int i, n = room;

        ret = host_zones_report(fd, hz, offset, &n, zones);
        for (i = 0; ret == 0 && i < n && offset < end; i++) {
            ret = plan_zone(plan, &zones[i]);
            offset = zones[i].start + zones[i].length;
        }
        if (ret < 0) {
            return ret;
        }
    }
    return count ? check_resources(hz, plan) : 0;
}

static int change_zones(int fd, BlockZoneOp op, int64_t offset, int64_t len)
{
    struct blk_zone_range range = {
        .sector = offset / SECTOR_SIZE,
        .nr_sectors = len / SECTOR_SIZE,
    };

    switch (op) {
    case BLK_ZO_OPEN:
        return call_kernel(fd, BLKOPENZONE, &range);
    case BLK_ZO_CLOSE:
    case BLK_ZO_CLOSE_ACTIVE:
        /* What becomes of a zone that holds nothing, the disk decides */
        return call_kernel(fd, BLKCLOSEZONE, &range);
    case BLK_ZO_FINISH:
        return call_kernel(fd, BLKFINISHZONE, &range);
    case BLK_ZO_RESET:
        return call_kernel(fd, BLKRESETZONE, &range);
    case BLK_ZO_OFFLINE:
        /* Linux has no such call */
        break;
    }
    return -ENOTSUP;
}

/* Close what is open of the zones that were not when the plan was made */
static void undo_open(int fd, const HostZones *hz, const ZonePlan *plan,
                      guint nr_runs)
{
    guint i;

    for (i = 0; i < nr_runs; i++) {
        const ZoneRun *run = &g_array_index(plan->runs, ZoneRun, i);
        int64_t offset = run->offset;

        while (offset < run->offset + run->len) {
            BlockZoneDescriptor d;
            unsigned int n = 1;

            if (host_zones_report(fd, hz, offset, &n, &d) < 0) {
                return;
            }
            if (d.state == BLK_ZS_EOPEN) {
                change_zones(fd, BLK_ZO_CLOSE, d.start, d.length);
            }
            offset += d.length;
        }
    }
}

static int carry_out(int fd, const HostZones *hz, const ZonePlan *plan)
{
    guint i;

    for (i = 0; i < plan->runs->len; i++) {
        const ZoneRun *run = &g_array_index(plan->runs, ZoneRun, i);
        int ret = change_zones(fd, plan->op, run->offset, run->len);

        if (ret < 0) {
            if (plan->op == BLK_ZO_OPEN) {
                undo_open(fd, hz, plan, i + 1);
            }
            return ret;
        }
    }
    return 0;
}

static int do_mgmt(int fd, const HostZones *hz, ZonePlan *plan, bool *failed)
{
    int ret;

    /* Zones that cannot be reset are skipped by the kernel as well */
    if (plan->all && plan->op == BLK_ZO_RESET) {
        ret = change_zones(fd, plan->op, plan->offset, plan->len);
        *failed = ret < 0;
        return ret;
    }
    ret = make_plan(fd, hz, plan);
    if (ret < 0) {
        return ret;
    }
    ret = carry_out(fd, hz, plan);
    *failed = ret < 0;
    return ret;
}

/*
 * What to return for the kernel's error @ret to an operation that seemed
 * possible: most often it is a mere EIO, and the zones tell more.
 */
static int explain_failure(int fd, const HostZones *hz, ZonePlan *plan,
                           int ret)
{
    int reason;

    switch (ret) {
    case -ETOOMANYREFS:
    case -EOVERFLOW:
        return ret;
    case -ENOTTY:
        return -ENOTSUP;
    }
    g_array_set_size(plan->runs, 0);
    reason = make_plan(fd, hz, plan);
    if (reason == -EROFS || reason == -ENXIO || reason == -EPERM) {
        return reason;
    }
    return real_error(ret);
}

int host_zones_mgmt(int fd, const HostZones *hz, BlockZoneOp op,
                    int64_t offset, int64_t len)
{
    ZonePlan plan = {
        .op = op,
        .offset = offset,
        .len = len,
        .all = len == hz->length && hz->limits.nr_zones > 1,
        .runs = g_array_new(FALSE, FALSE, sizeof(ZoneRun)),
    };
    bool failed = false;
    int ret;

    ret = do_mgmt(fd, hz, &plan, &failed);
    if (failed) {
        ret = explain_failure(fd, hz, &plan, ret);
    }
    g_array_free(plan.runs, TRUE);
    return ret;
}

#else /* !HAVE_HOST_ZONES */

int host_zones_report(int fd, const HostZones *hz, int64_t offset,
                      unsigned int *nr_zones, BlockZoneDescriptor *zones)
{
    return -ENOTSUP;
}

int host_zones_mgmt(int fd, const HostZones *hz, BlockZoneOp op,
                    int64_t offset, int64_t len)
{
    return -ENOTSUP;
}

#endif /* !HAVE_HOST_ZONES */
