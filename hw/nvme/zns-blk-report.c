/*
 * NVMe zoned namespaces on a zoned block node: Zone Management Receive
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A report goes to the guest while zones are read, some at a time, and its
 * header at the end, so that memory does not depend on what is asked for.
 */

#include "qemu/osdep.h"
#include "qemu/coroutine.h"
#include "qemu/units.h"
#include "block/block.h"
#include "block/zoned-io.h"
#include "sysemu/block-backend.h"
#include "sysemu/dma.h"
#include "trace.h"
#include "zns-blk.h"

/* Zones asked of the block layer at a time */
#define REPORT_CHUNK 256

/* Chunks between two turns of the event loop */
#define CHUNKS_PER_TURN 16

/* Most that is zeroed behind a report */
#define ZERO_MAX (1 * MiB)

/* Zones with an attribute that asks for something to be done: there are none */
#define REPORT_ATTENTION 0x9

typedef struct Report {
    NvmeZnsBlkRequest *z;
    uint8_t option;
    bool extended;
    bool partial;
    uint64_t len;               /* of the guest's buffer, in bytes */
    uint64_t pos;               /* where in it the next entry goes */
    uint64_t nr;                /* zones that match */
    int sg_idx;                 /* where @pos is in the scatter/gather list */
    dma_addr_t sg_offset;
    void *extension;            /* room for one, if @extended */
} Report;

/*
 * The guest's buffer is written from start to end, but for the header
 */

static void put(Report *r, const void *buf, size_t len)
{
    NvmeSg *sg = &r->z->req->sg;
    const uint8_t *p = buf;

    if (!(sg->flags & NVME_SG_DMA)) {
        qemu_iovec_from_buf(&sg->iov, r->pos, buf, len);
        r->pos += len;
        return;
    }
    r->pos += len;
    while (len && r->sg_idx < sg->qsg.nsg) {
        const ScatterGatherEntry *e = &sg->qsg.sg[r->sg_idx];
        dma_addr_t part = MIN(len, e->len - r->sg_offset);

        dma_memory_write(sg->qsg.as, e->base + r->sg_offset, p, part,
                         MEMTXATTRS_UNSPECIFIED);
        p += part;
        len -= part;
        r->sg_offset += part;
        if (r->sg_offset == e->len) {
            r->sg_idx++;
            r->sg_offset = 0;
        }
    }
}

static void put_header(Report *r)
{
    NvmeZoneReportHeader header = { .nr_zones = cpu_to_le64(r->nr) };

    r->pos = 0;
    r->sg_idx = 0;
    r->sg_offset = 0;
    put(r, &header, sizeof(header));
}

static void put_zeroes(Report *r)
{
    static const uint8_t zeroes[4 * KiB];
    uint64_t left = MIN(r->len - r->pos, ZERO_MAX);

    while (left) {
        size_t part = MIN(left, sizeof(zeroes));

        put(r, zeroes, part);
        left -= part;
    }
}

static bool matches(uint8_t option, BlockZoneState state)
{
    static const BlockZoneState states[] = {
        [NVME_ZONE_REPORT_EMPTY] = BLK_ZS_EMPTY,
        [NVME_ZONE_REPORT_IMPLICITLY_OPEN] = BLK_ZS_IOPEN,
        [NVME_ZONE_REPORT_EXPLICITLY_OPEN] = BLK_ZS_EOPEN,
        [NVME_ZONE_REPORT_CLOSED] = BLK_ZS_CLOSED,
        [NVME_ZONE_REPORT_FULL] = BLK_ZS_FULL,
        [NVME_ZONE_REPORT_READ_ONLY] = BLK_ZS_RDONLY,
        [NVME_ZONE_REPORT_OFFLINE] = BLK_ZS_OFFLINE,
    };

    if (option == NVME_ZONE_REPORT_ALL) {
        return true;
    }
    return option < ARRAY_SIZE(states) && states[option] == state;
}

static bool wp_is_valid(BlockZoneState state)
{
    return state == BLK_ZS_EMPTY || zone_state_is_active(state);
}

static uint64_t entry_size(const Report *r)
{
    return sizeof(NvmeZoneDescr) +
           (r->extended ? r->z->ns->params.zd_extension_size : 0);
}

static bool has_room(const Report *r)
{
    return r->len - r->pos >= entry_size(r);
}

static void put_descriptor(Report *r, const BlockZoneDescriptor *zone)
{
    const size_t lbasz = r->z->ns->lbasz;
    NvmeZoneDescr d = {
        .zt = NVME_ZONE_TYPE_SEQ_WRITE,
        /* The block layer's numbers are those of ZNS */
        .zs = zone->state << 4,
        .za = zone->has_extension ? NVME_ZA_ZD_EXT_VALID : 0,
        .zcap = cpu_to_le64(zone->cap / lbasz),
        .zslba = cpu_to_le64(zone->start / lbasz),
        .wp = cpu_to_le64(wp_is_valid(zone->state) ? zone->wp / lbasz
                                                   : UINT64_MAX),
    };

    QEMU_BUILD_BUG_ON((int)BLK_ZS_EMPTY != NVME_ZONE_STATE_EMPTY ||
                      (int)BLK_ZS_OFFLINE != NVME_ZONE_STATE_OFFLINE);
    put(r, &d, sizeof(d));
}

