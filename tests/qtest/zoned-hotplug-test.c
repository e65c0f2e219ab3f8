/*
 * QTest testcase for zoned disks that come and go, and are reset
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Disks are plugged in and out again and again, with requests of all kinds in
 * flight, and devices are reset in all the ways there are.  QEMU must not end,
 * must not need more and more memory, and no zone may be lost.
 *
 * The environment variable ZONED_HOTPLUG is the number of rounds of each case.
 */

#include "qemu/osdep.h"
#include "libqtest.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "qapi/qmp/qdict.h"
#include "qapi/qmp/qlist.h"
#include "scsi/constants.h"
#include "standard-headers/linux/virtio_blk.h"
#include "standard-headers/linux/virtio_ring.h"
#include "standard-headers/linux/virtio_scsi.h"
#include "libqos/libqos-pc.h"
#include "libqos/virtio-pci.h"
#include "nvme-raw.h"
#include "zoned-qmp.h"

#define DEFAULT_ROUNDS 4

/* Where devices are plugged in */
#define SLOT 5

/* All disks.  Sizes are in blocks. */
#define BLOCK 512
#define ZS 128
#define NR_ZONES 16
#define MAX_OPEN 4
#define MAX_ACTIVE 6
#define LEN 8                   /* of the data of a request */

#define NULL_NODE \
    "driver=null-co,memory-backed=on,size=1048576,zoned.zone-size=64K," \
    "zoned.zone-capacity=48K,zoned.max-open-zones=4,zoned.max-active-zones=6"
#define NULL_OPTIONS \
    "'driver': 'null-co', 'memory-backed': true, 'size': 1048576, 'zoned': {" \
    " 'zone-size': 65536, 'zone-capacity': 49152, 'max-open-zones': 4," \
    " 'max-active-zones': 6 }"
/* A file for an image, and the same in memory */
#define FILE_SIZE (4 * MiB)
#define IMAGE_OPTIONS \
    "zone_size=64K,zone_capacity=48K,max_open_zones=4,max_active_zones=6"
/* Requests that are in flight together */
#define MAX_REQUESTS 40

/* Guest memory of a request: command, answer; data in the second page */
#define REQUEST_SIZE (2 * NVME_RAW_PAGE)
#define ANSWER 1024
#define DATA NVME_RAW_PAGE

/* More than this is a leak.  The sanitizer keeps what is freed. */
#ifdef QEMU_SANITIZE_ADDRESS
#define MAX_GROWTH (320 * MiB)
#else
#define MAX_GROWTH (4 * MiB)
#endif

typedef enum Op {
    APPEND, WRITE, READ, REPORT, OPEN, CLOSE, FINISH, RESET, RESET_ALL, FLUSH,
    COPY_BLOCKS,                /* NVMe only */
} Op;

typedef struct Machine Machine;

/* A kind of device, and the driver for it */
typedef struct Front {
    const char *name;
    const char *options;        /* of the machine */
    bool keeps_node;            /* which must be there from start to end */
    bool is_remote;             /* another QEMU has the node */
    void (*plug)(Machine *m);
    void (*unplug)(Machine *m);
    /* The driver begins with a device that may be in any state */
    void (*start)(Machine *m);
    void (*stop)(Machine *m);
    void (*put)(Machine *m, unsigned int i, Op op, unsigned int zone);
    void (*kick)(Machine *m);
    void (*wait)(Machine *m);
    bool (*is_good)(Machine *m, unsigned int i);
    /* NULL-terminated; of those, start() follows */
    void (*const *resets)(Machine *m);
} Front;

/* What disks are on */
typedef struct Backend {
    const char *name;
    bool is_image;
    bool is_slow;
} Backend;

struct Machine {
    const Front *front;
    const Backend *backend;
    NvmeRaw *raw;
    QOSState *qs;
    QTestState *qts;
    QTestState *owner;          /* of the node */
    char *pidfile;              /* of the owner */
    char *image;
    char *socket;               /* of an export */
    bool is_exported;
    uint64_t pio, mmio;         /* addresses for BARs */
    uint64_t mem;
    unsigned int nr;            /* requests in flight */

    /* virtio */
    QVirtioPCIDevice *pci;
    QVirtQueue *vq[3];
    unsigned int nr_vq;
    struct vring_desc desc[4 * MAX_REQUESTS];
    unsigned int nr_desc;
    uint16_t heads[MAX_REQUESTS];
    uint16_t avail[3];          /* by queue */

    /* NVMe */
    NvmeRawCtrl *c;
    NvmeRawNs *ns;
    uint16_t cids[MAX_REQUESTS];
    uint16_t status[MAX_REQUESTS];
};

/*
 * QMP
 */

static QDict *qmp_do(QTestState *qts, const char *command,
                     const char *arguments)
{
    qtest_qmp_send_raw(qts, "{'execute': '%s', 'arguments': {%s}}\n",
                       command, arguments);
    return qtest_qmp_receive(qts);
}

static void qmp_ok(QTestState *qts, const char *command,
                   const char *arguments)
{
    QDict *response = qmp_do(qts, command, arguments);

    if (!qdict_haskey(response, "return")) {
        g_error("%s: %s", command, qdict_get_str(
                    qdict_get_qdict(response, "error"), "desc"));
    }
    qobject_unref(response);
}

static void qmp_refused(QTestState *qts, const char *command,
                        const char *arguments)
{
    QDict *response = qmp_do(qts, command, arguments);

    g_assert_true(qdict_haskey(response, "error"));
    qobject_unref(response);
}

/*
 * Nodes
 */

static void node_add(Machine *m)
{
    g_autofree char *file = m->backend->is_slow ? g_strdup("'slow'") :
        g_strdup_printf("{'driver': 'file', 'filename': '%s'}", m->image);
    g_autofree char *arguments = m->backend->is_image ?
        g_strdup_printf("'node-name': 'zbd', 'driver': 'zoned', 'file': %s",
                        file) :
        g_strdup_printf("'node-name': 'zbd', " NULL_OPTIONS "%s",
                        m->backend->is_slow ? ", 'latency-ns': 3000000" : "");

    qmp_ok(m->owner, "blockdev-add", arguments);
}

