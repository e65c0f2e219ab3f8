/*
 * Zoned image format: what is on disk
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The header, the blocks of the zone table and their checks, as
 * docs/interop/zoned-image.rst describes them.  Works on buffers only: it
 * reads no file and knows nothing of the block layer.  Whatever the buffers
 * hold, no function here does more than to say that it is invalid.
 */

#ifndef BLOCK_ZONED_IMAGE_H
#define BLOCK_ZONED_IMAGE_H

#include "block/zone-model.h"

#define ZONED_MAGIC "QZONED\x1a\xf5"
#define ZONED_MAGIC_SIZE 8
#define ZONED_VERSION 1

/* The header is this long, and there are two copies of it beside each other */
#define ZONED_HEADER_SIZE 4096
#define ZONED_HEADER_COPIES 2

/* A block of the zone table, of which there are two copies as well */
#define ZONED_BLOCK_SIZE 4096
#define ZONED_BLOCK_COPIES 2
#define ZONED_BLOCK_PAIR_SIZE (ZONED_BLOCK_COPIES * ZONED_BLOCK_SIZE)
#define ZONED_BLOCK_ENTRIES 508

/* The data starts at a multiple of this */
#define ZONED_DATA_ALIGN (1024 * 1024)

/* The file ends at a multiple of this, for children with large blocks */
#define ZONED_FILE_ALIGN (64 * 1024)

/* The longest file and the longest request of QEMU's block layer */
#define ZONED_MAX_FILE (INT64_MAX & -(INT64_C(1) << 30))
#define ZONED_MAX_REQUEST (INT32_MAX & -512)

/* Feature bits that this implementation knows */
#define ZONED_INCOMPATIBLE_KNOWN UINT64_C(0)

/* Generations stay below, so that they can be counted on without a check */
#define ZONED_MAX_GENERATION (UINT64_C(1) << 62)

typedef struct ZonedHeader {
    uint64_t incompatible;
    uint64_t compatible;
    uint64_t generation;
    ZoneGeometry g;
    int64_t max_append_bytes;
    int64_t table_offset;
    int64_t table_blocks;           /* room for so many, in use or not */
    int64_t extension_offset;       /* of descriptor extensions; 0: none */
    int64_t data_offset;
} ZonedHeader;

/*
 * An entry of the zone table.  Bits 60 to 63 are the state, bits 58 and 59 are
 * flags, and bits 0 to 55 the extent: how many units of 512 bytes hold data,
 * from the start of the zone on.  The other bits are 0.
 */
#define ZONED_EXTENT_UNIT 512
#define ZONED_EXTENT_MASK ((UINT64_C(1) << 56) - 1)
#define ZONED_STATE_SHIFT 60

/* The zone has a descriptor extension */
#define ZONED_ENTRY_EXTENSION (UINT64_C(1) << 58)
/* Host-aware: was written elsewhere than at its write pointer */
#define ZONED_ENTRY_NON_SEQ (UINT64_C(1) << 59)
#define ZONED_ENTRY_FLAGS (ZONED_ENTRY_EXTENSION | ZONED_ENTRY_NON_SEQ)

typedef enum ZonedEntryState {
    ZONED_ENTRY_BY_EXTENT = 0,      /* empty, closed or full: by the extent */
    ZONED_ENTRY_FINISHED = 1,       /* full, whatever the extent */
    ZONED_ENTRY_RDONLY = 2,
    ZONED_ENTRY_OFFLINE = 3,
    ZONED_ENTRY_STATES
} ZonedEntryState;

static inline uint64_t zoned_entry(ZonedEntryState state, int64_t extent)
{
    return ((uint64_t)state << ZONED_STATE_SHIFT) |
           (uint64_t)extent / ZONED_EXTENT_UNIT;
}

/* @entry with another state and extent, and the flags that it has */
static inline uint64_t zoned_entry_change(uint64_t entry,
                                          ZonedEntryState state,
                                          int64_t extent)
{
    return (entry & ZONED_ENTRY_FLAGS) | zoned_entry(state, extent);
}

/* Returns: one of ZonedEntryState, or more where the entry is invalid */
static inline unsigned int zoned_entry_state(uint64_t entry)
{
    return entry >> ZONED_STATE_SHIFT;
}

/* Returns: the extent in bytes; not negative for an entry that is valid */
static inline int64_t zoned_entry_extent(uint64_t entry)
{
    return (entry & ZONED_EXTENT_MASK) * ZONED_EXTENT_UNIT;
}

