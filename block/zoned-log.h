/*
 * Zoned image format: the log of small commits
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A record of the log holds the entries of all zones of which the zone table
 * says something else, as docs/interop/zoned-image.rst describes it.  Works on
 * buffers only, like zoned-image.h.
 */

#ifndef BLOCK_ZONED_LOG_H
#define BLOCK_ZONED_LOG_H

#include "zoned-image.h"

#define ZONED_LOG_MAGIC "QZONELOG"    /* of ZONED_MAGIC_SIZE, too */

/* A record is this long; the log has room for two, beside each other */
#define ZONED_LOG_SIZE 4096
#define ZONED_LOG_SLOTS 2
#define ZONED_LOG_ENTRIES 254

/* The log begins where the copies of the header end */
#define ZONED_LOG_OFFSET (ZONED_HEADER_COPIES * ZONED_HEADER_SIZE)
#define ZONED_LOG_END (ZONED_LOG_OFFSET + ZONED_LOG_SLOTS * ZONED_LOG_SIZE)

static inline int64_t zoned_log_slot_offset(unsigned int slot)
{
    return ZONED_LOG_OFFSET + slot * ZONED_LOG_SIZE;
}

/* What a record says of itself */
typedef struct ZonedLogInfo {
    uint64_t generation;    /* number of the commit that wrote it; 0: none */
    uint64_t table;         /* the last commit before it that wrote the table */
    uint32_t count;         /* of entries */
} ZonedLogInfo;

/**
 * zoned_log_encode:
 * @buf: ZONED_LOG_SIZE bytes; the entries are there, the rest is zero
 */
void zoned_log_encode(uint8_t *buf, const ZonedLogInfo *info);

/**
 * zoned_log_decode:
 * @buf: ZONED_LOG_SIZE bytes
 * @info: filled in
 *
 * Returns: whether the record is intact.  One full of zeroes is: it was never
 * written.  What its entries say is not checked.
 */
bool zoned_log_decode(const uint8_t *buf, ZonedLogInfo *info);

/* Entry @i of a record.  @zone may be any number. */
uint64_t zoned_log_get(const uint8_t *buf, unsigned int i, uint64_t *zone);
void zoned_log_set(uint8_t *buf, unsigned int i, uint32_t zone,
                   uint64_t entry);

#endif /* BLOCK_ZONED_LOG_H */
