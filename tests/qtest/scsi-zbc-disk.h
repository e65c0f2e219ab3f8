/*
 * A zoned SCSI disk for qtests, and a raw driver for it on virtio-scsi
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Results of commands are sense, as key, ASC and ASCQ in one number; 0 is GOOD.
 */

#ifndef SCSI_ZBC_DISK_H
#define SCSI_ZBC_DISK_H

#include "qemu/units.h"
#include "libqos/libqos-pc.h"
#include "libqos/virtio-pci.h"
#include "zoned-qmp.h"

#define REQUEST_QUEUE 2

/* The disk that most cases use, in logical blocks of 512 bytes */
#define ZS 128          /* zone size */
#define LAST 64         /* size of the last zone */
#define NR_CONV 2
#define NR_ZONES 11
#define CAPACITY ((NR_ZONES - 1) * ZS + LAST)
#define MAX_OPEN 3
#define ZONE(n) ((uint64_t)(n) * ZS)
#define SEQ NR_CONV     /* the first sequential zone */
#define CAP 96          /* zone capacity, where it is less */

#define HM_AS(prefix) \
    prefix "driver=null-co," prefix "memory-backed=on," \
    prefix "size=688128," prefix "zoned.model=host-managed," \
    prefix "zoned.zone-size=64K," prefix "zoned.conventional-zones=2," \
    prefix "zoned.max-open-zones=3"
#define HM HM_AS("")
#define HM_FAULTY "driver=blkdebug," HM_AS("image.")
#define HM_UNLIMITED HM ",zoned.max-open-zones=0"
#define GAPS HM ",zoned.zone-capacity=48K"
#define HM_4K \
    "driver=null-co,memory-backed=on,size=5505024,zoned.zone-size=512K," \
    "zoned.conventional-zones=2,zoned.max-open-zones=3," \
    "zoned.write-granularity=4096"
#define HA \
    "driver=null-co,memory-backed=on,size=688128,zoned.model=host-aware," \
    "zoned.zone-size=64K,zoned.conventional-zones=2"
#define PLAIN "driver=null-co,memory-backed=on,size=688128"

/* Sense */
#define BAD_OPCODE 0x52000
#define BAD_LBA 0x52100
#define UNALIGNED 0x52104
#define WRITE_BORDER 0x52105
#define READ_UNWRITTEN 0x52106
#define READ_BORDER 0x52107
#define GAP 0x52109
#define BAD_FIELD 0x52400
#define BAD_PARAM 0x52600
#define PROTECTED 0x72700
#define RDONLY 0x72708
#define OFFLINE 0x72c0e
#define NO_OPEN 0x7550e

/* Service actions of ZBC_OUT */
enum { CLOSE = 1, FINISH, OPEN, RESET, SEQUENTIALIZE = 0x10 };

/* Zone conditions */
enum {
    NOT_WP, EMPTY, IOPEN, EOPEN, CLOSED,
    COND_RDONLY = 0xd, FULL, COND_OFFLINE,
};

#define PARTIAL 0x80

typedef struct Disk {
    QOSState *qs;
    QTestState *qts;
    QVirtioPCIDevice *pci;
    QVirtioDevice *vdev;
    QVirtQueue *vq[3];
    uint64_t mem;
    uint16_t used_idx;
    uint16_t bs;            /* logical block size */
    uint32_t resid;         /* of the last command */
    char *image;            /* a file of ours, or NULL */
} Disk;

/* Guest memory: requests and responses, then data */
#define MEM_DATA (256 * KiB)
#define DATA_MAX (4 * MiB)
#define MEM_SIZE (MEM_DATA + DATA_MAX)
#define MEM_RESP 512

typedef struct Zone {
    uint8_t type, cond;
    bool non_seq;
    uint64_t len, start, wp;
} Zone;

