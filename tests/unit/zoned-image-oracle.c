/*
 * What a zoned disk may hold after a crash
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "zoned-image-oracle.h"

#define WORDS (ORACLE_SECTOR / sizeof(uint64_t))

/* What a sector holds: a mark is the id of a write and which sector it is */
#define MARK(id, index) ((id) << 8 | (index))
#define MARK_ID(mark) ((mark) >> 8)
#define MARK_INDEX(mark) ((mark) & 0xff)
#define ZEROES 0
#define GARBAGE UINT64_MAX

/*
 * The time of a zone from one reset to the next.  A conventional zone has only
 * one.  An order is the id of a request, 0 for what was there in the beginning.
 */
typedef struct Epoch {
    /*
     * For each sector: what is there is this order or a later one ...
     */
    uint64_t *floor;            /* ... in any case */
    uint64_t *claim;            /* ... if the write pointer is behind it */
    int64_t written;            /* bytes from the zone's start, at most */
    int64_t durable;            /* likewise, at least */
    bool finish_started;
    bool finish_durable;
    int64_t finished_at;        /* written, when it was finished */
    int64_t failed_at;          /* the lowest write that failed begins here */
    GPtrArray *zeroes;          /* writes of zeroes */
    uint64_t extension;         /* who sets one, or has; 0: nobody */
    bool extension_durable;
} Epoch;

typedef struct Zone {
    int64_t start;
    int64_t length;
    int64_t cap;
    bool conventional;
    uint64_t *base;             /* marks: what was there in the beginning */
    uint32_t first;             /* the oldest epoch that is possible */
    GPtrArray *epochs;          /* NULL where they are older */
} Zone;

struct Oracle {
    ZoneGeometry g;
    uint32_t nr_zones;
    Zone *zones;
    GHashTable *writes;         /* id -> GuestOp */
};

static uint64_t stamp(uint64_t mark, unsigned int word)
{
    return mark * 0x9e3779b97f4a7c15 + word * 0x165667b19e3779f9;
}

void oracle_fill(uint8_t *buf, int64_t bytes, uint64_t id)
{
    uint64_t *words = (uint64_t *)buf;
    int64_t i;

    for (i = 0; i < bytes / sizeof(*words); i++) {
        uint64_t mark = MARK(id, i / WORDS);

        words[i] = i % WORDS ? stamp(mark, i % WORDS) : mark;
    }
}

void oracle_fill_extension(uint8_t *buf, int64_t bytes, uint64_t id)
{
    uint64_t *words = (uint64_t *)buf;
    int64_t i;

    words[0] = id;
    for (i = 1; i < bytes / sizeof(*words); i++) {
        words[i] = stamp(id, i);
    }
}

static uint64_t sector_mark(const uint8_t *buf)
{
    const uint64_t *words = (const uint64_t *)buf;
    uint64_t mark = words[0];
    unsigned int i;

    for (i = 1; i < WORDS; i++) {
        if (words[i] != (mark ? stamp(mark, i) : 0)) {
            return GARBAGE;
        }
    }
    return mark;
}

static int64_t nr_sectors(const Zone *z)
{
    return z->length / ORACLE_SECTOR;
}

static Epoch *epoch_new(const Zone *z)
{
    Epoch *e = g_new0(Epoch, 1);

    e->floor = g_new0(uint64_t, nr_sectors(z));
    e->claim = g_new0(uint64_t, nr_sectors(z));
    e->zeroes = g_ptr_array_new();
    e->failed_at = z->length;
    return e;
}

static void epoch_free(Epoch *e)
{
    g_free(e->floor);
    g_free(e->claim);
    g_ptr_array_free(e->zeroes, true);
    g_free(e);
}

static Epoch *epoch_of(const Zone *z, uint32_t i)
{
    return g_ptr_array_index(z->epochs, i);
}

static uint32_t last_epoch(const Zone *z)
{
    return z->epochs->len - 1;
}

/* Older epochs are not possible any more */
static void forget_epochs(Zone *z, uint32_t first)
{
    while (z->first < first) {
        epoch_free(epoch_of(z, z->first));
        g_ptr_array_index(z->epochs, z->first++) = NULL;
    }
}