static void node_del(Machine *m)
{
    qmp_ok(m->owner, "blockdev-del", "'node-name': 'zbd'");
}

static void job_wait(Machine *m)
{
    const gint64 start = g_get_monotonic_time();
    bool done = false;

    while (!done) {
        QDict *response = qmp_do(m->owner, "query-jobs", "");
        QDict *job = qobject_to(QDict, qlist_entry_obj(
            qlist_first(qdict_get_qlist(response, "return"))));

        done = g_str_equal(qdict_get_str(job, "status"), "concluded");
        g_assert_cmpstr(qdict_get_try_str(job, "error"), ==, NULL);
        qobject_unref(response);
        g_assert(g_get_monotonic_time() - start <= TIMEOUT_US);
    }
    qmp_ok(m->owner, "job-dismiss", "'id': 'copy'");
}

/* An image in memory that takes its time */
static void slow_image_new(Machine *m)
{
    g_autofree char *file = g_strdup_printf(
        "'node-name': 'new', 'driver': 'file', 'filename': '%s'", m->image);
    g_autofree char *slow = g_strdup_printf(
        "'node-name': 'slow', 'driver': 'null-co', 'memory-backed': true, "
        "'size': %" PRIu64 ", 'latency-ns': 1000000", FILE_SIZE);

    qmp_ok(m->owner, "blockdev-add", file);
    qmp_ok(m->owner, "blockdev-add", slow);
    qmp_ok(m->owner, "blockdev-backup", "'job-id': 'copy', 'device': 'new', "
           "'target': 'slow', 'sync': 'full', 'auto-dismiss': false");
    job_wait(m);
    qmp_ok(m->owner, "blockdev-del", "'node-name': 'new'");
}

/*
 * Guest memory and BARs
 */

static uint64_t request_mem(Machine *m, unsigned int i)
{
    g_assert_cmpuint(i, <, MAX_REQUESTS);
    return m->mem + i * REQUEST_SIZE;
}

/* Of devices that are gone, others can have the addresses */
static void bars_reuse(Machine *m)
{
    m->qs->pcibus->pio_alloc_ptr = m->pio;
    m->qs->pcibus->mmio_alloc_ptr = m->mmio;
}

/*
 * virtio
 */

static void virtio_start(Machine *m, unsigned int nr_vq)
{
    QVirtioDevice *vdev;
    unsigned int i;

    bars_reuse(m);
    m->pci = virtio_pci_new(m->qs->pcibus, &(QPCIAddress) {
        .devfn = QPCI_DEVFN(SLOT, 0)
    });
    g_assert_nonnull(m->pci);
    vdev = &m->pci->vdev;
    qvirtio_pci_device_enable(m->pci);
    qvirtio_start_device(vdev);
    qvirtio_set_features(vdev, qvirtio_get_features(vdev) &
                         ~(QVIRTIO_F_BAD_FEATURE |
                           (1ull << VIRTIO_F_RING_PACKED) |
                           (1ull << VIRTIO_RING_F_INDIRECT_DESC) |
                           (1ull << VIRTIO_RING_F_EVENT_IDX)));
    m->nr_vq = nr_vq;
    for (i = 0; i < nr_vq; i++) {
        m->vq[i] = qvirtqueue_setup(vdev, &m->qs->alloc, i);
        m->avail[i] = 0;
    }
    qvirtio_set_driver_ok(vdev);
}

/* What is allocated here; the device may be gone already */
static void virtio_stop(Machine *m)
{
    unsigned int i;

    for (i = 0; i < m->nr_vq; i++) {
        qvirtqueue_cleanup(m->pci->vdev.bus, m->vq[i], &m->qs->alloc);
    }
    g_free(m->pci->pdev);
    g_clear_pointer(&m->pci, g_free);
    m->nr_desc = 0;
    m->nr = 0;
}

/* Add a part to the request that is being put together */
static void part(Machine *m, uint64_t addr, uint32_t len, bool is_in)
{
    g_assert_cmpuint(m->nr_desc, <, ARRAY_SIZE(m->desc));
    m->desc[m->nr_desc] = (struct vring_desc) {
        .addr = cpu_to_le64(addr),
        .len = cpu_to_le32(len),
        .flags = cpu_to_le16(VRING_DESC_F_NEXT |
                             (is_in ? VRING_DESC_F_WRITE : 0)),
        .next = cpu_to_le16(m->nr_desc + 1),
    };
    m->nr_desc++;
}

static void last_part(Machine *m)
{
    m->desc[m->nr_desc - 1].flags &= cpu_to_le16(~VRING_DESC_F_NEXT);
}

static void virtio_kick(Machine *m, unsigned int queue)
{
    QVirtQueue *vq = m->vq[queue];
    unsigned int i;

    g_assert_cmpuint(m->nr_desc, <=, vq->size);
    qtest_bufwrite(m->qts, vq->desc, m->desc,
                   m->nr_desc * sizeof(m->desc[0]));
    for (i = 0; i < m->nr; i++) {
        qtest_writew(m->qts, vq->avail + 4 +
                     2 * (m->avail[queue]++ % vq->size), m->heads[i]);
    }
    qtest_writew(m->qts, vq->avail + 2, m->avail[queue]);
    m->pci->vdev.bus->virtqueue_kick(&m->pci->vdev, vq);
}

static void virtio_wait(Machine *m, unsigned int queue)
{
    const gint64 start = g_get_monotonic_time();

    while (qtest_readw(m->qts, m->vq[queue]->used + 2) != m->avail[queue]) {
        qtest_clock_step(m->qts, 100);
        g_assert(g_get_monotonic_time() - start <= TIMEOUT_US);
    }
    m->nr_desc = 0;
    m->nr = 0;
}

/*
 * Resets that are the same for all
 */

