/*
 * Zone model tests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * ZONE_MODEL_SEED sets the seed of the random operations and ZONE_MODEL_OPS
 * their number.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/units.h"
#include "block/zone-model.h"
#include "zone-model-driver.h"
#include "zoned-random.h"

#define RANDOM_OPS 10000000
#define OPS_A_DISK 1000

/* Sizes of the disk that most tests use: no power of two, a short capacity */
#define GRANULARITY 4096
#define ZONE_SIZE (96 * KiB)
#define CAPACITY (64 * KiB)
#define START(zone) ((int64_t)(zone) * ZONE_SIZE)
#define MAX_ZONES 8

static const ZoneGeometryNames names = {
    .length = "size",
    .zone_size = "zone-size",
    .zone_capacity = "zone-capacity",
    .conventional_zones = "conventional-zones",
    .max_open_zones = "max-open-zones",
    .max_active_zones = "max-active-zones",
    .write_granularity = "write-granularity",
    .extension_size = "extension-size",
};

static ZoneGeometry host_managed(int nr_zones)
{
    return (ZoneGeometry) {
        .model = BLK_Z_HM,
        .length = START(nr_zones),
        .zone_size = ZONE_SIZE,
        .zone_capacity = CAPACITY,
        .write_granularity = GRANULARITY,
        .extension_size = 64,
    };
}

static ZoneGeometry host_aware(int nr_zones)
{
    ZoneGeometry g = host_managed(nr_zones);

    g.model = BLK_Z_HA;
    g.zone_capacity = ZONE_SIZE;
    g.extension_size = 0;
    return g;
}

static ZoneModel *new_model(ZoneGeometry g)
{
    ZoneModel *m;

    g_assert_true(zone_geometry_check(&g, &names, &error_abort));
    m = zone_model_new(&g);
    g_assert_nonnull(m);
    return m;
}

static ZoneModel *new_limited(int nr_zones, int max_open, int max_active)
{
    ZoneGeometry g = host_managed(nr_zones);

    g.max_open_zones = max_open;
    g.max_active_zones = max_active;
    return new_model(g);
}

static BlockZoneDescriptor zone(const ZoneModel *m, int i)
{
    BlockZoneDescriptor d;
    int64_t offset = i * zone_model_geometry(m)->zone_size;

    g_assert_cmpuint(zone_model_report(m, offset, 1, &d), ==, 1);
    return d;
}

static void assert_zone(const ZoneModel *m, int i, BlockZoneState state,
                        int64_t wp)
{
    BlockZoneDescriptor d = zone(m, i);

    g_assert_cmpint(d.state, ==, state);
    g_assert_cmpint(d.wp, ==, wp);
}

static void assert_state(const ZoneModel *m, int i, BlockZoneState state)
{
    g_assert_cmpint(zone(m, i).state, ==, state);
}

/* All zones of a disk at a time, to see that nothing has changed since */
typedef struct Snapshot {
    unsigned int nr_zones;
    BlockZoneDescriptor zones[MAX_ZONES];
} Snapshot;

static Snapshot snapshot(const ZoneModel *m)
{
    Snapshot s = { 0 };

    s.nr_zones = zone_model_report(m, 0, MAX_ZONES, s.zones);
    g_assert_cmpuint(s.nr_zones, ==, zone_model_nr_zones(m));
    return s;
}

static void assert_same(const BlockZoneDescriptor *a,
                        const BlockZoneDescriptor *b)
{
    g_assert_cmpint(a->start, ==, b->start);
    g_assert_cmpint(a->length, ==, b->length);
    g_assert_cmpint(a->cap, ==, b->cap);
    g_assert_cmpint(a->wp, ==, b->wp);
    g_assert_cmpint(a->type, ==, b->type);
    g_assert_cmpint(a->state, ==, b->state);
    g_assert_cmpint(a->non_seq, ==, b->non_seq);
    g_assert_cmpint(a->has_extension, ==, b->has_extension);
}

static void assert_unchanged(const ZoneModel *m, const Snapshot *before)
{
    Snapshot now = snapshot(m);

    g_assert_cmpuint(now.nr_zones, ==, before->nr_zones);
    for (unsigned int i = 0; i < now.nr_zones; i++) {
        assert_same(&now.zones[i], &before->zones[i]);
    }
}

static int mgmt(ZoneModel *m, BlockZoneOp op, int i)
{
    return zone_model_mgmt(m, op, zone(m, i).start, zone(m, i).length, NULL,
                           NULL);
}

static int mgmt_range(ZoneModel *m, BlockZoneOp op, int first, int last)
{
    BlockZoneDescriptor d = zone(m, last);

    return zone_model_mgmt(m, op, zone(m, first).start,
                           d.start + d.length - zone(m, first).start, NULL,
                           NULL);
}

static int mgmt_all(ZoneModel *m, BlockZoneOp op)
{
    return zone_model_mgmt(m, op, 0, zone_model_geometry(m)->length, NULL,
                           NULL);
}

static void set_zone(ZoneModel *m, int i, BlockZoneState state, int64_t wp)
{
    g_assert_cmpint(zone_model_set_zone(m, zone(m, i).start, state, wp), ==, 0);
}

/* As set_zone(), of a zone with an extension */
static int restore(ZoneModel *m, int i, BlockZoneState state, int64_t wp)
{
    BlockZoneDescriptor d = zone(m, i);

    d.state = state;
    d.wp = wp;
    d.has_extension = true;
    return zone_model_restore_zone(m, &d);
}

static int do_write(ZoneModel *m, int64_t offset, int64_t bytes)
{
    int ret = zone_model_begin_write(m, offset, bytes);

    if (ret == 0) {
        zone_model_end_write(m, offset, bytes, 0);
    }
    return ret;
}

static int do_append(ZoneModel *m, int64_t *offset, int64_t bytes)
{
    int ret = zone_model_begin_append(m, offset, bytes);

    if (ret == 0) {
        zone_model_end_write(m, *offset, bytes, 0);
    }
    return ret;
}

/* A write of one unit to where the write pointer is */
static int write_some(ZoneModel *m, int i)
{
    return do_write(m, zone(m, i).wp, GRANULARITY);
}

/*
 * State x operation
 */

typedef enum TableOp {
    T_READ, T_WRITE, T_FILL, T_APPEND, T_APPEND_FILL,
    T_OPEN, T_CLOSE, T_FINISH, T_RESET,
    T_OPEN_ALL, T_CLOSE_ALL, T_FINISH_ALL, T_RESET_ALL,
    T_OFFLINE, T_OFFLINE_ALL, T_EXTENSION,
    T__MAX
} TableOp;

/* How it ends: an error, or the state afterwards */
typedef struct Cell {
    int ret;
    BlockZoneState state;
} Cell;

typedef struct Row {
    const char *name;
    BlockZoneState state;
    int64_t written;
    bool extension;
    Cell cells[T__MAX];
} Row;

#define TO(s) { 0, BLK_ZS_##s }
#define NO(e) { -(e), 0 }

/* Columns as in TableOp */
static const Row table[] = {
    { "EMPTY", BLK_ZS_EMPTY, 0, false, {
        TO(EMPTY), TO(IOPEN), TO(FULL), TO(IOPEN), TO(FULL),
        TO(EOPEN), NO(EPERM), TO(FULL), TO(EMPTY),
        TO(EMPTY), TO(EMPTY), TO(EMPTY), TO(EMPTY),
        NO(EPERM), TO(EMPTY), TO(CLOSED) } },
    { "IOPEN", BLK_ZS_IOPEN, 16 * KiB, false, {
        TO(IOPEN), TO(IOPEN), TO(FULL), TO(IOPEN), TO(FULL),
        TO(EOPEN), TO(CLOSED), TO(FULL), TO(EMPTY),
        TO(IOPEN), TO(CLOSED), TO(FULL), TO(EMPTY),
        NO(EPERM), TO(IOPEN), NO(EPERM) } },
    { "IOPEN-nothing-written", BLK_ZS_IOPEN, 0, false, {
        TO(IOPEN), TO(IOPEN), TO(FULL), TO(IOPEN), TO(FULL),
        TO(EOPEN), TO(EMPTY), TO(FULL), TO(EMPTY),
        TO(IOPEN), TO(EMPTY), TO(FULL), TO(EMPTY),
        NO(EPERM), TO(IOPEN), NO(EPERM) } },
    { "EOPEN", BLK_ZS_EOPEN, 16 * KiB, false, {
        TO(EOPEN), TO(EOPEN), TO(FULL), TO(EOPEN), TO(FULL),
        TO(EOPEN), TO(CLOSED), TO(FULL), TO(EMPTY),
        TO(EOPEN), TO(CLOSED), TO(FULL), TO(EMPTY),
        NO(EPERM), TO(EOPEN), NO(EPERM) } },
    { "EOPEN-nothing-written", BLK_ZS_EOPEN, 0, false, {
        TO(EOPEN), TO(EOPEN), TO(FULL), TO(EOPEN), TO(FULL),
        TO(EOPEN), TO(EMPTY), TO(FULL), TO(EMPTY),
        TO(EOPEN), TO(EMPTY), TO(FULL), TO(EMPTY),
        NO(EPERM), TO(EOPEN), NO(EPERM) } },
    { "CLOSED", BLK_ZS_CLOSED, 16 * KiB, false, {
        TO(CLOSED), TO(IOPEN), TO(FULL), TO(IOPEN), TO(FULL),
        TO(EOPEN), TO(CLOSED), TO(FULL), TO(EMPTY),
        TO(EOPEN), TO(CLOSED), TO(FULL), TO(EMPTY),
        NO(EPERM), TO(CLOSED), NO(EPERM) } },
    { "FULL", BLK_ZS_FULL, 0, false, {
        TO(FULL), NO(EFBIG), NO(EFBIG), NO(EFBIG), NO(EFBIG),
        NO(EPERM), NO(EPERM), TO(FULL), TO(EMPTY),
        TO(FULL), TO(FULL), TO(FULL), TO(EMPTY),
        NO(EPERM), TO(FULL), NO(EPERM) } },
    { "RDONLY", BLK_ZS_RDONLY, 0, false, {
        TO(RDONLY), NO(EROFS), NO(EROFS), NO(EROFS), NO(EROFS),
        NO(EROFS), NO(EROFS), NO(EROFS), NO(EROFS),
        TO(RDONLY), TO(RDONLY), TO(RDONLY), TO(RDONLY),
        TO(OFFLINE), TO(OFFLINE), NO(EROFS) } },
    { "OFFLINE", BLK_ZS_OFFLINE, 0, false, {
        NO(ENXIO), NO(ENXIO), NO(ENXIO), NO(ENXIO), NO(ENXIO),
        NO(ENXIO), NO(ENXIO), NO(ENXIO), NO(ENXIO),
        TO(OFFLINE), TO(OFFLINE), TO(OFFLINE), TO(OFFLINE),
        TO(OFFLINE), TO(OFFLINE), NO(ENXIO) } },
    { "NOT_WP", BLK_ZS_NOT_WP, 0, false, {
        TO(NOT_WP), TO(NOT_WP), TO(NOT_WP), NO(EINVAL), NO(EINVAL),
        NO(EINVAL), NO(EINVAL), NO(EINVAL), NO(EINVAL),
        TO(NOT_WP), TO(NOT_WP), TO(NOT_WP), TO(NOT_WP),
        NO(EINVAL), TO(NOT_WP), NO(EINVAL) } },
    { "IOPEN-extension", BLK_ZS_IOPEN, 0, true, {
        TO(IOPEN), TO(IOPEN), TO(FULL), TO(IOPEN), TO(FULL),
        TO(EOPEN), TO(CLOSED), TO(FULL), TO(EMPTY),
        TO(IOPEN), TO(CLOSED), TO(FULL), TO(EMPTY),
        NO(EPERM), TO(IOPEN), NO(EPERM) } },
    { "EOPEN-extension", BLK_ZS_EOPEN, 0, true, {
        TO(EOPEN), TO(EOPEN), TO(FULL), TO(EOPEN), TO(FULL),
        TO(EOPEN), TO(CLOSED), TO(FULL), TO(EMPTY),
        TO(EOPEN), TO(CLOSED), TO(FULL), TO(EMPTY),
        NO(EPERM), TO(EOPEN), NO(EPERM) } },
    { "CLOSED-extension", BLK_ZS_CLOSED, 0, true, {
        TO(CLOSED), TO(IOPEN), TO(FULL), TO(IOPEN), TO(FULL),
        TO(EOPEN), TO(CLOSED), TO(FULL), TO(EMPTY),
        TO(EOPEN), TO(CLOSED), TO(FULL), TO(EMPTY),
        NO(EPERM), TO(CLOSED), NO(EPERM) } },
    { "CLOSED-extension-written", BLK_ZS_CLOSED, 16 * KiB, true, {
        TO(CLOSED), TO(IOPEN), TO(FULL), TO(IOPEN), TO(FULL),
        TO(EOPEN), TO(CLOSED), TO(FULL), TO(EMPTY),
        TO(EOPEN), TO(CLOSED), TO(FULL), TO(EMPTY),
        NO(EPERM), TO(CLOSED), NO(EPERM) } },
    { "FULL-extension", BLK_ZS_FULL, 0, true, {
        TO(FULL), NO(EFBIG), NO(EFBIG), NO(EFBIG), NO(EFBIG),
        NO(EPERM), NO(EPERM), TO(FULL), TO(EMPTY),
        TO(FULL), TO(FULL), TO(FULL), TO(EMPTY),
        NO(EPERM), TO(FULL), NO(EPERM) } },
    { "RDONLY-extension", BLK_ZS_RDONLY, 0, true, {
        TO(RDONLY), NO(EROFS), NO(EROFS), NO(EROFS), NO(EROFS),
        NO(EROFS), NO(EROFS), NO(EROFS), NO(EROFS),
        TO(RDONLY), TO(RDONLY), TO(RDONLY), TO(RDONLY),
        TO(OFFLINE), TO(OFFLINE), NO(EROFS) } },
};

