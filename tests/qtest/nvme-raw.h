/*
 * Raw NVMe driver for qtests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Starts QEMU with NVMe controllers and sends them whatever 64 bytes a test
 * wants, several commands in flight if need be.  Nothing here depends on time:
 * a completion is waited for until it comes, and a test that waits a minute
 * for one fails.
 *
 * All that can go wrong in the driver itself ends the test by an assertion.
 * What a command ends with is returned.
 *
 *     NvmeRaw *m = nvme_raw_boot("-blockdev ... -device nvme,... "
 *                                "-device nvme-ns,...");
 *     NvmeRawCtrl *c = nvme_raw_ctrl(m, 0);
 *     NvmeRawNs *ns;
 *
 *     nvme_raw_enable(c, NULL);
 *     ns = nvme_raw_ns(c, 1);
 *     g_assert_cmphex(nvme_raw_write(ns, 0, 1, data), ==, 0);
 *     nvme_raw_quit(m);
 */

#ifndef TESTS_NVME_RAW_H
#define TESTS_NVME_RAW_H

#include "libqtest.h"
#include "libqos/libqos-pc.h"
#include "block/nvme.h"

/* The page size of CAP.MPSMIN, in bytes */
#define NVME_RAW_PAGE 4096

/* What no test ends a command with: it has not ended */
#define NVME_RAW_PENDING 0xffff

typedef struct NvmeRaw NvmeRaw;
typedef struct NvmeRawCtrl NvmeRawCtrl;

/*
 * A command.  Numbers are in the byte order of the host; cid is filled in when
 * it is submitted.
 */
typedef struct NvmeRawCmd {
    uint8_t opcode;
    uint8_t flags;
    uint32_t nsid;
    uint32_t cdw2;
    uint32_t cdw3;
    uint64_t mptr;
    uint64_t prp1;
    uint64_t prp2;
    uint32_t cdw10;
    uint32_t cdw11;
    uint32_t cdw12;
    uint32_t cdw13;
    uint32_t cdw14;
    uint32_t cdw15;
} NvmeRawCmd;

/*
 * A completion.
 *
 * @status: SC in bits 7:0, SCT in 10:8, DNR is bit 14; that is how NVME_... in
 *          block/nvme.h are written, and 0 is success
 */
typedef struct NvmeRawCpl {
    uint16_t cid;
    uint16_t status;
    uint32_t dw0;
    uint32_t dw1;
} NvmeRawCpl;

/*
 * How a controller is enabled.  Start from NVME_RAW_CONFIG_DEFAULT: zeroes are
 * no default.
 *
 * @css: CC.CSS, 6 for all command sets with their I/O
 * @mps: CC.MPS; pages have 2^(12 + mps) bytes
 * @queues: number of I/O queue pairs, whose identifiers are 1..@queues
 * @depth: entries of each queue, the admin queues included, 2..1024
 */
typedef struct NvmeRawConfig {
    unsigned css;
    unsigned mps;
    unsigned queues;
    unsigned depth;
} NvmeRawConfig;

#define NVME_RAW_CONFIG_DEFAULT { .css = 6, .mps = 0, .queues = 2, .depth = 64 }

/* A zone descriptor, in the byte order of the host */
typedef struct NvmeRawZone {
    uint8_t type;       /* NVME_ZONE_TYPE_... */
    uint8_t state;      /* NVME_ZONE_STATE_... */
    uint8_t attrs;      /* NVME_ZA_... */
    uint8_t info;
    uint64_t cap;       /* blocks */
    uint64_t zslba;
    uint64_t wp;
} NvmeRawZone;

/*
 * A namespace as one controller sees it, for the helpers that build commands.
 *
 * @qid: the I/O queue that its commands use; 1 at first
 * @lbasz: data bytes of a block
 * @ms: metadata bytes of a block that go over the wire inside its data, or 0
 */
typedef struct NvmeRawNs {
    NvmeRawCtrl *ctrl;
    uint32_t nsid;
    uint16_t qid;
    uint32_t lbasz;
    uint32_t ms;
} NvmeRawNs;

/*
 * Images
 */

/**
 * nvme_raw_image: make a zoned image of 1 MiB
 * @fmt: options of its format, for qemu-img
 *
 * Returns its path, to be unlinked, and freed by g_free().
 */
char *nvme_raw_image(const char *fmt, ...) G_GNUC_PRINTF(1, 2);

/**
 * nvme_raw_image_special: make a zone read only and another one offline
 * @path: a new image; no command leads to such zones
 */
void nvme_raw_image_special(const char *path, unsigned rdonly,
                            unsigned offline);

/*
 * The machine
 */

/**
 * nvme_raw_boot: start a PC and find its NVMe controllers
 * @fmt: options of the command line, after -nodefaults
 *
 * Controllers must sit on the root bus.  None is enabled.
 */
NvmeRaw *nvme_raw_boot(const char *fmt, ...) G_GNUC_PRINTF(1, 2);

/**
 * nvme_raw_rescan: find the controllers again, after one was plugged in or
 * out, or the machine was reset
 *
 * What was known of controllers before is not valid any more, and none is
 * enabled.  No other devices may have BARs that are mapped.
 */