static void reset_system(Machine *m)
{
    qmp_ok(m->qts, "system_reset", "");
    qtest_qmp_eventwait(m->qts, "RESET");
}

/* The start of the driver resets the device */
static void reset_none(Machine *m)
{
}

static void reset_stopped(Machine *m)
{
    qmp_ok(m->qts, "stop", "");
    reset_system(m);
    qmp_ok(m->qts, "cont", "");
}

/*
 * virtio-blk
 */

static void blk_plug(Machine *m)
{
    qtest_qmp_device_add(m->qts, "virtio-blk-pci", "dev",
                         "{'drive': 'zbd', 'addr': '5', 'werror': 'stop', "
                         "'rerror': 'stop'}");
}

static void blk_plug_iothread(Machine *m)
{
    qtest_qmp_device_add(m->qts, "virtio-blk-pci", "dev",
                         "{'drive': 'zbd', 'addr': '5', 'werror': 'stop', "
                         "'rerror': 'stop', 'iothread': 'io0'}");
}

/* Parts of a device, which have no name, are deleted with it */
static void wait_deleted(Machine *m, const char *id)
{
    bool done = false;

    while (!done) {
        QDict *event = qtest_qmp_eventwait_ref(m->qts, "DEVICE_DELETED");
        QDict *data = qdict_get_qdict(event, "data");

        done = g_strcmp0(qdict_get_try_str(data, "device"), id) == 0;
        qobject_unref(event);
    }
}

static void pci_unplug(Machine *m)
{
    qtest_qmp_device_del_send(m->qts, "dev");
    /* The guest agrees */
    qtest_outl(m->qts, 0xae08, 1 << SLOT);
    wait_deleted(m, "dev");
}

static void blk_start(Machine *m)
{
    virtio_start(m, 1);
}

static void blk_put(Machine *m, unsigned int i, Op op, unsigned int zone)
{
    static const uint32_t types[] = {
        [APPEND] = VIRTIO_BLK_T_ZONE_APPEND,
        [WRITE] = VIRTIO_BLK_T_OUT,
        [READ] = VIRTIO_BLK_T_IN,
        [REPORT] = VIRTIO_BLK_T_ZONE_REPORT,
        [OPEN] = VIRTIO_BLK_T_ZONE_OPEN,
        [CLOSE] = VIRTIO_BLK_T_ZONE_CLOSE,
        [FINISH] = VIRTIO_BLK_T_ZONE_FINISH,
        [RESET] = VIRTIO_BLK_T_ZONE_RESET,
        [RESET_ALL] = VIRTIO_BLK_T_ZONE_RESET_ALL,
        [FLUSH] = VIRTIO_BLK_T_FLUSH,
    };
    const uint64_t at = request_mem(m, i);
    uint8_t header[16] = { 0 };

    stl_le_p(header, types[op]);
    stq_le_p(header + 8, op == FLUSH ? 0 : zone * ZS);
    qtest_bufwrite(m->qts, at, header, sizeof(header));
    qtest_writeb(m->qts, at + ANSWER + 8, 0xa5);
    m->heads[i] = m->nr_desc;
    part(m, at, sizeof(header), false);
    if (op == APPEND || op == WRITE) {
        part(m, at + DATA, LEN * BLOCK, false);
    }
    if (op == READ || op == REPORT) {
        part(m, at + DATA, LEN * BLOCK, true);
    }
    part(m, at + ANSWER + (op == APPEND ? 0 : 8), op == APPEND ? 9 : 1, true);
    last_part(m);
}

static void blk_kick(Machine *m)
{
    virtio_kick(m, 0);
}

static void blk_wait(Machine *m)
{
    virtio_wait(m, 0);
}

static bool blk_is_good(Machine *m, unsigned int i)
{
    uint8_t status = qtest_readb(m->qts, request_mem(m, i) + ANSWER + 8);

    g_assert_cmphex(status, !=, 0xa5);
    return status == VIRTIO_BLK_S_OK;
}

/*
 * vhost-user-blk: the same, but the disk is that of another QEMU
 */

static void vhost_plug(Machine *m)
{
    g_autofree char *export = g_strdup_printf(
        "'type': 'vhost-user-blk', 'id': 'exp', 'node-name': 'zbd', "
        "'writable': true, 'addr': {'type': 'unix', 'path': '%s'}", m->socket);
    g_autofree char *chardev = g_strdup_printf(
        "'id': 'chr', 'backend': {'type': 'socket', 'data': {'server': false, "
        "'addr': {'type': 'unix', 'data': {'path': '%s'}}}}", m->socket);

    qmp_ok(m->owner, "block-export-add", export);
    m->is_exported = true;
    qmp_ok(m->qts, "chardev-add", chardev);
    qtest_qmp_device_add(m->qts, "vhost-user-blk-pci", "dev",
                         "{'chardev': 'chr', 'addr': '5'}");
}

static void export_del(Machine *m)
{
    qmp_ok(m->owner, "block-export-del", "'id': 'exp', 'mode': 'hard'");
    qtest_qmp_eventwait(m->owner, "BLOCK_EXPORT_DELETED");
    m->is_exported = false;
}

static void vhost_unplug(Machine *m)
{
    pci_unplug(m);
    qmp_ok(m->qts, "chardev-remove", "'id': 'chr'");
    if (m->is_exported) {
        export_del(m);
    }
}

static void (*const blk_resets[])(Machine *) = {
    reset_none, reset_system, reset_stopped, NULL
};

/*
 * SCSI disks on virtio-scsi
 */

enum { CONTROL_QUEUE, EVENT_QUEUE, REQUEST_QUEUE, NR_QUEUES };

static void scsi_plug(Machine *m)
{
    qtest_qmp_device_add(m->qts, "scsi-hd", "disk",
                         "{'drive': 'zbd', 'werror': 'stop', "
                         "'rerror': 'stop'}");
}

static void scsi_unplug(Machine *m)
{
    qtest_qmp_device_del(m->qts, "disk");
}

