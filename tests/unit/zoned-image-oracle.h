/*
 * What a zoned disk may hold after a crash
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The oracle is told of each request of a guest when it starts, when it ends
 * and when it became durable.  From that alone it tells whether the zones and
 * the data that are found later are allowed:
 *
 *  - what is durable is there, below its zone's write pointer;
 *  - below a write pointer there is only what was written to the zone since
 *    one and the same reset, and nothing that later data has replaced;
 *  - no data from before a durable reset is there;
 *  - from the write pointer on there are zeroes;
 *  - an extension is there, as a whole, if it is durable or if anything is that
 *    was written to the zone behind it; and none from before a durable reset.
 *
 * It knows neither the image's format nor the driver.
 */

#ifndef TESTS_UNIT_ZONED_IMAGE_ORACLE_H
#define TESTS_UNIT_ZONED_IMAGE_ORACLE_H

#include "block/zone-model.h"

#define ORACLE_SECTOR 512

typedef enum GuestKind {
    GUEST_WRITE,
    GUEST_APPEND,
    GUEST_ZEROES,
    GUEST_RESET,
    GUEST_FINISH,
    GUEST_OPEN,
    GUEST_CLOSE,
    GUEST_FLUSH,
    GUEST_EXTENSION,
} GuestKind;

/* A request of the guest */
typedef struct GuestOp {
    GuestKind kind;
    bool fua;
    uint64_t id;                /* ascends in the order of the starts */
    uint32_t zone, nr_zones;    /* what it touches */
    int64_t offset;             /* -1: of an append that has not ended well */
    int64_t bytes;
    int ret;                    /* -EINPROGRESS until it is known */
    size_t started_at;          /* for the user: positions in a log */
    size_t ended_at;
    bool started;               /* for the oracle */
    uint32_t *epochs;           /* for the oracle: one for each zone */
} GuestOp;

typedef struct Oracle Oracle;

/**
 * oracle_new:
 * @g: the geometry
 * @zones: what a report says of all zones to begin with
 * @data: what the whole disk holds to begin with
 * @extensions: of all zones, one behind the other, likewise
 */
Oracle *oracle_new(const ZoneGeometry *g, const BlockZoneDescriptor *zones,
                   const uint8_t *data, const uint8_t *extensions);
void oracle_free(Oracle *o);

/*
 * Requests start in the order of their ids.  A request whose result is not
 * known yet may end in any way.  @op must stay valid.
 */
void oracle_start(Oracle *o, GuestOp *op);

/* A request that ended well cannot get lost any more */
void oracle_durable(Oracle *o, const GuestOp *op);

/**
 * oracle_check_zone:
 * @o: the oracle
 * @zone: what the zone looks like
 * @data: what it holds, all of it
 * @extension: of its descriptor; zeroes where it has none
 * @reopened: the disk was opened just now: no zone is open
 *
 * Returns: NULL, or what is wrong with it; to be freed.
 */
char *oracle_check_zone(Oracle *o, const BlockZoneDescriptor *zone,
                        const uint8_t *data, const uint8_t *extension,
                        bool reopened);

/* The data of write @id: each of at most 256 sectors tells which it is */
void oracle_fill(uint8_t *buf, int64_t bytes, uint64_t id);

/* The extension that request @id sets: each word tells which it is */
void oracle_fill_extension(uint8_t *buf, int64_t bytes, uint64_t id);

#endif /* TESTS_UNIT_ZONED_IMAGE_ORACLE_H */