void nvme_raw_rescan(NvmeRaw *m);

/** nvme_raw_quit: end QEMU, as SIGTERM does, and free all that belongs to it */
void nvme_raw_quit(NvmeRaw *m);

/** nvme_raw_qos: the machine, for other devices than NVMe controllers */
QOSState *nvme_raw_qos(NvmeRaw *m);

/** nvme_raw_qts: the QTestState, for QMP and HMP commands */
QTestState *nvme_raw_qts(NvmeRaw *m);

/**
 * nvme_raw_refused: what QEMU says when it does not start
 * @fmt: options of the command line, after -nodefaults
 *
 * Returns what it wrote to stderr if it ended with status 1, the way it refuses
 * options, to be freed by g_free(); NULL if it started.  Any other end, by a
 * signal say, fails the test.
 */
char *nvme_raw_refused(const char *fmt, ...) G_GNUC_PRINTF(1, 2);

/** nvme_raw_rss: bytes of the host's memory that QEMU uses now */
uint64_t nvme_raw_rss(NvmeRaw *m);

/** nvme_raw_ctrl: the @n th controller by PCI address, from 0 */
NvmeRawCtrl *nvme_raw_ctrl(NvmeRaw *m, unsigned n);

/**
 * nvme_raw_alloc: @size bytes of guest memory, zeroed
 *
 * Returns the address, a multiple of NVME_RAW_PAGE.
 */
uint64_t nvme_raw_alloc(NvmeRaw *m, size_t size);

/** nvme_raw_free: give back guest memory of nvme_raw_alloc() */
void nvme_raw_free(NvmeRaw *m, uint64_t addr);

/** nvme_raw_put: copy to guest memory */
void nvme_raw_put(NvmeRaw *m, uint64_t addr, const void *buf, size_t len);

/** nvme_raw_get: copy from guest memory */
void nvme_raw_get(NvmeRaw *m, uint64_t addr, void *buf, size_t len);

/*
 * The controller
 */

/**
 * nvme_raw_enable: set CC, make the queues
 * @config: NULL for NVME_RAW_CONFIG_DEFAULT
 *
 * Fails the test if the controller does not become ready.
 */
void nvme_raw_enable(NvmeRawCtrl *c, const NvmeRawConfig *config);

/**
 * nvme_raw_disable: clear CC.EN, a controller reset
 *
 * Commands in flight are gone.  nvme_raw_enable() can follow.
 */
void nvme_raw_disable(NvmeRawCtrl *c);

/**
 * nvme_raw_create_queue: make an I/O queue pair
 * @id: one that there is not
 * @depth: its entries
 */
void nvme_raw_create_queue(NvmeRawCtrl *c, uint16_t id, uint16_t depth);

/** nvme_raw_delete_queue: delete a queue pair, and its commands in flight */
void nvme_raw_delete_queue(NvmeRawCtrl *c, uint16_t id);

/** nvme_raw_shutdown: a normal shutdown by CC.SHN; returns when CSTS says so */
void nvme_raw_shutdown(NvmeRawCtrl *c);

/** nvme_raw_reg: read a register of 8 bytes (NVME_REG_CAP, ...) */
uint64_t nvme_raw_reg(NvmeRawCtrl *c, uint64_t offset);

/** nvme_raw_poke: write a register of 4 bytes, a doorbell of nobody say */
void nvme_raw_poke(NvmeRawCtrl *c, uint64_t offset, uint32_t value);

/** nvme_raw_machine: the machine that the controller belongs to */
NvmeRaw *nvme_raw_machine(NvmeRawCtrl *c);

/*
 * Commands
 */

/**
 * nvme_raw_queue: put a command into a submission queue, without the doorbell
 * @qid: 0 for the admin queue
 *
 * Returns its identifier, the same as of no other command in flight.  Fails the
 * test if the queue is full: as many as NvmeRawConfig.depth - 1 commands fit.
 */
uint16_t nvme_raw_queue(NvmeRawCtrl *c, uint16_t qid, const NvmeRawCmd *cmd);

/** nvme_raw_ring: tell the controller of all commands queued so far */
void nvme_raw_ring(NvmeRawCtrl *c, uint16_t qid);

/** nvme_raw_submit: nvme_raw_queue() and nvme_raw_ring() */
uint16_t nvme_raw_submit(NvmeRawCtrl *c, uint16_t qid, const NvmeRawCmd *cmd);

/**
 * nvme_raw_poll: has a command ended?
 *
 * Returns false if not; @cpl then has the status NVME_RAW_PENDING.  Once true
 * is returned, the identifier can be used again.
 */
bool nvme_raw_poll(NvmeRawCtrl *c, uint16_t qid, uint16_t cid, NvmeRawCpl *cpl);

/** nvme_raw_wait: wait for a command in flight to end */
NvmeRawCpl nvme_raw_wait(NvmeRawCtrl *c, uint16_t qid, uint16_t cid);

/** nvme_raw_exec: nvme_raw_submit() and nvme_raw_wait() */
NvmeRawCpl nvme_raw_exec(NvmeRawCtrl *c, uint16_t qid, const NvmeRawCmd *cmd);