static void zone_init(Zone *z, const BlockZoneDescriptor *desc,
                      const uint8_t *data, const uint8_t *extension)
{
    Epoch *e;
    int64_t i;

    z->start = desc->start;
    z->length = desc->length;
    z->cap = desc->cap;
    z->conventional = desc->type == BLK_ZT_CONV;
    z->base = g_new0(uint64_t, nr_sectors(z));
    z->epochs = g_ptr_array_new();
    e = epoch_new(z);
    g_ptr_array_add(z->epochs, e);
    for (i = 0; i < nr_sectors(z); i++) {
        z->base[i] = sector_mark(data + i * ORACLE_SECTOR);
        g_assert(z->base[i] != GARBAGE);
        if (!z->conventional && z->base[i]) {
            e->written = (i + 1) * ORACLE_SECTOR;
        }
    }
    if (desc->state == BLK_ZS_FULL) {
        e->finish_started = e->finish_durable = true;
        e->finished_at = e->written;
    } else if (!z->conventional) {
        e->written = desc->wp - desc->start;
    }
    e->durable = e->written;
    if (desc->has_extension) {
        e->extension = *(const uint64_t *)extension;
        e->extension_durable = true;
    }
}

Oracle *oracle_new(const ZoneGeometry *g, const BlockZoneDescriptor *zones,
                   const uint8_t *data, const uint8_t *extensions)
{
    Oracle *o = g_new0(Oracle, 1);
    uint32_t i;

    o->g = *g;
    o->nr_zones = DIV_ROUND_UP(g->length, g->zone_size);
    o->zones = g_new0(Zone, o->nr_zones);
    for (i = 0; i < o->nr_zones; i++) {
        zone_init(&o->zones[i], &zones[i], data + zones[i].start,
                  extensions + i * g->extension_size);
    }
    o->writes = g_hash_table_new(g_int64_hash, g_int64_equal);
    return o;
}

void oracle_free(Oracle *o)
{
    uint32_t i, e;

    for (i = 0; i < o->nr_zones; i++) {
        Zone *z = &o->zones[i];

        for (e = z->first; e < z->epochs->len; e++) {
            epoch_free(epoch_of(z, e));
        }
        g_ptr_array_free(z->epochs, true);
        g_free(z->base);
    }
    g_free(o->zones);
    g_hash_table_unref(o->writes);
    g_free(o);
}

static bool is_write(const GuestOp *op)
{
    return op->kind == GUEST_WRITE || op->kind == GUEST_APPEND ||
           op->kind == GUEST_ZEROES;
}

/* The part of a write that is in a zone, from the zone's start on */
static void write_in_zone(const GuestOp *op, const Zone *z, int64_t *from,
                          int64_t *to)
{
    *from = MAX(op->offset, z->start) - z->start;
    *to = MIN(op->offset + op->bytes, z->start + z->length) - z->start;
}

static void start_write(const Oracle *o, Zone *z, Epoch *e, GuestOp *op)
{
    int64_t from, to, i;

    if (op->kind == GUEST_ZEROES) {
        g_ptr_array_add(e->zeroes, op);
    }
    if (z->conventional) {
        return;
    }
    if (op->offset < 0) {
        /* Where it failed is not known */
        e->failed_at = op->ret == -EINPROGRESS ? e->failed_at : 0;
        /* It may have taken the write pointer on, as all that fail */
        e->written = MIN(e->written + op->bytes, z->cap);
        return;
    }
    write_in_zone(op, z, &from, &to);
    if (op->ret < 0 && op->ret != -EINPROGRESS) {
        e->failed_at = MIN(e->failed_at, from);
    }
    /*
     * A write that takes the write pointer on must be there if the write
     * pointer is; unless it failed and others behind it did not.
     */
    if (op->ret == 0) {
        i = o->g.model == BLK_Z_HM ? from : MAX(from, e->written);
        for (i /= ORACLE_SECTOR; i < to / ORACLE_SECTOR; i++) {
            e->claim[i] = op->id;
        }
    }
    e->written = MAX(e->written, to);
}

void oracle_start(Oracle *o, GuestOp *op)
{
    uint32_t i;

    op->started = true;
    g_free(op->epochs);
    op->epochs = g_new0(uint32_t, op->nr_zones);
    if (is_write(op)) {
        g_hash_table_insert(o->writes, &op->id, op);
    }
    for (i = 0; i < op->nr_zones; i++) {
        Zone *z = &o->zones[op->zone + i];
        Epoch *e = epoch_of(z, last_epoch(z));

        if (op->kind == GUEST_RESET && !z->conventional) {
            g_ptr_array_add(z->epochs, epoch_new(z));
        } else if (op->kind == GUEST_FINISH && !z->conventional &&
                   !e->finish_started) {
            e->finish_started = true;
            e->finished_at = e->written;
        } else if (is_write(op)) {
            start_write(o, z, e, op);
        } else if (op->kind == GUEST_EXTENSION && op->ret == 0) {
            e->extension = op->id;
        }
        op->epochs[i] = last_epoch(z);
    }
}

