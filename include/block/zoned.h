/*
 * Zoned storage in the block layer
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A zoned disk is divided into zones.  Any zone can be read at random, but a
 * sequential zone is written only at its write pointer.  This file holds the
 * types and the contract that backends (host devices, emulations), filters
 * and front ends (virtio-blk, SCSI, NVMe, exports, tools) share.  All offsets
 * and lengths are in bytes.
 *
 * Error contract
 * --------------
 * A backend says why a request failed; a front end only translates.
 *
 *   -EINVAL        malformed: alignment, out of bounds, not a zone start,
 *                  too long for an append, or an operation on a zone type
 *                  that does not take it
 *   -ERANGE        crosses a zone border or exceeds the zone's capacity
 *   -ESPIPE        write not at the write pointer
 *   -EFBIG         the zone is full
 *   -EROFS         the zone is read-only
 *   -ENXIO         the zone is offline
 *   -EPERM         no such transition from the zone's state
 *   -ETOOMANYREFS  no open resource left
 *   -EOVERFLOW     no active resource left
 *
 * These nine are mistakes of the requester.  They change nothing, are never
 * logged, and never count against werror/rerror.  Anything else is a real
 * I/O error.  -ENOTSUP is returned for a zone request to a node that is not
 * zoned, and for what the node has not: appends, descriptor extensions, or an
 * operation (host devices cannot put a zone offline).
 */

#ifndef BLOCK_ZONED_H
#define BLOCK_ZONED_H

/* How much of zoned storage a disk imposes on its user */
typedef enum BlockZoneModel {
    BLK_Z_NONE = 0x0,           /* not zoned, or zones that do not show */
    BLK_Z_HM = 0x1,             /* host-managed */
    BLK_Z_HA = 0x2,             /* host-aware */
} BlockZoneModel;

/* The numbers are those of Linux and of VIRTIO */
typedef enum BlockZoneType {
    BLK_ZT_CONV = 0x1,          /* conventional */
    BLK_ZT_SWR = 0x2,           /* sequential write required */
    BLK_ZT_SWP = 0x3,           /* sequential write preferred */
} BlockZoneType;

/* The numbers are those of Linux and of VIRTIO */
typedef enum BlockZoneState {
    BLK_ZS_NOT_WP = 0x0,        /* conventional: has no write pointer */
    BLK_ZS_EMPTY = 0x1,
    BLK_ZS_IOPEN = 0x2,         /* implicitly open */
    BLK_ZS_EOPEN = 0x3,         /* explicitly open */
    BLK_ZS_CLOSED = 0x4,
    BLK_ZS_RDONLY = 0xd,
    BLK_ZS_FULL = 0xe,
    BLK_ZS_OFFLINE = 0xf,
} BlockZoneState;

typedef enum BlockZoneOp {
    BLK_ZO_OPEN,
    BLK_ZO_CLOSE,
    BLK_ZO_FINISH,
    BLK_ZO_RESET,
    BLK_ZO_OFFLINE,             /* a read-only zone; what it holds is lost */
    /*
     * Close as NVMe does: a zone that holds nothing becomes closed, too, and
     * not empty
     */
    BLK_ZO_CLOSE_ACTIVE,
} BlockZoneOp;

/* A descriptor extension has a multiple of this many bytes, and at most... */
#define BLK_ZONE_EXTENSION_UNIT 64
#define BLK_ZONE_EXTENSION_MAX (255 * BLK_ZONE_EXTENSION_UNIT)

/* One zone, as a report tells it.  All positions are absolute, in bytes. */
typedef struct BlockZoneDescriptor {
    int64_t start;
    int64_t length;
    int64_t cap;                /* writable bytes, at most @length */
    /*
     * Next byte to be written; start + length where the zone is full, and
     * -1 where the zone has no valid write pointer (conventional, read-only,
     * offline).
     */
    int64_t wp;
    BlockZoneType type;
    BlockZoneState state;
    /*
     * Sequential write preferred: something was written elsewhere than at the
     * write pointer since the zone was empty
     */
    bool non_seq;
    /* Has a descriptor extension, which lasts until it is empty or offline */
    bool has_extension;
} BlockZoneDescriptor;

