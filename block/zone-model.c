/*
 * Zone model: the state machine of emulated zones
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The contract is in block/zone-model.h; the rules are those of VIRTIO 1.3,
 * section 5.2.6 (zoned block devices).  Invariants between two calls:
 *
 *  - a limit that is set is never exceeded;
 *  - the write pointer of an empty zone is at its start, that of an open or
 *    closed zone below its capacity; of the operations, only CLOSE_ACTIVE
 *    leaves a zone closed that holds nothing;
 *  - the implicitly open zones of a disk with a limit on open zones are in
 *    one list, the least recently used first.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/host-utils.h"
#include "qemu/madvise.h"
#include "qemu/memalign.h"
#include "block/zone-model.h"

/* The sector every protocol has, and the largest block a Linux guest takes */
#define MIN_GRANULARITY 512
#define MAX_GRANULARITY (64 * 1024)

/* End of the list of implicitly open zones */
#define NO_ZONE UINT32_MAX

typedef struct Zone {
    int64_t wp;                 /* as BlockZoneDescriptor has it */
    uint32_t in_flight;         /* writes begun and not ended */
    uint32_t prev, next;        /* in the list of implicitly open zones */
    uint8_t state;              /* BlockZoneState */
    bool non_seq;               /* as BlockZoneDescriptor has it */
    bool has_extension;         /* likewise */
} Zone;

QEMU_BUILD_BUG_ON(sizeof(Zone) > 24);
QEMU_BUILD_BUG_ON(ZONE_MODEL_MAX_ZONES >= NO_ZONE);

struct ZoneModel {
    ZoneGeometry g;
    uint32_t nr_zones;
    int zone_shift;             /* log2 of the zone size, or -1 */
    uint32_t counts[BLK_ZS_OFFLINE + 1];    /* zones in each BlockZoneState */
    uint32_t lru_head, lru_tail;
    uint64_t in_flight;         /* sum over all zones */
    Zone zones[];
};

/* Whom to tell of changes */
typedef struct Listener {
    ZoneModelChangedFn *changed;
    void *opaque;
    BlockZoneOp op;
} Listener;

/*
 * Geometry
 */

/* The wrong value for a message, unless zone_geometry_clamp() has changed it */
static char *not_value(int64_t value)
{
    return value == INT64_MAX ? g_strdup("")
                              : g_strdup_printf(", not %" PRId64, value);
}

static bool check_range(const char *name, int64_t value, int64_t min,
                        int64_t max, Error **errp)
{
    if (value < min || value > max) {
        g_autofree char *not = not_value(value);

        error_setg(errp, "%s must be between %" PRId64 " and %" PRId64 "%s",
                   name, min, max, not);
        return false;
    }
    return true;
}

/* As check_range(), for multiples of the write granularity */
static bool check_size(const ZoneGeometry *g, const ZoneGeometryNames *names,
                       const char *name, int64_t value, int64_t min,
                       int64_t max, Error **errp)
{
    if (value < min || value > max || value % g->write_granularity) {
        g_autofree char *not = not_value(value);

        error_setg(errp, "%s must be a multiple of %s (%" PRId64 ") between %"
                   PRId64 " and %" PRId64 "%s", name,
                   names->write_granularity, g->write_granularity, min, max,
                   not);
        return false;
    }
    return true;
}

static bool check_granularity(const char *name, int64_t value, Error **errp)
{
    if (value < MIN_GRANULARITY || value > MAX_GRANULARITY ||
        (value & (value - 1))) {
        g_autofree char *not = not_value(value);

        error_setg(errp, "%s must be a power of two between %d and %d%s", name,
                   MIN_GRANULARITY, MAX_GRANULARITY, not);
        return false;
    }
    return true;
}

static bool check_extension_size(const char *name, int64_t value, Error **errp)
{
    if (value < 0 || value > BLK_ZONE_EXTENSION_MAX ||
        value % BLK_ZONE_EXTENSION_UNIT) {
        g_autofree char *not = not_value(value);

        error_setg(errp, "%s must be a multiple of %d between 0 and %d%s",
                   name, BLK_ZONE_EXTENSION_UNIT, BLK_ZONE_EXTENSION_MAX, not);
        return false;
    }
    return true;
}

