/*
 * Zoned images: a crash while one is resized
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A resize is cut wherever a request to the child has ended.  Of what was not
 * flushed by then, a random part is there, torn at 512 bytes.  The image must
 * open, with the old length or with the new one, and with all zones as they
 * were flushed, or as they were when the resize began.  Then what else there is
 * to a resize: reads while it goes on, and zones in rare states.
 *
 * ZONED_IMAGE_SEED sets another seed than 1.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qmp/qdict.h"
#include "qemu/main-loop.h"
#include "qemu/units.h"
#include "block/block.h"
#include "block/block_int.h"
#include "block/zoned-io.h"
#include "zoned-image-life.h"
#include "zoned-random.h"
#include "../../block/zoned-driver.h"

#define ZONE (8 * KiB)
#define BLOCK 512
/* Images made of each cut */
#define IMAGES 8

typedef struct Resize {
    const char *name;
    uint32_t from, to;          /* in units of BLOCK */
} Resize;

#define ZONES(n) ((n) * (ZONE / BLOCK))

static const Resize resizes[] = {
    { "grow", ZONES(100), ZONES(130) },
    { "grow-table", ZONES(1100), ZONES(1800) },
    { "grow-last", ZONES(600) + 5, ZONES(600) + 9 },
    { "shrink", ZONES(130), ZONES(100) },
    { "shrink-table", ZONES(1800), ZONES(700) },
    { "shrink-last", ZONES(600) + 9, ZONES(599) },
};

static uint64_t seed;

static BlockBackend *open_image(int flags, Error **errp)
{
    QDict *options = qdict_new();

    qdict_put_str(options, "driver", "zoned");
    qdict_put_str(options, "file", "resize");
    return blk_new_open(NULL, NULL, options, flags, errp);
}

static void append(BlockBackend *blk, uint32_t zone)
{
    uint8_t buf[BLOCK];
    QEMUIOVector qiov = QEMU_IOVEC_INIT_BUF(qiov, buf, BLOCK);
    int64_t offset = zone * ZONE;

    memset(buf, zone % 255 + 1, BLOCK);
    g_assert_cmpint(blk_zone_append(blk, &offset, &qiov, 0), ==, 0);
}

/* Zones that are written to: some that stay, in each block of the table */
static bool is_used(uint32_t zone, uint32_t end)
{
    return zone < end && (zone % 90 == 3 || zone == end - 1);
}

/* Some of them once before the last flush, and all of them once after it */
static void prepare(BlockBackend *blk, const Resize *r)
{
    uint32_t all = r->from / ZONES(1);
    uint32_t end = MIN(r->from, r->to) / ZONES(1);
    uint32_t zone;

    for (zone = 0; zone < end; zone++) {
        if (is_used(zone, end)) {
            append(blk, zone);
        }
    }
    for (zone = end; zone < all; zone += 50) {
        append(blk, zone);
    }
    g_assert_cmpint(blk_flush(blk), ==, 0);
    for (zone = 0; zone < end; zone++) {
        if (is_used(zone, end)) {
            append(blk, zone);
        }
    }
    for (zone = end; zone < all; zone += 50) {
        g_assert_cmpint(blk_zone_mgmt(blk, BLK_ZO_RESET, zone * ZONE, ZONE),
                        ==, 0);
    }
}

static void check_zone(BlockBackend *blk, const Resize *r,
                       const BlockZoneDescriptor *z)
{
    uint32_t zone = z->start / ZONE;
    uint32_t end = MIN(r->from, r->to) / ZONES(1);
    int64_t written = z->wp - z->start;
    uint8_t buf[ZONE], wanted[ZONE] = { 0 };

    if (is_used(zone, end)) {
        g_assert_cmpint(z->state, ==, BLK_ZS_CLOSED);
        g_assert(written == BLOCK || written == 2 * BLOCK);
    } else if (zone >= end && z->state == BLK_ZS_CLOSED) {
        g_assert_cmpint(written, ==, BLOCK);
        g_assert((zone - end) % 50 == 0 && zone < r->from / ZONES(1));
    } else {
        g_assert_cmpint(z->state, ==, BLK_ZS_EMPTY);
        return;
    }
    memset(wanted, zone % 255 + 1, written);
    g_assert_cmpint(blk_pread(blk, z->start, z->length, buf, 0), >=, 0);
    g_assert_cmpmem(buf, z->length, wanted, z->length);
}