/* How many bytes @op writes to a zone of which @written are written */
static int64_t table_bytes(TableOp op, int64_t written)
{
    switch (op) {
    case T_WRITE:
    case T_APPEND:
        return 8 * KiB;
    case T_FILL:
    case T_APPEND_FILL:
        return CAPACITY - written;
    default:
        return 0;
    }
}

static int table_run(ZoneModel *m, TableOp op, int i, int64_t written)
{
    int64_t start = START(i), bytes = table_bytes(op, written);
    int ret;

    switch (op) {
    case T_READ:
        return zone_model_check_read(m, start, ZONE_SIZE);
    case T_WRITE:
    case T_FILL:
        return do_write(m, start + written, bytes);
    case T_APPEND:
    case T_APPEND_FILL:
        ret = do_append(m, &start, bytes);
        g_assert_cmpint(start, ==, START(i) + (ret == 0 ? written : 0));
        return ret;
    case T_OPEN:
        return mgmt(m, BLK_ZO_OPEN, i);
    case T_CLOSE:
        return mgmt(m, BLK_ZO_CLOSE, i);
    case T_FINISH:
        return mgmt(m, BLK_ZO_FINISH, i);
    case T_RESET:
        return mgmt(m, BLK_ZO_RESET, i);
    case T_OPEN_ALL:
        return mgmt_all(m, BLK_ZO_OPEN);
    case T_CLOSE_ALL:
        return mgmt_all(m, BLK_ZO_CLOSE);
    case T_FINISH_ALL:
        return mgmt_all(m, BLK_ZO_FINISH);
    case T_RESET_ALL:
        return mgmt_all(m, BLK_ZO_RESET);
    case T_OFFLINE:
        return mgmt(m, BLK_ZO_OFFLINE, i);
    case T_OFFLINE_ALL:
        return mgmt_all(m, BLK_ZO_OFFLINE);
    case T_EXTENSION:
        return zone_model_set_extension(m, start);
    default:
        g_assert_not_reached();
    }
}

static int64_t table_wp(BlockZoneState state, int i, int64_t pos)
{
    switch (state) {
    case BLK_ZS_EMPTY:
        return START(i);
    case BLK_ZS_FULL:
        return START(i + 1);
    case BLK_ZS_NOT_WP:
    case BLK_ZS_RDONLY:
    case BLK_ZS_OFFLINE:
        return -1;
    default:
        return START(i) + pos;
    }
}

static void test_table_cell(const Row *row, TableOp op)
{
    const Cell *cell = &row->cells[op];
    int i = row->state == BLK_ZS_NOT_WP ? 0 : 2;
    int64_t pos = row->written;
    ZoneGeometry g = host_managed(4);
    ZoneModel *m;
    Snapshot before;

    g.conventional_zones = 1;
    g.max_open_zones = 2;
    g.max_active_zones = 2;
    m = new_model(g);
    if (row->extension) {
        g_assert_cmpint(restore(m, i, row->state, START(i) + pos), ==, 0);
    } else if (i) {
        set_zone(m, i, row->state, START(i) + pos);
    }
    before = snapshot(m);
    g_assert_cmpint(before.zones[i].has_extension, ==, row->extension);

    g_assert_cmpint(table_run(m, op, i, pos), ==, cell->ret);
    if (cell->ret == 0) {
        pos += table_bytes(op, pos);
        before.zones[i].state = cell->state;
        before.zones[i].wp = table_wp(cell->state, i, pos);
        before.zones[i].has_extension =
            (row->extension || op == T_EXTENSION) &&
            cell->state != BLK_ZS_EMPTY && cell->state != BLK_ZS_OFFLINE;
    }
    assert_unchanged(m, &before);
    zone_model_free(m);
}

static void test_table_row(const void *opaque)
{
    for (TableOp op = 0; op < T__MAX; op++) {
        test_table_cell(opaque, op);
    }
}

/* What a zone in each state holds, seen by what is left for others */
static void test_resources(void)
{
    static const struct {
        BlockZoneState state;
        int64_t written;
        int open, active;
    } rows[] = {
        { BLK_ZS_EMPTY, 0, 0, 0 },
        { BLK_ZS_IOPEN, 16 * KiB, 1, 1 },
        { BLK_ZS_EOPEN, 16 * KiB, 1, 1 },
        { BLK_ZS_CLOSED, 16 * KiB, 0, 1 },
        { BLK_ZS_FULL, 0, 0, 0 },
        { BLK_ZS_RDONLY, 0, 0, 0 },
        { BLK_ZS_OFFLINE, 0, 0, 0 },
    };

    for (int i = 0; i < ARRAY_SIZE(rows); i++) {
        for (int j = 0; j < ARRAY_SIZE(rows); j++) {
            ZoneModel *m = new_limited(4, 1, 0);

            /* Into the state and out of it again: nothing may leak */
            set_zone(m, 0, rows[j].state, START(0) + rows[j].written);
            set_zone(m, 0, rows[i].state, START(0) + rows[i].written);
            g_assert_cmpint(zone_model_set_zone(m, START(1), BLK_ZS_EOPEN,
                                                START(1)), ==,
                            rows[i].open ? -ETOOMANYREFS : 0);
            zone_model_free(m);

            m = new_limited(4, 0, 1);
            set_zone(m, 0, rows[j].state, START(0) + rows[j].written);
            set_zone(m, 0, rows[i].state, START(0) + rows[i].written);
            g_assert_cmpint(mgmt(m, BLK_ZO_OPEN, 1), ==,
                            rows[i].active ? -EOVERFLOW : 0);
            zone_model_free(m);
        }
    }
}

/*
 * Limits
 */

/* The zone that was not written to for the longest time is closed */
static void test_evict_lru(void)
{
    ZoneModel *m = new_limited(6, 3, 0);

    g_assert_cmpint(write_some(m, 0), ==, 0);
    g_assert_cmpint(write_some(m, 1), ==, 0);
    g_assert_cmpint(write_some(m, 2), ==, 0);
    g_assert_cmpint(write_some(m, 0), ==, 0);

    g_assert_cmpint(write_some(m, 3), ==, 0);
    assert_zone(m, 1, BLK_ZS_CLOSED, START(1) + GRANULARITY);
    assert_state(m, 0, BLK_ZS_IOPEN);
    assert_state(m, 2, BLK_ZS_IOPEN);
    assert_state(m, 3, BLK_ZS_IOPEN);

    /* From the middle of the list, its end, and back in */
    g_assert_cmpint(mgmt(m, BLK_ZO_FINISH, 0), ==, 0);
    g_assert_cmpint(write_some(m, 1), ==, 0);
    g_assert_cmpint(mgmt(m, BLK_ZO_RESET, 1), ==, 0);
    g_assert_cmpint(write_some(m, 4), ==, 0);
    g_assert_cmpint(write_some(m, 5), ==, 0);
    assert_state(m, 2, BLK_ZS_CLOSED);
    g_assert_cmpint(write_some(m, 2), ==, 0);
    assert_state(m, 3, BLK_ZS_CLOSED);
    assert_state(m, 4, BLK_ZS_IOPEN);
    assert_state(m, 5, BLK_ZS_IOPEN);
    zone_model_free(m);
}

/* Explicitly open zones are never closed for others (VZ-43) */
static void test_evict_never_explicit(void)
{
    ZoneModel *m = new_limited(4, 2, 0);
    int64_t offset = START(2);
    Snapshot before;

    g_assert_cmpint(mgmt(m, BLK_ZO_OPEN, 0), ==, 0);
    g_assert_cmpint(mgmt(m, BLK_ZO_OPEN, 1), ==, 0);
    before = snapshot(m);
    g_assert_cmpint(write_some(m, 2), ==, -ETOOMANYREFS);
    g_assert_cmpint(do_append(m, &offset, GRANULARITY), ==, -ETOOMANYREFS);
    g_assert_cmpint(mgmt(m, BLK_ZO_OPEN, 2), ==, -ETOOMANYREFS);
    g_assert_cmpint(do_write(m, START(2), CAPACITY), ==, -ETOOMANYREFS);
    assert_unchanged(m, &before);

    /* Those that are open need nothing more */
    g_assert_cmpint(write_some(m, 0), ==, 0);
    g_assert_cmpint(mgmt(m, BLK_ZO_OPEN, 1), ==, 0);
    zone_model_free(m);
}

/* An OPEN, too, may close an implicitly open zone */
static void test_evict_for_open(void)
{
    ZoneModel *m = new_limited(4, 2, 0);

    g_assert_cmpint(write_some(m, 0), ==, 0);
    g_assert_cmpint(write_some(m, 1), ==, 0);
    g_assert_cmpint(mgmt(m, BLK_ZO_OPEN, 2), ==, 0);
    assert_state(m, 0, BLK_ZS_CLOSED);
    assert_state(m, 1, BLK_ZS_IOPEN);
    /* Making an open zone explicitly so takes no more resources */
    g_assert_cmpint(mgmt(m, BLK_ZO_OPEN, 1), ==, 0);
    assert_state(m, 2, BLK_ZS_EOPEN);
    zone_model_free(m);
}