/* The smallest zones of which a disk needs no more than there may be */
static int64_t min_zone_size(const ZoneGeometry *g)
{
    int64_t bytes = (g->length - 1) / ZONE_MODEL_MAX_ZONES + 1;

    return ROUND_UP(bytes, g->write_granularity);
}

static bool check_limits(const ZoneGeometry *g, const ZoneGeometryNames *names,
                         Error **errp)
{
    int64_t nr_sequential = zone_geometry_nr_zones(g) - g->conventional_zones;

    if (!check_range(names->max_active_zones, g->max_active_zones, 0,
                     nr_sequential, errp) ||
        !check_range(names->max_open_zones, g->max_open_zones, 0,
                     nr_sequential, errp)) {
        return false;
    }
    if (g->max_active_zones && g->max_open_zones > g->max_active_zones) {
        error_setg(errp, "%s must be between 0 and %s (%" PRId64 "), not %"
                   PRId64, names->max_open_zones, names->max_active_zones,
                   g->max_active_zones, g->max_open_zones);
        return false;
    }
    return true;
}

/* Zones that only prefer to be written in order must never refuse a write */
static bool check_host_aware(const ZoneGeometry *g,
                             const ZoneGeometryNames *names, Error **errp)
{
    if (g->zone_capacity != g->zone_size) {
        error_setg(errp, "%s must be %s (%" PRId64 ") on a host-aware disk, "
                   "not %" PRId64, names->zone_capacity, names->zone_size,
                   g->zone_size, g->zone_capacity);
        return false;
    }
    if (g->max_active_zones) {
        error_setg(errp, "%s must be 0 on a host-aware disk, not %" PRId64,
                   names->max_active_zones, g->max_active_zones);
        return false;
    }
    if (g->max_open_zones) {
        error_setg(errp, "%s must be 0 on a host-aware disk, not %" PRId64,
                   names->max_open_zones, g->max_open_zones);
        return false;
    }
    if (g->extension_size) {
        error_setg(errp, "%s must be 0 on a host-aware disk, not %" PRId64,
                   names->extension_size, g->extension_size);
        return false;
    }
    return true;
}

bool zone_geometry_check(const ZoneGeometry *g, const ZoneGeometryNames *names,
                         Error **errp)
{
    if (g->model != BLK_Z_HM && g->model != BLK_Z_HA) {
        error_setg(errp, "A zoned disk must be host-managed or host-aware");
        return false;
    }
    return check_granularity(names->write_granularity, g->write_granularity,
                             errp) &&
           check_size(g, names, names->length, g->length,
                      g->write_granularity,
                      ROUND_DOWN(INT64_MAX, g->write_granularity), errp) &&
           check_size(g, names, names->zone_size, g->zone_size,
                      min_zone_size(g), g->length, errp) &&
           check_size(g, names, names->zone_capacity, g->zone_capacity,
                      g->write_granularity, g->zone_size, errp) &&
           check_range(names->conventional_zones, g->conventional_zones, 0,
                       zone_geometry_nr_zones(g) - 1, errp) &&
           check_limits(g, names, errp) &&
           check_extension_size(names->extension_size, g->extension_size,
                                errp) &&
           (g->model == BLK_Z_HM || check_host_aware(g, names, errp));
}

static uint32_t zone_index(const ZoneModel *m, int64_t offset)
{
    /* Each write comes by here, and a division takes its time */
    return m->zone_shift >= 0 ? offset >> m->zone_shift
                              : offset / m->g.zone_size;
}

static int64_t zone_start(const ZoneModel *m, uint32_t i)
{
    return i * m->g.zone_size;
}

static int64_t zone_length(const ZoneModel *m, uint32_t i)
{
    return MIN(m->g.zone_size, m->g.length - zone_start(m, i));
}

