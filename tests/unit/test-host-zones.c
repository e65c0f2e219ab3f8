/*
 * Host zoned devices: what the kernel says, understood or refused
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Limits are read from a folder that looks like sysfs, and descriptors are
 * made up.  What needs a kernel with zoned disks is tested in a guest.
 */

#include "qemu/osdep.h"
#include <linux/blkzoned.h>
#include "qapi/error.h"
#include "qemu/units.h"
#include "block/host-zones.h"

#define DISK_SIZE (1 * GiB)
#define ZONE_SIZE (64 * MiB)

/*
 * A disk, as /sys/dev/block/M:m shows it
 */

typedef struct Fixture {
    char *disk;
    HostZones hz;
    bool known;
} Fixture;

static void put(Fixture *f, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(f->disk, name, NULL);
    g_autofree char *dir = g_path_get_dirname(path);
    g_autofree char *line = g_strdup_printf("%s\n", text);

    g_assert_cmpint(g_mkdir_with_parents(dir, 0700), ==, 0);
    g_assert_true(g_file_set_contents(path, line, -1, NULL));
}

static void drop(Fixture *f, const char *name)
{
    g_autofree char *path = g_build_filename(f->disk, name, NULL);

    g_assert_cmpint(unlink(path), ==, 0);
}

static void set_up(Fixture *f, const void *data)
{
    f->disk = g_dir_make_tmp("host-zones-XXXXXX", NULL);
    g_assert_nonnull(f->disk);
    put(f, "size", "2097152");
    put(f, "queue/zoned", "host-managed");
    put(f, "queue/chunk_sectors", "131072");
    put(f, "queue/nr_zones", "16");
    put(f, "queue/logical_block_size", "512");
    put(f, "queue/physical_block_size", "4096");
    put(f, "queue/zone_write_granularity", "4096");
    put(f, "queue/max_open_zones", "14");
    put(f, "queue/max_active_zones", "15");
    put(f, "queue/max_sectors_kb", "1280");
    put(f, "queue/max_segments", "128");
    put(f, "queue/zone_append_max_bytes", "524288");
}

static void remove_tree(const char *path)
{
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *child = g_build_filename(path, name, NULL);

        remove_tree(child);
    }
    if (dir) {
        g_dir_close(dir);
    }
    g_assert_cmpint(remove(path), ==, 0);
}

static void tear_down(Fixture *f, const void *data)
{
    remove_tree(f->disk);
    g_free(f->disk);
}

static bool probe_at(Fixture *f, const char *where, int64_t length,
                     Error **errp)
{
    g_autofree char *device = g_build_filename(f->disk, where, NULL);

    return host_zones_probe_sysfs(device, length, &f->hz, &f->known, errp);
}

static void probe(Fixture *f)
{
    g_assert_true(probe_at(f, ".", DISK_SIZE, &error_abort));
}

static void refused(Fixture *f, const char *where, int64_t length,
                    const char *why)
{
    Error *err = NULL;

    g_assert_false(probe_at(f, where, length, &err));
    g_assert_nonnull(strstr(error_get_pretty(err), why));
    error_free(err);
}

static void test_limits(Fixture *f, const void *data)
{
    const BlockZoneLimits *l = &f->hz.limits;

    probe(f);
    g_assert_true(f->known);
    g_assert_cmpint(l->model, ==, BLK_Z_HM);
    g_assert_cmpint(l->zone_size, ==, ZONE_SIZE);
    g_assert_cmpint(l->nr_zones, ==, 16);
    g_assert_cmpint(l->max_open_zones, ==, 14);
    g_assert_cmpint(l->max_active_zones, ==, 15);
    g_assert_cmpint(l->write_granularity, ==, 4096);
    g_assert_cmpint(l->max_append_bytes, ==, 512 * KiB);
    g_assert_cmpint(f->hz.length, ==, DISK_SIZE);
    g_assert_cmpint(f->hz.max_transfer, ==, 1280 * KiB);
    g_assert_cmpint(f->hz.max_segments, ==, 128);
}