/* A zone without data is not closed but emptied */
static void test_evict_nothing_written(void)
{
    ZoneModel *m = new_limited(4, 1, 0);

    g_assert_cmpint(zone_model_begin_write(m, START(0), GRANULARITY), ==, 0);
    zone_model_end_write(m, START(0), GRANULARITY, -EIO);
    assert_zone(m, 0, BLK_ZS_IOPEN, START(0));
    g_assert_cmpint(write_some(m, 1), ==, 0);
    assert_zone(m, 0, BLK_ZS_EMPTY, START(0));
    zone_model_free(m);
}

/* With both limits reached the active one is told, and none is closed */
static void test_active_first(void)
{
    ZoneModel *m = new_limited(4, 2, 2);
    int64_t offset = START(2);
    Snapshot before;

    g_assert_cmpint(write_some(m, 0), ==, 0);
    g_assert_cmpint(write_some(m, 1), ==, 0);
    before = snapshot(m);
    g_assert_cmpint(write_some(m, 2), ==, -EOVERFLOW);
    g_assert_cmpint(do_append(m, &offset, GRANULARITY), ==, -EOVERFLOW);
    g_assert_cmpint(offset, ==, START(2));
    g_assert_cmpint(mgmt(m, BLK_ZO_OPEN, 2), ==, -EOVERFLOW);
    assert_unchanged(m, &before);

    g_assert_cmpint(mgmt(m, BLK_ZO_OPEN, 0), ==, 0);
    g_assert_cmpint(mgmt(m, BLK_ZO_OPEN, 1), ==, 0);
    g_assert_cmpint(write_some(m, 2), ==, -EOVERFLOW);
    zone_model_free(m);
}

/* A zone that a write fills at once is open for a moment (VZ-42) */
static void test_fill_at_once(void)
{
    ZoneModel *m = new_limited(4, 1, 2);

    g_assert_cmpint(write_some(m, 0), ==, 0);
    g_assert_cmpint(do_write(m, START(1), CAPACITY), ==, 0);
    assert_state(m, 0, BLK_ZS_CLOSED);
    assert_state(m, 1, BLK_ZS_FULL);

    g_assert_cmpint(mgmt(m, BLK_ZO_OPEN, 2), ==, 0);
    g_assert_cmpint(do_write(m, START(3), CAPACITY), ==, -EOVERFLOW);
    g_assert_cmpint(do_write(m, START(0) + GRANULARITY,
                             CAPACITY - GRANULARITY), ==, -ETOOMANYREFS);

    /* It has given everything back */
    g_assert_cmpint(mgmt(m, BLK_ZO_FINISH, 2), ==, 0);
    g_assert_cmpint(do_write(m, START(3), CAPACITY), ==, 0);
    g_assert_cmpint(mgmt(m, BLK_ZO_OPEN, 0), ==, 0);
    zone_model_free(m);
}

/* FINISH, CLOSE and RESET need no resources, whatever is open */
static void test_no_resource_needed(void)
{
    ZoneModel *m = new_limited(4, 1, 2);

    g_assert_cmpint(mgmt(m, BLK_ZO_OPEN, 0), ==, 0);
    set_zone(m, 1, BLK_ZS_CLOSED, START(1) + GRANULARITY);
    g_assert_cmpint(mgmt(m, BLK_ZO_FINISH, 2), ==, 0);
    g_assert_cmpint(mgmt(m, BLK_ZO_FINISH, 1), ==, 0);
    g_assert_cmpint(mgmt(m, BLK_ZO_RESET, 1), ==, 0);
    g_assert_cmpint(mgmt(m, BLK_ZO_CLOSE, 0), ==, 0);
    zone_model_free(m);
}

static void test_no_limits(void)
{
    ZoneModel *m = new_limited(8, 0, 0);

    for (int i = 0; i < 8; i++) {
        g_assert_cmpint(write_some(m, i), ==, 0);
    }
    for (int i = 0; i < 8; i++) {
        assert_zone(m, i, BLK_ZS_IOPEN, START(i) + GRANULARITY);
    }
    zone_model_free(m);
}

/*
 * Writes, appends, reads
 */

static void test_write_errors(void)
{
    static const struct {
        int64_t offset, bytes;
        int ret;
    } rows[] = {
        /* Malformed, on a disk of 0x60000 bytes */
        { -GRANULARITY, GRANULARITY, -EINVAL },
        { START(4), GRANULARITY, -EINVAL },
        { START(4) - GRANULARITY, 2 * GRANULARITY, -EINVAL },
        { START(2), -GRANULARITY, -EINVAL },
        { START(2), INT64_MIN, -EINVAL },
        { INT64_MIN, INT64_MIN, -EINVAL },
        { START(2), INT64_MAX & ~(GRANULARITY - 1LL), -EINVAL },
        { INT64_MAX & ~(GRANULARITY - 1LL), GRANULARITY, -EINVAL },
        { INT64_MAX, INT64_MAX, -EINVAL },
        { START(2), 512, -EINVAL },
        { START(2) + 512, GRANULARITY, -EINVAL },
        { START(2) + 1, 1, -EINVAL },
        /* Into the gap behind the capacity, across the border, from the gap */
        { START(2), CAPACITY + GRANULARITY, -ERANGE },
        { START(2), ZONE_SIZE + GRANULARITY, -ERANGE },
        { START(2) + CAPACITY, GRANULARITY, -ERANGE },
        { START(3) - GRANULARITY, 2 * GRANULARITY, -ERANGE },
        /* From a conventional zone into a sequential one */
        { START(2) - GRANULARITY, 2 * GRANULARITY, -ERANGE },
        { START(0), START(3), -ERANGE },
        /* Not at the write pointer, from both sides */
        { START(2) + GRANULARITY, GRANULARITY, -ESPIPE },
        { START(3), GRANULARITY, -ESPIPE },
        { START(3) + 2 * GRANULARITY, GRANULARITY, -ESPIPE },
        /* Fine */
        { START(2), CAPACITY, 0 },
        { START(3) + GRANULARITY, CAPACITY - GRANULARITY, 0 },
        { START(0), START(2), 0 },
        { START(1) - 512, 1024, 0 },
        { START(0) + 1, 1, 0 },
    };

    for (int i = 0; i < ARRAY_SIZE(rows); i++) {
        ZoneGeometry g = host_managed(4);
        ZoneModel *m;
        Snapshot before;

        g.conventional_zones = 2;
        m = new_model(g);
        g_assert_cmpint(write_some(m, 3), ==, 0);
        before = snapshot(m);
        g_assert_cmpint(do_write(m, rows[i].offset, rows[i].bytes), ==,
                        rows[i].ret);
        if (rows[i].ret < 0) {
            assert_unchanged(m, &before);
            g_assert_false(zone_model_in_flight(m, 0, g.length));
        }
        zone_model_free(m);
    }
}

/* A write that is wrong in two ways: state, then size, then write pointer */
static void test_write_order_of_checks(void)
{
    ZoneModel *m = new_limited(4, 1, 1);

    set_zone(m, 0, BLK_ZS_FULL, 0);
    set_zone(m, 1, BLK_ZS_EOPEN, START(1));
    g_assert_cmpint(do_write(m, START(0), ZONE_SIZE), ==, -EFBIG);
    g_assert_cmpint(do_write(m, START(1) + GRANULARITY, CAPACITY), ==,
                    -ERANGE);
    g_assert_cmpint(do_write(m, START(2) + GRANULARITY, GRANULARITY), ==,
                    -ESPIPE);
    g_assert_cmpint(do_write(m, START(2), GRANULARITY), ==, -EOVERFLOW);
    set_zone(m, 0, BLK_ZS_RDONLY, 0);
    g_assert_cmpint(do_write(m, START(0), ZONE_SIZE), ==, -EROFS);
    set_zone(m, 0, BLK_ZS_OFFLINE, 0);
    g_assert_cmpint(do_write(m, START(0), ZONE_SIZE), ==, -ENXIO);
    zone_model_free(m);
}

static void test_append_errors(void)
{
    ZoneGeometry g = host_managed(4);
    ZoneModel *m;
    Snapshot before;
    static const struct {
        int64_t offset, bytes;
        int ret;
    } rows[] = {
        { START(1) + GRANULARITY, GRANULARITY, -EINVAL },
        { START(1) + GRANULARITY, 0, -EINVAL },
        { START(0), GRANULARITY, -EINVAL },     /* conventional */
        { START(0), 0, -EINVAL },
        { START(4), GRANULARITY, -EINVAL },
        { START(4), 0, -EINVAL },
        { -ZONE_SIZE, GRANULARITY, -EINVAL },
        { INT64_MAX, GRANULARITY, -EINVAL },
        { INT64_MIN, 0, -EINVAL },
        { START(1), 512, -EINVAL },
        { START(1), -GRANULARITY, -EINVAL },
        { START(1), CAPACITY, -ERANGE },
        { START(1), INT64_MAX & ~(GRANULARITY - 1LL), -ERANGE },
        { START(3), CAPACITY + GRANULARITY, -ERANGE },
        { START(2), GRANULARITY, -EFBIG },
        { START(2), INT64_MAX & ~(GRANULARITY - 1LL), -EFBIG },
    };

    g.conventional_zones = 1;
    m = new_model(g);
    g_assert_cmpint(write_some(m, 1), ==, 0);
    set_zone(m, 2, BLK_ZS_FULL, 0);
    before = snapshot(m);
    for (int i = 0; i < ARRAY_SIZE(rows); i++) {
        int64_t offset = rows[i].offset;

        g_assert_cmpint(do_append(m, &offset, rows[i].bytes), ==, rows[i].ret);
        g_assert_cmpint(offset, ==, rows[i].offset);
        assert_unchanged(m, &before);
    }
    g_assert_false(zone_model_in_flight(m, 0, g.length));
    zone_model_free(m);
}

/* Nothing to write is fine anywhere, and does nothing */
static void test_zero_length(void)
{
    ZoneModel *m = new_limited(4, 1, 1);
    Snapshot before;

    set_zone(m, 0, BLK_ZS_EOPEN, START(0));
    set_zone(m, 1, BLK_ZS_OFFLINE, 0);
    set_zone(m, 3, BLK_ZS_FULL, 0);
    before = snapshot(m);
    for (int i = 0; i < 4; i++) {
        int64_t offset = START(i);

        g_assert_cmpint(zone_model_begin_append(m, &offset, 0), ==, 0);
        g_assert_cmpint(offset, ==, START(i));
        g_assert_cmpint(zone_model_begin_write(m, offset, 0), ==, 0);
        g_assert_false(zone_model_in_flight(m, 0, START(4)));
        zone_model_end_write(m, offset, 0, 0);
        zone_model_end_write(m, offset, 0, -EIO);
    }
    g_assert_cmpint(zone_model_begin_write(m, START(4), 0), ==, 0);
    zone_model_end_write(m, START(4), 0, 0);
    g_assert_cmpint(zone_model_check_read(m, START(1), 0), ==, 0);
    assert_unchanged(m, &before);
    zone_model_free(m);
}