static void hba_plug(Machine *m)
{
    qtest_qmp_device_add(m->qts, "virtio-scsi-pci", "dev", "{'addr': '5'}");
    scsi_plug(m);
}

static void put_cdb(Machine *m, unsigned int i, const uint8_t *cdb,
                    uint32_t out, uint32_t in)
{
    const uint64_t at = request_mem(m, i);
    struct virtio_scsi_cmd_req request = {
        .lun = { 1 },
        .tag = cpu_to_le64(i),
    };

    memcpy(request.cdb, cdb, 16);
    qtest_bufwrite(m->qts, at, &request, sizeof(request));
    qtest_memset(m->qts, at + ANSWER, 0xa5,
                 sizeof(struct virtio_scsi_cmd_resp));
    m->heads[i] = m->nr_desc;
    part(m, at, sizeof(request), false);
    if (out) {
        part(m, at + DATA, out, false);
    }
    part(m, at + ANSWER, sizeof(struct virtio_scsi_cmd_resp), true);
    if (in) {
        part(m, at + DATA, in, true);
    }
    last_part(m);
}

static void scsi_put(Machine *m, unsigned int i, Op op, unsigned int zone)
{
    static const uint8_t cdbs[][16] = {
        /* At the start of a zone, as there is no append */
        [APPEND] = { WRITE_16, [13] = LEN },
        [WRITE] = { WRITE_16, [13] = LEN },
        [READ] = { READ_16, [13] = LEN },
        [REPORT] = { ZBC_IN, [12] = LEN * BLOCK >> 8 },
        [OPEN] = { ZBC_OUT, 3 },
        [CLOSE] = { ZBC_OUT, 1 },
        [FINISH] = { ZBC_OUT, 2 },
        [RESET] = { ZBC_OUT, 4 },
        [RESET_ALL] = { ZBC_OUT, 4, [14] = 1 },
        [FLUSH] = { SYNCHRONIZE_CACHE_16 },
    };
    const uint32_t out = op == APPEND || op == WRITE ? LEN * BLOCK : 0;
    const uint32_t in = op == READ || op == REPORT ? LEN * BLOCK : 0;
    uint8_t cdb[16];

    memcpy(cdb, cdbs[op], sizeof(cdb));
    if (op != RESET_ALL && op != FLUSH) {
        stq_be_p(cdb + 2, zone * ZS);
    }
    put_cdb(m, i, cdb, out, in);
}

static void scsi_kick(Machine *m)
{
    virtio_kick(m, REQUEST_QUEUE);
}

static void scsi_wait(Machine *m)
{
    virtio_wait(m, REQUEST_QUEUE);
}

static bool scsi_is_good(Machine *m, unsigned int i)
{
    struct virtio_scsi_cmd_resp response;

    qtest_bufread(m->qts, request_mem(m, i) + ANSWER, &response,
                  sizeof(response));
    g_assert_cmphex(response.response, !=, 0xa5);
    return response.response == VIRTIO_SCSI_S_OK && response.status == GOOD;
}

/* Take the unit attentions, of the power on and of the disk plugged in */
static void scsi_take_attentions(Machine *m)
{
    static const uint8_t test_unit_ready[16] = { TEST_UNIT_READY };
    unsigned int i;

    for (i = 0; i < 2; i++) {
        put_cdb(m, 0, test_unit_ready, 0, 0);
        m->nr = 1;
        scsi_kick(m);
        scsi_wait(m);
    }
}

static void scsi_start(Machine *m)
{
    virtio_start(m, NR_QUEUES);
    scsi_take_attentions(m);
}

/* A task management function while requests are in flight */
static void scsi_manage(Machine *m, uint32_t function, unsigned int tag)
{
    /* Behind those of the requests */
    const uint64_t at = request_mem(m, MAX_REQUESTS - 1);
    struct virtio_scsi_ctrl_tmf_req request = {
        .type = cpu_to_le32(VIRTIO_SCSI_T_TMF),
        .subtype = cpu_to_le32(function),
        .lun = { 1 },
        .tag = cpu_to_le64(tag),
    };

    qtest_bufwrite(m->qts, at, &request, sizeof(request));
    qtest_writeb(m->qts, at + ANSWER, 0xa5);
    m->heads[0] = m->nr_desc = 0;
    part(m, at, sizeof(request), false);
    part(m, at + ANSWER, 1, true);
    last_part(m);
    m->nr = 1;
    virtio_kick(m, CONTROL_QUEUE);
    virtio_wait(m, CONTROL_QUEUE);
    g_assert_cmphex(qtest_readb(m->qts, at + ANSWER), ==, VIRTIO_SCSI_S_OK);
}

/* Requests that are cancelled are answered, too */
static void scsi_manage_all(Machine *m, uint32_t function)
{
    scsi_manage(m, function, 0);
    scsi_wait(m);
}

static void reset_task(Machine *m)
{
    const unsigned int nr = m->nr;
    unsigned int i;

    for (i = 0; i < nr; i++) {
        scsi_manage(m, VIRTIO_SCSI_T_TMF_ABORT_TASK, i * 7 % nr);
    }
    scsi_wait(m);
}

static void reset_lun(Machine *m)
{
    scsi_manage_all(m, VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET);
}

static void reset_nexus(Machine *m)
{
    scsi_manage_all(m, VIRTIO_SCSI_T_TMF_I_T_NEXUS_RESET);
}

static void reset_tasks(Machine *m)
{
    scsi_manage_all(m, VIRTIO_SCSI_T_TMF_ABORT_TASK_SET);
}

static void (*const scsi_resets[])(Machine *) = {
    reset_none, reset_system, reset_stopped, reset_lun, reset_nexus,
    reset_tasks, reset_task, NULL
};

/*
 * NVMe: controllers come and go, a shared namespace stays
 */

static void nvme_plug(Machine *m)
{
    /* The bus has the name of the subsystem, too */
    qtest_qmp_device_add(m->qts, "nvme", "dev",
                         "{'serial': 'hotplug', 'addr': '5', "
                         "'subsys': '/machine/peripheral/subsys'}");
}