static void test_model(Fixture *f, const void *data)
{
    put(f, "queue/zoned", "host-aware");
    probe(f);
    g_assert_cmpint(f->hz.limits.model, ==, BLK_Z_HA);
    g_assert_cmpint(f->hz.limits.max_append_bytes, ==, 0);

    put(f, "queue/zoned", "none");
    probe(f);
    g_assert_true(f->known);
    g_assert_cmpint(f->hz.limits.model, ==, BLK_Z_NONE);
    g_assert_cmpint(f->hz.limits.zone_size, ==, 0);

    put(f, "queue/zoned", "host-something");
    refused(f, ".", DISK_SIZE, "'host-something'");
    put(f, "queue/zoned", "");
    refused(f, ".", DISK_SIZE, "''");

    /* A kernel without zones */
    drop(f, "queue/zoned");
    probe(f);
    g_assert_true(f->known);
    g_assert_cmpint(f->hz.limits.model, ==, BLK_Z_NONE);
}

static void test_unknown_device(Fixture *f, const void *data)
{
    g_assert_true(probe_at(f, "missing", DISK_SIZE, &error_abort));
    g_assert_false(f->known);
    g_assert_cmpint(f->hz.limits.model, ==, BLK_Z_NONE);
}

/* Something is there, and cannot be read */
static void test_unreadable(Fixture *f, const void *data)
{
    drop(f, "queue/zoned");
    put(f, "queue/zoned/a-folder", "");
    refused(f, ".", DISK_SIZE, "queue/zoned");
}

static void test_zone_sizes(Fixture *f, const void *data)
{
    const BlockZoneLimits *l = &f->hz.limits;

    /* A shorter last zone */
    g_assert_true(probe_at(f, ".", DISK_SIZE + MiB, &error_abort));
    g_assert_cmpint(l->nr_zones, ==, 17);
    g_assert_true(probe_at(f, ".", DISK_SIZE - MiB, &error_abort));
    g_assert_cmpint(l->nr_zones, ==, 16);

    /* More than 32 bits of bytes, and the most there can be */
    put(f, "queue/chunk_sectors", "16777216");
    probe(f);
    g_assert_cmpint(l->zone_size, ==, 8 * GiB);
    g_assert_cmpint(l->nr_zones, ==, 1);
    put(f, "queue/chunk_sectors", "2147483648");
    g_assert_true(probe_at(f, ".", INT64_MAX, &error_abort));
    g_assert_cmpint(l->zone_size, ==, TiB);
    g_assert_cmpint(l->nr_zones, ==, 1 << 23);

    put(f, "queue/chunk_sectors", "8");
    refused(f, ".", INT64_MAX, "too many zones");
    refused(f, ".", 0, "size of the disk is 0");
    put(f, "queue/chunk_sectors", "0");
    refused(f, ".", DISK_SIZE, "zone size is 0");
    drop(f, "queue/chunk_sectors");
    refused(f, ".", DISK_SIZE, "zone size is 0");
}

static void test_numbers(Fixture *f, const void *data)
{
    static const char *const bad[] = {
        "", "abc", "12 34", "0x10", "-1", "4294967296",
        "99999999999999999999",
    };
    int i;

    for (i = 0; i < ARRAY_SIZE(bad); i++) {
        put(f, "queue/max_open_zones", bad[i]);
        refused(f, ".", DISK_SIZE, "max_open_zones");
    }
    /* Such a limit does not fit what holds it, and must not wrap to none */
    put(f, "queue/max_open_zones", "4294967295");
    probe(f);
    g_assert_cmpint(f->hz.limits.max_open_zones, ==, UINT32_MAX);
}

static void test_granularity(Fixture *f, const void *data)
{
    const BlockZoneLimits *l = &f->hz.limits;

    /* Kernels before 5.12 leave it to the user to know the standards */
    drop(f, "queue/zone_write_granularity");
    probe(f);
    g_assert_cmpint(l->write_granularity, ==, 4096);
    put(f, "queue/zoned", "host-aware");
    probe(f);
    g_assert_cmpint(l->write_granularity, ==, 512);

    /* What cannot be read in smaller units cannot be written in them */
    put(f, "queue/zoned", "host-managed");
    put(f, "queue/zone_write_granularity", "512");
    put(f, "queue/logical_block_size", "4096");
    probe(f);
    g_assert_cmpint(l->write_granularity, ==, 4096);

    put(f, "queue/zone_write_granularity", "5120");
    refused(f, ".", DISK_SIZE, "granularity of 5120");
    put(f, "queue/zone_write_granularity", "134217728");
    refused(f, ".", DISK_SIZE, "granularity of 134217728");
}