/* Each append gets a range of its own, also before the data landed */
static void test_append_positions(void)
{
    ZoneModel *m = new_limited(4, 1, 1);
    int64_t offset;

    for (int64_t pos = 0; pos < CAPACITY; pos += 16 * KiB) {
        offset = START(1);
        g_assert_cmpint(zone_model_begin_append(m, &offset, 16 * KiB), ==, 0);
        g_assert_cmpint(offset, ==, START(1) + pos);
    }
    offset = START(1);
    g_assert_cmpint(zone_model_begin_append(m, &offset, GRANULARITY), ==,
                    -EFBIG);
    assert_zone(m, 1, BLK_ZS_FULL, START(2));
    assert_zone(m, 2, BLK_ZS_EMPTY, START(2));
    for (int64_t pos = 0; pos < CAPACITY; pos += 16 * KiB) {
        zone_model_end_write(m, START(1) + pos, 16 * KiB, 0);
    }
    zone_model_free(m);
}

/* Two writes to one offset cannot both pass */
static void test_write_twice(void)
{
    ZoneModel *m = new_limited(4, 0, 0);

    g_assert_cmpint(zone_model_begin_write(m, START(1), GRANULARITY), ==, 0);
    g_assert_cmpint(zone_model_begin_write(m, START(1), GRANULARITY), ==,
                    -ESPIPE);
    zone_model_end_write(m, START(1), GRANULARITY, 0);
    zone_model_free(m);
}

static void test_read(void)
{
    ZoneModel *m = new_limited(4, 0, 0);

    g_assert_cmpint(zone_model_check_read(m, 0, START(4)), ==, 0);
    set_zone(m, 0, BLK_ZS_RDONLY, 0);
    set_zone(m, 2, BLK_ZS_OFFLINE, 0);
    g_assert_cmpint(zone_model_check_read(m, 0, START(2)), ==, 0);
    g_assert_cmpint(zone_model_check_read(m, 0, START(2) + 1), ==, -ENXIO);
    g_assert_cmpint(zone_model_check_read(m, START(2), 1), ==, -ENXIO);
    g_assert_cmpint(zone_model_check_read(m, START(3) - 1, 1), ==, -ENXIO);
    g_assert_cmpint(zone_model_check_read(m, START(3), ZONE_SIZE), ==, 0);
    g_assert_cmpint(zone_model_check_read(m, 0, START(4)), ==, -ENXIO);
    g_assert_cmpint(zone_model_check_read(m, START(3), ZONE_SIZE + 1), ==,
                    -EINVAL);
    g_assert_cmpint(zone_model_check_read(m, -1, 1), ==, -EINVAL);
    g_assert_cmpint(zone_model_check_read(m, 0, -1), ==, -EINVAL);
    g_assert_cmpint(zone_model_check_read(m, INT64_MAX, INT64_MAX), ==,
                    -EINVAL);
    set_zone(m, 2, BLK_ZS_EMPTY, START(2));
    g_assert_cmpint(zone_model_check_read(m, 0, START(4)), ==, 0);
    zone_model_free(m);
}

/* A host-aware disk takes writes anywhere */
static void test_host_aware(void)
{
    ZoneGeometry g = host_aware(6);
    ZoneModel *m;
    int64_t offset = START(1);
    Snapshot before;

    g.conventional_zones = 1;
    m = new_model(g);
    g_assert_cmpint(zone(m, 1).type, ==, BLK_ZT_SWP);

    g_assert_cmpint(do_append(m, &offset, GRANULARITY), ==, -EINVAL);
    g_assert_cmpint(do_append(m, &offset, 0), ==, -EINVAL);
    g_assert_cmpint(do_write(m, START(1) + 512, GRANULARITY), ==, -EINVAL);

    /* Behind the write pointer and before it */
    g_assert_cmpint(do_write(m, START(1) + 16 * KiB, GRANULARITY), ==, 0);
    assert_zone(m, 1, BLK_ZS_IOPEN, START(1) + 20 * KiB);
    g_assert_cmpint(do_write(m, START(1), GRANULARITY), ==, 0);
    assert_zone(m, 1, BLK_ZS_IOPEN, START(1) + 20 * KiB);

    /* Across borders, out of the conventional zone too */
    g_assert_cmpint(do_write(m, START(1) - GRANULARITY,
                             2 * ZONE_SIZE + 2 * GRANULARITY), ==, 0);
    assert_zone(m, 0, BLK_ZS_NOT_WP, -1);
    assert_zone(m, 1, BLK_ZS_FULL, START(2));
    assert_zone(m, 2, BLK_ZS_FULL, START(3));
    assert_zone(m, 3, BLK_ZS_IOPEN, START(3) + GRANULARITY);

    /* A full zone takes writes and stays full, an open one stays open */
    g_assert_cmpint(do_write(m, START(2), ZONE_SIZE), ==, 0);
    assert_zone(m, 2, BLK_ZS_FULL, START(3));
    g_assert_cmpint(mgmt(m, BLK_ZO_OPEN, 4), ==, 0);
    g_assert_cmpint(do_write(m, START(4) + 8 * KiB, GRANULARITY), ==, 0);
    assert_zone(m, 4, BLK_ZS_EOPEN, START(4) + 12 * KiB);
    g_assert_cmpint(mgmt(m, BLK_ZO_CLOSE, 4), ==, 0);
    g_assert_cmpint(do_write(m, START(4), GRANULARITY), ==, 0);
    assert_zone(m, 4, BLK_ZS_IOPEN, START(4) + 12 * KiB);

    /* One bad zone fails the whole write */
    set_zone(m, 4, BLK_ZS_RDONLY, 0);
    before = snapshot(m);
    g_assert_cmpint(do_write(m, START(3), 2 * ZONE_SIZE), ==, -EROFS);
    assert_unchanged(m, &before);
    set_zone(m, 4, BLK_ZS_OFFLINE, 0);
    before = snapshot(m);
    g_assert_cmpint(do_write(m, START(3), 3 * ZONE_SIZE), ==, -ENXIO);
    assert_unchanged(m, &before);
    g_assert_false(zone_model_in_flight(m, 0, START(6)));
    zone_model_free(m);
}

/* Zones remember writes elsewhere than at the write pointer until a reset */
static void test_host_aware_non_seq(void)
{
    ZoneModel *m = new_model(host_aware(4));
    int i;

    g_assert_cmpint(do_write(m, START(0), GRANULARITY), ==, 0);
    g_assert_cmpint(do_write(m, START(0) + GRANULARITY, GRANULARITY), ==, 0);
    g_assert_false(zone(m, 0).non_seq);
    /* On its way to the second zone, in order in both */
    g_assert_cmpint(do_write(m, START(0) + 2 * GRANULARITY, ZONE_SIZE), ==, 0);
    g_assert_false(zone(m, 0).non_seq);
    g_assert_false(zone(m, 1).non_seq);
    /* Into a full zone, behind a write pointer, and where both are crossed */
    g_assert_cmpint(do_write(m, START(0), GRANULARITY), ==, 0);
    g_assert_true(zone(m, 0).non_seq);
    g_assert_cmpint(do_write(m, START(2) + GRANULARITY, GRANULARITY), ==, 0);
    g_assert_true(zone(m, 2).non_seq);
    g_assert_cmpint(do_write(m, START(1), ZONE_SIZE + GRANULARITY), ==, 0);
    g_assert_true(zone(m, 1).non_seq);
    g_assert_false(zone(m, 3).non_seq);

    g_assert_cmpint(mgmt(m, BLK_ZO_FINISH, 2), ==, 0);
    g_assert_true(zone(m, 2).non_seq);
    for (i = 0; i < 4; i++) {
        g_assert_cmpint(mgmt(m, BLK_ZO_RESET, i), ==, 0);
        g_assert_false(zone(m, i).non_seq);
    }
    zone_model_free(m);
}

/* Where data may have been all along, the write pointer must not go back */
static void test_host_aware_failure(void)
{
    ZoneModel *m = new_model(host_aware(2));

    g_assert_cmpint(do_write(m, START(0), 16 * KiB), ==, 0);
    g_assert_cmpint(zone_model_begin_write(m, START(0), 32 * KiB), ==, 0);
    zone_model_end_write(m, START(0), 32 * KiB, -EIO);
    assert_zone(m, 0, BLK_ZS_IOPEN, START(0) + 32 * KiB);
    zone_model_free(m);
}

/*
 * Failed writes
 */

static void begin(ZoneModel *m, int64_t offset, int64_t bytes)
{
    g_assert_cmpint(zone_model_begin_write(m, offset, bytes), ==, 0);
}

static void test_rollback(void)
{
    ZoneModel *m = new_limited(4, 0, 0);
    int64_t u = GRANULARITY, s = START(1);

    /* The last one moves back, also over those that failed before it */
    begin(m, s, u);
    begin(m, s + u, u);
    begin(m, s + 2 * u, u);
    zone_model_end_write(m, s + 2 * u, u, -EIO);
    assert_zone(m, 1, BLK_ZS_IOPEN, s + 2 * u);
    zone_model_end_write(m, s + u, u, -EIO);
    assert_zone(m, 1, BLK_ZS_IOPEN, s + u);
    zone_model_end_write(m, s, u, 0);
    assert_zone(m, 1, BLK_ZS_IOPEN, s + u);

    /* One that others went behind does not */
    begin(m, s + u, u);
    begin(m, s + 2 * u, u);
    zone_model_end_write(m, s + u, u, -EIO);
    assert_zone(m, 1, BLK_ZS_IOPEN, s + 3 * u);
    zone_model_end_write(m, s + 2 * u, u, 0);
    assert_zone(m, 1, BLK_ZS_IOPEN, s + 3 * u);

    /* The next write at the reported write pointer is taken (trap 19) */
    begin(m, s + 3 * u, u);
    zone_model_end_write(m, s + 3 * u, u, -EIO);
    g_assert_cmpint(write_some(m, 1), ==, 0);
    zone_model_free(m);
}

static void test_rollback_keeps_state(void)
{
    ZoneModel *m = new_limited(4, 1, 2);

    /* Nothing written: an open zone stays open, explicitly or not */
    begin(m, START(0), GRANULARITY);
    zone_model_end_write(m, START(0), GRANULARITY, -EIO);
    assert_zone(m, 0, BLK_ZS_IOPEN, START(0));
    g_assert_cmpint(mgmt(m, BLK_ZO_OPEN, 0), ==, 0);
    begin(m, START(0), GRANULARITY);
    zone_model_end_write(m, START(0), GRANULARITY, -EIO);
    assert_zone(m, 0, BLK_ZS_EOPEN, START(0));
    g_assert_cmpint(mgmt(m, BLK_ZO_CLOSE, 0), ==, 0);

    /* Closed in between for another zone: with nothing in it, empty */
    begin(m, START(0), GRANULARITY);
    begin(m, START(1), GRANULARITY);
    assert_state(m, 0, BLK_ZS_CLOSED);
    zone_model_end_write(m, START(0), GRANULARITY, -EIO);
    assert_zone(m, 0, BLK_ZS_EMPTY, START(0));
    zone_model_end_write(m, START(1), GRANULARITY, 0);

    /* The same with something in it */
    begin(m, START(1) + GRANULARITY, GRANULARITY);
    begin(m, START(2), GRANULARITY);
    zone_model_end_write(m, START(1) + GRANULARITY, GRANULARITY, -EIO);
    assert_zone(m, 1, BLK_ZS_CLOSED, START(1) + GRANULARITY);
    zone_model_end_write(m, START(2), GRANULARITY, 0);

    /* What it held is still held, and no more */
    g_assert_cmpint(write_some(m, 3), ==, -EOVERFLOW);
    g_assert_cmpint(mgmt(m, BLK_ZO_RESET, 1), ==, 0);
    g_assert_cmpint(write_some(m, 3), ==, 0);
    zone_model_free(m);
}