static void nvme_start_ctrl(Machine *m, unsigned int n)
{
    bars_reuse(m);
    nvme_raw_rescan(m->raw);
    m->c = nvme_raw_ctrl(m->raw, n);
    nvme_raw_enable(m->c, NULL);
    m->ns = nvme_raw_ns(m->c, 1);
}

static void nvme_start(Machine *m)
{
    /* Behind the one that stays */
    nvme_start_ctrl(m, 1);
}

static void nvme_stop(Machine *m)
{
    g_clear_pointer(&m->ns, g_free);
    m->nr = 0;
}

static void nvme_put(Machine *m, unsigned int i, Op op, unsigned int zone)
{
    const uint64_t slba = zone * ZS;
    NvmeRawCmd cmd;

    switch (op) {
    case APPEND:
        cmd = nvme_raw_rw(m->ns, NVME_CMD_ZONE_APPEND, slba, LEN);
        break;
    case WRITE:
        cmd = nvme_raw_rw(m->ns, NVME_CMD_WRITE, slba, LEN);
        break;
    case READ:
        cmd = nvme_raw_rw(m->ns, NVME_CMD_READ, slba, LEN);
        break;
    case REPORT:
        cmd = (NvmeRawCmd) {
            .opcode = NVME_CMD_ZONE_MGMT_RECV,
            .nsid = 1,
            .cdw10 = slba,
            .cdw12 = LEN * BLOCK / 4 - 1,
        };
        break;
    case OPEN:
        cmd = nvme_raw_zone_cmd(m->ns, slba, NVME_ZONE_ACTION_OPEN, 0);
        break;
    case CLOSE:
        cmd = nvme_raw_zone_cmd(m->ns, slba, NVME_ZONE_ACTION_CLOSE, 0);
        break;
    case FINISH:
        cmd = nvme_raw_zone_cmd(m->ns, slba, NVME_ZONE_ACTION_FINISH, 0);
        break;
    case RESET:
        cmd = nvme_raw_zone_cmd(m->ns, slba, NVME_ZONE_ACTION_RESET, 0);
        break;
    case RESET_ALL:
        cmd = nvme_raw_zone_cmd(m->ns, 0, NVME_ZONE_ACTION_RESET,
                                NVME_ZSFLAG_SELECT_ALL);
        break;
    case FLUSH:
        cmd = (NvmeRawCmd) { .opcode = NVME_CMD_FLUSH, .nsid = 1 };
        break;
    case COPY_BLOCKS:
        /* As many ranges, all of them block 0 */
        cmd = nvme_raw_rw(m->ns, NVME_CMD_COPY, slba, LEN);
        break;
    default:
        g_assert_not_reached();
    }
    cmd.prp1 = request_mem(m, i) + DATA;
    m->cids[i] = nvme_raw_queue(m->c, 1, &cmd);
}

static void nvme_kick(Machine *m)
{
    nvme_raw_ring(m->c, 1);
}

static void nvme_wait(Machine *m)
{
    unsigned int i;

    for (i = 0; i < m->nr; i++) {
        m->status[i] = nvme_raw_wait(m->c, 1, m->cids[i]).status;
    }
    m->nr = 0;
}

static bool nvme_is_good(Machine *m, unsigned int i)
{
    return !m->status[i];
}

static void reset_disable(Machine *m)
{
    nvme_raw_disable(m->c);
}

static void reset_shutdown(Machine *m)
{
    nvme_raw_shutdown(m->c);
    nvme_raw_disable(m->c);
}

static void reset_queue(Machine *m)
{
    nvme_raw_delete_queue(m->c, 1);
    nvme_raw_disable(m->c);
}

static void (*const nvme_resets[])(Machine *) = {
    reset_disable, reset_system, reset_stopped, reset_shutdown, reset_queue,
    NULL
};

/*
 * All front ends
 */

static const Front fronts[] = {
    {
        .name = "virtio-blk",
        .options = "",
        .plug = blk_plug,
        .unplug = pci_unplug,
        .start = blk_start,
        .stop = virtio_stop,
        .put = blk_put,
        .kick = blk_kick,
        .wait = blk_wait,
        .is_good = blk_is_good,
        .resets = blk_resets,
    },
    {
        .name = "virtio-blk/iothread",
        .options = "-object iothread,id=io0",
        .plug = blk_plug_iothread,
        .unplug = pci_unplug,
        .start = blk_start,
        .stop = virtio_stop,
        .put = blk_put,
        .kick = blk_kick,
        .wait = blk_wait,
        .is_good = blk_is_good,
        .resets = blk_resets,
    },
    {
        .name = "vhost-user-blk",
        .options = "-M memory-backend=mem "
                   "-object memory-backend-memfd,id=mem,size=128M,share=on",
        .is_remote = true,
        .plug = vhost_plug,
        .unplug = vhost_unplug,
        .start = blk_start,
        .stop = virtio_stop,
        .put = blk_put,
        .kick = blk_kick,
        .wait = blk_wait,
        .is_good = blk_is_good,
        .resets = blk_resets,
    },
    {
        .name = "scsi-hd",
        .options = "-device virtio-scsi-pci,id=hba,addr=5",
        .plug = scsi_plug,
        .unplug = scsi_unplug,
        .start = scsi_start,
        .stop = virtio_stop,
        .put = scsi_put,
        .kick = scsi_kick,
        .wait = scsi_wait,
        .is_good = scsi_is_good,
        .resets = scsi_resets,
    },
    {
        .name = "virtio-scsi",
        .options = "",
        .plug = hba_plug,
        .unplug = pci_unplug,
        .start = scsi_start,
        .stop = virtio_stop,
        .put = scsi_put,
        .kick = scsi_kick,
        .wait = scsi_wait,
        .is_good = scsi_is_good,
        .resets = scsi_resets,
    },
    {
        .name = "nvme",
        .options = "-device nvme-subsys,id=subsys "
                   "-device nvme,id=first,serial=hotplug,subsys=subsys,addr=4 "
                   "-device nvme-ns,drive=zbd,nsid=1,bus=first",
        .keeps_node = true,
        .plug = nvme_plug,
        .unplug = pci_unplug,
        .start = nvme_start,
        .stop = nvme_stop,
        .put = nvme_put,
        .kick = nvme_kick,
        .wait = nvme_wait,
        .is_good = nvme_is_good,
        .resets = nvme_resets,
    },
};