static BlockZoneType zone_type(const ZoneModel *m, uint32_t i)
{
    if (i < m->g.conventional_zones) {
        return BLK_ZT_CONV;
    }
    return m->g.model == BLK_Z_HM ? BLK_ZT_SWR : BLK_ZT_SWP;
}

/* The end of what can be written, which may lie before that of the zone */
static int64_t zone_cap_end(const ZoneModel *m, uint32_t i)
{
    return zone_start(m, i) + zone_geometry_capacity(&m->g, i);
}

static bool range_inside(const ZoneModel *m, int64_t offset, int64_t bytes)
{
    return offset >= 0 && bytes >= 0 && bytes <= m->g.length &&
           offset <= m->g.length - bytes;
}

static bool is_zone_start(const ZoneModel *m, int64_t offset)
{
    return range_inside(m, offset, 1) && offset % m->g.zone_size == 0;
}

static bool is_sequential_start(const ZoneModel *m, int64_t offset)
{
    return is_zone_start(m, offset) &&
           zone_type(m, zone_index(m, offset)) != BLK_ZT_CONV;
}

static bool is_aligned(const ZoneModel *m, int64_t bytes)
{
    return (bytes & (m->g.write_granularity - 1)) == 0;
}

/*
 * States and resources (VZ-63)
 */

static void lru_append(ZoneModel *m, uint32_t i)
{
    m->zones[i].prev = m->lru_tail;
    m->zones[i].next = NO_ZONE;
    if (m->lru_tail == NO_ZONE) {
        m->lru_head = i;
    } else {
        m->zones[m->lru_tail].next = i;
    }
    m->lru_tail = i;
}

static void lru_remove(ZoneModel *m, uint32_t i)
{
    Zone *z = &m->zones[i];

    if (z->prev == NO_ZONE) {
        m->lru_head = z->next;
    } else {
        m->zones[z->prev].next = z->next;
    }
    if (z->next == NO_ZONE) {
        m->lru_tail = z->prev;
    } else {
        m->zones[z->next].prev = z->prev;
    }
}

static uint32_t nr_open(const ZoneModel *m)
{
    return m->counts[BLK_ZS_IOPEN] + m->counts[BLK_ZS_EOPEN];
}

static uint32_t nr_active(const ZoneModel *m)
{
    return nr_open(m) + m->counts[BLK_ZS_CLOSED];
}

/* Other threads may look at the counts */
static void add_to_count(ZoneModel *m, BlockZoneState state, int n)
{
    qatomic_set(&m->counts[state], m->counts[state] + n);
}

/* Without a limit no zone is ever closed for another: spare the list */
static bool needs_lru(const ZoneModel *m, BlockZoneState state)
{
    return state == BLK_ZS_IOPEN && m->g.max_open_zones;
}

static void take_resources(ZoneModel *m, uint32_t i)
{
    BlockZoneState state = m->zones[i].state;

    add_to_count(m, state, 1);
    if (needs_lru(m, state)) {
        lru_append(m, i);
    }
}

static void release_resources(ZoneModel *m, uint32_t i)
{
    BlockZoneState state = m->zones[i].state;

    add_to_count(m, state, -1);
    if (needs_lru(m, state)) {
        lru_remove(m, i);
    }
}

/*
 * The only place where a zone's state changes.  A zone that stays or becomes
 * implicitly open is then the most recently used one.
 */
static void set_state(ZoneModel *m, uint32_t i, BlockZoneState state)
{
    Zone *z = &m->zones[i];

    release_resources(m, i);
    z->state = state;
    take_resources(m, i);

    switch (state) {
    case BLK_ZS_EMPTY:
        z->wp = zone_start(m, i);
        z->non_seq = false;
        z->has_extension = false;
        break;
    case BLK_ZS_FULL:
        z->wp = zone_start(m, i) + zone_length(m, i);
        break;
    case BLK_ZS_IOPEN:
    case BLK_ZS_EOPEN:
    case BLK_ZS_CLOSED:
        break;
    case BLK_ZS_OFFLINE:
        z->has_extension = false;
        z->wp = -1;
        break;
    case BLK_ZS_NOT_WP:
    case BLK_ZS_RDONLY:
        z->wp = -1;
        break;
    }
}

