/*
 * Zoned images: what requests cost at the child
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Writes and appends are writes of data to the child, and nothing else.  What
 * a flush costs depends on the zones touched since the last one, and not on
 * how many zones there are.  What waits for a request to the child stays in
 * order.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "qemu/units.h"
#include "block/block.h"
#include "block/zoned-io.h"
#include "zoned-image-life.h"
#include "../../block/zoned-driver.h"

#define ZONE (4 * KiB)
#define NR_ZONES 20000
#define BLOCK 512

static const LifeConfig config = {
    .name = "cost",
    .g = {
        .model = BLK_Z_HM,
        .length = NR_ZONES * ZONE,
        .zone_size = ZONE,
        .zone_capacity = ZONE,
        .conventional_zones = 1,
        .write_granularity = BLOCK,
        .extension_size = 64,
    },
};

static CrashDisk *disk;
static BlockDriverState *node;
static BlockBackend *blk;
static GPtrArray *ops;
static uint8_t buf[BLOCK];

/* Open a new image, and do away with what the first change costs */
static void setup(void)
{
    disk = crash_disk_new(0);
    node = crash_disk_node(disk, "cost");
    life_create_image(&config, node);
    blk = life_open_image("cost", true, &error_abort);
    g_assert_cmpint(blk_zone_mgmt(blk, BLK_ZO_RESET, ZONE, ZONE), ==, 0);
    ops = g_ptr_array_new_with_free_func((GDestroyNotify)crash_op_free);
    crash_disk_record(disk, ops);
}

static void teardown(void)
{
    crash_disk_record(disk, NULL);
    blk_unref(blk);
    bdrv_unref(node);
    crash_disk_free(disk);
    g_ptr_array_free(ops, true);
}

/* What there was at the child since the last call: so much, in this order */
static void expect(const char *kinds)
{
    const ZonedHeader *h = &((BDRVZonedState *)blk_bs(blk)->opaque)->h;
    g_autoptr(GString) found = g_string_new(NULL);
    unsigned int i;

    for (i = 0; i < ops->len; i++) {
        const CrashOp *op = g_ptr_array_index(ops, i);

        if (op->kind == CRASH_FLUSH) {
            g_string_append_c(found, 'f');
        } else if (op->offset >= h->data_offset) {
            g_string_append_c(found, op->kind == CRASH_WRITE ? 'd' : 'x');
        } else if (op->offset >= h->table_offset) {
            g_string_append_c(found, 't');
        } else {
            g_string_append_c(found, op->offset >= ZONED_LOG_OFFSET ? 'l'
                                                                    : 'h');
        }
    }
    g_ptr_array_set_size(ops, 0);
    g_assert_cmpstr(found->str, ==, kinds);
}

static void write_block(uint32_t zone, unsigned int block,
                        BdrvRequestFlags flags)
{
    g_assert_cmpint(blk_pwrite(blk, zone * ZONE + block * BLOCK, BLOCK, buf,
                               flags), ==, 0);
}

static void append(uint32_t zone)
{
    QEMUIOVector qiov = QEMU_IOVEC_INIT_BUF(qiov, buf, BLOCK);
    int64_t offset = zone * ZONE;

    g_assert_cmpint(blk_zone_append(blk, &offset, &qiov, 0), ==, 0);
}

static void flush(void)
{
    g_assert_cmpint(blk_flush(blk), ==, 0);
}

static void mgmt(BlockZoneOp op, uint32_t zone, uint32_t nr_zones)
{
    g_assert_cmpint(blk_zone_mgmt(blk, op, zone * ZONE, nr_zones * ZONE), ==,
                    0);
}

static void test_hot_path(void)
{
    uint32_t zone;

    setup();
    write_block(1, 0, 0);
    write_block(1, 1, 0);
    append(1);
    append(NR_ZONES - 1);
    write_block(0, 3, 0);
    expect("ddddd");
    for (zone = 1; zone < NR_ZONES; zone += 1000) {
        append(zone);
    }
    expect("dddddddddddddddddddd");
    mgmt(BLK_ZO_OPEN, 2, 1);
    mgmt(BLK_ZO_FINISH, 2, 1);
    mgmt(BLK_ZO_CLOSE, 1, 1);
    mgmt(BLK_ZO_RESET, 1, 1);
    expect("");
    teardown();
}