/* A namespace that goes away with its controller, and cannot come back */
static void nvme_private_start(Machine *m)
{
    nvme_start_ctrl(m, 0);
}

static const Front nvme_private = {
    .name = "nvme-private",
    .options = "-device nvme,id=dev,serial=hotplug,addr=5 "
               "-device nvme-ns,drive=zbd,nsid=1,bus=dev",
    .keeps_node = true,
    .unplug = pci_unplug,
    .start = nvme_private_start,
    .stop = nvme_stop,
    .put = nvme_put,
    .kick = nvme_kick,
    .wait = nvme_wait,
    .is_good = nvme_is_good,
};

/* The same with zones of its own, which go with it */
static const Front nvme_ram = {
    .name = "nvme-ram",
    .options = "-blockdev node-name=zbd,driver=null-co,latency-ns=3000000,"
               "memory-backed=on,size=1114112 "
               "-device nvme,id=dev,serial=hotplug,addr=5 "
               "-device nvme-ns,drive=zbd,nsid=1,bus=dev,zoned=on,"
               "zoned.zone_size=64K,zoned.zone_capacity=48K,"
               "zoned.max_open=4,zoned.max_active=6,logical_block_size=512",
    .unplug = pci_unplug,
    .start = nvme_private_start,
    .stop = nvme_stop,
    .put = nvme_put,
    .kick = nvme_kick,
    .wait = nvme_wait,
    .is_good = nvme_is_good,
};

static const Backend backends[] = {
    { .name = "null" },
    { .name = "null-slow", .is_slow = true },
    { .name = "image", .is_image = true },
    { .name = "image-slow", .is_image = true, .is_slow = true },
};

static void put(Machine *m, Op op, unsigned int zone)
{
    m->front->put(m, m->nr, op, zone % NR_ZONES);
    m->nr++;
}

/* Whether all of what was put succeeds */
static bool all_good(Machine *m)
{
    const unsigned int nr = m->nr;
    unsigned int i;

    m->front->kick(m);
    m->front->wait(m);
    for (i = 0; i < nr; i++) {
        if (!m->front->is_good(m, i)) {
            return false;
        }
    }
    return true;
}

static bool is_good(Machine *m, Op op, unsigned int zone)
{
    put(m, op, zone);
    return all_good(m);
}

/* Requests that wait for each other, and some that are refused */
static void flood(Machine *m, unsigned int round)
{
    unsigned int i;

    for (i = 0; i < 4; i++) {
        const unsigned int zone = round + 3 * i;

        put(m, APPEND, zone);
        put(m, WRITE, zone + 1);
        put(m, APPEND, zone);
        put(m, REPORT, zone);
        put(m, FINISH, zone);
        put(m, READ, zone + 1);
        put(m, RESET, zone + 1);
        put(m, OPEN, zone + 2);
        put(m, i % 2 ? CLOSE : FLUSH, zone + 2);
    }
    put(m, round % 2 ? RESET_ALL : REPORT, 0);
    m->front->kick(m);
}

/* All zones and resources are there */
static void assert_whole(Machine *m)
{
    unsigned int i;

    g_assert_true(is_good(m, RESET_ALL, 0));
    for (i = 0; i < MAX_OPEN; i++) {
        put(m, OPEN, i);
    }
    g_assert_true(all_good(m));
    g_assert_false(is_good(m, OPEN, i));
    g_assert_true(is_good(m, RESET_ALL, 0));
    for (i = 0; i < MAX_ACTIVE; i++) {
        put(m, APPEND, i);
    }
    g_assert_true(all_good(m));
    g_assert_false(is_good(m, WRITE, i));
    for (i = 0; i < NR_ZONES; i++) {
        put(m, FINISH, i);
    }
    g_assert_true(all_good(m));
    g_assert_false(is_good(m, APPEND, 0));
    g_assert_true(is_good(m, RESET_ALL, 0));
}

/*
 * The machine
 */

static char *temporary(const char *suffix)
{
    return g_strdup_printf("%s/qtest-hotplug.%d.%s", g_get_tmp_dir(), getpid(),
                           suffix);
}

static char *image_new(const Backend *backend)
{
    const char *qemu_img = getenv("QTEST_QEMU_IMG");
    g_autofree char *command = NULL;
    char *path;

    if (!backend->is_image) {
        return NULL;
    }
    g_assert_nonnull(qemu_img);
    path = temporary("zbd");
    command = g_strdup_printf("%s create -q -f zoned -o " IMAGE_OPTIONS
                              " %s 1M", qemu_img, path);
    g_assert_cmpint(system(command), ==, 0);
    g_assert_cmpint(truncate(path, FILE_SIZE), ==, 0);
    return path;
}

/* The options for a node that is there from the start */
static char *node_options(Machine *m)
{
    if (!m->front->keeps_node) {
        return g_strdup("");
    }
    return m->image ?
        g_strdup_printf("-blockdev node-name=zbd,driver=zoned,"
                        "file.driver=file,file.filename=%s", m->image) :
        g_strdup_printf("-blockdev node-name=zbd," NULL_NODE "%s",
                        m->backend->is_slow ? ",latency-ns=3000000" : "");
}

