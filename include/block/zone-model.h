/*
 * Zone model: the state machine of emulated zones
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a zone is: the geometry, each zone's state and write pointer, and the
 * counts of open and active zones.  The model answers whether a request may
 * happen and what it changes.  It moves no data and knows nothing of the
 * block layer, of coroutines or of locks: the caller serializes its calls.
 * All offsets and lengths are in bytes; errors are those of block/zoned.h.
 */

#ifndef BLOCK_ZONE_MODEL_H
#define BLOCK_ZONE_MODEL_H

#include "block/zoned.h"

typedef struct ZoneModel ZoneModel;

/* As many zones as a disk can have: its state takes less than 400 MiB */
#define ZONE_MODEL_MAX_ZONES (1 << 24)

/*
 * What a set of zones looks like; a limit of 0 means no limit.
 *
 * All sizes are multiples of @write_granularity.  On a host-aware disk, where
 * writes are never refused, the capacity is the zone size, and there are no
 * limits and no descriptor extensions.
 */
typedef struct ZoneGeometry {
    BlockZoneModel model;           /* BLK_Z_HM or BLK_Z_HA */
    int64_t length;                 /* of the whole disk */
    int64_t zone_size;              /* at most @length and 2^24 zones */
    int64_t zone_capacity;          /* of each sequential zone */
    int64_t conventional_zones;     /* how many, from offset 0 on; not all */
    int64_t max_open_zones;         /* at most all sequential zones */
    int64_t max_active_zones;       /* likewise; not below @max_open_zones */
    int64_t write_granularity;      /* a power of two, 512 to 65536 */
    int64_t extension_size;         /* of a zone's descriptor; 0: has none */
} ZoneGeometry;

/* What the user calls the members of ZoneGeometry, for error messages */
typedef struct ZoneGeometryNames {
    const char *length;
    const char *zone_size;
    const char *zone_capacity;
    const char *conventional_zones;
    const char *max_open_zones;
    const char *max_active_zones;
    const char *write_granularity;
    const char *extension_size;
} ZoneGeometryNames;

/*
 * A member of ZoneGeometry from an option or a file.  What does not fit is out
 * of any range: zone_geometry_check() says so.
 */
static inline int64_t zone_geometry_clamp(uint64_t value)
{
    return MIN(value, INT64_MAX);
}

/* The last zone may be shorter than the others */
static inline int64_t zone_geometry_nr_zones(const ZoneGeometry *g)
{
    return g->length / g->zone_size + !!(g->length % g->zone_size);
}

/* Writable bytes of zone @i */
static inline int64_t zone_geometry_capacity(const ZoneGeometry *g, uint32_t i)
{
    int64_t left = g->length - i * g->zone_size;

    return MIN(i < g->conventional_zones ? g->zone_size : g->zone_capacity,
               left);
}

/**
 * zone_geometry_check:
 * @g: the geometry wanted
 * @names: how error messages name its members
 * @errp: set on failure, with the option's name and the allowed range
 *
 * Returns: whether zone_model_new() takes @g.
 */
bool zone_geometry_check(const ZoneGeometry *g, const ZoneGeometryNames *names,
                         Error **errp);

/**
 * zone_model_new:
 * @g: a geometry that zone_geometry_check() accepts
 *
 * Every sequential zone starts EMPTY.  Returns NULL if there is no memory.
 */
ZoneModel *zone_model_new(const ZoneGeometry *g);
void zone_model_free(ZoneModel *m);

const ZoneGeometry *zone_model_geometry(const ZoneModel *m);
uint32_t zone_model_nr_zones(const ZoneModel *m);

/**
 * zone_model_count:
 *
 * Any thread may call this.
 *
 * Returns: the number of zones in @state; O(1).
 */
uint32_t zone_model_count(const ZoneModel *m, BlockZoneState state);

/**
 * zone_model_report:
 * @m: the model
 * @offset: any byte of the first zone to report
 * @nr_zones: room in @zones
 * @zones: filled with consecutive zones in ascending order
 *
 * Returns: the number of zones filled in, 0 if @offset is outside; costs only
 * those.
 */
unsigned int zone_model_report(const ZoneModel *m, int64_t offset,
                               unsigned int nr_zones,
                               BlockZoneDescriptor *zones);

/**
 * zone_model_check_read:
 *
 * Returns: 0, -EINVAL if the range is not inside the disk, or -ENXIO if it
 * touches an offline zone.  A read may cross zone borders and write pointers:
 * what is not written reads as the backend chooses.
 */
int zone_model_check_read(const ZoneModel *m, int64_t offset, int64_t bytes);

/**
 * zone_model_begin_write:
 * @m: the model
 * @offset: where to write
 * @bytes: how much; 0 is always accepted and changes nothing
 *
 * Admit a write and move the write pointer over it, before its data lands:
 * two writes to one offset cannot both pass.  Each admitted write is ended
 * by zone_model_end_write().
 *
 * A write to sequential zones must be aligned to the write granularity, one
 * to conventional zones need not be.  A write may cross from one conventional
 * zone into the next, and between any zones of a host-aware disk, where it
 * may also start anywhere: the write pointer is then behind all that was
 * written, and a zone written to elsewhere than at its write pointer is
 * reported as written out of sequence until it is empty again.
 *
 * If there are too many open zones, the implicitly open zone that was not
 * written to for the longest time is closed.  Whichever way a zone is closed,
 * but by CLOSE_ACTIVE, it becomes empty if nothing was written to it and it
 * has no extension.
 *
 * Returns: 0, or -EINVAL, -ERANGE, -ESPIPE, -EFBIG, -EROFS, -ENXIO,
 * -ETOOMANYREFS, -EOVERFLOW as block/zoned.h defines them; then nothing has
 * changed.
 */