static void test_append(Fixture *f, const void *data)
{
    const BlockZoneLimits *l = &f->hz.limits;

    put(f, "queue/zone_append_max_bytes", "524800");
    probe(f);
    g_assert_cmpint(l->max_append_bytes, ==, 512 * KiB);

    /* Not known, or not there: what a write can be */
    put(f, "queue/zone_append_max_bytes", "0");
    probe(f);
    g_assert_cmpint(l->max_append_bytes, ==, 1280 * KiB);
    drop(f, "queue/zone_append_max_bytes");
    probe(f);
    g_assert_cmpint(l->max_append_bytes, ==, 1280 * KiB);

    /* Never more than a zone, nor than a request can have */
    put(f, "queue/max_sectors_kb", "1048576");
    probe(f);
    g_assert_cmpint(l->max_append_bytes, ==, ZONE_SIZE);
    put(f, "queue/chunk_sectors", "16777216");
    put(f, "queue/max_sectors_kb", "4294967295");
    probe(f);
    g_assert_cmpint(l->max_append_bytes, ==, 2 * GiB - 4096);

    drop(f, "queue/max_sectors_kb");
    put(f, "queue/zone_append_max_bytes", "1");
    probe(f);
    g_assert_cmpint(l->max_append_bytes, ==, 4096);
    g_assert_cmpint(f->hz.max_transfer, ==, 0);
}

static void test_missing_limits(Fixture *f, const void *data)
{
    drop(f, "queue/max_open_zones");
    drop(f, "queue/max_active_zones");
    drop(f, "queue/max_segments");
    probe(f);
    g_assert_cmpint(f->hz.limits.max_open_zones, ==, 0);
    g_assert_cmpint(f->hz.limits.max_active_zones, ==, 0);
    g_assert_cmpint(f->hz.max_segments, ==, 0);
}

static void test_partition(Fixture *f, const void *data)
{
    put(f, "part/partition", "1");
    put(f, "part/start", "262144");
    g_assert_true(probe_at(f, "part", 4 * ZONE_SIZE, &error_abort));
    g_assert_true(f->known);
    g_assert_cmpint(f->hz.limits.model, ==, BLK_Z_HM);
    g_assert_cmpint(f->hz.limits.nr_zones, ==, 4);
    g_assert_cmpint(f->hz.length, ==, 4 * ZONE_SIZE);

    refused(f, "part", 4 * ZONE_SIZE - MiB, "whole zones");
    put(f, "part/start", "2048");
    refused(f, "part", 4 * ZONE_SIZE, "whole zones");
    drop(f, "part/start");
    refused(f, "part", 4 * ZONE_SIZE, "whole zones");

    /* The last zone of this disk is shorter, and so is that of a partition */
    put(f, "size", "2095104");
    put(f, "part/start", "1966080");
    g_assert_true(probe_at(f, "part", ZONE_SIZE - MiB, &error_abort));
    g_assert_cmpint(f->hz.limits.nr_zones, ==, 1);

    /* On an ordinary disk it is an ordinary one */
    put(f, "queue/zoned", "none");
    put(f, "part/start", "2048");
    g_assert_true(probe_at(f, "part", 4 * MiB, &error_abort));
    g_assert_cmpint(f->hz.limits.model, ==, BLK_Z_NONE);
}

/*
 * Descriptors
 */

/* A disk of 3.5 zones */
static const HostZones zoned_disk = {
    .limits = {
        .model = BLK_Z_HM,
        .zone_size = ZONE_SIZE,
        .nr_zones = 4,
        .write_granularity = 4096,
    },
    .length = 3 * ZONE_SIZE + ZONE_SIZE / 2,
};

/* The second zone: 64 MiB, of which 48 MiB can be written, 1 MiB is written */
static const struct blk_zone second_zone = {
    .start = 131072,
    .len = 131072,
    .wp = 131072 + 2048,
    .type = BLK_ZONE_TYPE_SEQWRITE_REQ,
    .cond = BLK_ZONE_COND_IMP_OPEN,
    .capacity = 98304,
};