/* A zone that the failed write had filled */
static void test_rollback_full(void)
{
    int64_t half = CAPACITY / 2;
    ZoneModel *m = new_limited(4, 1, 2);

    begin(m, START(0), half);
    begin(m, START(0) + half, half);
    assert_zone(m, 0, BLK_ZS_FULL, START(1));
    zone_model_end_write(m, START(0), half, 0);
    assert_zone(m, 0, BLK_ZS_FULL, START(1));
    zone_model_end_write(m, START(0) + half, half, -EIO);
    assert_zone(m, 0, BLK_ZS_IOPEN, START(0) + half);

    /* The first of two failed: the zone is full all the same */
    begin(m, START(0) + half, GRANULARITY);
    begin(m, START(0) + half + GRANULARITY, half - GRANULARITY);
    zone_model_end_write(m, START(0) + half, GRANULARITY, -EIO);
    assert_zone(m, 0, BLK_ZS_FULL, START(1));
    zone_model_end_write(m, START(0) + half + GRANULARITY,
                         half - GRANULARITY, 0);
    assert_zone(m, 0, BLK_ZS_FULL, START(1));
    zone_model_free(m);
}

/* The same, while others have taken what the full zone gave back */
static void test_rollback_full_without_resources(void)
{
    int64_t half = CAPACITY / 2;
    ZoneModel *m = new_limited(4, 1, 2);

    g_assert_cmpint(do_write(m, START(0), half), ==, 0);
    begin(m, START(0) + half, half);
    begin(m, START(1), CAPACITY);
    g_assert_cmpint(mgmt(m, BLK_ZO_OPEN, 2), ==, 0);

    /* No open resource: closed, or empty */
    zone_model_end_write(m, START(1), CAPACITY, -EIO);
    assert_zone(m, 1, BLK_ZS_EMPTY, START(1));
    zone_model_end_write(m, START(0) + half, half, -EIO);
    assert_zone(m, 0, BLK_ZS_CLOSED, START(0) + half);

    /* No active resource: it stays full */
    g_assert_cmpint(mgmt(m, BLK_ZO_CLOSE, 2), ==, 0);
    begin(m, START(0) + half, half);
    set_zone(m, 1, BLK_ZS_CLOSED, START(1) + GRANULARITY);
    set_zone(m, 3, BLK_ZS_CLOSED, START(3) + GRANULARITY);
    zone_model_end_write(m, START(0) + half, half, -EIO);
    assert_zone(m, 0, BLK_ZS_FULL, START(1));
    zone_model_free(m);
}

static void test_in_flight(void)
{
    ZoneGeometry g = host_managed(6);
    int64_t offset = START(3);
    ZoneModel *m;

    g.conventional_zones = 2;
    m = new_model(g);
    g_assert_false(zone_model_in_flight(m, 0, g.length));

    begin(m, START(3), GRANULARITY);
    g_assert_cmpint(zone_model_begin_append(m, &offset, GRANULARITY), ==, 0);
    g_assert_true(zone_model_in_flight(m, 0, g.length));
    g_assert_true(zone_model_in_flight(m, START(3), ZONE_SIZE));
    g_assert_true(zone_model_in_flight(m, START(2), 2 * ZONE_SIZE));
    g_assert_true(zone_model_in_flight(m, START(3), 2 * ZONE_SIZE));
    g_assert_false(zone_model_in_flight(m, START(2), ZONE_SIZE));
    g_assert_false(zone_model_in_flight(m, START(4), ZONE_SIZE));
    g_assert_false(zone_model_in_flight(m, 0, START(3)));
    g_assert_false(zone_model_in_flight(m, START(3), 0));
    g_assert_false(zone_model_in_flight(m, -ZONE_SIZE, START(5)));
    g_assert_false(zone_model_in_flight(m, START(6), ZONE_SIZE));
    g_assert_false(zone_model_in_flight(m, START(3), INT64_MAX));

    zone_model_end_write(m, START(3), GRANULARITY, 0);
    g_assert_true(zone_model_in_flight(m, START(3), ZONE_SIZE));
    zone_model_end_write(m, offset, GRANULARITY, -EIO);
    g_assert_false(zone_model_in_flight(m, START(3), ZONE_SIZE));
    g_assert_false(zone_model_in_flight(m, 0, g.length));

    /* A write over two zones is in flight in both */
    begin(m, START(1) - 512, 1024);
    g_assert_true(zone_model_in_flight(m, START(0), ZONE_SIZE));
    g_assert_true(zone_model_in_flight(m, START(1), ZONE_SIZE));
    g_assert_false(zone_model_in_flight(m, START(2), ZONE_SIZE));
    zone_model_end_write(m, START(1) - 512, 1024, 0);
    g_assert_false(zone_model_in_flight(m, 0, g.length));
    zone_model_free(m);
}

/*
 * Zone operations on ranges
 */

static void test_mgmt_malformed(void)
{
    ZoneGeometry g = host_managed(4);
    ZoneModel *m;
    Snapshot before;
    static const struct {
        int64_t offset, len;
    } rows[] = {
        { START(1), 0 },
        { START(1), -ZONE_SIZE },
        { START(1), GRANULARITY },
        { START(1), ZONE_SIZE + GRANULARITY },
        { START(1) + GRANULARITY, ZONE_SIZE },
        { START(1) + 1, START(3) - 1 },
        { -ZONE_SIZE, ZONE_SIZE },
        { START(4), ZONE_SIZE },
        { START(3), 2 * ZONE_SIZE },
        { START(3), INT64_MAX },
        { INT64_MAX, INT64_MAX },
        { INT64_MIN, INT64_MIN },
    };

    g.length -= GRANULARITY;
    m = new_model(g);
    before = snapshot(m);
    for (int i = 0; i < ARRAY_SIZE(rows); i++) {
        for (BlockZoneOp op = BLK_ZO_OPEN; op <= BLK_ZO_OFFLINE; op++) {
            g_assert_cmpint(zone_model_mgmt(m, op, rows[i].offset,
                                            rows[i].len, NULL, NULL), ==,
                            -EINVAL);
        }
    }
    g_assert_cmpint(mgmt(m, BLK_ZO_CLOSE_ACTIVE + 1, 1), ==, -EINVAL);
    g_assert_cmpint(mgmt_all(m, BLK_ZO_CLOSE_ACTIVE + 1), ==, -EINVAL);
    assert_unchanged(m, &before);
    zone_model_free(m);
}

/* One zone that cannot fails them all, wherever it is */
static void test_mgmt_all_or_nothing(void)
{
    static const struct {
        BlockZoneState state;
        int ret[BLK_ZO_OFFLINE + 1];
    } rows[] = {
        { BLK_ZS_FULL, { -EPERM, -EPERM, 0, 0, -EPERM } },
        { BLK_ZS_EMPTY, { 0, -EPERM, 0, 0, -EPERM } },
        { BLK_ZS_RDONLY, { -EROFS, -EROFS, -EROFS, -EROFS, -EPERM } },
        { BLK_ZS_OFFLINE, { -ENXIO, -ENXIO, -ENXIO, -ENXIO, -EPERM } },
    };

    for (int i = 0; i < ARRAY_SIZE(rows); i++) {
        for (BlockZoneOp op = BLK_ZO_OPEN; op <= BLK_ZO_OFFLINE; op++) {
            for (int bad = 1; bad <= 3; bad++) {
                ZoneModel *m = new_limited(6, 0, 0);
                Snapshot before;

                for (int j = 0; j < 6; j++) {
                    g_assert_cmpint(write_some(m, j), ==, 0);
                }
                set_zone(m, bad, rows[i].state, START(bad));
                before = snapshot(m);
                g_assert_cmpint(mgmt_range(m, op, 1, 3), ==, rows[i].ret[op]);
                if (rows[i].ret[op] < 0) {
                    assert_unchanged(m, &before);
                }
                zone_model_free(m);
            }
        }
    }
}

static void test_mgmt_conventional(void)
{
    ZoneGeometry g = host_managed(4);
    ZoneModel *m;
    Snapshot before;

    g.conventional_zones = 1;
    m = new_model(g);
    g_assert_cmpint(write_some(m, 1), ==, 0);
    before = snapshot(m);
    g_assert_cmpint(mgmt_range(m, BLK_ZO_RESET, 0, 2), ==, -EINVAL);
    assert_unchanged(m, &before);
    g_assert_cmpint(mgmt_all(m, BLK_ZO_RESET), ==, 0);
    assert_state(m, 1, BLK_ZS_EMPTY);
    zone_model_free(m);
}

/* OPEN of a range: what it needs is counted before anything is opened */
static void test_open_range(void)
{
    ZoneModel *m = new_limited(8, 3, 5);
    Snapshot before;

    g_assert_cmpint(write_some(m, 0), ==, 0);
    g_assert_cmpint(write_some(m, 1), ==, 0);
    g_assert_cmpint(write_some(m, 6), ==, 0);
    before = snapshot(m);
    /* 1 is open already, 2 to 4 need one each, and 1 cannot be closed */
    g_assert_cmpint(mgmt_range(m, BLK_ZO_OPEN, 1, 4), ==, -EOVERFLOW);
    assert_unchanged(m, &before);
    g_assert_cmpint(mgmt(m, BLK_ZO_RESET, 6), ==, 0);
    before = snapshot(m);
    g_assert_cmpint(mgmt_range(m, BLK_ZO_OPEN, 1, 4), ==, -ETOOMANYREFS);
    assert_unchanged(m, &before);
    /* Zone 0 makes room */
    g_assert_cmpint(mgmt_range(m, BLK_ZO_OPEN, 1, 3), ==, 0);
    assert_state(m, 0, BLK_ZS_CLOSED);
    for (int i = 1; i <= 3; i++) {
        assert_state(m, i, BLK_ZS_EOPEN);
    }
    assert_state(m, 4, BLK_ZS_EMPTY);
    zone_model_free(m);
}

/* OPEN of all: closed ones only; implicitly open ones give way */
static void test_open_all(void)
{
    ZoneModel *m = new_limited(6, 3, 0);
    Snapshot before;

    set_zone(m, 1, BLK_ZS_CLOSED, START(1) + GRANULARITY);
    set_zone(m, 3, BLK_ZS_CLOSED, START(3) + GRANULARITY);
    g_assert_cmpint(write_some(m, 5), ==, 0);
    g_assert_cmpint(write_some(m, 2), ==, 0);
    g_assert_cmpint(mgmt_all(m, BLK_ZO_OPEN), ==, 0);
    assert_state(m, 0, BLK_ZS_EMPTY);
    assert_state(m, 1, BLK_ZS_EOPEN);
    assert_state(m, 2, BLK_ZS_IOPEN);
    assert_state(m, 3, BLK_ZS_EOPEN);
    assert_state(m, 4, BLK_ZS_EMPTY);
    assert_state(m, 5, BLK_ZS_CLOSED);

    /* 2 gives way to 5; then there are more closed ones than limit */
    g_assert_cmpint(mgmt_all(m, BLK_ZO_OPEN), ==, 0);
    assert_state(m, 2, BLK_ZS_CLOSED);
    assert_state(m, 5, BLK_ZS_EOPEN);
    before = snapshot(m);
    g_assert_cmpint(mgmt_all(m, BLK_ZO_OPEN), ==, -ETOOMANYREFS);
    assert_unchanged(m, &before);
    zone_model_free(m);
}