static Machine *machine_new(const Front *front, const Backend *backend)
{
    Machine *m = g_new0(Machine, 1);
    g_autofree char *node = NULL;

    m->front = front;
    m->backend = backend;
    m->image = image_new(backend);
    node = node_options(m);
    m->raw = nvme_raw_boot("%s %s", node, front->options);
    m->qs = nvme_raw_qos(m->raw);
    m->qts = m->qs->qts;
    if (front->is_remote) {
        m->socket = temporary("socket");
        m->pidfile = temporary("pid");
        m->owner = qtest_initf("-nodefaults -machine none -pidfile %s",
                               m->pidfile);
    } else {
        m->owner = m->qts;
    }
    m->pio = m->qs->pcibus->pio_alloc_ptr;
    m->mmio = m->qs->pcibus->mmio_alloc_ptr;
    m->mem = nvme_raw_alloc(m->raw, MAX_REQUESTS * REQUEST_SIZE);
    if (backend->is_slow && backend->is_image) {
        slow_image_new(m);
    }
    return m;
}

static void machine_free(Machine *m)
{
    nvme_raw_free(m->raw, m->mem);
    nvme_raw_quit(m->raw);
    if (m->front->is_remote) {
        qtest_quit(m->owner);
        unlink(m->socket);
    }
    if (m->image) {
        unlink(m->image);
    }
    g_free(m->socket);
    g_free(m->pidfile);
    g_free(m->image);
    g_free(m);
}

/*
 * Cases
 */

/* The memory of the process that has the node */
static uint64_t memory_now(Machine *m)
{
    return m->pidfile ? zoned_rss(m->pidfile) : nvme_raw_rss(m->raw);
}

static unsigned int nr_rounds(void)
{
    const char *value = getenv("ZONED_HOTPLUG");

    return value ? g_ascii_strtoull(value, NULL, 10) : DEFAULT_ROUNDS;
}

typedef struct Case {
    const Front *front;
    const Backend *backend;
} Case;

static void plug(Machine *m)
{
    if (!m->front->keeps_node) {
        node_add(m);
    }
    m->front->plug(m);
    m->front->start(m);
}

static void unplug(Machine *m)
{
    m->front->unplug(m);
    m->front->stop(m);
    if (!m->front->keeps_node) {
        node_del(m);
    }
}

static void plug_round(Machine *m, unsigned int round)
{
    plug(m);
    /* It is in use */
    qmp_refused(m->owner, "blockdev-del", "'node-name': 'zbd'");
    if (round % 8 == 0) {
        assert_whole(m);
    }
    flood(m, round);
    if (round % 4 == 3) {
        m->front->wait(m);
    }
    if (m->is_exported && round % 2) {
        /* The disk goes away before the device does */
        export_del(m);
    }
    unplug(m);
}

static void test_plug(const void *data)
{
    const Case *c = data;
    Machine *m = machine_new(c->front, c->backend);
    const unsigned int rounds = nr_rounds();
    uint64_t memory = 0, end;
    unsigned int i;

    for (i = 0; i < rounds; i++) {
        if (i == rounds / 4) {
            memory = memory_now(m);
        }
        plug_round(m, i);
    }
    end = memory_now(m);
    g_test_message("%u rounds, memory from %" PRIu64 " to %" PRIu64 " KiB",
                   rounds, memory / KiB, end / KiB);
    g_assert_cmpuint(end, <, memory + MAX_GROWTH);
    machine_free(m);
}

static void test_reset(const void *data)
{
    const Case *c = data;
    Machine *m = machine_new(c->front, c->backend);
    const unsigned int rounds = nr_rounds();
    unsigned int i, j;

    plug(m);
    for (i = 0; i < rounds; i++) {
        for (j = 0; c->front->resets[j]; j++) {
            flood(m, i);
            c->front->resets[j](m);
            c->front->stop(m);
            c->front->start(m);
            assert_whole(m);
        }
    }
    flood(m, i);
    unplug(m);
    machine_free(m);
}

/* The drive is taken away from a device, which stays */
static void test_drive_del(const void *data)
{
    const Case *c = data;
    Machine *m = machine_new(c->front, c->backend);
    const unsigned int rounds = nr_rounds();
    g_autofree char *drive = m->image ?
        g_strdup_printf("drive_add 0 if=none,id=zbd,driver=zoned,"
                        "file.driver=file,file.filename=%s", m->image) :
        g_strdup("drive_add 0 if=none,id=zbd," NULL_NODE);
    unsigned int i;

    for (i = 0; i < rounds; i++) {
        g_autofree char *added = qtest_hmp(m->qts, "%s", drive);
        g_autofree char *deleted = NULL;

        g_assert_cmpstr(added, ==, "OK\r\n");
        m->front->plug(m);
        m->front->start(m);
        flood(m, i);
        deleted = qtest_hmp(m->qts, "drive_del zbd");
        g_assert_cmpstr(deleted, ==, "");
        m->front->wait(m);
        flood(m, i);
        m->front->wait(m);
        g_assert_false(is_good(m, REPORT, 0));
        g_assert_false(is_good(m, APPEND, 0));
        m->front->unplug(m);
        m->front->stop(m);
    }
    machine_free(m);
}

/* The machine has stopped, as nothing can be written */
static void test_error(const void *data)
{
    const Case *c = data;
    Machine *m = machine_new(c->front, c->backend);
    const unsigned int rounds = nr_rounds();
    unsigned int i;

    for (i = 0; i < rounds; i++) {
        qmp_ok(m->owner, "blockdev-add", "'node-name': 'zbd', "
               "'driver': 'blkdebug', 'image': {" NULL_OPTIONS "}, "
               "'inject-error': [{'event': 'none', 'errno': 5}]");
        m->front->plug(m);
        m->front->start(m);
        flood(m, i);
        qtest_qmp_eventwait(m->qts, "STOP");
        switch (i % 4) {
        case 0:
            break;
        case 1:
            reset_system(m);
            break;
        case 2:
            qmp_ok(m->qts, "cont", "");
            qtest_qmp_eventwait(m->qts, "STOP");
            break;
        default:
            m->front->stop(m);
            m->front->start(m);
        }
        m->front->unplug(m);
        m->front->stop(m);
        node_del(m);
        qmp_ok(m->qts, "cont", "");
    }
    machine_free(m);
}

