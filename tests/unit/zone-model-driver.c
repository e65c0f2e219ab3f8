/*
 * Random zone operations on the zone model and its oracle alike
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "zone-model-driver.h"
#include "zone-model-oracle.h"

#define MAX_IN_FLIGHT 6

typedef struct Write {
    int64_t offset, bytes;
} Write;

typedef struct Driver {
    ZoneDraw *draw;
    void *opaque;
    ZoneGeometry g;
    int64_t unit;               /* zone sizes and most writes are of these */
    ZoneModel *m;
    Oracle o;
    Write writes[MAX_IN_FLIGHT];
    int nr_writes;
    char what[128];             /* the operation under test */
} Driver;

static const ZoneGeometryNames names = {
    .length = "length",
    .zone_size = "zone-size",
    .zone_capacity = "zone-capacity",
    .conventional_zones = "conventional-zones",
    .max_open_zones = "max-open-zones",
    .max_active_zones = "max-active-zones",
    .write_granularity = "write-granularity",
    .extension_size = "extension-size",
};

static uint32_t draw(Driver *d, uint32_t n)
{
    return d->draw(d->opaque, n);
}

static bool one_in(Driver *d, uint32_t n)
{
    return draw(d, n) == 0;
}

static void make_up_geometry(Driver *d)
{
    ZoneGeometry *g = &d->g;
    int64_t units = 1 + draw(d, 12), nr_sequential;

    g->model = one_in(d, 4) ? BLK_Z_HA : BLK_Z_HM;
    g->write_granularity = 512 << draw(d, 4);
    /* Some zones are larger than 4 GiB */
    d->unit = g->write_granularity << (one_in(d, 3) ? 31 : 0);
    g->zone_size = d->unit * units;
    g->length = g->zone_size * (1 + draw(d, ORACLE_MAX_ZONES - 1)) +
                d->unit * draw(d, units);
    g->zone_capacity = g->model == BLK_Z_HA || one_in(d, 2) ?
                       g->zone_size : d->unit * (1 + draw(d, units));
    nr_sequential = DIV_ROUND_UP(g->length, g->zone_size);
    g->conventional_zones = one_in(d, 2) ? draw(d, nr_sequential) : 0;
    nr_sequential -= g->conventional_zones;
    if (g->model == BLK_Z_HM) {
        g->max_active_zones = one_in(d, 3) ? 0 : draw(d, nr_sequential + 1);
        g->max_open_zones = one_in(d, 4) ? 0 :
            draw(d, (g->max_active_zones ?: nr_sequential) + 1);
        g->extension_size = one_in(d, 3) ? 0 : 64 * (1 + draw(d, 255));
    }
}

static void G_GNUC_NORETURN fail(Driver *d, const char *message)
{
    const ZoneGeometry *g = &d->g;

    fprintf(stderr, "%s after %s\n"
            "model %d, length %" PRId64 ", zone size %" PRId64 ", capacity %"
            PRId64 ", conventional %" PRId64 ", open %" PRId64 ", active %"
            PRId64 ", granularity %" PRId64 "\n", message, d->what, g->model,
            g->length, g->zone_size, g->zone_capacity, g->conventional_zones,
            g->max_open_zones, g->max_active_zones, g->write_granularity);
    abort();
}

static bool same_zone(const BlockZoneDescriptor *a,
                      const BlockZoneDescriptor *b)
{
    return a->start == b->start && a->length == b->length &&
           a->cap == b->cap && a->wp == b->wp && a->type == b->type &&
           a->state == b->state && a->non_seq == b->non_seq &&
           a->has_extension == b->has_extension;
}

static void compare(Driver *d, int model_ret, int oracle_ret)
{
    BlockZoneDescriptor zones[ORACLE_MAX_ZONES + 1];
    uint32_t counts[BLK_ZS_OFFLINE + 1] = { 0 };
    unsigned int i, n;

    if (model_ret != oracle_ret) {
        fprintf(stderr, "model: %d, oracle: %d\n", model_ret, oracle_ret);
        fail(d, "different results");
    }
    n = zone_model_report(d->m, 0, ARRAY_SIZE(zones), zones);
    if (n != d->o.nr_zones || n != zone_model_nr_zones(d->m)) {
        fail(d, "different numbers of zones");
    }
    for (i = 0; i < n; i++) {
        if (!same_zone(&zones[i], &d->o.zones[i])) {
            fprintf(stderr, "zone %u: model: state %d, wp %" PRId64
                    "; oracle: state %d, wp %" PRId64 "\n", i, zones[i].state,
                    zones[i].wp, d->o.zones[i].state, d->o.zones[i].wp);
            fail(d, "different zones");
        }
        counts[zones[i].state]++;
    }
    for (i = 0; i < ARRAY_SIZE(counts); i++) {
        if (zone_model_count(d->m, i) != counts[i]) {
            fail(d, "different counts");
        }
    }
}