/*
 * Is there room for @open more open zones, if @evictable of today's may be
 * closed for them, and for @active more active zones?  Closing a zone frees
 * no active resource.  A lack of those is the error to tell (VZ-25).
 */
static int check_resources(const ZoneModel *m, uint32_t open,
                           uint32_t evictable, uint32_t active)
{
    if (m->g.max_active_zones && active &&
        (int64_t)nr_active(m) + active > m->g.max_active_zones) {
        return -EOVERFLOW;
    }
    if (m->g.max_open_zones && open &&
        (int64_t)nr_open(m) + open - evictable > m->g.max_open_zones) {
        return -ETOOMANYREFS;
    }
    return 0;
}

static void fill_descriptor(const ZoneModel *m, uint32_t i,
                            BlockZoneDescriptor *d)
{
    *d = (BlockZoneDescriptor) {
        .start = zone_start(m, i),
        .length = zone_length(m, i),
        .cap = zone_cap_end(m, i) - zone_start(m, i),
        .wp = m->zones[i].wp,
        .type = zone_type(m, i),
        .state = m->zones[i].state,
        .non_seq = m->zones[i].non_seq,
        .has_extension = m->zones[i].has_extension,
    };
}

static void notify(const ZoneModel *m, uint32_t i, const Listener *listener)
{
    BlockZoneDescriptor d;

    if (listener && listener->changed) {
        fill_descriptor(m, i, &d);
        listener->changed(listener->opaque, listener->op, &d);
    }
}

/* With its write pointer at @wp, would a zone hold nothing at all? */
static bool holds_nothing(const ZoneModel *m, uint32_t i, int64_t wp)
{
    return wp == zone_start(m, i) && !m->zones[i].has_extension;
}

static BlockZoneState closed_state(const ZoneModel *m, uint32_t i)
{
    return holds_nothing(m, i, m->zones[i].wp) ? BLK_ZS_EMPTY : BLK_ZS_CLOSED;
}

/*
 * Close the zones that check_resources() counted on (VZ-43).  This comes
 * after the zones that need the room were opened: an implicitly open one of
 * them is then the last in the list, and cannot be picked.
 */
static void evict_excess(ZoneModel *m, const Listener *listener)
{
    while (m->g.max_open_zones && nr_open(m) > m->g.max_open_zones) {
        uint32_t victim = m->lru_head;

        set_state(m, victim, closed_state(m, victim));
        notify(m, victim, listener);
    }
}

/*
 * Life and reports
 */

ZoneModel *zone_model_new(const ZoneGeometry *g)
{
    int64_t nr_zones = zone_geometry_nr_zones(g);
    ZoneModel *m;
    size_t size;
    bool huge;
    uint32_t i;

    size = sizeof(*m) + nr_zones * sizeof(m->zones[0]);
    /*
     * Requests to random zones of a disk with a million of them would
     * otherwise spend a third of their time on missing page table entries.
     */
    huge = size >= QEMU_VMALLOC_ALIGN;
    m = qemu_try_memalign(huge ? QEMU_VMALLOC_ALIGN : sizeof(void *), size);
    if (!m) {
        return NULL;
    }
    if (huge) {
        qemu_madvise(m, size, QEMU_MADV_HUGEPAGE);
    }
    *m = (ZoneModel) {
        .g = *g,
        .nr_zones = nr_zones,
        .zone_shift = is_power_of_2(g->zone_size) ? ctz64(g->zone_size) : -1,
        .lru_head = NO_ZONE,
        .lru_tail = NO_ZONE,
    };
    for (i = 0; i < nr_zones; i++) {
        bool conventional = zone_type(m, i) == BLK_ZT_CONV;

        m->zones[i] = (Zone) {
            .wp = conventional ? -1 : zone_start(m, i),
            .state = conventional ? BLK_ZS_NOT_WP : BLK_ZS_EMPTY,
        };
        m->counts[m->zones[i].state]++;
    }
    return m;
}