static void is_described(const struct blk_zone *zone, BlockZoneState state,
                         int64_t wp)
{
    BlockZoneDescriptor d;

    g_assert_true(host_zones_describe(&zoned_disk, ZONE_SIZE, zone, true,
                                      &d));
    g_assert_cmpint(d.start, ==, ZONE_SIZE);
    g_assert_cmpint(d.length, ==, ZONE_SIZE);
    g_assert_cmpint(d.cap, ==, 48 * MiB);
    g_assert_cmpint(d.type, ==, zone->type);
    g_assert_cmpint(d.state, ==, state);
    g_assert_cmpint(d.wp, ==, wp);
}

static void is_nonsense(const struct blk_zone *zone)
{
    BlockZoneDescriptor d;

    g_assert_false(host_zones_describe(&zoned_disk, ZONE_SIZE, zone, true,
                                       &d));
}

static void test_conditions(void)
{
    static const struct {
        uint8_t cond;
        BlockZoneState state;
        int64_t wp;
    } conditions[] = {
        { BLK_ZONE_COND_EMPTY, BLK_ZS_EMPTY, ZONE_SIZE },
        { BLK_ZONE_COND_IMP_OPEN, BLK_ZS_IOPEN, ZONE_SIZE + MiB },
        { BLK_ZONE_COND_EXP_OPEN, BLK_ZS_EOPEN, ZONE_SIZE + MiB },
        { BLK_ZONE_COND_CLOSED, BLK_ZS_CLOSED, ZONE_SIZE + MiB },
        { BLK_ZONE_COND_FULL, BLK_ZS_FULL, 2 * ZONE_SIZE },
        { BLK_ZONE_COND_READONLY, BLK_ZS_RDONLY, -1 },
        { BLK_ZONE_COND_OFFLINE, BLK_ZS_OFFLINE, -1 },
        /* Inactive in ZBC-2; nothing yet; the kernel's name for its own use */
        { 0x5, BLK_ZS_OFFLINE, -1 },
        { 0xc, BLK_ZS_OFFLINE, -1 },
        { 0xff, BLK_ZS_OFFLINE, -1 },
    };
    struct blk_zone zone = second_zone;
    int i;

    for (i = 0; i < ARRAY_SIZE(conditions); i++) {
        zone.cond = conditions[i].cond;
        is_described(&zone, conditions[i].state, conditions[i].wp);
        zone.type = BLK_ZONE_TYPE_SEQWRITE_PREF;
        is_described(&zone, conditions[i].state, conditions[i].wp);
        zone.type = BLK_ZONE_TYPE_SEQWRITE_REQ;
    }
    zone.cond = BLK_ZONE_COND_NOT_WP;
    is_nonsense(&zone);
}

/* Where there is no write pointer, its value is without meaning */
static void test_meaningless_pointers(void)
{
    struct blk_zone zone = second_zone;

    zone.wp = UINT64_MAX;
    zone.cond = BLK_ZONE_COND_FULL;
    is_described(&zone, BLK_ZS_FULL, 2 * ZONE_SIZE);
    zone.cond = BLK_ZONE_COND_EMPTY;
    is_described(&zone, BLK_ZS_EMPTY, ZONE_SIZE);
    zone.cond = BLK_ZONE_COND_OFFLINE;
    is_described(&zone, BLK_ZS_OFFLINE, -1);
    zone.type = BLK_ZONE_TYPE_CONVENTIONAL;
    zone.cond = BLK_ZONE_COND_NOT_WP;
    is_described(&zone, BLK_ZS_NOT_WP, -1);
}

static void test_conventional(void)
{
    struct blk_zone zone = second_zone;

    zone.type = BLK_ZONE_TYPE_CONVENTIONAL;
    zone.cond = BLK_ZONE_COND_NOT_WP;
    is_described(&zone, BLK_ZS_NOT_WP, -1);
    zone.cond = BLK_ZONE_COND_READONLY;
    is_described(&zone, BLK_ZS_RDONLY, -1);
    zone.cond = BLK_ZONE_COND_OFFLINE;
    is_described(&zone, BLK_ZS_OFFLINE, -1);
    zone.cond = BLK_ZONE_COND_IMP_OPEN;
    is_described(&zone, BLK_ZS_NOT_WP, -1);
}

