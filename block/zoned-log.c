/*
 * Zoned image format: the log of small commits
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "zoned-log.h"

/* Where the fields of a record are */
enum {
    LOG_CRC             = 0,
    LOG_COUNT           = 4,
    LOG_MAGIC           = 8,
    LOG_GENERATION      = 16,
    LOG_TABLE           = 24,
    LOG_ENTRIES         = 32,
};

/* And those of an entry */
enum {
    ENTRY_ZONE          = 0,
    ENTRY_STATE         = 8,
    ENTRY_SIZE          = 16,
};

QEMU_BUILD_BUG_ON(LOG_ENTRIES + ENTRY_SIZE * ZONED_LOG_ENTRIES !=
                  ZONED_LOG_SIZE);

void zoned_log_encode(uint8_t *buf, const ZonedLogInfo *info)
{
    stl_le_p(buf + LOG_COUNT, info->count);
    memcpy(buf + LOG_MAGIC, ZONED_LOG_MAGIC, ZONED_MAGIC_SIZE);
    stq_le_p(buf + LOG_GENERATION, info->generation);
    stq_le_p(buf + LOG_TABLE, info->table);
    stl_le_p(buf + LOG_CRC, zoned_checksum(buf, ZONED_LOG_SIZE, LOG_CRC));
}

bool zoned_log_decode(const uint8_t *buf, ZonedLogInfo *info)
{
    *info = (ZonedLogInfo) {
        .generation = ldq_le_p(buf + LOG_GENERATION),
        .table = ldq_le_p(buf + LOG_TABLE),
        .count = ldl_le_p(buf + LOG_COUNT),
    };
    if (info->generation == 0) {
        return buffer_is_zero(buf, ZONED_LOG_SIZE);
    }
    return info->generation < ZONED_MAX_GENERATION &&
           info->table < info->generation &&
           info->count <= ZONED_LOG_ENTRIES &&
           memcmp(buf + LOG_MAGIC, ZONED_LOG_MAGIC, ZONED_MAGIC_SIZE) == 0 &&
           ldl_le_p(buf + LOG_CRC) == zoned_checksum(buf, ZONED_LOG_SIZE,
                                                     LOG_CRC);
}

uint64_t zoned_log_get(const uint8_t *buf, unsigned int i, uint64_t *zone)
{
    const uint8_t *entry = buf + LOG_ENTRIES + i * ENTRY_SIZE;

    *zone = ldq_le_p(entry + ENTRY_ZONE);
    return ldq_le_p(entry + ENTRY_STATE);
}

void zoned_log_set(uint8_t *buf, unsigned int i, uint32_t zone,
                   uint64_t entry)
{
    uint8_t *p = buf + LOG_ENTRIES + i * ENTRY_SIZE;

    stq_le_p(p + ENTRY_ZONE, zone);
    stq_le_p(p + ENTRY_STATE, entry);
}