static void durable_write(Zone *z, Epoch *e, const GuestOp *op)
{
    int64_t from, to, i;

    write_in_zone(op, z, &from, &to);
    for (i = from / ORACLE_SECTOR; i < to / ORACLE_SECTOR; i++) {
        e->floor[i] = MAX(e->floor[i], op->id);
    }
    e->durable = MAX(e->durable, to);
    e->written = MAX(e->written, to);
}

void oracle_durable(Oracle *o, const GuestOp *op)
{
    uint32_t i;

    if (!is_write(op) && op->kind != GUEST_RESET &&
        op->kind != GUEST_FINISH && op->kind != GUEST_EXTENSION) {
        return;
    }
    for (i = 0; i < op->nr_zones; i++) {
        Zone *z = &o->zones[op->zone + i];

        if (op->epochs[i] < z->first) {
            continue;
        }
        /* It is there, or what a later reset made of the zone */
        forget_epochs(z, op->epochs[i]);
        if (is_write(op)) {
            durable_write(z, epoch_of(z, op->epochs[i]), op);
        } else if (op->kind == GUEST_FINISH && !z->conventional) {
            epoch_of(z, op->epochs[i])->finish_durable = true;
        } else if (op->kind == GUEST_EXTENSION) {
            epoch_of(z, op->epochs[i])->extension = op->id;
            epoch_of(z, op->epochs[i])->extension_durable = true;
        }
    }
}

/* Is sector @i of a zone in the part of it that @op writes? */
static bool covers(const GuestOp *op, const Zone *z, int64_t i)
{
    int64_t from, to;

    write_in_zone(op, z, &from, &to);
    return i >= from / ORACLE_SECTOR && i < to / ORACLE_SECTOR;
}

/* May @z hold zeroes in sector @i because zeroes were written? */
static bool zeroes_written(const Zone *z, const Epoch *e, int64_t i,
                           uint64_t floor)
{
    unsigned int n;

    for (n = 0; n < e->zeroes->len; n++) {
        const GuestOp *op = g_ptr_array_index(e->zeroes, n);

        if (op->id >= floor && covers(op, z, i)) {
            return true;
        }
    }
    return false;
}

/* May @mark be in sector @i of epoch @nr? */
static bool written_here(Oracle *o, const Zone *z, uint32_t nr, int64_t i,
                         uint64_t mark)
{
    uint64_t id = MARK_ID(mark);
    const GuestOp *op = g_hash_table_lookup(o->writes, &id);
    uint32_t zone = z - o->zones;

    if (!op || !op->started || op->kind == GUEST_ZEROES ||
        zone < op->zone || zone >= op->zone + op->nr_zones ||
        op->epochs[zone - op->zone] != nr) {
        return false;
    }
    if (op->offset < 0) {
        return true;
    }
    return covers(op, z, i) &&
           MARK_INDEX(mark) == z->start / ORACLE_SECTOR + i -
                               op->offset / ORACLE_SECTOR;
}

static bool sector_is_right(Oracle *o, const Zone *z, uint32_t nr, int64_t i,
                            uint64_t floor, uint64_t mark)
{
    if (mark == GARBAGE) {
        return false;
    }
    if (floor == 0 && mark == (nr == 0 ? z->base[i] : ZEROES)) {
        return true;
    }
    if (mark == ZEROES) {
        return zeroes_written(z, epoch_of(z, nr), i, floor);
    }
    return MARK_ID(mark) >= floor && written_here(o, z, nr, i, mark);
}

/*
 * How far the write pointer vouches for what is below it (*@claimed), and from
 * where on there are zeroes (*@end); in bytes from the zone's start.
 */