/*
 * What a zoned node is; @model is BLK_Z_NONE and all else 0 where it is not.
 * A limit of 0 on open or active zones means no limit.
 */
typedef struct BlockZoneLimits {
    BlockZoneModel model;
    int64_t zone_size;          /* of every zone but a shorter last one */
    uint32_t nr_zones;
    uint32_t max_open_zones;
    uint32_t max_active_zones;
    int64_t max_append_bytes;   /* 0: the node takes no appends */
    uint32_t write_granularity; /* alignment of writes and appends */
    uint32_t extension_size;    /* of a zone's descriptor; 0: has none */
} BlockZoneLimits;

static inline bool zone_state_is_open(BlockZoneState state)
{
    return state == BLK_ZS_IOPEN || state == BLK_ZS_EOPEN;
}

static inline bool zone_state_is_active(BlockZoneState state)
{
    return zone_state_is_open(state) || state == BLK_ZS_CLOSED;
}

/**
 * block_zone_op_concerns:
 * @op: an operation that is asked of all zones
 * @state: a zone's state
 *
 * Returns: whether @op acts on a zone in @state; others it skips.
 */
static inline bool block_zone_op_concerns(BlockZoneOp op, BlockZoneState state)
{
    switch (op) {
    case BLK_ZO_OPEN:
        return state == BLK_ZS_CLOSED;
    case BLK_ZO_CLOSE:
    case BLK_ZO_CLOSE_ACTIVE:
        return zone_state_is_open(state);
    case BLK_ZO_FINISH:
        return zone_state_is_active(state);
    case BLK_ZO_RESET:
        return zone_state_is_active(state) || state == BLK_ZS_FULL;
    case BLK_ZO_OFFLINE:
        return state == BLK_ZS_RDONLY;
    }
    /* What is no operation is for whoever carries it out to refuse */
    return true;
}

/**
 * block_zone_op_check:
 * @op: an operation
 * @type: the type of a zone
 * @state: its state
 *
 * Returns: 0 if @op can be carried out on such a zone, or would leave it as it
 * is, as long as there are resources; else -EINVAL, -EROFS, -ENXIO or -EPERM.
 */
static inline int block_zone_op_check(BlockZoneOp op, BlockZoneType type,
                                      BlockZoneState state)
{
    if (type == BLK_ZT_CONV) {
        return -EINVAL;
    }
    if (op == BLK_ZO_OFFLINE) {
        return state == BLK_ZS_RDONLY || state == BLK_ZS_OFFLINE ? 0 : -EPERM;
    }
    if (state == BLK_ZS_RDONLY) {
        return -EROFS;
    }
    if (state == BLK_ZS_OFFLINE) {
        return -ENXIO;
    }
    switch (op) {
    case BLK_ZO_OPEN:
        return state == BLK_ZS_FULL ? -EPERM : 0;
    case BLK_ZO_CLOSE:
    case BLK_ZO_CLOSE_ACTIVE:
        return zone_state_is_active(state) ? 0 : -EPERM;
    case BLK_ZO_FINISH:
    case BLK_ZO_RESET:
        return 0;
    case BLK_ZO_OFFLINE:
        break;
    }
    return -EINVAL;
}

/**
 * block_zone_errno_is_guest_error:
 * @ret: a request's return value, 0 or -errno
 *
 * Returns: whether @ret is one of the nine errors of the contract above that
 * are the requester's own mistake.  -EINVAL and -EPERM mean this only on a
 * zoned node; do not ask for others.
 */
static inline bool block_zone_errno_is_guest_error(int ret)
{
    switch (ret) {
    case -EINVAL:
    case -ERANGE:
    case -ESPIPE:
    case -EFBIG:
    case -EROFS:
    case -ENXIO:
    case -EPERM:
    case -ETOOMANYREFS:
    case -EOVERFLOW:
        return true;
    default:
        return false;
    }
}

#endif /* BLOCK_ZONED_H */
