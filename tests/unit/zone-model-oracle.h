/*
 * An oracle for the zone model: each request works on a copy of a small disk
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_UNIT_ZONE_MODEL_ORACLE_H
#define TESTS_UNIT_ZONE_MODEL_ORACLE_H

#include "block/zone-model.h"

#define ORACLE_MAX_ZONES 8

typedef struct Oracle {
    ZoneGeometry g;
    int nr_zones;
    uint64_t clock, used[ORACLE_MAX_ZONES];     /* when last written to */
    BlockZoneDescriptor zones[ORACLE_MAX_ZONES];
} Oracle;

#define S(state) (1 << BLK_ZS_##state)
#define IN(state, states) (((1 << (state)) & (states)) != 0)
#define OPEN_STATES (S(IOPEN) | S(EOPEN))
#define ACTIVE_STATES (OPEN_STATES | S(CLOSED))
#define ALL_STATES (S(EMPTY) | ACTIVE_STATES | S(FULL))

static const struct {
    int from, from_if_all;
    BlockZoneState to;
} oracle_ops[] = {
    [BLK_ZO_OPEN] = { S(EMPTY) | ACTIVE_STATES, S(CLOSED), BLK_ZS_EOPEN },
    [BLK_ZO_CLOSE] = { ACTIVE_STATES, OPEN_STATES, BLK_ZS_CLOSED },
    [BLK_ZO_FINISH] = { ALL_STATES, ACTIVE_STATES, BLK_ZS_FULL },
    [BLK_ZO_RESET] = { ALL_STATES, ACTIVE_STATES | S(FULL), BLK_ZS_EMPTY },
    [BLK_ZO_OFFLINE] = { S(RDONLY) | S(OFFLINE), S(RDONLY), BLK_ZS_OFFLINE },
};

static inline int oracle_count(const Oracle *o, int states)
{
    int n = 0;

    for (int i = 0; i < o->nr_zones; i++) {
        n += IN(o->zones[i].state, states);
    }
    return n;
}

static inline void oracle_move(BlockZoneDescriptor *z, BlockZoneState to,
                               int64_t wp)
{
    z->state = to == BLK_ZS_CLOSED && wp == z->start && !z->has_extension
               ? BLK_ZS_EMPTY : to;
    z->wp = to == BLK_ZS_EMPTY ? z->start
            : to == BLK_ZS_FULL ? z->start + z->length
            : IN(to, ALL_STATES) ? wp : -1;
    z->non_seq = z->non_seq && z->state != BLK_ZS_EMPTY;
    z->has_extension = z->has_extension &&
                       !IN(z->state, S(EMPTY) | S(OFFLINE));
}

static inline void oracle_init(Oracle *o, const ZoneGeometry *g)
{
    *o = (Oracle) { .g = *g };
    for (int64_t pos = 0; pos < g->length; pos += g->zone_size) {
        BlockZoneDescriptor *z = &o->zones[o->nr_zones++];
        bool conv = o->nr_zones <= g->conventional_zones;

        z->start = pos;
        z->length = MIN(g->zone_size, g->length - pos);
        z->cap = conv ? z->length : MIN(g->zone_capacity, z->length);
        z->type = conv ? BLK_ZT_CONV
                  : g->model == BLK_Z_HM ? BLK_ZT_SWR : BLK_ZT_SWP;
        oracle_move(z, conv ? BLK_ZS_NOT_WP : BLK_ZS_EMPTY, pos);
    }
}

/* Room for one more?  Or, with @more = 0, is the limit kept? */
static inline bool oracle_room(const Oracle *o, int64_t max, int states,
                               int more)
{
    return !max || oracle_count(o, states) + more <= max;
}

/* Check the limits; close the longest unused zones if need be, not @keep */
static inline int oracle_settle(Oracle *o, int keep)
{
    if (!oracle_room(o, o->g.max_active_zones, ACTIVE_STATES, 0)) {
        return -EOVERFLOW;
    }
    while (!oracle_room(o, o->g.max_open_zones, OPEN_STATES, 0)) {
        int oldest = -1;

        for (int i = 0; i < o->nr_zones; i++) {
            if (o->zones[i].state == BLK_ZS_IOPEN && i != keep &&
                (oldest < 0 || o->used[i] < o->used[oldest])) {
                oldest = i;
            }
        }
        if (oldest < 0) {
            return -ETOOMANYREFS;
        }
        oracle_move(&o->zones[oldest], BLK_ZS_CLOSED, o->zones[oldest].wp);
    }
    return 0;
}