static char *check_state(Oracle *o, const Zone *z, const Epoch *e,
                         const BlockZoneDescriptor *d, bool reopened,
                         int64_t *claimed, int64_t *end)
{
    int64_t wp = d->wp - d->start;

    if (z->conventional) {
        *claimed = 0;
        *end = z->length;
        return d->state == BLK_ZS_NOT_WP ? NULL :
               g_strdup("a conventional zone with a write pointer");
    }
    switch (d->state) {
    case BLK_ZS_FULL:
        if (!e->finish_started && e->written < z->cap) {
            return g_strdup_printf("full, with %" PRId64 " bytes written",
                                   e->written);
        }
        /*
         * A full zone with a failed write stays full, there may be no room
         * for one more active zone.  Then what is behind the failed write,
         * and was not flushed, may be lost: no write pointer tells of it.
         */
        *claimed = MIN(e->finish_started ? e->finished_at : z->cap,
                       e->failed_at);
        *end = o->g.model == BLK_Z_HA ? z->length :
               e->finish_started ? e->finished_at : z->cap;
        return NULL;
    case BLK_ZS_EMPTY:
        if (wp) {
            return g_strdup("empty, with a write pointer above the start");
        }
        break;
    case BLK_ZS_CLOSED:
        if (wp < (d->has_extension ? 0 : 1) || wp >= z->cap) {
            return g_strdup("closed, with an impossible write pointer");
        }
        break;
    case BLK_ZS_IOPEN:
    case BLK_ZS_EOPEN:
        if (reopened) {
            return g_strdup("open, right after the disk was opened");
        }
        break;
    default:
        return g_strdup("a state that no request leads to");
    }
    if (e->finish_durable) {
        return g_strdup("not full, though it was finished");
    }
    if (wp < e->durable || wp > e->written) {
        return g_strdup_printf("write pointer not in %" PRId64 " to %" PRId64,
                               e->durable, e->written);
    }
    *claimed = *end = wp;
    return NULL;
}

static char *check_extension(Oracle *o, const Epoch *e,
                             const BlockZoneDescriptor *d,
                             const uint8_t *extension)
{
    g_autofree uint8_t *expected = g_malloc0(o->g.extension_size + 1);

    if (!d->has_extension && e->extension_durable) {
        return g_strdup("without its extension, which is durable");
    }
    if (!d->has_extension && e->extension && d->wp != d->start) {
        return g_strdup("without its extension, but written to");
    }
    if (d->has_extension && !e->extension) {
        return g_strdup("with an extension");
    }
    if (d->has_extension) {
        oracle_fill_extension(expected, o->g.extension_size, e->extension);
    }
    if (memcmp(extension, expected, o->g.extension_size)) {
        return g_strdup_printf("extension is not that of request %" PRIu64,
                               d->has_extension ? e->extension : 0);
    }
    return NULL;
}

static char *check_epoch(Oracle *o, const Zone *z, uint32_t nr,
                         const BlockZoneDescriptor *d, const uint8_t *data,
                         const uint8_t *extension, bool reopened)
{
    const Epoch *e = epoch_of(z, nr);
    int64_t claimed = 0, end = 0, i;
    char *error = check_state(o, z, e, d, reopened, &claimed, &end);

    if (!error && !z->conventional) {
        error = check_extension(o, e, d, extension);
    }
    if (error) {
        return error;
    }
    for (i = 0; i < nr_sectors(z); i++) {
        uint64_t mark = sector_mark(data + i * ORACLE_SECTOR);
        uint64_t floor = e->floor[i];

        if (i >= end / ORACLE_SECTOR) {
            if (mark == ZEROES) {
                continue;
            }
            return g_strdup_printf("sector %" PRId64 " holds write %" PRIu64
                                   ", above what is written", i,
                                   MARK_ID(mark));
        }
        if (i < claimed / ORACLE_SECTOR) {
            floor = MAX(floor, e->claim[i]);
        }
        if (!sector_is_right(o, z, nr, i, floor, mark)) {
            return g_strdup_printf("sector %" PRId64 " holds write %" PRIu64
                                   ", not %" PRIu64 " or a later one of its "
                                   "own", i, MARK_ID(mark), floor);
        }
    }
    return NULL;
}

char *oracle_check_zone(Oracle *o, const BlockZoneDescriptor *zone,
                        const uint8_t *data, const uint8_t *extension,
                        bool reopened)
{
    const Zone *z = &o->zones[zone->start / o->g.zone_size];
    GString *why;
    uint32_t i;

    why = g_string_new(NULL);
    g_string_printf(why, "zone %td, state %d, write pointer at %" PRId64
                    ", capacity %" PRId64, z - o->zones, zone->state,
                    zone->wp - zone->start, z->cap);
    for (i = z->first; i < z->epochs->len; i++) {
        g_autofree char *error = check_epoch(o, z, i, zone, data, extension,
                                             reopened);

        if (!error) {
            g_string_free(why, true);
            return NULL;
        }
        g_string_append_printf(why, "\n    after reset %" PRIu32 ": %s", i,
                               error);
    }
    return g_string_free(why, false);
}