void zone_model_free(ZoneModel *m)
{
    qemu_vfree(m);
}

const ZoneGeometry *zone_model_geometry(const ZoneModel *m)
{
    return &m->g;
}

uint32_t zone_model_nr_zones(const ZoneModel *m)
{
    return m->nr_zones;
}

uint32_t zone_model_count(const ZoneModel *m, BlockZoneState state)
{
    return qatomic_read(&m->counts[state]);
}

unsigned int zone_model_report(const ZoneModel *m, int64_t offset,
                               unsigned int nr_zones,
                               BlockZoneDescriptor *zones)
{
    uint32_t first;
    unsigned int i, n;

    if (!range_inside(m, offset, 1)) {
        return 0;
    }
    first = zone_index(m, offset);
    n = MIN(nr_zones, m->nr_zones - first);
    for (i = 0; i < n; i++) {
        fill_descriptor(m, first + i, &zones[i]);
    }
    return n;
}

/*
 * Reads and writes
 */

int zone_model_check_read(const ZoneModel *m, int64_t offset, int64_t bytes)
{
    uint32_t i, last;

    if (!range_inside(m, offset, bytes)) {
        return -EINVAL;
    }
    if (bytes == 0 || m->counts[BLK_ZS_OFFLINE] == 0) {
        return 0;
    }
    last = zone_index(m, offset + bytes - 1);
    for (i = zone_index(m, offset); i <= last; i++) {
        if (m->zones[i].state == BLK_ZS_OFFLINE) {
            return -ENXIO;
        }
    }
    return 0;
}

static void add_in_flight(ZoneModel *m, uint32_t i)
{
    m->zones[i].in_flight++;
    m->in_flight++;
}

static void remove_in_flight(ZoneModel *m, uint32_t i)
{
    m->zones[i].in_flight--;
    m->in_flight--;
}

static int check_usable(const ZoneModel *m, uint32_t i)
{
    switch (m->zones[i].state) {
    case BLK_ZS_RDONLY:
        return -EROFS;
    case BLK_ZS_OFFLINE:
        return -ENXIO;
    default:
        return 0;
    }
}

/* Is there nothing to open for a write, and nothing to put in order? */
static bool is_ready(const ZoneModel *m, uint32_t i)
{
    BlockZoneState state = m->zones[i].state;

    return state == BLK_ZS_EOPEN ||
           (state == BLK_ZS_IOPEN &&
            (!m->g.max_open_zones || m->lru_tail == i));
}

/* Open a zone on behalf of a write, unless it is open (VZ-42) */
static int open_implicitly(ZoneModel *m, uint32_t i)
{
    BlockZoneState state = m->zones[i].state;
    int ret;

    if (is_ready(m, i)) {
        return 0;
    }
    ret = check_resources(m, !zone_state_is_open(state),
                          m->counts[BLK_ZS_IOPEN],
                          !zone_state_is_active(state));
    if (ret < 0) {
        return ret;
    }
    set_state(m, i, BLK_ZS_IOPEN);
    evict_excess(m, NULL);
    return 0;
}

/* Move the write pointer of an open zone (VZ-46) */
static void advance(ZoneModel *m, uint32_t i, int64_t wp, int64_t cap_end)
{
    if (wp == cap_end) {
        set_state(m, i, BLK_ZS_FULL);
    } else {
        m->zones[i].wp = wp;
    }
}

/*
 * Most writes neither open nor fill a zone.  What they do not need is in
 * functions of its own: inlined, it would have them save registers for it.
 */
#define NOT_FOR_MOST_WRITES __attribute__((noinline))

/* A write that fits at the write pointer, and may open or fill the zone */
static int NOT_FOR_MOST_WRITES begin_changing(ZoneModel *m, uint32_t i,
                                              int64_t end, int64_t cap_end)
{
    int ret = open_implicitly(m, i);

    if (ret < 0) {
        return ret;
    }
    advance(m, i, end, cap_end);
    add_in_flight(m, i);
    return 0;
}

