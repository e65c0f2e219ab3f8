/*
 * The life of a zoned image: a random workload, and a log of it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_UNIT_ZONED_IMAGE_LIFE_H
#define TESTS_UNIT_ZONED_IMAGE_LIFE_H

#include "crash-disk.h"
#include "sysemu/block-backend.h"
#include "zoned-image-oracle.h"

/* What kind of image, and what happens to it */
typedef struct LifeConfig {
    const char *name;
    ZoneGeometry g;
    uint32_t hot_zones;         /* that are used, spread over all; 0: all */
    uint32_t log_limit;         /* zones in the log; 0: as many as can be */
    unsigned int requests;      /* of a guest, in a life */
    unsigned int depth;         /* how many of them at a time */
    bool errors;                /* some requests to the child fail */
    bool garbage;               /* the child starts and discards with it */
} LifeConfig;

/* Either of @child and @guest; an operation is logged twice: start and end */
typedef struct LogEntry {
    CrashOp *child;
    GuestOp *guest;
    bool end;
} LogEntry;

typedef struct ZoneUse ZoneUse;

typedef struct Life {
    const LifeConfig *c;
    uint64_t *random;           /* state of the random numbers */
    uint64_t *next_id;
    CrashDisk *disk;
    BlockDriverState *node;
    BlockBackend *blk;
    uint32_t nr_zones;
    BlockZoneDescriptor *base_zones;    /* as the image was opened */
    uint8_t *base_data;
    uint8_t *base_extensions;           /* of all zones */
    uint8_t *base_disk;                 /* all of the child, likewise */
    GArray *log;                        /* of LogEntry */
    Oracle *oracle;
    ZoneUse *zones;
    GPtrArray *running;                 /* of requests */
    unsigned int in_flight;
    int last_ret;                       /* of the request that ended last */
} Life;

/* Make a new image on a child node */
void life_create_image(const LifeConfig *c, BlockDriverState *node);

/* Open the image on the child node named so; NULL on errors */
BlockBackend *life_open_image(const char *node_name, bool writable,
                              Error **errp);

/* Number of the @i-th zone that is used */
uint32_t life_hot_zone(const LifeConfig *c, uint32_t i);
uint32_t life_nr_hot_zones(const LifeConfig *c);

/*
 * Report all zones, and read those that are used, and their extensions, to
 * their places in @data and @extensions.  Returns: 0 or -errno.
 */
int life_read_all(const LifeConfig *c, BlockBackend *blk,
                  BlockZoneDescriptor *zones, uint8_t *data,
                  uint8_t *extensions);

/* Room for the extensions of all zones, zeroed */
uint8_t *life_new_extensions(const LifeConfig *c);

/**
 * life_new:
 * @c: kind of image and workload
 * @random: state of the random numbers, not 0
 * @next_id: the next free number of a write
 * @image: what the child holds, @length bytes; NULL for a new image
 *
 * Live one life: open the image, use it, close it; all of it in the log.  What
 * a guest would notice is checked on the way; this aborts if it is wrong.
 */
Life *life_new(const LifeConfig *c, uint64_t *random, uint64_t *next_id,
               const uint8_t *image, int64_t length);
void life_free(Life *life);

#endif /* TESTS_UNIT_ZONED_IMAGE_LIFE_H */