/* A disk of one zone: the whole of it is that zone */
static void test_single_zone_disk(void)
{
    ZoneModel *m = new_model(host_managed(1));

    g_assert_cmpint(mgmt_all(m, BLK_ZO_CLOSE), ==, -EPERM);
    g_assert_cmpint(mgmt_all(m, BLK_ZO_OPEN), ==, 0);
    assert_state(m, 0, BLK_ZS_EOPEN);
    g_assert_cmpint(mgmt_all(m, BLK_ZO_FINISH), ==, 0);
    g_assert_cmpint(mgmt_all(m, BLK_ZO_OPEN), ==, -EPERM);
    zone_model_free(m);
}

typedef struct Told {
    int nr;
    BlockZoneOp op;
    BlockZoneDescriptor zones[MAX_ZONES];
} Told;

static void zone_changed(void *opaque, BlockZoneOp op,
                         const BlockZoneDescriptor *zone)
{
    Told *told = opaque;

    g_assert_cmpint(told->nr, <, MAX_ZONES);
    told->op = op;
    told->zones[told->nr++] = *zone;
}

/* Who listens is told of what changed, and of nothing else */
static void test_changed(void)
{
    ZoneModel *m = new_limited(6, 2, 0);
    Told told = { 0 };
    BlockZoneDescriptor d;

    g_assert_cmpint(write_some(m, 1), ==, 0);
    g_assert_cmpint(do_write(m, START(3), CAPACITY), ==, 0);
    g_assert_cmpint(zone_model_mgmt(m, BLK_ZO_RESET, START(0), START(5),
                                    zone_changed, &told), ==, 0);
    g_assert_cmpint(told.nr, ==, 2);
    g_assert_cmpint(told.op, ==, BLK_ZO_RESET);
    d = zone(m, 1);
    assert_same(&told.zones[0], &d);
    d = zone(m, 3);
    assert_same(&told.zones[1], &d);

    /* A zone that was closed to make room changed, too */
    g_assert_cmpint(write_some(m, 0), ==, 0);
    g_assert_cmpint(write_some(m, 1), ==, 0);
    told.nr = 0;
    g_assert_cmpint(zone_model_mgmt(m, BLK_ZO_OPEN, START(2), ZONE_SIZE,
                                    zone_changed, &told), ==, 0);
    g_assert_cmpint(told.nr, ==, 2);
    d = zone(m, 2);
    assert_same(&told.zones[0], &d);
    d = zone(m, 0);
    assert_same(&told.zones[1], &d);
    g_assert_cmpint(d.state, ==, BLK_ZS_CLOSED);

    /* Nothing to do, or refused: nothing to tell */
    told.nr = 0;
    g_assert_cmpint(zone_model_mgmt(m, BLK_ZO_OPEN, START(2), ZONE_SIZE,
                                    zone_changed, &told), ==, 0);
    g_assert_cmpint(zone_model_mgmt(m, BLK_ZO_CLOSE, START(2),
                                    2 * ZONE_SIZE, zone_changed, &told), ==,
                    -EPERM);
    g_assert_cmpint(told.nr, ==, 0);
    zone_model_free(m);
}

/*
 * Reports and geometry
 */

static void test_report(void)
{
    ZoneGeometry g = host_managed(5);
    BlockZoneDescriptor zones[8];
    ZoneModel *m;

    g.conventional_zones = 1;
    g.length -= 64 * KiB;
    m = new_model(g);
    g_assert_cmpuint(zone_model_nr_zones(m), ==, 5);
    g_assert_cmpint(zone_model_geometry(m)->length, ==, g.length);

    memset(zones, 0xff, sizeof(zones));
    g_assert_cmpuint(zone_model_report(m, 0, 8, zones), ==, 5);
    assert_same(&zones[0], &(BlockZoneDescriptor) {
        0, ZONE_SIZE, ZONE_SIZE, -1, BLK_ZT_CONV, BLK_ZS_NOT_WP });
    assert_same(&zones[1], &(BlockZoneDescriptor) {
        START(1), ZONE_SIZE, CAPACITY, START(1), BLK_ZT_SWR, BLK_ZS_EMPTY });
    assert_same(&zones[4], &(BlockZoneDescriptor) {
        START(4), 32 * KiB, 32 * KiB, START(4), BLK_ZT_SWR, BLK_ZS_EMPTY });
    /* No more than asked for is touched */
    g_assert_cmpint(zones[5].start, ==, -1);

    /* From the middle of a zone, cut short, at the end, nothing */
    g_assert_cmpuint(zone_model_report(m, START(2) + 5, 2, zones), ==, 2);
    g_assert_cmpint(zones[0].start, ==, START(2));
    g_assert_cmpint(zones[1].start, ==, START(3));
    g_assert_cmpuint(zone_model_report(m, g.length - 1, UINT_MAX, zones), ==,
                     1);
    g_assert_cmpint(zones[0].start, ==, START(4));
    g_assert_cmpuint(zone_model_report(m, 0, 0, NULL), ==, 0);
    g_assert_cmpuint(zone_model_report(m, g.length, 8, zones), ==, 0);
    g_assert_cmpuint(zone_model_report(m, -1, 8, zones), ==, 0);
    g_assert_cmpuint(zone_model_report(m, INT64_MAX, 8, zones), ==, 0);
    zone_model_free(m);
}

static void test_short_last_zone(void)
{
    ZoneGeometry g = host_managed(4);
    ZoneModel *m;
    int64_t offset = START(3);

    g.length = START(3) + 2 * GRANULARITY;
    m = new_model(g);
    g_assert_cmpint(do_write(m, START(3), 3 * GRANULARITY), ==, -EINVAL);
    g_assert_cmpint(do_append(m, &offset, 3 * GRANULARITY), ==, -ERANGE);
    g_assert_cmpint(do_append(m, &offset, 2 * GRANULARITY), ==, 0);
    assert_zone(m, 3, BLK_ZS_FULL, g.length);
    offset = START(3);
    g_assert_cmpint(do_append(m, &offset, 0), ==, 0);
    g_assert_cmpint(do_append(m, &offset, GRANULARITY), ==, -EFBIG);
    g_assert_cmpint(mgmt(m, BLK_ZO_RESET, 3), ==, 0);
    assert_zone(m, 3, BLK_ZS_EMPTY, START(3));

    /* Together with others, and as part of all */
    g_assert_cmpint(mgmt_range(m, BLK_ZO_FINISH, 2, 3), ==, 0);
    assert_zone(m, 3, BLK_ZS_FULL, g.length);
    g_assert_cmpint(mgmt_all(m, BLK_ZO_RESET), ==, 0);
    assert_zone(m, 3, BLK_ZS_EMPTY, START(3));
    zone_model_free(m);

    /* Longer than the capacity of the others */
    g.length = START(4) - GRANULARITY;
    m = new_model(g);
    g_assert_cmpint(zone(m, 3).cap, ==, CAPACITY);
    g_assert_cmpint(do_write(m, START(3), CAPACITY), ==, 0);
    assert_zone(m, 3, BLK_ZS_FULL, g.length);
    zone_model_free(m);
}

/* Zones of more than 32 bits, on a disk at the end of 63 bits */
static void test_huge(void)
{
    ZoneGeometry g = {
        .model = BLK_Z_HM,
        .length = ROUND_DOWN(INT64_MAX, 65536),
        .zone_size = 4 * EiB - 65536,
        .zone_capacity = 4 * GiB,
        .write_granularity = 65536,
    };
    ZoneModel *m = new_model(g);
    int64_t last = 2 * g.zone_size, offset = last;

    g_assert_cmpuint(zone_model_nr_zones(m), ==, 3);
    g_assert_cmpint(zone(m, 2).length, ==, 65536);
    g_assert_cmpint(zone(m, 2).cap, ==, 65536);
    g_assert_cmpint(zone(m, 1).start, ==, g.zone_size);
    g_assert_cmpint(zone(m, 1).cap, ==, 4 * GiB);
    g_assert_cmpint(do_write(m, g.zone_size, 4 * GiB - 65536), ==, 0);
    assert_zone(m, 1, BLK_ZS_IOPEN, g.zone_size + 4 * GiB - 65536);
    g_assert_cmpint(do_write(m, g.zone_size + 4 * GiB - 65536, 65536), ==, 0);
    assert_zone(m, 1, BLK_ZS_FULL, last);
    g_assert_cmpint(do_write(m, last, 131072), ==, -EINVAL);
    g_assert_cmpint(do_append(m, &offset, 131072), ==, -ERANGE);
    g_assert_cmpint(do_append(m, &offset, 65536), ==, 0);
    assert_zone(m, 2, BLK_ZS_FULL, g.length);
    g_assert_cmpint(zone_model_check_read(m, 0, g.length), ==, 0);
    g_assert_cmpint(mgmt_all(m, BLK_ZO_RESET), ==, 0);
    zone_model_free(m);
}

static void test_set_zone(void)
{
    static const struct {
        int64_t offset;
        BlockZoneState state;
        int64_t wp;
        int ret;
        int64_t wp_after;
    } rows[] = {
        { START(1), BLK_ZS_EMPTY, START(1), 0, START(1) },
        { START(1), BLK_ZS_EMPTY, START(1) + GRANULARITY, -EINVAL },
        { START(1), BLK_ZS_IOPEN, START(1), 0, START(1) },
        { START(1), BLK_ZS_IOPEN, START(1) - GRANULARITY, -EINVAL },
        { START(1), BLK_ZS_IOPEN, START(1) + 512, -EINVAL },
        { START(1), BLK_ZS_IOPEN, START(1) + CAPACITY, -EINVAL },
        { START(1), BLK_ZS_EOPEN, START(1) + CAPACITY - GRANULARITY, 0,
          START(1) + CAPACITY - GRANULARITY },
        { START(1), BLK_ZS_EOPEN, START(2), -EINVAL },
        { START(1), BLK_ZS_EOPEN, -1, -EINVAL },
        { START(1), BLK_ZS_CLOSED, START(1), 0, START(1) },
        { START(1), BLK_ZS_CLOSED, START(1) - GRANULARITY, -EINVAL },
        { START(1), BLK_ZS_CLOSED, START(1) + 512, -EINVAL },
        { START(1), BLK_ZS_CLOSED, START(1) + CAPACITY, -EINVAL },
        { START(1), BLK_ZS_CLOSED, START(1) + GRANULARITY, 0,
          START(1) + GRANULARITY },
        { START(1), BLK_ZS_RDONLY, START(1), 0, -1 },
        { START(1), BLK_ZS_OFFLINE, 12345, 0, -1 },
        { START(1), BLK_ZS_FULL, -1, 0, START(2) },
        { START(1), BLK_ZS_NOT_WP, -1, -EINVAL },
        { START(1), 0x7, START(1), -EINVAL },
        { START(1) + GRANULARITY, BLK_ZS_FULL, 0, -EINVAL },
        { START(0), BLK_ZS_FULL, 0, -EINVAL },          /* conventional */
        { START(0), BLK_ZS_OFFLINE, 0, -EINVAL },
        { START(4), BLK_ZS_FULL, 0, -EINVAL },
        { -ZONE_SIZE, BLK_ZS_FULL, 0, -EINVAL },
    };
    ZoneGeometry g = host_managed(4);

    g.conventional_zones = 1;
    for (int i = 0; i < ARRAY_SIZE(rows); i++) {
        ZoneModel *m = new_model(g);
        Snapshot before = snapshot(m);

        g_assert_cmpint(zone_model_set_zone(m, rows[i].offset, rows[i].state,
                                            rows[i].wp), ==, rows[i].ret);
        if (rows[i].ret == 0) {
            before.zones[1].state = rows[i].state;
            before.zones[1].wp = rows[i].wp_after;
        }
        assert_unchanged(m, &before);
        zone_model_free(m);
    }
}