static void test_no_capacity(void)
{
    struct blk_zone zone = second_zone;
    BlockZoneDescriptor d;

    /* Kernels before 5.9 leave the field as it is */
    zone.capacity = 0;
    g_assert_true(host_zones_describe(&zoned_disk, ZONE_SIZE, &zone, false,
                                      &d));
    g_assert_cmpint(d.cap, ==, ZONE_SIZE);
    is_nonsense(&zone);
}

static void test_last_zone(void)
{
    struct blk_zone zone = {
        .start = 3 * 131072,
        .len = 65536,
        .wp = 3 * 131072 + 65535,
        .type = BLK_ZONE_TYPE_SEQWRITE_REQ,
        .cond = BLK_ZONE_COND_CLOSED,
        .capacity = 65536,
    };
    BlockZoneDescriptor d;

    g_assert_true(host_zones_describe(&zoned_disk, 3 * ZONE_SIZE, &zone, true,
                                      &d));
    g_assert_cmpint(d.length, ==, ZONE_SIZE / 2);
    g_assert_cmpint(d.cap, ==, ZONE_SIZE / 2);
    g_assert_cmpint(d.wp, ==, zoned_disk.length - 512);

    zone.len = 131072;
    g_assert_false(host_zones_describe(&zoned_disk, 3 * ZONE_SIZE, &zone,
                                       true, &d));
}

static void test_nonsense(void)
{
    struct blk_zone zone;

#define WITH(member, value) \
    do { \
        zone = second_zone; \
        zone.member = (value); \
        is_nonsense(&zone); \
    } while (0)

    WITH(start, 0);
    WITH(start, 131080);
    WITH(start, UINT64_MAX);
    WITH(len, 65536);
    WITH(len, 262144);
    WITH(len, 0);
    WITH(capacity, 0);
    WITH(capacity, 131073);
    WITH(capacity, 1);
    WITH(capacity, UINT64_MAX);
    WITH(wp, 131071);
    WITH(wp, 131072 + 98305);
    WITH(wp, UINT64_MAX);
    WITH(type, 0);
    WITH(type, 4);
    WITH(type, 0xff);
#undef WITH
}

/* Sectors whose number in bytes does not wrap, far out on a large disk */
static void test_far_zone(void)
{
    HostZones hz = {
        .limits = {
            .model = BLK_Z_HM,
            .zone_size = 1 * TiB,
            .nr_zones = 1 << 22,
            .write_granularity = 512,
        },
        .length = (1LL << 22) * TiB,
    };
    int64_t start = ((1LL << 22) - 1) * TiB;
    struct blk_zone zone = {
        .start = start / 512,
        .len = TiB / 512,
        .wp = start / 512 + 5 * GiB / 512,
        .type = BLK_ZONE_TYPE_SEQWRITE_REQ,
        .cond = BLK_ZONE_COND_EXP_OPEN,
        .capacity = TiB / 512,
    };
    BlockZoneDescriptor d;

    g_assert_true(host_zones_describe(&hz, start, &zone, true, &d));
    g_assert_cmpint(d.start, ==, start);
    g_assert_cmpint(d.wp, ==, start + 5 * GiB);
}

#define ADD(name, function) \
    g_test_add("/host-zones/limits/" name, Fixture, NULL, set_up, function, \
               tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("all", test_limits);
    ADD("model", test_model);
    ADD("unknown-device", test_unknown_device);
    ADD("unreadable", test_unreadable);
    ADD("zone-sizes", test_zone_sizes);
    ADD("numbers", test_numbers);
    ADD("granularity", test_granularity);
    ADD("append", test_append);
    ADD("missing", test_missing_limits);
    ADD("partition", test_partition);
    g_test_add_func("/host-zones/zone/conditions", test_conditions);
    g_test_add_func("/host-zones/zone/pointers", test_meaningless_pointers);
    g_test_add_func("/host-zones/zone/conventional", test_conventional);
    g_test_add_func("/host-zones/zone/no-capacity", test_no_capacity);
    g_test_add_func("/host-zones/zone/last", test_last_zone);
    g_test_add_func("/host-zones/zone/nonsense", test_nonsense);
    g_test_add_func("/host-zones/zone/far", test_far_zone);
    return g_test_run();
}