/* A write, aligned, that starts in a zone that must be written in order */
static int begin_sequential(ZoneModel *m, uint32_t i, int64_t offset,
                            int64_t bytes)
{
    int64_t cap_end = zone_cap_end(m, i);
    int ret = check_usable(m, i);

    if (ret < 0) {
        return ret;
    }
    if (m->zones[i].state == BLK_ZS_FULL) {
        return -EFBIG;
    }
    if (bytes > cap_end - offset) {
        return -ERANGE;
    }
    if (offset != m->zones[i].wp) {
        return -ESPIPE;
    }
    if (is_ready(m, i) && bytes < cap_end - offset) {
        m->zones[i].wp += bytes;
        add_in_flight(m, i);
        return 0;
    }
    return begin_changing(m, i, offset + bytes, cap_end);
}

/* One zone's share of a write that may go anywhere, from @offset to @end */
static void advance_random(ZoneModel *m, uint32_t i, int64_t offset,
                           int64_t end)
{
    if (zone_type(m, i) == BLK_ZT_CONV) {
        return;
    }
    m->zones[i].non_seq |= MAX(offset, zone_start(m, i)) != m->zones[i].wp;
    if (m->zones[i].state == BLK_ZS_FULL) {
        return;
    }
    /* Cannot fail: a host-aware disk has no limits */
    open_implicitly(m, i);
    advance(m, i, MAX(m->zones[i].wp, MIN(end, zone_cap_end(m, i))),
            zone_cap_end(m, i));
}

/* A write that starts in a zone that can be written at random */
static int NOT_FOR_MOST_WRITES begin_random(ZoneModel *m, uint32_t first,
                                            int64_t offset, int64_t bytes)
{
    uint32_t last = zone_index(m, offset + bytes - 1);
    uint32_t i;
    int ret;

    /* The granularity is that of sequential zones only (VZ-15) */
    if (zone_type(m, last) != BLK_ZT_CONV && !is_aligned(m, offset | bytes)) {
        return -EINVAL;
    }
    for (i = first; i <= last; i++) {
        if (zone_type(m, i) == BLK_ZT_SWR) {
            return -ERANGE;
        }
        ret = check_usable(m, i);
        if (ret < 0) {
            return ret;
        }
    }
    for (i = first; i <= last; i++) {
        advance_random(m, i, offset, offset + bytes);
        add_in_flight(m, i);
    }
    return 0;
}

int zone_model_begin_write(ZoneModel *m, int64_t offset, int64_t bytes)
{
    uint32_t i;

    if (bytes == 0) {
        return 0;
    }
    if (!range_inside(m, offset, bytes)) {
        return -EINVAL;
    }
    i = zone_index(m, offset);
    if (zone_type(m, i) != BLK_ZT_SWR) {
        return begin_random(m, i, offset, bytes);
    }
    return is_aligned(m, offset | bytes)
        ? begin_sequential(m, i, offset, bytes) : -EINVAL;
}

int zone_model_begin_append(ZoneModel *m, int64_t *offset, int64_t bytes)
{
    int64_t wp;
    uint32_t i;
    int ret;

    if (!is_zone_start(m, *offset) || bytes < 0 || !is_aligned(m, bytes)) {
        return -EINVAL;
    }
    i = zone_index(m, *offset);
    if (zone_type(m, i) != BLK_ZT_SWR) {
        return -EINVAL;
    }
    if (bytes == 0) {
        return 0;
    }

    wp = m->zones[i].wp;
    ret = begin_sequential(m, i, wp, bytes);
    if (ret == 0) {
        *offset = wp;
    }
    return ret;
}

/* What a zone becomes that a failed write had filled */
static BlockZoneState unfilled_state(const ZoneModel *m, bool nothing_held)
{
    if (check_resources(m, 1, 0, 1) == 0) {
        return BLK_ZS_IOPEN;
    }
    if (nothing_held) {
        return BLK_ZS_EMPTY;
    }
    if (check_resources(m, 0, 0, 1) == 0) {
        return BLK_ZS_CLOSED;
    }
    return BLK_ZS_FULL;
}