typedef struct Report {
    uint32_t nr;            /* list length, in descriptors */
    uint32_t got;           /* descriptors whole in the buffer */
    uint8_t same;
    uint64_t max_lba, granularity;
    Zone zones[64];
} Report;

/*
 * Whether disks are zoned images with the zones that the options of a null
 * node say
 */
extern bool disks_are_images;

/* A new image with the zones of these options of a null node; the path */
char *image_new(const char *node);
void image_free(char *path);

/* The node for an image */
char *image_node(const char *path);

/* Make a zone of an image that is not in use, and was written to, faulty */
void image_set_state(const char *path, unsigned int zone, uint8_t condition);

/* @node, @props: options of the node and of scsi-hd; @hba: of the HBA */
Disk *disk_boot(const char *node, const char *props, uint16_t bs,
                const char *hba);
Disk *disk_new(const char *node, const char *props);
void disk_free(Disk *d);

/* A reset, and the driver's start after it */
void disk_stop(Disk *d);
void disk_start(Disk *d);

/* Queue a command in slot @slot, with its data at @data in guest memory */
unsigned int queue_cmd(Disk *d, unsigned int slot, unsigned int desc,
                       const uint8_t *cdb, uint64_t data,
                       size_t out_len, size_t in_len);
void disk_wait(Disk *d, uint16_t nr);
uint32_t slot_result(Disk *d, unsigned int slot);

uint32_t cmd(Disk *d, const uint8_t *cdb, const void *out,
             size_t out_len, void *in, size_t in_len);
uint32_t cmd_in(Disk *d, const uint8_t *cdb, void *in, size_t len);
uint32_t inquiry(Disk *d, int page, uint8_t *buf, size_t len);

/* The CDB of any command that has an LBA and a length */
void rw_cdb(uint8_t *cdb, uint8_t opcode, uint64_t lba, uint32_t n);

uint32_t write_op(Disk *d, uint8_t opcode, uint64_t lba, uint32_t n,
                  uint8_t pattern);
uint32_t do_write(Disk *d, uint64_t lba, uint32_t n);
uint32_t read_op(Disk *d, uint8_t opcode, uint64_t lba, uint32_t n);
uint32_t do_read(Disk *d, uint64_t lba, uint32_t n);
void assert_data(Disk *d, uint64_t lba, uint32_t n, uint8_t pattern);

uint32_t mgmt_ex(Disk *d, uint8_t action, uint64_t lba, bool all,
                 uint16_t count);
uint32_t mgmt(Disk *d, uint8_t action, uint64_t lba);
uint32_t mgmt_all(Disk *d, uint8_t action);

uint32_t report_raw(Disk *d, uint64_t lba, uint8_t options,
                    uint32_t alloc, uint8_t *buf);
Report parse_report(const uint8_t *buf, size_t len);
Report report(Disk *d, uint64_t lba, uint8_t options, uint32_t room);
Zone get_zone(Disk *d, unsigned int n);

/* @wp is relative to the start of the zone */
void assert_zone(Disk *d, unsigned int n, uint8_t cond, uint64_t wp);
void assert_nr(Disk *d, uint8_t option, uint32_t nr);

/* Bring an EMPTY zone into a condition, with @written blocks */
void make(Disk *d, unsigned int n, uint8_t cond, unsigned int written);

/* A copy of the report of all zones, to see that nothing has changed */

#define SNAPSHOT_SIZE (64 * (2 * NR_ZONES + 1))

uint8_t *snapshot(Disk *d);

#define ASSERT_UNCHANGED(d, expr, sense) do {                       \
        g_autofree uint8_t *before_ = snapshot(d);                  \
        g_autofree uint8_t *after_ = NULL;                          \
        g_assert_cmphex(expr, ==, sense);                           \
        after_ = snapshot(d);                                       \
        g_assert_cmpmem(before_, SNAPSHOT_SIZE,                     \
                        after_, SNAPSHOT_SIZE);                     \
    } while (0)

#endif /* SCSI_ZBC_DISK_H */