/**
 * nvme_raw_prps: let a command's PRPs describe guest memory
 * @addr: where, any address
 * @len: bytes; of what is more than two pages, a list is made
 *
 * Returns the address of the list, for nvme_raw_free() once the command has
 * ended, or 0.
 */
uint64_t nvme_raw_prps(NvmeRawCtrl *c, NvmeRawCmd *cmd, uint64_t addr,
                       size_t len);

/**
 * nvme_raw_in_fill: execute a command that has data for the host
 * @data: @len bytes are copied here, whatever the status; guest memory was
 *        filled with @fill before the command
 */
NvmeRawCpl nvme_raw_in_fill(NvmeRawCtrl *c, uint16_t qid, NvmeRawCmd cmd,
                            void *data, size_t len, uint8_t fill);

/** nvme_raw_in: nvme_raw_in_fill() with zeroes */
NvmeRawCpl nvme_raw_in(NvmeRawCtrl *c, uint16_t qid, NvmeRawCmd cmd,
                       void *data, size_t len);

/** nvme_raw_out: execute a command that takes @len bytes of data */
NvmeRawCpl nvme_raw_out(NvmeRawCtrl *c, uint16_t qid, NvmeRawCmd cmd,
                        const void *data, size_t len);

/**
 * nvme_raw_identify: an Identify page
 * @data: NVME_IDENTIFY_DATA_SIZE bytes
 *
 * Returns the status.
 */
uint16_t nvme_raw_identify(NvmeRawCtrl *c, uint8_t cns, uint8_t csi,
                           uint32_t nsid, void *data);

/**
 * nvme_raw_log: a log page from its start
 * @len: a multiple of 4
 *
 * Returns the status.
 */
uint16_t nvme_raw_log(NvmeRawCtrl *c, uint8_t lid, uint8_t csi, uint32_t nsid,
                      void *data, size_t len);

/*
 * Namespaces and zones: each returns the status
 */

/** nvme_raw_ns: a namespace, its format read from Identify; g_free() it */
NvmeRawNs *nvme_raw_ns(NvmeRawCtrl *c, uint32_t nsid);

/**
 * nvme_raw_rw: fill in a command with SLBA and NLB
 * @nlb: number of blocks, not 0's based
 */
NvmeRawCmd nvme_raw_rw(NvmeRawNs *ns, uint8_t opcode, uint64_t slba,
                       uint32_t nlb);

/** nvme_raw_write: write @nlb blocks of @data */
uint16_t nvme_raw_write(NvmeRawNs *ns, uint64_t slba, uint32_t nlb,
                        const void *data);

/** nvme_raw_read: read @nlb blocks to @data */
uint16_t nvme_raw_read(NvmeRawNs *ns, uint64_t slba, uint32_t nlb, void *data);

/**
 * nvme_raw_append: append @nlb blocks of @data to a zone
 * @alba: the block assigned, if not NULL and all went well
 */
uint16_t nvme_raw_append(NvmeRawNs *ns, uint64_t zslba, uint32_t nlb,
                         const void *data, uint64_t *alba);

/** nvme_raw_zone_cmd: fill in a Zone Management Send */
NvmeRawCmd nvme_raw_zone_cmd(NvmeRawNs *ns, uint64_t slba, uint8_t action,
                             uint8_t flags);

/**
 * nvme_raw_zone_send: Zone Management Send without data
 * @action: NVME_ZONE_ACTION_...
 * @flags: NVME_ZSFLAG_...
 */
uint16_t nvme_raw_zone_send(NvmeRawNs *ns, uint64_t slba, uint8_t action,
                            uint8_t flags);

/** nvme_raw_set_ext: Set Zone Descriptor Extension, with @len bytes */
uint16_t nvme_raw_set_ext(NvmeRawNs *ns, uint64_t slba, const void *ext,
                          size_t len);

/**
 * nvme_raw_recv: Zone Management Receive as it comes
 * @zra: NVME_ZONE_REPORT or NVME_ZONE_REPORT_EXTENDED
 * @option: reporting option, NVME_ZONE_REPORT_ALL and so on
 * @len: of @data, a multiple of 4
 */
uint16_t nvme_raw_recv(NvmeRawNs *ns, uint64_t slba, uint8_t zra,
                       uint8_t option, bool partial, void *data, size_t len);

/** nvme_raw_parse_zone: a descriptor of 64 bytes */
void nvme_raw_parse_zone(const void *descr, NvmeRawZone *zone);

/**
 * nvme_raw_report: report zones
 * @zones: at most @max are stored here
 * @nr: the number of zones that the report's header tells, if not NULL
 */
uint16_t nvme_raw_report(NvmeRawNs *ns, uint64_t slba, uint8_t option,
                         bool partial, NvmeRawZone *zones, size_t max,
                         uint64_t *nr);

/** nvme_raw_zone: the zone that holds @slba; fails the test if there is none */
NvmeRawZone nvme_raw_zone(NvmeRawNs *ns, uint64_t slba);

#endif /* TESTS_NVME_RAW_H */