static uint16_t coroutine_fn co_put_extension(Report *r,
                                              const BlockZoneDescriptor *zone)
{
    const size_t size = r->z->ns->params.zd_extension_size;
    int ret;

    memset(r->extension, 0, size);
    if (zone->has_extension) {
        ret = blk_co_zone_get_extension(r->z->blk, zone->start, r->extension);
        if (ret < 0) {
            return NVME_INTERNAL_DEV_ERROR;
        }
    }
    put(r, r->extension, size);
    return NVME_SUCCESS;
}

static uint16_t coroutine_fn co_zone(Report *r,
                                     const BlockZoneDescriptor *zone)
{
    r->nr++;
    if (!has_room(r)) {
        return NVME_SUCCESS;
    }
    put_descriptor(r, zone);
    return r->extended ? co_put_extension(r, zone) : NVME_SUCCESS;
}

static bool is_complete(const Report *r, int64_t offset)
{
    return offset >= r->z->ns->size || (r->partial && !has_room(r));
}

static uint16_t coroutine_fn co_zones(Report *r, int64_t offset)
{
    g_autofree BlockZoneDescriptor *zones = g_new(BlockZoneDescriptor,
                                                  REPORT_CHUNK);
    unsigned int chunks = 0;

    while (!is_complete(r, offset)) {
        unsigned int nr = REPORT_CHUNK;
        unsigned int i;
        int ret;

        ret = blk_co_zone_report(r->z->blk, offset, &nr, zones);
        if (ret < 0 || !nr) {
            return NVME_INTERNAL_DEV_ERROR;
        }
        for (i = 0; i < nr && !is_complete(r, zones[i].start); i++) {
            uint16_t status = NVME_SUCCESS;

            if (r->z->cancelled) {
                return nvme_zns_blk_cancelled();
            }
            if (matches(r->option, zones[i].state)) {
                status = co_zone(r, &zones[i]);
            }
            if (status) {
                return status;
            }
        }
        offset = zones[nr - 1].start + zones[nr - 1].length;
        if (++chunks % CHUNKS_PER_TURN == 0) {
            blk_co_take_turn();
        }
        if (r->z->cancelled) {
            return nvme_zns_blk_cancelled();
        }
    }
    return NVME_SUCCESS;
}

static uint16_t check_recv(const Report *r, uint64_t slba, uint8_t action)
{
    const NvmeNamespace *ns = r->z->ns;

    if (slba >= le64_to_cpu(ns->id_ns.nsze)) {
        return NVME_LBA_RANGE;
    }
    if (action > NVME_ZONE_REPORT_EXTENDED ||
        (r->extended && !ns->params.zd_extension_size)) {
        return NVME_INVALID_FIELD;
    }
    if (r->option > NVME_ZONE_REPORT_OFFLINE &&
        r->option != REPORT_ATTENTION) {
        return NVME_INVALID_FIELD;
    }
    /* PRPs are mapped by 32 bit */
    if (r->len < sizeof(NvmeZoneReportHeader) || r->len > UINT32_MAX ||
        nvme_zns_blk_exceeds(r->len, r->z->n->params.mdts)) {
        return NVME_INVALID_FIELD;
    }
    return NVME_SUCCESS;
}

uint16_t coroutine_fn nvme_zns_blk_co_mgmt_recv(NvmeZnsBlkRequest *z)
{
    const NvmeCmd *cmd = &z->req->cmd;
    const uint64_t slba = le32_to_cpu(cmd->cdw10) |
                          (uint64_t)le32_to_cpu(cmd->cdw11) << 32;
    const uint32_t dw13 = le32_to_cpu(cmd->cdw13);
    const uint8_t action = dw13 & 0xff;
    g_autofree void *extension = NULL;
    Report r = {
        .z = z,
        .option = dw13 >> 8,
        .extended = action == NVME_ZONE_REPORT_EXTENDED,
        .partial = dw13 & (1 << 16),
        .len = ((uint64_t)le32_to_cpu(cmd->cdw12) + 1) * 4,
    };
    uint16_t status;

    status = check_recv(&r, slba, action);
    trace_nvme_zns_blk_report(nvme_cid(z->req), slba, r.len, action, r.option,
                              r.partial, status);
    if (status) {
        return status | NVME_DNR;
    }
    status = nvme_map_dptr(z->n, &z->req->sg, r.len, &z->req->cmd);
    if (status) {
        return status;
    }
    if (r.extended) {
        r.extension = extension = g_malloc(z->ns->params.zd_extension_size);
    }
    put(&r, &(NvmeZoneReportHeader) { 0 }, sizeof(NvmeZoneReportHeader));
    status = co_zones(&r, nvme_l2b(z->ns, slba));
    if (!status) {
        put_zeroes(&r);
        put_header(&r);
    }
    return status;
}
