/*
 * Open a zoned image that may be damaged, and do all that can be done with it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qmp/qdict.h"
#include "qemu/cutils.h"
#include "qemu/main-loop.h"
#include "block/block.h"
#include "block/zoned-io.h"
#include "../unit/crash-disk.h"
#include "sysemu/block-backend.h"
#include "zoned-image-input.h"
#include "zoned-image-exercise.h"

#define ZONES 12
#define NODE "image"
#define PATTERN 0xa5

static CrashDisk *disk;

void zoned_image_exercise_init(void)
{
    bdrv_init();
    qemu_init_main_loop(&error_abort);
    disk = crash_disk_new(INPUT_MAX_LENGTH);
    crash_disk_node(disk, NODE);
}

static BlockBackend *open_image(int flags)
{
    QDict *options = qdict_new();
    Error *err = NULL;
    BlockBackend *blk;

    qdict_put_str(options, "driver", "zoned");
    qdict_put_str(options, "file", NODE);
    blk = blk_new_open(NULL, NULL, options, flags, &err);
    if (!blk) {
        g_assert(err && *error_get_pretty(err));
        error_free(err);
    }
    return blk;
}

static void check_zone(BlockBackend *blk, const BlockZoneDescriptor *z)
{
    const BlockZoneLimits *limits = blk_zone_limits(blk);

    g_assert(z->start % limits->zone_size == 0);
    g_assert(z->length > 0 && z->length <= limits->zone_size);
    g_assert(z->cap > 0 && z->cap <= z->length);
    g_assert(z->start + z->length <= blk_getlength(blk));
    switch (z->state) {
    case BLK_ZS_EMPTY:
        g_assert(z->wp == z->start);
        break;
    case BLK_ZS_CLOSED:
        g_assert(z->wp >= z->start && z->wp < z->start + z->cap);
        g_assert(z->wp > z->start || z->has_extension);
        break;
    case BLK_ZS_FULL:
        g_assert(z->wp == z->start + z->length);
        break;
    default:
        g_assert(!zone_state_is_open(z->state));
    }
}

/* Of a zone that can be of any state */
static void exercise_extension(BlockBackend *blk, const BlockZoneDescriptor *z)
{
    static uint8_t buf[BLK_ZONE_EXTENSION_MAX], back[BLK_ZONE_EXTENSION_MAX];
    size_t size = blk_zone_limits(blk)->extension_size;
    int ret = blk_zone_get_extension(blk, z->start, back);

    g_assert(ret == (size ? 0 : -ENOTSUP));
    g_assert(z->has_extension || buffer_is_zero(back, size));
    memset(buf, PATTERN, size);
    ret = blk_zone_set_extension(blk, z->start, buf);
    if (ret == 0) {
        g_assert(z->state == BLK_ZS_EMPTY);
        g_assert(blk_zone_get_extension(blk, z->start, back) == 0);
        g_assert(memcmp(buf, back, size) == 0);
    }
}

static unsigned int report(BlockBackend *blk, int64_t offset,
                           BlockZoneDescriptor *zones)
{
    unsigned int n = ZONES;

    g_assert(blk_zone_report(blk, offset, &n, zones) == 0);
    g_assert(n > 0 && n <= ZONES);
    return n;
}

/* Reads do not fail, and show nothing above a write pointer */
static void exercise_reads(BlockBackend *blk)
{
    static uint8_t buf[128 * 1024];
    BlockZoneDescriptor zones[ZONES];
    int64_t length = blk_getlength(blk);
    int64_t last = MAX(length - ZONES * blk_zone_limits(blk)->zone_size, 0);
    int64_t offsets[] = { 0, last };
    unsigned int i, j, n;

    for (i = 0; i < ARRAY_SIZE(offsets); i++) {
        n = report(blk, offsets[i], zones);
        for (j = 0; j < n; j++) {
            const BlockZoneDescriptor *z = &zones[j];
            int64_t bytes = MIN(z->length, sizeof(buf));
            int64_t written = z->wp - z->start;
            int ret;

            check_zone(blk, z);
            memset(buf, PATTERN, bytes);
            ret = blk_pread(blk, z->start, bytes, buf, 0);
            g_assert(ret >= 0 ||
                     (ret == -ENXIO && z->state == BLK_ZS_OFFLINE));
            if (ret >= 0 && (z->state == BLK_ZS_EMPTY ||
                             z->state == BLK_ZS_CLOSED) && written < bytes) {
                g_assert(buffer_is_zero(buf + written, bytes - written));
            }
        }
    }
}