/* Restoring a state closes no other zone */
static void test_set_zone_limits(void)
{
    ZoneModel *m = new_limited(4, 1, 2);
    Snapshot before;

    set_zone(m, 0, BLK_ZS_IOPEN, START(0));
    before = snapshot(m);
    g_assert_cmpint(zone_model_set_zone(m, START(1), BLK_ZS_IOPEN, START(1)),
                    ==, -ETOOMANYREFS);
    assert_unchanged(m, &before);
    set_zone(m, 0, BLK_ZS_EOPEN, START(0));
    set_zone(m, 1, BLK_ZS_CLOSED, START(1) + GRANULARITY);
    before = snapshot(m);
    g_assert_cmpint(zone_model_set_zone(m, START(2), BLK_ZS_CLOSED,
                                        START(2) + GRANULARITY), ==,
                    -EOVERFLOW);
    assert_unchanged(m, &before);
    zone_model_free(m);
}

/* All that a report tells, and nothing that cannot be */
static void test_restore(void)
{
    ZoneGeometry g = host_managed(4);
    BlockZoneDescriptor d;
    ZoneModel *m;

    g.conventional_zones = 1;
    m = new_model(g);
    g_assert_cmpint(restore(m, 0, BLK_ZS_FULL, -1), ==, -EINVAL);
    g_assert_cmpint(restore(m, 1, BLK_ZS_CLOSED, START(1)), ==, 0);
    d = zone(m, 1);
    g_assert_true(d.has_extension);
    g_assert_cmpint(restore(m, 2, BLK_ZS_CLOSED, START(2) - GRANULARITY), ==,
                    -EINVAL);
    d = zone(m, 2);
    g_assert_false(d.has_extension);
    d.non_seq = true;
    g_assert_cmpint(zone_model_restore_zone(m, &d), ==, -EINVAL);

    /* What is none, or no more */
    g_assert_cmpint(restore(m, 1, BLK_ZS_OFFLINE, -1), ==, 0);
    g_assert_false(zone(m, 1).has_extension);
    g_assert_cmpint(restore(m, 1, BLK_ZS_EMPTY, START(1)), ==, 0);
    g_assert_false(zone(m, 1).has_extension);
    zone_model_free(m);

    g.extension_size = 0;
    m = new_model(g);
    g_assert_cmpint(restore(m, 1, BLK_ZS_CLOSED, START(1) + GRANULARITY), ==,
                    -EINVAL);
    zone_model_free(m);

    m = new_model(host_aware(2));
    d = zone(m, 1);
    d.state = BLK_ZS_CLOSED;
    d.wp = START(1) + GRANULARITY;
    d.non_seq = true;
    g_assert_cmpint(zone_model_restore_zone(m, &d), ==, 0);
    g_assert_true(zone(m, 1).non_seq);
    set_zone(m, 1, BLK_ZS_FULL, -1);
    g_assert_true(zone(m, 1).non_seq);
    d.state = BLK_ZS_EMPTY;
    d.wp = START(1);
    g_assert_cmpint(zone_model_restore_zone(m, &d), ==, 0);
    g_assert_false(zone(m, 1).non_seq);
    zone_model_free(m);
}

/*
 * Descriptor extensions
 */

static int set_extension(ZoneModel *m, int i)
{
    return zone_model_set_extension(m, START(i));
}

/* As NVMe does it: closed and empty are two things */
static void test_close_active(void)
{
    ZoneModel *m = new_limited(4, 1, 2);
    Snapshot before = snapshot(m);

    g_assert_cmpint(mgmt(m, BLK_ZO_CLOSE_ACTIVE, 0), ==, -EPERM);
    g_assert_cmpint(mgmt_all(m, BLK_ZO_CLOSE_ACTIVE), ==, 0);
    assert_unchanged(m, &before);

    g_assert_cmpint(mgmt(m, BLK_ZO_OPEN, 0), ==, 0);
    g_assert_cmpint(mgmt(m, BLK_ZO_CLOSE_ACTIVE, 0), ==, 0);
    assert_zone(m, 0, BLK_ZS_CLOSED, START(0));
    g_assert_cmpint(mgmt(m, BLK_ZO_CLOSE_ACTIVE, 0), ==, 0);
    g_assert_cmpint(mgmt(m, BLK_ZO_OPEN, 1), ==, 0);
    g_assert_cmpint(mgmt_all(m, BLK_ZO_CLOSE_ACTIVE), ==, 0);
    assert_zone(m, 1, BLK_ZS_CLOSED, START(1));
    /* They are active */
    before = snapshot(m);
    g_assert_cmpint(mgmt(m, BLK_ZO_OPEN, 2), ==, -EOVERFLOW);
    assert_unchanged(m, &before);

    g_assert_cmpint(do_write(m, START(0), GRANULARITY), ==, 0);
    assert_zone(m, 0, BLK_ZS_IOPEN, START(0) + GRANULARITY);
    g_assert_cmpint(mgmt(m, BLK_ZO_RESET, 1), ==, 0);
    assert_zone(m, 1, BLK_ZS_EMPTY, START(1));
    g_assert_cmpint(mgmt(m, BLK_ZO_OPEN, 2), ==, 0);
    zone_model_free(m);
}

static void test_extension_errors(void)
{
    ZoneGeometry g = host_managed(4);
    ZoneModel *m;
    Snapshot before;

    g.conventional_zones = 1;
    m = new_model(g);
    before = snapshot(m);
    g_assert_cmpint(set_extension(m, 0), ==, -EINVAL);
    g_assert_cmpint(set_extension(m, 4), ==, -EINVAL);
    g_assert_cmpint(zone_model_set_extension(m, START(1) + 1), ==, -EINVAL);
    g_assert_cmpint(zone_model_set_extension(m, -START(1)), ==, -EINVAL);
    g_assert_cmpint(zone_model_set_extension(m, INT64_MAX), ==, -EINVAL);
    assert_unchanged(m, &before);
    zone_model_free(m);

    g.extension_size = 0;
    m = new_model(g);
    g_assert_cmpint(set_extension(m, 1), ==, -ENOTSUP);
    zone_model_free(m);
}

/* It takes an active resource, and no open one */
static void test_extension_resources(void)
{
    ZoneModel *m = new_limited(4, 1, 2);
    Snapshot before;

    g_assert_cmpint(mgmt(m, BLK_ZO_OPEN, 0), ==, 0);
    g_assert_cmpint(set_extension(m, 1), ==, 0);
    assert_zone(m, 1, BLK_ZS_CLOSED, START(1));
    before = snapshot(m);
    g_assert_cmpint(set_extension(m, 2), ==, -EOVERFLOW);
    assert_unchanged(m, &before);

    /* Both go with the zone */
    g_assert_cmpint(mgmt(m, BLK_ZO_RESET, 1), ==, 0);
    g_assert_false(zone(m, 1).has_extension);
    g_assert_cmpint(set_extension(m, 2), ==, 0);
    zone_model_free(m);
}

/* Whatever a zone goes through, it stays until the zone is empty or offline */
static void test_extension_life(void)
{
    ZoneModel *m = new_limited(4, 1, 0);

    g_assert_cmpint(set_extension(m, 1), ==, 0);
    g_assert_cmpint(mgmt(m, BLK_ZO_OPEN, 1), ==, 0);
    g_assert_cmpint(mgmt(m, BLK_ZO_CLOSE, 1), ==, 0);
    assert_zone(m, 1, BLK_ZS_CLOSED, START(1));
    /* A failed write leaves it closed, with or without eviction */
    begin(m, START(1), GRANULARITY);
    begin(m, START(2), GRANULARITY);
    assert_state(m, 1, BLK_ZS_CLOSED);
    zone_model_end_write(m, START(1), GRANULARITY, -EIO);
    assert_zone(m, 1, BLK_ZS_CLOSED, START(1));
    zone_model_end_write(m, START(2), GRANULARITY, 0);
    begin(m, START(1), GRANULARITY);
    zone_model_end_write(m, START(1), GRANULARITY, -EIO);
    assert_zone(m, 1, BLK_ZS_IOPEN, START(1));
    g_assert_cmpint(write_some(m, 2), ==, 0);
    assert_zone(m, 1, BLK_ZS_CLOSED, START(1));

    g_assert_cmpint(do_write(m, START(1), CAPACITY), ==, 0);
    assert_state(m, 1, BLK_ZS_FULL);
    g_assert_true(zone(m, 1).has_extension);
    set_zone(m, 1, BLK_ZS_RDONLY, -1);
    g_assert_true(zone(m, 1).has_extension);
    g_assert_cmpint(mgmt(m, BLK_ZO_OFFLINE, 1), ==, 0);
    g_assert_false(zone(m, 1).has_extension);
    zone_model_free(m);
}

/* A failed write had filled the zone, which others leave no resource */
static void test_extension_unfilled(void)
{
    ZoneModel *m = new_limited(4, 1, 1);

    g_assert_cmpint(set_extension(m, 1), ==, 0);
    begin(m, START(1), CAPACITY);
    assert_state(m, 1, BLK_ZS_FULL);
    g_assert_cmpint(set_extension(m, 2), ==, 0);
    zone_model_end_write(m, START(1), CAPACITY, -EIO);
    /* Empty it would have lost its extension */
    assert_state(m, 1, BLK_ZS_FULL);
    g_assert_true(zone(m, 1).has_extension);

    g_assert_cmpint(mgmt(m, BLK_ZO_RESET, 1), ==, 0);
    begin(m, START(2), CAPACITY);
    zone_model_end_write(m, START(2), CAPACITY, -EIO);
    assert_zone(m, 2, BLK_ZS_IOPEN, START(2));
    g_assert_true(zone(m, 2).has_extension);
    zone_model_free(m);
}