/* What cannot be done leaves nothing behind */
static void test_refused(const void *data)
{
    static const struct {
        const char *command, *arguments;
    } refused[] = {
        { "device_add", "'driver': 'virtio-blk-pci', 'id': 'dev', "
          "'drive': 'zbd', 'addr': '6', 'logical_block_size': 4096" },
        { "device_add", "'driver': 'virtio-blk-pci', 'id': 'dev', "
          "'drive': 'zbd', 'addr': '6', 'zoned': 'off'" },
        { "device_add", "'driver': 'scsi-hd', 'id': 'dev', 'drive': 'zbd', "
          "'logical_block_size': 4096" },
        { "device_add", "'driver': 'nvme', 'id': 'dev', 'serial': 'foo', "
          "'drive': 'zbd', 'addr': '6'" },
        { "block-export-add", "'type': 'vhost-user-blk', 'id': 'exp', "
          "'node-name': 'zbd', 'logical-block-size': 4096, 'addr': "
          "{'type': 'unix', 'path': '/nonexistent/socket'}" },
        { "block-export-add", "'type': 'vhost-user-blk', 'id': 'exp', "
          "'node-name': 'zbd', 'addr': {'type': 'unix', "
          "'path': '/nonexistent/socket'}" },
        { "blockdev-add", "'node-name': 'top', 'driver': 'qcow2', "
          "'file': 'zbd'" },
        { "blockdev-add", "'node-name': 'top', 'driver': 'zoned', "
          "'file': 'zbd'" },
        { "blockdev-add", "'node-name': 'top', 'driver': 'zoned', "
          "'file': {'driver': 'null-co', 'size': 1048576, "
          "'memory-backed': true}" },
        { "blockdev-add", "'node-name': 'top', 'driver': 'null-co', "
          "'memory-backed': true, 'size': 1048576, 'zoned': "
          "{'zone-size': 65536, 'zone-capacity': 131072}" },
        { "blockdev-add", "'node-name': 'top', 'driver': 'null-co', "
          "'memory-backed': true, 'size': 1048576, 'zoned': "
          "{'zone-size': 65536, 'max-open-zones': 5, 'max-active-zones': 4, "
          "'max-append-size': 1}" },
        { "blockdev-add", "'node-name': 'top', 'driver': 'raw', "
          "'offset': 512, 'size': 65536, 'file': 'zbd'" },
    };
    const Case *c = data;
    Machine *m = machine_new(c->front, c->backend);
    const unsigned int rounds = nr_rounds();
    unsigned int i;
    size_t j;

    for (i = 0; i < rounds; i++) {
        node_add(m);
        for (j = 0; j < ARRAY_SIZE(refused); j++) {
            qmp_refused(m->qts, refused[j].command, refused[j].arguments);
        }
        m->front->plug(m);
        m->front->start(m);
        assert_whole(m);
        unplug(m);
    }
    machine_free(m);
}

/* QEMU ends with requests in flight */
static void test_quit(const void *data)
{
    const Case *c = data;
    Machine *m = machine_new(c->front, c->backend);

    plug(m);
    flood(m, 1);
    c->front->stop(m);
    machine_free(m);
}

static void test_private(const void *data)
{
    const Case *c = data;
    const unsigned int rounds = nr_rounds();
    unsigned int i;

    for (i = 0; i < rounds; i++) {
        Machine *m = machine_new(c->front, c->backend);

        m->front->start(m);
        assert_whole(m);
        flood(m, i);
        m->front->unplug(m);
        m->front->stop(m);
        node_del(m);
        machine_free(m);
    }
}

/* Commands of several steps are in flight when the zones go */
static void test_ram(const void *data)
{
    const Case *c = data;
    const unsigned int rounds = nr_rounds();
    unsigned int i, j;

    for (i = 0; i < rounds; i++) {
        Machine *m = machine_new(c->front, c->backend);

        m->front->start(m);
        assert_whole(m);
        for (j = 0; j < NR_ZONES / 2; j++) {
            put(m, FINISH, j);
        }
        g_assert_true(all_good(m));
        put(m, COPY_BLOCKS, NR_ZONES - 1);
        put(m, COPY_BLOCKS, NR_ZONES - 2);
        put(m, RESET_ALL, 0);
        m->front->kick(m);
        m->front->unplug(m);
        m->front->stop(m);
        node_del(m);
        machine_free(m);
    }
}

static void add(const char *name, const Case *c, void (*test)(const void *))
{
    g_autofree char *path = g_strdup_printf("/zoned/hotplug/%s/%s/%s",
                                            c->front->name, c->backend->name,
                                            name);

    qtest_add_data_func_full(path, g_memdup2(c, sizeof(*c)), test, g_free);
}

int main(int argc, char **argv)
{
    const Case ram = { &nvme_ram, &backends[0] };
    size_t i, j;

    g_test_init(&argc, &argv, NULL);
    add("unplug", &ram, test_ram);
    for (j = 0; j < ARRAY_SIZE(backends); j++) {
        const Case c = { &nvme_private, &backends[j] };

        if (!backends[j].is_image || !backends[j].is_slow) {
            add("unplug", &c, test_private);
        }
    }
    for (i = 0; i < ARRAY_SIZE(fronts); i++) {
        for (j = 0; j < ARRAY_SIZE(backends); j++) {
            const Case c = { &fronts[i], &backends[j] };

            /* It cannot be there before the machine starts */
            if (fronts[i].keeps_node && backends[j].is_image &&
                backends[j].is_slow) {
                continue;
            }
            add("plug", &c, test_plug);
            add("reset", &c, test_reset);
            add("quit", &c, test_quit);
            if (fronts[i].keeps_node || fronts[i].is_remote ||
                backends[j].is_slow) {
                continue;
            }
            add("drive-del", &c, test_drive_del);
            add("refused", &c, test_refused);
            if (!backends[j].is_image) {
                add("error", &c, test_error);
            }
        }
    }
    return g_test_run();
}