/*
 * Undo begin_sequential(), unless something was admitted behind it.  The
 * resources that a filled zone gave back may be in use elsewhere by now.
 */
static void roll_back(ZoneModel *m, uint32_t i, int64_t offset, int64_t end)
{
    BlockZoneState state = m->zones[i].state;
    bool nothing_held = holds_nothing(m, i, offset);

    if (state == BLK_ZS_FULL && end == zone_cap_end(m, i)) {
        state = unfilled_state(m, nothing_held);
    } else if (!zone_state_is_active(state) || m->zones[i].wp != end) {
        return;
    } else if (state == BLK_ZS_CLOSED && nothing_held) {
        state = BLK_ZS_EMPTY;
    }
    m->zones[i].wp = offset;
    set_state(m, i, state);
}

void zone_model_end_write(ZoneModel *m, int64_t offset, int64_t bytes,
                          int ret)
{
    uint32_t i, last;

    if (bytes == 0) {
        return;
    }
    i = zone_index(m, offset);
    if (zone_type(m, i) == BLK_ZT_SWR) {
        /* It was admitted to this zone alone */
        remove_in_flight(m, i);
        if (ret < 0) {
            roll_back(m, i, offset, offset + bytes);
        }
        return;
    }
    last = zone_index(m, offset + bytes - 1);
    for (; i <= last; i++) {
        remove_in_flight(m, i);
    }
}

bool zone_model_in_flight(const ZoneModel *m, int64_t offset, int64_t len)
{
    uint32_t i, last;

    if (m->in_flight == 0 || len == 0 || !range_inside(m, offset, len)) {
        return false;
    }
    if (len == m->g.length) {
        return true;
    }
    last = zone_index(m, offset + len - 1);
    for (i = zone_index(m, offset); i <= last; i++) {
        if (m->zones[i].in_flight) {
            return true;
        }
    }
    return false;
}

/*
 * Zone operations
 */

/* The state that a zone moves to, or why it does not move */
static int next_state(const ZoneModel *m, BlockZoneOp op, uint32_t i)
{
    int ret = block_zone_op_check(op, zone_type(m, i), m->zones[i].state);

    if (ret < 0) {
        return ret;
    }
    switch (op) {
    case BLK_ZO_OPEN:
        return BLK_ZS_EOPEN;
    case BLK_ZO_CLOSE:
        return closed_state(m, i);
    case BLK_ZO_FINISH:
        return BLK_ZS_FULL;
    case BLK_ZO_RESET:
        return BLK_ZS_EMPTY;
    case BLK_ZO_OFFLINE:
        return BLK_ZS_OFFLINE;
    case BLK_ZO_CLOSE_ACTIVE:
        return BLK_ZS_CLOSED;
    }
    return -EINVAL;
}

/* Can all zones from @first to @last make the transition? */
static int check_mgmt(const ZoneModel *m, BlockZoneOp op, uint32_t first,
                      uint32_t last, bool all)
{
    uint32_t open = 0, active = 0, evictable = m->counts[BLK_ZS_IOPEN];
    uint32_t i;

    for (i = first; i <= last; i++) {
        BlockZoneState old = m->zones[i].state;
        int new;

        if (all && !block_zone_op_concerns(op, old)) {
            continue;
        }
        new = next_state(m, op, i);
        if (new < 0) {
            return new;
        }
        open += !zone_state_is_open(old) && zone_state_is_open(new);
        active += !zone_state_is_active(old) && zone_state_is_active(new);
        evictable -= old == BLK_ZS_IOPEN;
    }
    return check_resources(m, open, evictable, active);
}