static void check_image(const Resize *r)
{
    BlockBackend *blk = open_image(zoned_draw(&seed, 2) ? BDRV_O_RDWR : 0,
                                   &error_abort);
    int64_t length = blk_getlength(blk);
    unsigned int n = DIV_ROUND_UP(length, ZONE), i;
    g_autofree BlockZoneDescriptor *zones = g_new(BlockZoneDescriptor, n);

    g_assert(length == (int64_t)r->from * BLOCK ||
             length == (int64_t)r->to * BLOCK);
    g_assert_cmpint(blk_zone_report(blk, 0, &n, zones), ==, 0);
    g_assert_cmpint(n, ==, DIV_ROUND_UP(length, ZONE));
    for (i = 0; i < n; i++) {
        check_zone(blk, r, &zones[i]);
    }
    blk_unref(blk);
}

static void apply(CrashDisk *disk, const CrashOp *op, uint32_t keep)
{
    bool torn = zoned_draw(&seed, 3) == 0;
    bool kept = zoned_draw(&seed, 4) < keep;
    int64_t i;

    for (i = 0; i < op->bytes / CRASH_SECTOR; i++) {
        if (torn) {
            kept = zoned_draw(&seed, 4) < keep;
        }
        if (kept) {
            crash_disk_apply(disk, op, i);
        }
    }
}

/* What is left if the first @end of @ops have ended */
static void check_cut(CrashDisk *disk, const Resize *r, GPtrArray *ops,
                      unsigned int end)
{
    unsigned int i, k, flushed = 0;
    int image;

    for (i = 0; i < end; i++) {
        const CrashOp *op = g_ptr_array_index(ops, i);

        flushed = op->kind == CRASH_FLUSH ? i : flushed;
    }
    for (image = 0; image < IMAGES; image++) {
        /* From nothing to all, and of what was not flushed only */
        uint32_t keep = image % 5;

        crash_disk_mark(disk);
        for (k = 0; k < end; k++) {
            apply(disk, g_ptr_array_index(ops, k), k < flushed ? 4 : keep);
        }
        check_image(r);
        crash_disk_rewind(disk);
    }
}

static void test_resize(const void *opaque)
{
    const Resize *r = opaque;
    const LifeConfig config = {
        .name = r->name,
        .g = {
            .model = BLK_Z_HM,
            .length = (int64_t)r->from * BLOCK,
            .zone_size = ZONE,
            .zone_capacity = ZONE - BLOCK,
            .write_granularity = BLOCK,
        },
    };
    CrashDisk *disk = crash_disk_new(0);
    BlockDriverState *node = crash_disk_node(disk, "resize");
    g_autoptr(GPtrArray) ops =
        g_ptr_array_new_with_free_func((GDestroyNotify)crash_op_free);
    g_autofree uint8_t *before = NULL;
    BlockBackend *blk;
    int64_t length;
    unsigned int i;

    life_create_image(&config, node);
    blk = open_image(BDRV_O_RDWR | BDRV_O_RESIZE, &error_abort);
    prepare(blk, r);
    length = disk->length;
    before = g_memdup2(disk->memory, length);

    crash_disk_record(disk, ops);
    g_assert_cmpint(blk_truncate(blk, (int64_t)r->to * BLOCK, true,
                                 PREALLOC_MODE_OFF, 0, &error_abort), ==, 0);
    crash_disk_record(disk, NULL);
    g_assert_cmpuint(ops->len, >, 5);
    blk_unref(blk);

    /* The file never is shorter than either length has it */
    if (disk->length < length) {
        disk->memory = g_realloc(disk->memory, ROUND_UP(length, 4096));
        disk->length = length;
    }
    memset(disk->memory, 0, disk->length);
    memcpy(disk->memory, before, length);
    for (i = 0; i <= ops->len; i++) {
        check_cut(disk, r, ops, i);
    }
    g_test_message("%u cuts", ops->len + 1);
    bdrv_unref(node);
    crash_disk_free(disk);
}

typedef struct Truncate {
    BlockBackend *blk;
    int64_t length;
    int ret;
} Truncate;

static void coroutine_fn truncate_entry(void *opaque)
{
    Truncate *t = opaque;

    t->ret = blk_co_truncate(t->blk, t->length, true, PREALLOC_MODE_OFF, 0,
                             &error_abort);
}