static void test_geometry_errors(void)
{
    const ZoneGeometry good = {
        .model = BLK_Z_HM,
        .length = 1 * MiB,
        .zone_size = 96 * KiB,
        .zone_capacity = 64 * KiB,
        .conventional_zones = 1,
        .max_open_zones = 3,
        .max_active_zones = 4,
        .write_granularity = 4096,
    };
    const ZoneGeometry aware = {
        .model = BLK_Z_HA,
        .length = 1 * MiB,
        .zone_size = 64 * KiB,
        .zone_capacity = 64 * KiB,
        .write_granularity = 512,
    };
    static const struct {
        size_t member;
        bool aware;
        int64_t value;
        const char *message;
    } rows[] = {
#define ROW(member, ...) { offsetof(ZoneGeometry, member), __VA_ARGS__ }
        ROW(write_granularity, false, 0, "write-granularity must be a power "
            "of two between 512 and 65536, not 0"),
        ROW(write_granularity, false, 256, "write-granularity must be a power "
            "of two between 512 and 65536, not 256"),
        ROW(write_granularity, false, 1536, "write-granularity must be a "
            "power of two between 512 and 65536, not 1536"),
        ROW(write_granularity, false, 131072, "write-granularity must be a "
            "power of two between 512 and 65536, not 131072"),
        ROW(write_granularity, false, INT64_MIN, "write-granularity must be "
            "a power of two between 512 and 65536, not -9223372036854775808"),
        ROW(length, false, 0, "size must be a multiple of write-granularity "
            "(4096) between 4096 and 9223372036854771712, not 0"),
        ROW(length, false, -4096, "size must be a multiple of "
            "write-granularity (4096) between 4096 and 9223372036854771712, "
            "not -4096"),
        ROW(length, false, 1 * MiB + 512, "size must be a multiple of "
            "write-granularity (4096) between 4096 and 9223372036854771712, "
            "not 1049088"),
        ROW(length, false, INT64_MAX, "size must be a multiple of "
            "write-granularity (4096) between 4096 and 9223372036854771712"),
        ROW(zone_size, false, 0, "zone-size must be a multiple of "
            "write-granularity (4096) between 4096 and 1048576, not 0"),
        ROW(zone_size, false, -4096, "zone-size must be a multiple of "
            "write-granularity (4096) between 4096 and 1048576, not -4096"),
        ROW(zone_size, false, 100000, "zone-size must be a multiple of "
            "write-granularity (4096) between 4096 and 1048576, not 100000"),
        ROW(zone_size, false, 2 * MiB, "zone-size must be a multiple of "
            "write-granularity (4096) between 4096 and 1048576, not 2097152"),
        /* 2^24 zones at most: 1 TiB + 4 KiB / 2^24, rounded up */
        ROW(length, false, 2 * TiB, "zone-size must be a multiple of "
            "write-granularity (4096) between 131072 and 2199023255552, not "
            "98304"),
        ROW(length, false, 1536 * GiB + 4 * KiB, "zone-size must be a "
            "multiple of write-granularity (4096) between 102400 and "
            "1649267445760, not 98304"),
        ROW(zone_capacity, false, 0, "zone-capacity must be a multiple of "
            "write-granularity (4096) between 4096 and 98304, not 0"),
        ROW(zone_capacity, false, 5000, "zone-capacity must be a multiple of "
            "write-granularity (4096) between 4096 and 98304, not 5000"),
        ROW(zone_capacity, false, 128 * KiB, "zone-capacity must be a "
            "multiple of write-granularity (4096) between 4096 and 98304, not "
            "131072"),
        /* 1 MiB is 10 zones of 96 KiB and a short one */
        ROW(conventional_zones, false, -1, "conventional-zones must be "
            "between 0 and 10, not -1"),
        ROW(conventional_zones, false, 11, "conventional-zones must be "
            "between 0 and 10, not 11"),
        ROW(max_open_zones, false, -1, "max-open-zones must be between 0 and "
            "10, not -1"),
        ROW(max_open_zones, false, 11, "max-open-zones must be between 0 and "
            "10, not 11"),
        ROW(max_open_zones, false, 5, "max-open-zones must be between 0 and "
            "max-active-zones (4), not 5"),
        ROW(max_active_zones, false, -1, "max-active-zones must be between 0 "
            "and 10, not -1"),
        ROW(max_active_zones, false, 11, "max-active-zones must be between 0 "
            "and 10, not 11"),
        ROW(max_active_zones, false, 2, "max-open-zones must be between 0 and "
            "max-active-zones (2), not 3"),
        ROW(zone_capacity, true, 32 * KiB, "zone-capacity must be zone-size "
            "(65536) on a host-aware disk, not 32768"),
        ROW(max_open_zones, true, 1, "max-open-zones must be 0 on a "
            "host-aware disk, not 1"),
        ROW(max_active_zones, true, 1, "max-active-zones must be 0 on a "
            "host-aware disk, not 1"),
        ROW(extension_size, false, -64, "extension-size must be a multiple of "
            "64 between 0 and 16320, not -64"),
        ROW(extension_size, false, 100, "extension-size must be a multiple of "
            "64 between 0 and 16320, not 100"),
        ROW(extension_size, false, 16384, "extension-size must be a multiple "
            "of 64 between 0 and 16320, not 16384"),
        ROW(extension_size, false, INT64_MAX, "extension-size must be a "
            "multiple of 64 between 0 and 16320"),
        ROW(extension_size, true, 64, "extension-size must be 0 on a "
            "host-aware disk, not 64"),
        /* Just good enough */
        ROW(length, false, 1536 * GiB, NULL),
        ROW(zone_size, false, 1 * MiB - 4096, NULL),
        ROW(zone_capacity, false, 4096, NULL),
        ROW(zone_capacity, false, 96 * KiB, NULL),
        ROW(conventional_zones, false, 6, NULL),
        ROW(conventional_zones, false, 0, NULL),
        ROW(max_open_zones, false, 4, NULL),
        ROW(max_open_zones, false, 0, NULL),
        ROW(max_active_zones, false, 0, NULL),
        ROW(max_active_zones, false, 10, NULL),
        ROW(max_active_zones, false, 3, NULL),
        ROW(conventional_zones, true, 15, NULL),
        ROW(extension_size, false, 64, NULL),
        ROW(extension_size, false, 16320, NULL),
        ROW(extension_size, true, 0, NULL),
#undef ROW
    };

    for (int i = 0; i < ARRAY_SIZE(rows); i++) {
        ZoneGeometry g = rows[i].aware ? aware : good;
        Error *err = NULL;
        bool ok;

        *(int64_t *)((char *)&g + rows[i].member) = rows[i].value;
        if (g.zone_size == 1 * MiB - 4096) {
            /* Two zones, of which one is conventional */
            g.max_open_zones = g.max_active_zones = 1;
        }
        ok = zone_geometry_check(&g, &names, &err);
        g_assert_cmpstr(err ? error_get_pretty(err) : NULL, ==,
                        rows[i].message);
        g_assert_cmpint(ok, ==, !rows[i].message);
        error_free(err);
    }
}

static void test_geometry_model(void)
{
    ZoneGeometry g = host_managed(4);
    Error *err = NULL;

    g.model = BLK_Z_NONE;
    g_assert_false(zone_geometry_check(&g, &names, &err));
    g_assert_cmpstr(error_get_pretty(err), ==,
                    "A zoned disk must be host-managed or host-aware");
    error_free(err);
}

/* No disk is so large that its zones could not be counted */
static void test_geometry_bounded(void)
{
    ZoneGeometry g = {
        .model = BLK_Z_HM,
        .length = INT64_MAX - 511,
        .zone_size = 512,
        .zone_capacity = 512,
        .write_granularity = 512,
    };

    g_assert_false(zone_geometry_check(&g, &names, NULL));
}

/*
 * Random operations
 */

static uint32_t draw(void *opaque, uint32_t n)
{
    return zoned_draw(opaque, n);
}

static void test_random(void)
{
    uint64_t seed = zoned_number_from_env("ZONE_MODEL_SEED",
                                    (uint64_t)g_random_int() << 32 |
                                    g_random_int());
    uint64_t ops = zoned_number_from_env("ZONE_MODEL_OPS", RANDOM_OPS);
    uint64_t x = seed ?: 1;

    g_test_message("ZONE_MODEL_SEED=%" PRIu64, seed);
    for (uint64_t i = 0; i < ops; i += OPS_A_DISK) {
        zone_driver_run(draw, &x, MIN(ops - i, OPS_A_DISK));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    for (int i = 0; i < ARRAY_SIZE(table); i++) {
        g_autofree char *path = g_strdup_printf("/zone-model/table/%s",
                                                table[i].name);

        g_test_add_data_func(path, &table[i], test_table_row);
    }
    g_test_add_func("/zone-model/VZ-63/resources", test_resources);
    g_test_add_func("/zone-model/VZ-43/least-recently-used", test_evict_lru);
    g_test_add_func("/zone-model/VZ-43/never-explicit",
                    test_evict_never_explicit);
    g_test_add_func("/zone-model/VZ-43/for-open", test_evict_for_open);
    g_test_add_func("/zone-model/VZ-43/nothing-written",
                    test_evict_nothing_written);
    g_test_add_func("/zone-model/VZ-25/active-first", test_active_first);
    g_test_add_func("/zone-model/VZ-42/fill-at-once", test_fill_at_once);
    g_test_add_func("/zone-model/limits/not-needed", test_no_resource_needed);
    g_test_add_func("/zone-model/limits/none", test_no_limits);
    g_test_add_func("/zone-model/write/errors", test_write_errors);
    g_test_add_func("/zone-model/write/order-of-checks",
                    test_write_order_of_checks);
    g_test_add_func("/zone-model/write/zero-length", test_zero_length);
    g_test_add_func("/zone-model/write/twice", test_write_twice);
    g_test_add_func("/zone-model/append/errors", test_append_errors);
    g_test_add_func("/zone-model/append/positions", test_append_positions);
    g_test_add_func("/zone-model/read", test_read);
    g_test_add_func("/zone-model/host-aware/writes", test_host_aware);
    g_test_add_func("/zone-model/host-aware/non-seq",
                    test_host_aware_non_seq);
    g_test_add_func("/zone-model/host-aware/failure",
                    test_host_aware_failure);
    g_test_add_func("/zone-model/failure/queued", test_rollback);
    g_test_add_func("/zone-model/failure/keeps-state",
                    test_rollback_keeps_state);
    g_test_add_func("/zone-model/failure/full", test_rollback_full);
    g_test_add_func("/zone-model/failure/full-without-resources",
                    test_rollback_full_without_resources);
    g_test_add_func("/zone-model/in-flight", test_in_flight);
    g_test_add_func("/zone-model/mgmt/malformed", test_mgmt_malformed);
    g_test_add_func("/zone-model/mgmt/all-or-nothing",
                    test_mgmt_all_or_nothing);
    g_test_add_func("/zone-model/mgmt/conventional", test_mgmt_conventional);
    g_test_add_func("/zone-model/mgmt/open-range", test_open_range);
    g_test_add_func("/zone-model/mgmt/open-all", test_open_all);
    g_test_add_func("/zone-model/mgmt/single-zone-disk",
                    test_single_zone_disk);
    g_test_add_func("/zone-model/mgmt/changed", test_changed);
    g_test_add_func("/zone-model/report", test_report);
    g_test_add_func("/zone-model/geometry/short-last-zone",
                    test_short_last_zone);
    g_test_add_func("/zone-model/geometry/huge", test_huge);
    g_test_add_func("/zone-model/geometry/errors", test_geometry_errors);
    g_test_add_func("/zone-model/geometry/model", test_geometry_model);
    g_test_add_func("/zone-model/geometry/bounded", test_geometry_bounded);
    g_test_add_func("/zone-model/set-zone/values", test_set_zone);
    g_test_add_func("/zone-model/set-zone/limits", test_set_zone_limits);
    g_test_add_func("/zone-model/set-zone/restore", test_restore);
    g_test_add_func("/zone-model/close-active", test_close_active);
    g_test_add_func("/zone-model/extension/errors", test_extension_errors);
    g_test_add_func("/zone-model/extension/resources",
                    test_extension_resources);
    g_test_add_func("/zone-model/extension/life", test_extension_life);
    g_test_add_func("/zone-model/extension/unfilled",
                    test_extension_unfilled);
    g_test_add_func("/zone-model/random", test_random);

    return g_test_run();
}