static bool is_in_flight(const Driver *d, int64_t offset, int64_t len)
{
    /* Zones count as a whole */
    int64_t from = QEMU_ALIGN_DOWN(offset, d->g.zone_size);
    int64_t to = QEMU_ALIGN_UP(offset + len, d->g.zone_size);
    int i;

    for (i = 0; i < d->nr_writes; i++) {
        if (d->writes[i].offset < to &&
            d->writes[i].offset + d->writes[i].bytes > from) {
            return true;
        }
    }
    return false;
}

static void end_write(Driver *d, int i)
{
    Write w = d->writes[i];
    int ret = one_in(d, 3) ? -EIO : 0;

    snprintf(d->what, sizeof(d->what), "end of write at %" PRId64 "+%" PRId64
             ": %d", w.offset, w.bytes, ret);
    d->writes[i] = d->writes[--d->nr_writes];
    zone_model_end_write(d->m, w.offset, w.bytes, ret);
    if (ret < 0) {
        oracle_fail(&d->o, w.offset, w.bytes);
    }
    compare(d, 0, 0);
}

static void end_writes(Driver *d, int64_t offset, int64_t len)
{
    int i;

    for (i = d->nr_writes - 1; i >= 0; i--) {
        if (zone_model_in_flight(d->m, offset, len)) {
            end_write(d, i);
        }
    }
}

static void begun_write(Driver *d, int64_t offset, int64_t bytes, int ret)
{
    if (ret < 0 || bytes == 0) {
        return;
    }
    d->writes[d->nr_writes++] = (Write) { offset, bytes };
    if (d->nr_writes == MAX_IN_FLIGHT || one_in(d, 2)) {
        end_write(d, draw(d, d->nr_writes));
    }
}

static const BlockZoneDescriptor *any_zone(Driver *d)
{
    return &d->o.zones[draw(d, d->o.nr_zones)];
}

static int64_t any_bytes(Driver *d, const BlockZoneDescriptor *z,
                         int64_t offset)
{
    switch (draw(d, 16)) {
    case 0:
        return 0;
    case 1:
        return d->g.write_granularity - 1;
    case 2:
        return d->g.write_granularity;
    case 3:
        return one_in(d, 2) ? -d->unit : INT64_MAX - draw(d, 1024);
    case 4:
        return d->g.length - offset;
    case 5:
        return d->unit * draw(d, 24);
    case 6:
    case 7:
        return z->start + z->cap - offset;
    default:
        return d->unit * (1 + draw(d, 3));
    }
}

static int64_t any_offset(Driver *d, const BlockZoneDescriptor *z)
{
    switch (draw(d, 32)) {
    case 0:
        return -d->unit;
    case 1:
        return INT64_MAX - draw(d, 4096);
    case 2:
        return z->start + 1;
    case 3:
        return d->g.length;
    case 4:
    case 5:
    case 6:
    case 7:
        return z->start + d->unit * draw(d, 12);
    default:
        return z->wp >= 0 ? z->wp : z->start;
    }
}

static void step_write(Driver *d)
{
    const BlockZoneDescriptor *z = any_zone(d);
    int64_t offset = any_offset(d, z);
    int64_t bytes = any_bytes(d, z, offset);
    int ret;

    snprintf(d->what, sizeof(d->what), "write at %" PRId64 "+%" PRId64,
             offset, bytes);
    ret = zone_model_begin_write(d->m, offset, bytes);
    compare(d, ret, oracle_write(&d->o, offset, bytes));
    begun_write(d, offset, bytes, ret);
}

/* An append is a write at the write pointer, but for what makes no sense */
static int oracle_append(Oracle *o, int64_t *offset, int64_t bytes)
{
    const BlockZoneDescriptor *z;
    int64_t pos;
    int ret;

    if (*offset < 0 || *offset >= o->g.length || *offset % o->g.zone_size ||
        bytes < 0 || bytes % o->g.write_granularity) {
        return -EINVAL;
    }
    z = &o->zones[*offset / o->g.zone_size];
    if (z->type != BLK_ZT_SWR) {
        return -EINVAL;
    }
    if (!IN(z->state, S(EMPTY) | ACTIVE_STATES)) {
        /* No write is taken, be it as short as can be */
        return oracle_write(o, z->start, bytes ? o->g.write_granularity : 0);
    }
    pos = z->wp;
    if (bytes > z->start + z->cap - pos) {
        return -ERANGE;
    }
    ret = oracle_write(o, pos, bytes);
    *offset = ret || !bytes ? *offset : pos;
    return ret;
}