int zone_model_mgmt(ZoneModel *m, BlockZoneOp op, int64_t offset, int64_t len,
                    ZoneModelChangedFn *changed, void *opaque)
{
    Listener listener = { .changed = changed, .opaque = opaque, .op = op };
    bool all = len == m->g.length && m->nr_zones > 1;
    uint32_t i, first, last;
    int ret;

    if (len <= 0 || !range_inside(m, offset, len) ||
        offset % m->g.zone_size ||
        (len % m->g.zone_size && offset + len != m->g.length)) {
        return -EINVAL;
    }
    first = zone_index(m, offset);
    last = zone_index(m, offset + len - 1);

    ret = check_mgmt(m, op, first, last, all);
    if (ret < 0) {
        return ret;
    }
    for (i = first; i <= last; i++) {
        BlockZoneState old = m->zones[i].state;

        if (all && !block_zone_op_concerns(op, old)) {
            continue;
        }
        set_state(m, i, next_state(m, op, i));
        if (m->zones[i].state != old) {
            notify(m, i, &listener);
        }
    }
    evict_excess(m, &listener);
    return 0;
}

int zone_model_set_extension(ZoneModel *m, int64_t offset)
{
    uint32_t i;
    int ret;

    if (!m->g.extension_size) {
        return -ENOTSUP;
    }
    if (!is_sequential_start(m, offset)) {
        return -EINVAL;
    }
    i = zone_index(m, offset);
    ret = check_usable(m, i);
    if (ret == 0 && m->zones[i].state != BLK_ZS_EMPTY) {
        ret = -EPERM;
    }
    if (ret == 0) {
        ret = check_resources(m, 0, 0, 1);
    }
    if (ret == 0) {
        m->zones[i].has_extension = true;
        set_state(m, i, BLK_ZS_CLOSED);
    }
    return ret;
}

/* May a zone in the state of @z have its write pointer there? */
static bool wp_is_valid(const ZoneModel *m, uint32_t i,
                        const BlockZoneDescriptor *z)
{
    int64_t start = zone_start(m, i);
    bool inside = z->wp >= start && z->wp < zone_cap_end(m, i) &&
                  is_aligned(m, z->wp);

    switch (z->state) {
    case BLK_ZS_EMPTY:
        return z->wp == start;
    case BLK_ZS_IOPEN:
    case BLK_ZS_EOPEN:
    case BLK_ZS_CLOSED:
        return inside;
    case BLK_ZS_RDONLY:
    case BLK_ZS_FULL:
    case BLK_ZS_OFFLINE:
        return true;
    case BLK_ZS_NOT_WP:
        break;
    }
    return false;
}

/* Force zone @i, a sequential one, to be as @z says */
static int force_zone(ZoneModel *m, uint32_t i, const BlockZoneDescriptor *z)
{
    BlockZoneState old = m->zones[i].state;
    int ret;

    if (!wp_is_valid(m, i, z)) {
        return -EINVAL;
    }
    ret = check_resources(m,
                          zone_state_is_open(z->state) &&
                          !zone_state_is_open(old), 0,
                          zone_state_is_active(z->state) &&
                          !zone_state_is_active(old));
    if (ret < 0) {
        return ret;
    }
    m->zones[i].wp = z->wp;
    m->zones[i].non_seq = z->non_seq;
    m->zones[i].has_extension = z->has_extension;
    set_state(m, i, z->state);
    return 0;
}

int zone_model_set_zone(ZoneModel *m, int64_t offset, BlockZoneState state,
                        int64_t wp)
{
    BlockZoneDescriptor z;

    if (!is_sequential_start(m, offset)) {
        return -EINVAL;
    }
    fill_descriptor(m, zone_index(m, offset), &z);
    z.state = state;
    z.wp = wp;
    return force_zone(m, zone_index(m, offset), &z);
}

int zone_model_restore_zone(ZoneModel *m, const BlockZoneDescriptor *zone)
{
    if (!is_sequential_start(m, zone->start) ||
        (zone->non_seq && m->g.model != BLK_Z_HA) ||
        (zone->has_extension && !m->g.extension_size)) {
        return -EINVAL;
    }
    return force_zone(m, zone_index(m, zone->start), zone);
}