static inline int oracle_refusal(int s)
{
    return IN(s, S(RDONLY)) ? -EROFS : IN(s, S(OFFLINE)) ? -ENXIO
           : IN(s, S(NOT_WP)) ? -EINVAL : -EPERM;
}

static inline int oracle_try_write(Oracle *o, int64_t offset, int64_t bytes)
{
    int64_t end = offset + bytes;
    int i = offset / o->g.zone_size, ret;

    for (; i < o->nr_zones && o->zones[i].start < end; i++) {
        BlockZoneDescriptor *z = &o->zones[i];
        bool swr = z->type == BLK_ZT_SWR;

        if (z->type == BLK_ZT_CONV) {
            continue;
        } else if ((offset | bytes) % o->g.write_granularity) {
            return -EINVAL;
        } else if (swr && offset < z->start) {
            return -ERANGE;
        } else if (!IN(z->state, ALL_STATES)) {
            return oracle_refusal(z->state);
        }
        z->non_seq |= !swr && MAX(offset, z->start) != z->wp;
        if (z->state == BLK_ZS_FULL && !swr) {
            continue;
        } else if (z->state == BLK_ZS_FULL) {
            return -EFBIG;
        } else if (swr && end > z->start + z->cap) {
            return -ERANGE;
        } else if (swr && offset != z->wp) {
            return -ESPIPE;
        }
        o->used[i] = ++o->clock;
        z->state = z->state == BLK_ZS_EOPEN ? BLK_ZS_EOPEN : BLK_ZS_IOPEN;
        ret = oracle_settle(o, i);
        if (ret) {
            return ret;
        }
        z->wp = MAX(z->wp, MIN(end, z->start + z->cap));
        if (z->wp == z->start + z->cap) {
            oracle_move(z, BLK_ZS_FULL, 0);
        }
    }
    return 0;
}

static inline int oracle_write(Oracle *o, int64_t offset, int64_t bytes)
{
    Oracle copy = *o;
    int ret = !bytes ? 0 : offset < 0 || bytes < 0 || offset > o->g.length ||
              bytes > o->g.length - offset ? -EINVAL
              : oracle_try_write(&copy, offset, bytes);

    *o = ret ? *o : copy;
    return ret;
}

/* The data I/O of an admitted write has failed */
static inline void oracle_fail(Oracle *o, int64_t offset, int64_t bytes)
{
    int i = offset / o->g.zone_size;
    BlockZoneDescriptor *z = &o->zones[i];
    bool full = z->state == BLK_ZS_FULL;
    bool open = oracle_room(o, o->g.max_open_zones, OPEN_STATES, 1);
    bool active = oracle_room(o, o->g.max_active_zones, ACTIVE_STATES, 1);

    if (z->type == BLK_ZT_SWR &&
        offset + bytes == (full ? z->start + z->cap : z->wp)) {
        o->used[i] = ++o->clock;
        if (!full) {
            oracle_move(z, z->state, offset);
        } else if (active || (offset == z->start && !z->has_extension)) {
            oracle_move(z, open && active ? BLK_ZS_IOPEN : BLK_ZS_CLOSED,
                        offset);
        }
    }
}

static inline int oracle_mgmt(Oracle *o, BlockZoneOp op, int first, int last)
{
    bool all = last - first == o->nr_zones - 1 && last > 0;
    Oracle copy = *o;
    int ret;

    for (int i = first; i <= last; i++) {
        BlockZoneDescriptor *z = &copy.zones[i];

        if (!all && !IN(z->state, oracle_ops[op].from)) {
            return op == BLK_ZO_OFFLINE && z->type != BLK_ZT_CONV
                   ? -EPERM : oracle_refusal(z->state);
        } else if (!all || IN(z->state, oracle_ops[op].from_if_all)) {
            oracle_move(z, oracle_ops[op].to, z->wp);
        }
    }
    ret = oracle_settle(&copy, -1);
    *o = ret ? *o : copy;
    return ret;
}

static inline int oracle_set_extension(Oracle *o, int64_t offset)
{
    int64_t i = offset / o->g.zone_size;
    Oracle copy = *o;
    int ret;

    if (!o->g.extension_size) {
        return -ENOTSUP;
    } else if (offset < 0 || i >= o->nr_zones || offset % o->g.zone_size) {
        return -EINVAL;
    } else if (o->zones[i].state != BLK_ZS_EMPTY) {
        return oracle_refusal(o->zones[i].state);
    }
    copy.zones[i].has_extension = true;
    oracle_move(&copy.zones[i], BLK_ZS_CLOSED, offset);
    ret = oracle_settle(&copy, -1);
    *o = ret ? *o : copy;
    return ret;
}

#endif /* TESTS_UNIT_ZONE_MODEL_ORACLE_H */