/* CRC32C of @buf as if the four bytes at @crc_offset were zero */
uint32_t zoned_checksum(const uint8_t *buf, size_t size, size_t crc_offset);

/*
 * Header
 */

/* Does a file that begins with @buf look like a zoned image? */
bool zoned_header_probe(const void *buf, size_t size);

/**
 * zoned_header_layout:
 * @h: its geometry is set, and checked by zone_geometry_check()
 * @errp: set on failure
 *
 * Lay out an image: set where the table, the extensions and the data are.
 *
 * Returns: whether that fits into a file.
 */
bool zoned_header_layout(ZonedHeader *h, Error **errp);

/**
 * zoned_header_encode:
 * @h: the header
 * @buf: ZONED_HEADER_SIZE bytes.  What @h does not hold stays: zeroes, or
 *       what a later version of the format put there.
 */
void zoned_header_encode(const ZonedHeader *h, uint8_t *buf);

/**
 * zoned_header_pick:
 * @bufs: the copies of the header, ZONED_HEADER_SIZE bytes each
 * @valid: set to which copies are intact, a bit for each; may be NULL
 *
 * Returns: the number of the newest intact copy, or -1.
 */
int zoned_header_pick(const uint8_t *bufs, unsigned int *valid);

/**
 * zoned_header_decode:
 * @h: filled in
 * @buf: ZONED_HEADER_SIZE bytes, an intact copy
 * @file_length: length of the file that holds the image
 * @errp: set on failure
 *
 * Returns: 0, -ENOTSUP if the image needs something that this implementation
 * has not, or -EINVAL if a field has a value that it must not have.
 */
int zoned_header_decode(ZonedHeader *h, const uint8_t *buf,
                        int64_t file_length, Error **errp);

/* How error messages name the geometry */
extern const ZoneGeometryNames zoned_image_names;

/*
 * Refuse a largest append that does not go with the geometry.  The longest
 * that does is zoned_max_append_limit().
 */
int64_t zoned_max_append_limit(const ZoneGeometry *g);
bool zoned_max_append_check(const ZoneGeometry *g, int64_t bytes, Error **errp);

/* Table blocks in use */
uint32_t zoned_header_nr_blocks(const ZonedHeader *h);

/* The longest disk that the table has room for */
int64_t zoned_header_max_length(const ZonedHeader *h);

/* Length of the file that holds the image */
int64_t zoned_header_file_length(const ZonedHeader *h);

/* Offset of a copy of a table block in the file */
int64_t zoned_header_block_offset(const ZonedHeader *h, uint32_t block,
                                  unsigned int copy);

/* Offset of the descriptor extension of @zone in the file */
int64_t zoned_header_extension_offset(const ZonedHeader *h, uint32_t zone);

/*
 * Zone table
 */

/* What a table block says of itself */
typedef struct ZonedBlockInfo {
    uint64_t generation;    /* number of the commit that wrote it; 0: none */
    uint64_t stable;        /* the last commit known to be durable then */
    uint32_t count;         /* how many blocks this commit wrote */
} ZonedBlockInfo;

/**
 * zoned_block_encode:
 * @buf: ZONED_BLOCK_SIZE bytes; the entries are there
 * @block: its number in the table
 */
void zoned_block_encode(uint8_t *buf, uint32_t block,
                        const ZonedBlockInfo *info);

/**
 * zoned_block_decode:
 * @buf: ZONED_BLOCK_SIZE bytes
 * @block: its number in the table
 * @info: filled in on success
 *
 * Returns: whether the block is intact.  One full of zeroes is: it was never
 * written, and its zones are empty.
 */
bool zoned_block_decode(const uint8_t *buf, uint32_t block,
                        ZonedBlockInfo *info);

/* Which of the two copies of a block claims to be the newer one */
unsigned int zoned_block_newer(const uint8_t *bufs);

uint64_t zoned_block_get(const uint8_t *buf, unsigned int i);
void zoned_block_set(uint8_t *buf, unsigned int i, uint64_t entry);

/* Is @entry one that zone @i can have? Zones after the last one have none. */
bool zoned_entry_check(const ZoneGeometry *g, uint32_t i, uint64_t entry);

/* What zone @i with @entry is to begin with, for zone_model_restore_zone() */
BlockZoneDescriptor zoned_entry_to_zone(const ZoneGeometry *g, uint32_t i,
                                        uint64_t entry);

#endif /* BLOCK_ZONED_IMAGE_H */