static void test_flush(void)
{
    uint32_t zone;

    setup();
    /* One block of the table */
    write_block(1, 0, 0);
    append(500);
    expect("dd");
    flush();
    expect("ftf");
    /* Several of them */
    for (zone = 1; zone < NR_ZONES; zone += NR_ZONES / 10) {
        append(zone);
    }
    expect("dddddddddd");
    flush();
    expect("flf");
    append(1);
    flush();
    expect("dflf");
    /* Only data of a conventional zone, which has no entry */
    write_block(0, 0, 0);
    flush();
    expect("df");
    flush();
    expect("");
    write_block(1, 3, BDRV_REQ_FUA);
    expect("dflf");
    teardown();
}

/* More zones than the log has room for, in three blocks of the table */
static void test_many(void)
{
    setup();
    mgmt(BLK_ZO_FINISH, 400, 300);
    mgmt(BLK_ZO_FINISH, 15000, 1);
    expect("");
    flush();
    expect("tttf");
    /* What the table has is not in the log any more */
    append(1);
    append(10000);
    flush();
    expect("ddflf");
    teardown();
}

static void test_reset(void)
{
    setup();
    append(1);
    append(10000);
    flush();
    expect("ddflf");
    mgmt(BLK_ZO_RESET, 1, 1);
    /* The first write waits until the reset is on disk, and no other */
    append(10000);
    expect("d");
    append(1);
    expect("flfxd");
    append(1);
    append(1);
    expect("dd");
    teardown();
}

static void set_ret(void *opaque, int ret)
{
    *(int *)opaque = ret;
}

/* Writes one behind the other, while @ext is under way in their zone */
static void finish_in_order(int *ext)
{
    QEMUIOVector qiov = QEMU_IOVEC_INIT_BUF(qiov, buf, BLOCK);
    int rets[3] = { EINPROGRESS, EINPROGRESS, EINPROGRESS };
    unsigned int i;

    for (i = 0; i < ARRAY_SIZE(rets); i++) {
        blk_aio_pwritev(blk, ZONE + i * BLOCK, &qiov, 0, set_ret, &rets[i]);
    }
    while (aio_poll(qemu_get_aio_context(), false)) {
        ;
    }
    g_assert_cmpint(*ext, ==, EINPROGRESS);
    for (i = 0; i < ARRAY_SIZE(rets); i++) {
        g_assert_cmpint(rets[i], ==, EINPROGRESS);
    }

    crash_disk_release_reads(disk);
    disk->deferred = false;
    while (disk->pending->len) {
        crash_disk_complete(disk, 0, 0, 0);
    }
    while (*ext == EINPROGRESS || rets[2] == EINPROGRESS) {
        aio_poll(qemu_get_aio_context(), true);
    }
    g_assert_cmpint(*ext, ==, 0);
    for (i = 0; i < ARRAY_SIZE(rets); i++) {
        g_assert_cmpint(rets[i], ==, 0);
    }
}

/* All of a zone waits for its extension, not only a write at its start */
static void test_extension(void)
{
    uint8_t extension[64] = { 1 };
    int ret = EINPROGRESS;

    setup();
    disk->deferred = true;
    blk_aio_zone_set_extension(blk, ZONE, extension, set_ret, &ret);
    finish_in_order(&ret);
    mgmt(BLK_ZO_RESET, 1, 1);
    g_assert_cmpint(blk_zone_set_extension(blk, ZONE, extension), ==, 0);

    disk->hold_reads = true;
    ret = EINPROGRESS;
    blk_aio_zone_get_extension(blk, ZONE, extension, set_ret, &ret);
    finish_in_order(&ret);
    teardown();
}

int main(int argc, char **argv)
{
    bdrv_init();
    qemu_init_main_loop(&error_abort);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/zoned-image/cost/hot-path", test_hot_path);
    g_test_add_func("/zoned-image/cost/flush", test_flush);
    g_test_add_func("/zoned-image/cost/many", test_many);
    g_test_add_func("/zoned-image/cost/reset", test_reset);
    g_test_add_func("/zoned-image/cost/extension", test_extension);
    return g_test_run();
}