int zone_model_begin_write(ZoneModel *m, int64_t offset, int64_t bytes);

/**
 * zone_model_begin_append:
 * @m: the model
 * @offset: start of the zone; on success, where the data goes
 * @bytes: how much
 *
 * As zone_model_begin_write(), at the write pointer of the zone.  @bytes of
 * 0 is accepted without a change if @offset is the start of a sequential
 * write required zone.
 */
int zone_model_begin_append(ZoneModel *m, int64_t *offset, int64_t bytes);

/**
 * zone_model_end_write:
 * @m: the model
 * @offset: as the write or append began
 * @bytes: as the write or append began
 * @ret: how the data I/O ended, 0 or -errno
 *
 * If the data did not land and nothing was admitted to the zone behind it,
 * the write pointer moves back to @offset.  An open zone left with nothing
 * written stays open, a closed one becomes empty unless it has an extension.
 * A zone that the write had filled becomes implicitly open again; if that
 * takes resources that others have by now, it becomes closed or empty; if it
 * takes an active resource that is not there, it stays full.
 *
 * On a host-aware disk the write pointer stays: the write may have gone over
 * older data.
 */
void zone_model_end_write(ZoneModel *m, int64_t offset, int64_t bytes,
                          int ret);

/**
 * zone_model_in_flight:
 *
 * Returns: whether a write that has begun in a zone of the range has not
 * ended.  O(1) for a range of one zone and for the whole disk.
 */
bool zone_model_in_flight(const ZoneModel *m, int64_t offset, int64_t len);

/*
 * Told of each zone that an operation changed, after the change: also of one
 * that was closed to make room for those that were opened
 */
typedef void ZoneModelChangedFn(void *opaque, BlockZoneOp op,
                                const BlockZoneDescriptor *zone);

/**
 * zone_model_mgmt:
 * @m: the model
 * @op: what to do
 * @offset: start of the first zone
 * @len: a whole number of zones, or up to the end of the disk
 * @changed: called for each zone whose state or write pointer changed; may
 *           be NULL
 * @opaque: passed to @changed
 *
 * Either every zone of the range makes the transition or, on an error,
 * nothing has changed.  A range that is the whole of a disk of more than one
 * zone means all zones: those that the operation does not concern are
 * skipped.  RESET then acts on open, closed and full zones, FINISH on open
 * and closed ones, CLOSE on open ones, OPEN on closed ones, OFFLINE on
 * read-only ones.
 *
 * No write may be in flight in the range (zone_model_in_flight()).
 *
 * Returns: 0, or -EINVAL, -EPERM, -EROFS, -ENXIO, -ETOOMANYREFS, -EOVERFLOW.
 */
int zone_model_mgmt(ZoneModel *m, BlockZoneOp op, int64_t offset, int64_t len,
                    ZoneModelChangedFn *changed, void *opaque);

/**
 * zone_model_set_extension:
 * @m: the model
 * @offset: start of an empty zone without writes in flight
 *
 * Close a zone because its descriptor gets an extension, which the caller
 * keeps.  A zone has its extension until it is empty or offline.
 *
 * Returns: 0; -EINVAL if @offset is not the start of a sequential zone; -EROFS,
 * -ENXIO or -EPERM if the zone is not empty; -EOVERFLOW; or -ENOTSUP on a disk
 * without extensions.
 */
int zone_model_set_extension(ZoneModel *m, int64_t offset);

/**
 * zone_model_set_zone:
 * @m: the model
 * @offset: start of a sequential zone without writes in flight
 * @state: the state wanted
 * @wp: absolute write pointer
 *
 * Force a zone into a state: to take something back, or to inject a fault
 * (BLK_ZS_RDONLY, BLK_ZS_OFFLINE, BLK_ZS_FULL; @wp is ignored for these).
 * What else is known of the zone stays.  No other zone is closed for it.
 *
 * Returns: 0, -EINVAL if state and write pointer do not go together or the
 * zone is conventional, -ETOOMANYREFS or -EOVERFLOW if a limit is exceeded.
 */
int zone_model_set_zone(ZoneModel *m, int64_t offset, BlockZoneState state,
                        int64_t wp);

/**
 * zone_model_restore_zone:
 * @m: the model
 * @zone: what zone_model_report() has told; its length, capacity and type are
 *        ignored
 *
 * As zone_model_set_zone(), for all that is known of a zone.
 *
 * Returns: as zone_model_set_zone(); -EINVAL also if the zone cannot have what
 * @zone says of it.
 */
int zone_model_restore_zone(ZoneModel *m, const BlockZoneDescriptor *zone);

#endif /* BLOCK_ZONE_MODEL_H */