static void step_append(Driver *d)
{
    const BlockZoneDescriptor *z = any_zone(d);
    int64_t offset = one_in(d, 16) ? any_offset(d, z) : z->start;
    int64_t bytes = any_bytes(d, z, z->wp);
    int64_t model_offset = offset, oracle_offset = offset;
    int ret;

    snprintf(d->what, sizeof(d->what), "append at %" PRId64 "+%" PRId64,
             offset, bytes);
    ret = zone_model_begin_append(d->m, &model_offset, bytes);
    compare(d, ret, oracle_append(&d->o, &oracle_offset, bytes));
    if (model_offset != oracle_offset) {
        fail(d, "different append positions");
    }
    begun_write(d, model_offset, bytes, ret);
}

typedef struct Changes {
    BlockZoneOp op;
    int64_t zone_size;
    bool op_differs;
    int told[ORACLE_MAX_ZONES];
    BlockZoneDescriptor zones[ORACLE_MAX_ZONES];
} Changes;

static void zone_changed(void *opaque, BlockZoneOp op,
                         const BlockZoneDescriptor *zone)
{
    Changes *c = opaque;
    int i = zone->start / c->zone_size;

    c->op_differs |= op != c->op;
    c->told[i]++;
    c->zones[i] = *zone;
}

/* Each zone that changed was told of once, as it is now, and no other */
static void check_changes(Driver *d, const Oracle *before, const Changes *c)
{
    int i;

    for (i = 0; i < d->o.nr_zones; i++) {
        int changed = !same_zone(&before->zones[i], &d->o.zones[i]);

        if (c->told[i] != changed || c->op_differs ||
            (changed && !same_zone(&c->zones[i], &d->o.zones[i]))) {
            fail(d, "wrong changes told");
        }
    }
}

static void step_mgmt(Driver *d)
{
    int first = draw(d, d->o.nr_zones), last = first;
    Oracle before;
    Changes c = {
        .op = draw(d, BLK_ZO_OFFLINE + 1),
        .zone_size = d->g.zone_size
    };
    int64_t offset, len;
    int ret;

    if (one_in(d, 8)) {
        first = 0;
        last = d->o.nr_zones - 1;
    } else if (one_in(d, 4)) {
        last += draw(d, d->o.nr_zones - first);
    }
    offset = d->o.zones[first].start;
    len = d->o.zones[last].start + d->o.zones[last].length - offset;
    end_writes(d, offset, len);

    before = d->o;
    snprintf(d->what, sizeof(d->what), "op %d on zones %d to %d", c.op, first,
             last);
    ret = zone_model_mgmt(d->m, c.op, offset, len, zone_changed, &c);
    compare(d, ret, oracle_mgmt(&d->o, c.op, first, last));
    check_changes(d, &before, &c);
}

static void step_malformed_mgmt(Driver *d)
{
    int64_t offset = any_offset(d, any_zone(d));
    int64_t len = any_bytes(d, any_zone(d), offset);
    BlockZoneOp op = draw(d, BLK_ZO_OFFLINE + 1);

    if (offset >= 0 && offset < d->g.length && len > 0 &&
        len <= d->g.length - offset && offset % d->g.zone_size == 0 &&
        ((offset + len) % d->g.zone_size == 0 ||
         offset + len == d->g.length)) {
        return;
    }
    snprintf(d->what, sizeof(d->what), "op %d on %" PRId64 "+%" PRId64, op,
             offset, len);
    compare(d, zone_model_mgmt(d->m, op, offset, len, NULL, NULL), -EINVAL);
}

static void step_set_extension(Driver *d)
{
    const BlockZoneDescriptor *z = any_zone(d);
    int64_t offset = one_in(d, 16) ? any_offset(d, z) : z->start;

    end_writes(d, 0, d->g.length);
    snprintf(d->what, sizeof(d->what), "extension for zone at %" PRId64,
             offset);
    compare(d, zone_model_set_extension(d->m, offset),
            oracle_set_extension(&d->o, offset));
}

static int oracle_set_zone(Oracle *o, int i, BlockZoneState state, int64_t wp)
{
    BlockZoneDescriptor *z = &o->zones[i];
    bool inside = wp >= z->start && wp < z->start + z->cap &&
                  wp % o->g.write_granularity == 0;
    Oracle copy = *o;

    if (z->type == BLK_ZT_CONV || state == BLK_ZS_NOT_WP ||
        (state == BLK_ZS_EMPTY && wp != z->start) ||
        (IN(state, ACTIVE_STATES) && !inside)) {
        return -EINVAL;
    }
    if (state == BLK_ZS_CLOSED) {
        /* It may hold nothing, which no operation here leads to */
        copy.zones[i].state = state;
        copy.zones[i].wp = wp;
    } else {
        oracle_move(&copy.zones[i], state, wp);
    }
    copy.used[i] = ++copy.clock;
    if (!oracle_room(&copy, o->g.max_active_zones, ACTIVE_STATES, 0)) {
        return -EOVERFLOW;
    }
    if (!oracle_room(&copy, o->g.max_open_zones, OPEN_STATES, 0)) {
        return -ETOOMANYREFS;
    }
    *o = copy;
    return 0;
}

