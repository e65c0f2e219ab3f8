/*
 * NVMe zoned namespaces on a zoned block node (block mode)
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A namespace whose drive is a host-managed zoned node takes its zones from
 * the block layer.  The device keeps no state of zones: neither states nor
 * write pointers nor counters.  A namespace with zoned=on on any other drive
 * keeps its zones itself (RAM mode); that code is in ctrl.c and ns.c.
 */

#ifndef HW_NVME_ZNS_BLK_H
#define HW_NVME_ZNS_BLK_H

#include "nvme.h"

/*
 * Where ctrl.c would touch zones of its own, it asks NvmeNamespace.zns_ops.
 * Functions that return a status return it with Do Not Retry where that
 * belongs, or NVME_NO_COMPLETE: the request will be completed, or has been.
 */
struct NvmeZnsOps {
    /* May a command read @nlb blocks from @slba on, inside the namespace? */
    uint16_t (*check_read)(NvmeNamespace *ns, uint64_t slba, uint32_t nlb);
    /*
     * Can a Copy write @nlb blocks from @slba on, inside the namespace, as far
     * as that does not depend on the zone's state?
     */
    uint16_t (*check_copy)(NvmeNamespace *ns, uint64_t slba, uint64_t nlb);
    /* Write, Write Zeroes or Zone Append, inside the namespace */
    uint16_t (*write)(NvmeCtrl *n, NvmeRequest *req);
    /* Dataset Management with the deallocate attribute */
    uint16_t (*deallocate)(NvmeCtrl *n, NvmeRequest *req);
    uint16_t (*mgmt_send)(NvmeCtrl *n, NvmeRequest *req);
    uint16_t (*mgmt_recv)(NvmeCtrl *n, NvmeRequest *req);
    /*
     * A request of ctrl.c has failed with @ret.  Returns true if its status
     * has been set, and there is nothing to report.
     */
    bool (*failed)(NvmeRequest *req, int ret);
    /* No controller uses the namespace any more.  Runs the event loop. */
    void (*shutdown)(NvmeNamespace *ns);
};

/**
 * nvme_zns_blk_settle:
 *
 * Find out whether @ns is to be a zoned namespace in block mode.  If it is,
 * check its options against the drive and complete them from it.  To be
 * called before the options are looked at by others.
 *
 * Returns: false with @errp set if options and drive contradict each other.
 */
bool nvme_zns_blk_settle(NvmeNamespace *ns, Error **errp);

/**
 * nvme_zns_blk_init:
 * @ns: a namespace in block mode, otherwise initialised
 *
 * Look at all zones of the drive, and fill in the Identify pages.
 *
 * Returns: false with @errp set if ZNS cannot express the drive's zones.
 */
bool nvme_zns_blk_init(NvmeNamespace *ns, Error **errp);

/**
 * nvme_zns_blk_zasl:
 *
 * Looks at all namespaces; what appends are held against is kept in n->zasl,
 * and is set again when a namespace is attached or detached.
 *
 * Returns: the Zone Append Size Limit that @n tells, which is zoned.zasl
 * unless the drive of a namespace takes only shorter appends.
 */
uint8_t nvme_zns_blk_zasl(NvmeCtrl *n);

/*
 * Between the files of block mode
 */

/* The unit of MDTS and ZASL: CAP.MPSMIN is 0 */
#define NVME_ZNS_BLK_PAGE 4096

/*
 * A request: a coroutine that ends with a status.  All of its parameters are
 * in the command, and what it needs is on its stack.
 */
typedef struct NvmeZnsBlkRequest NvmeZnsBlkRequest;
typedef uint16_t coroutine_fn NvmeZnsBlkRun(NvmeZnsBlkRequest *z);

struct NvmeZnsBlkRequest {
    BlockAIOCB common;
    NvmeRequest *req;
    NvmeCtrl *n;
    NvmeNamespace *ns;
    BlockBackend *blk;
    NvmeZnsBlkRun *run;
    bool cancelled;             /* begin nothing more */
};

/* Begin @req.  Returns NVME_NO_COMPLETE. */
uint16_t nvme_zns_blk_start(NvmeCtrl *n, NvmeRequest *req, NvmeZnsBlkRun *run);

/* What a cancelled request ends with */
uint16_t nvme_zns_blk_cancelled(void);

/*
 * Why a request to a zoned node failed: the status for @ret, a negative errno,
 * or NVME_SUCCESS if it is not the guest's mistake
 */
uint16_t nvme_zns_blk_status(int ret);

/* Is @len above 2^@exponent pages?  An @exponent of 0 is no limit. */
bool nvme_zns_blk_exceeds(uint64_t len, uint8_t exponent);

/* The commands, in zns-blk-io.c and zns-blk-report.c */
uint16_t coroutine_fn nvme_zns_blk_co_write(NvmeZnsBlkRequest *z);
uint16_t coroutine_fn nvme_zns_blk_co_deallocate(NvmeZnsBlkRequest *z);
uint16_t coroutine_fn nvme_zns_blk_co_mgmt_send(NvmeZnsBlkRequest *z);
uint16_t coroutine_fn nvme_zns_blk_co_mgmt_recv(NvmeZnsBlkRequest *z);

#endif /* HW_NVME_ZNS_BLK_H */