/* No read looks for zones that the table does not have any more */
static void test_read_while_shrinking(void)
{
    const LifeConfig config = {
        .name = "read-while-shrinking",
        .g = {
            .model = BLK_Z_HM,
            .length = 1000 * ZONE,
            .zone_size = ZONE,
            .zone_capacity = ZONE,
            .write_granularity = BLOCK,
        },
    };
    CrashDisk *disk = crash_disk_new(0);
    BlockDriverState *node = crash_disk_node(disk, "resize");
    Truncate t = { .length = 10 * ZONE, .ret = EINPROGRESS };
    unsigned int seen[2] = { 0 };
    uint8_t buf[2 * BLOCK];
    BDRVZonedState *s;
    int64_t n;

    life_create_image(&config, node);
    t.blk = open_image(BDRV_O_RDWR | BDRV_O_RESIZE, &error_abort);
    s = blk_bs(t.blk)->opaque;
    append(t.blk, 1);

    disk->deferred = true;
    bdrv_coroutine_enter(blk_bs(t.blk),
                         qemu_coroutine_create(truncate_entry, &t));
    while (t.ret == EINPROGRESS) {
        bool gone = s->table.h.g.length == t.length;
        /* One zone that goes, and two of which the second one goes */
        int ret = blk_pread(t.blk, 990 * ZONE, BLOCK, buf, 0);
        int both = blk_pread(t.blk, 10 * ZONE - BLOCK, 2 * BLOCK, buf, 0);
        int status = bdrv_block_status(blk_bs(t.blk), 990 * ZONE, BLOCK, &n,
                                       NULL, NULL);

        if (gone) {
            g_assert_cmpint(ret, ==, -EIO);
            g_assert_cmpint(both, ==, -EIO);
            g_assert_cmpint(status, ==, -EIO);
            g_assert_cmpint(bdrv_block_status(blk_bs(t.blk), 9 * ZONE,
                                              2 * ZONE, &n, NULL, NULL), >=,
                            0);
            g_assert_cmpint(n, ==, ZONE);
        } else {
            g_assert_cmpint(ret, ==, 0);
            g_assert_cmpint(both, ==, 0);
            g_assert_cmpint(status & BDRV_BLOCK_ZERO, !=, 0);
        }
        seen[gone]++;
        g_assert_cmpuint(disk->pending->len, ==, 1);
        /* The disk must not be shortened while it is deferred */
        disk->deferred = !gone || seen[1] < 4;
        crash_disk_complete(disk, 0, 0, 0);
    }
    g_assert_cmpint(t.ret, ==, 0);
    g_assert_cmpuint(seen[0], >, 0);
    g_assert_cmpuint(seen[1], >, 0);
    blk_unref(t.blk);
    bdrv_unref(node);
    crash_disk_free(disk);
}

/* A zone that is closed and holds nothing, as NVMe has them, stays so */
static void test_closed_at_start(void)
{
    const LifeConfig config = {
        .name = "closed-at-start",
        .g = {
            .model = BLK_Z_HM,
            .length = 10 * ZONE,
            .zone_size = ZONE,
            .zone_capacity = ZONE,
            .max_active_zones = 2,
            .write_granularity = BLOCK,
        },
    };
    static const int64_t lengths[] = { 20 * ZONE, 5 * ZONE };
    CrashDisk *disk = crash_disk_new(0);
    BlockDriverState *node = crash_disk_node(disk, "resize");
    BlockZoneDescriptor z;
    unsigned int i, nr;
    BlockBackend *blk;

    life_create_image(&config, node);
    blk = open_image(BDRV_O_RDWR | BDRV_O_RESIZE, &error_abort);
    g_assert_cmpint(blk_zone_mgmt(blk, BLK_ZO_OPEN, ZONE, ZONE), ==, 0);
    g_assert_cmpint(blk_zone_mgmt(blk, BLK_ZO_CLOSE_ACTIVE, ZONE, ZONE), ==,
                    0);
    for (i = 0; i < ARRAY_SIZE(lengths); i++) {
        g_assert_cmpint(blk_truncate(blk, lengths[i], true, PREALLOC_MODE_OFF,
                                     0, &error_abort), ==, 0);
        nr = 1;
        g_assert_cmpint(blk_zone_report(blk, ZONE, &nr, &z), ==, 0);
        g_assert_cmpint(z.state, ==, BLK_ZS_CLOSED);
        g_assert_cmpint(z.wp, ==, ZONE);
    }
    blk_unref(blk);
    bdrv_unref(node);
    crash_disk_free(disk);
}

int main(int argc, char **argv)
{
    unsigned int i;

    bdrv_init();
    qemu_init_main_loop(&error_abort);
    g_test_init(&argc, &argv, NULL);
    seed = zoned_number_from_env("ZONED_IMAGE_SEED", 1) ?: 1;
    for (i = 0; i < ARRAY_SIZE(resizes); i++) {
        g_autofree char *path = g_strdup_printf("/zoned-image/resize/%s",
                                                resizes[i].name);

        g_test_add_data_func(path, &resizes[i], test_resize);
    }
    g_test_add_func("/zoned-image/resize/read-while-shrinking",
                    test_read_while_shrinking);
    g_test_add_func("/zoned-image/resize/closed-at-start",
                    test_closed_at_start);
    return g_test_run();
}