static void step_set_zone(Driver *d)
{
    static const BlockZoneState states[] = {
        BLK_ZS_NOT_WP, BLK_ZS_EMPTY, BLK_ZS_IOPEN, BLK_ZS_EOPEN,
        BLK_ZS_CLOSED, BLK_ZS_RDONLY, BLK_ZS_FULL, BLK_ZS_OFFLINE,
    };
    BlockZoneState state = states[draw(d, ARRAY_SIZE(states))];
    int i = draw(d, d->o.nr_zones);
    int64_t start = d->o.zones[i].start;
    int64_t wp = start + (one_in(d, 2) ? 0 : d->unit * draw(d, 12));

    end_writes(d, start, d->o.zones[i].length);
    snprintf(d->what, sizeof(d->what), "state %d, wp %" PRId64 " for zone %d",
             state, wp, i);
    compare(d, zone_model_set_zone(d->m, start, state, wp),
            oracle_set_zone(&d->o, i, state, wp));
}

/* A second model with the zones of the first one, told by a report */
static void step_restore(Driver *d)
{
    ZoneModel *m = zone_model_new(&d->g);
    int i;

    end_writes(d, 0, d->g.length);
    snprintf(d->what, sizeof(d->what), "restoring all zones");
    for (i = d->g.conventional_zones; i < d->o.nr_zones; i++) {
        compare(d, zone_model_restore_zone(m, &d->o.zones[i]), 0);
    }
    zone_model_free(d->m);
    d->m = m;
    for (i = 0; i < d->o.nr_zones; i++) {
        d->o.used[i] = ++d->o.clock;
    }
    compare(d, 0, 0);
}

static void step_read(Driver *d)
{
    int64_t offset = any_offset(d, any_zone(d));
    int64_t bytes = any_bytes(d, any_zone(d), offset);
    int expected = 0, i;

    if (offset < 0 || bytes < 0 || offset > d->g.length ||
        bytes > d->g.length - offset) {
        expected = -EINVAL;
    }
    for (i = 0; i < d->o.nr_zones && expected == 0 && bytes; i++) {
        const BlockZoneDescriptor *z = &d->o.zones[i];

        if (z->state == BLK_ZS_OFFLINE && offset < z->start + z->length &&
            offset + bytes > z->start) {
            expected = -ENXIO;
        }
    }
    snprintf(d->what, sizeof(d->what), "read at %" PRId64 "+%" PRId64,
             offset, bytes);
    compare(d, zone_model_check_read(d->m, offset, bytes), expected);
}

static void step_in_flight(Driver *d)
{
    int64_t offset = draw(d, d->o.nr_zones) * d->g.zone_size;
    int64_t len = MIN((1 + draw(d, 3)) * d->g.zone_size,
                      d->g.length - offset);

    snprintf(d->what, sizeof(d->what), "query of %" PRId64 "+%" PRId64,
             offset, len);
    compare(d, zone_model_in_flight(d->m, offset, len),
            is_in_flight(d, offset, len));
    compare(d, zone_model_in_flight(d->m, 0, d->g.length), d->nr_writes > 0);
}

static void step(Driver *d)
{
    uint32_t kind = draw(d, 34);

    if (kind < 10) {
        step_write(d);
    } else if (kind < 18) {
        step_append(d);
    } else if (kind < 26) {
        step_mgmt(d);
    } else if (kind < 27) {
        step_malformed_mgmt(d);
    } else if (kind < 29) {
        step_set_zone(d);
    } else if (kind < 30) {
        step_read(d);
    } else if (kind < 31) {
        step_in_flight(d);
    } else if (kind < 32) {
        step_set_extension(d);
    } else if (kind < 33) {
        step_restore(d);
    } else if (d->nr_writes) {
        end_write(d, draw(d, d->nr_writes));
    }
}

void zone_driver_run(ZoneDraw *draw_fn, void *opaque, unsigned int nr_steps)
{
    Driver d = { .draw = draw_fn, .opaque = opaque, .what = "creation" };

    make_up_geometry(&d);
    if (!zone_geometry_check(&d.g, &names, &error_abort)) {
        abort();
    }
    d.m = zone_model_new(&d.g);
    oracle_init(&d.o, &d.g);
    compare(&d, 0, 0);
    while (nr_steps--) {
        step(&d);
    }
    zone_model_free(d.m);
}