static BlockZoneDescriptor report_one(BlockBackend *blk, int64_t offset)
{
    BlockZoneDescriptor zones[ZONES];

    report(blk, offset, zones);
    return zones[0];
}

/* A write at the write pointer goes there, or is refused for a reason */
static void exercise_write(BlockBackend *blk, const BlockZoneDescriptor *z)
{
    static uint8_t buf[4096], back[4096];
    int64_t bytes = blk_zone_limits(blk)->write_granularity;
    int ret;

    if (z->state != BLK_ZS_EMPTY && z->state != BLK_ZS_CLOSED) {
        return;
    }
    memset(buf, PATTERN, bytes);
    ret = blk_pwrite(blk, z->wp, bytes, buf, 0);
    if (ret < 0) {
        /* Or the table cannot be written any more, as a flush will say */
        g_assert(ret == -ETOOMANYREFS || ret == -EOVERFLOW ||
                 blk_flush(blk) < 0);
        return;
    }
    g_assert(blk_pread(blk, z->wp, bytes, back, 0) >= 0);
    g_assert(memcmp(buf, back, bytes) == 0);
}

static void exercise_zone(BlockBackend *blk, BlockZoneDescriptor z,
                          unsigned int i)
{
    if (i % 3 == 1) {
        exercise_extension(blk, &z);
        z = report_one(blk, z.start);
    }
    exercise_write(blk, &z);
    if (i % 4 == 1) {
        blk_zone_mgmt(blk, BLK_ZO_RESET, z.start, z.length);
        z = report_one(blk, z.start);
        exercise_write(blk, &z);
    } else if (i % 4 == 2) {
        blk_zone_mgmt(blk, BLK_ZO_FINISH, z.start, z.length);
    } else if (i % 4 == 3) {
        blk_zone_mgmt(blk, BLK_ZO_CLOSE, z.start, z.length);
    }
}

static void exercise_writes(BlockBackend *blk)
{
    BlockZoneDescriptor zones[ZONES];
    unsigned int n = report(blk, 0, zones);
    unsigned int i;

    for (i = 0; i < n; i++) {
        exercise_zone(blk, zones[i], i);
    }
    /* It fails where generations have been used up */
    if (blk_flush(blk) < 0) {
        return;
    }
    blk_zone_mgmt(blk, BLK_ZO_RESET, 0, blk_getlength(blk));
    if (blk_flush(blk) == 0) {
        exercise_reads(blk);
    }
}

/* Returns: whether the image has no damage, or none any more */
static bool check_image(BlockBackend *blk, BdrvCheckMode fix)
{
    BdrvCheckResult res = {};
    int ret = bdrv_check(blk_bs(blk), &res, fix);

    if (ret < 0) {
        return false;
    }
    g_assert(fix || (!res.corruptions_fixed && !res.leaks_fixed));
    return !res.check_errors && res.corruptions <= res.corruptions_fixed;
}

static void exercise_check(void)
{
    BlockBackend *blk = open_image(BDRV_O_CHECK);
    bool sound;

    if (!blk) {
        return;
    }
    sound = check_image(blk, 0);
    blk_unref(blk);
    blk = open_image(0);
    /* What has no damage opens; what has some may still do so */
    g_assert(!sound || blk);
    if (blk) {
        blk_unref(blk);
    }

    blk = open_image(BDRV_O_CHECK | BDRV_O_RDWR);
    g_assert(blk);
    sound = check_image(blk, BDRV_FIX_ERRORS | BDRV_FIX_LEAKS);
    blk_unref(blk);
    if (!sound) {
        return;
    }
    blk = open_image(0);
    g_assert(blk);
    exercise_reads(blk);
    g_assert(check_image(blk, 0));
    blk_unref(blk);
}

void zoned_image_exercise(const uint8_t *data, size_t size)
{
    BlockBackend *blk;

    disk->length = zoned_image_input(data, size, disk->memory);

    crash_disk_mark(disk);
    blk = open_image(0);
    if (blk) {
        exercise_reads(blk);
        blk_unref(blk);
    }
    exercise_check();
    crash_disk_rewind(disk);

    crash_disk_mark(disk);
    blk = open_image(BDRV_O_RDWR | BDRV_O_UNMAP);
    if (blk) {
        exercise_writes(blk);
        blk_unref(blk);
        blk = open_image(0);
        g_assert(blk);
        exercise_reads(blk);
        blk_unref(blk);
    }
    crash_disk_rewind(disk);
}
