/*
 * Raw NVMe driver for qtests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/crc32c.h"
#include "qemu/units.h"
#include "standard-headers/linux/pci_regs.h"
#include "nvme-raw.h"
#include "zoned-qmp.h"

#define PCI_CLASS_NVME 0x010802
#define MAX_CTRLS 8
#define MAX_QUEUES 8
#define MAX_DEPTH 1024

typedef struct Queue {
    uint16_t id;
    uint16_t depth;
    uint64_t sq_alloc, cq_alloc;    /* to be freed */
    uint64_t sq, cq;                /* aligned to CC.MPS */
    uint16_t tail, head;
    uint8_t phase;
    uint16_t in_flight;
    uint16_t next_cid;
    bool used[MAX_DEPTH];
    NvmeRawCpl cpl[MAX_DEPTH];      /* by identifier, valid if arrived */
    bool arrived[MAX_DEPTH];
} Queue;

struct NvmeRawCtrl {
    NvmeRaw *m;
    QPCIDevice *dev;
    QPCIBar bar;
    uint32_t page;
    uint32_t dstrd;
    bool enabled;
    Queue queues[1 + MAX_QUEUES];
};

struct NvmeRaw {
    QOSState *qs;
    char *pidfile;
    uint64_t mmio;                  /* where BARs are mapped from */
    NvmeRawCtrl ctrls[MAX_CTRLS];
    unsigned nr_ctrls;
};

/*
 * Images
 */

char *nvme_raw_image(const char *fmt, ...)
{
    const char *qemu_img = getenv("QTEST_QEMU_IMG");
    char *path = g_strdup_printf("%s/qtest-nvme.%d.zbd", g_get_tmp_dir(),
                                 getpid());
    g_autofree char *options = NULL, *command = NULL;
    va_list ap;

    g_assert_nonnull(qemu_img);
    va_start(ap, fmt);
    options = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    command = g_strdup_printf("%s create -q -f zoned -o %s %s 1M", qemu_img,
                              options, path);
    g_assert_cmpint(system(command), ==, 0);
    return path;
}

/* Offsets in an image, see docs/interop/zoned-image.rst */
enum {
    HDR_TABLE = 96,
    BLOCK_SIZE = 4096,
    BLOCK_COUNT = 4,
    BLOCK_GENERATION = 16,
    BLOCK_ENTRIES = 32,
};

void nvme_raw_image_special(const char *path, unsigned rdonly,
                            unsigned offline)
{
    uint8_t block[BLOCK_SIZE] = { 0 };
    uint8_t table[8];
    int fd = open(path, O_RDWR);
    int copy;

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(pread(fd, table, 8, HDR_TABLE), ==, 8);
    stl_le_p(&block[BLOCK_COUNT], 1);
    stq_le_p(&block[BLOCK_GENERATION], 1);
    stq_le_p(&block[BLOCK_ENTRIES + 8 * rdonly], 2ull << 60);
    stq_le_p(&block[BLOCK_ENTRIES + 8 * offline], 3ull << 60);
    stl_le_p(block, crc32c(0xffffffff, block, sizeof(block)));
    for (copy = 0; copy < 2; copy++) {
        g_assert_cmpint(pwrite(fd, block, sizeof(block),
                               ldq_le_p(table) + copy * BLOCK_SIZE), ==,
                        sizeof(block));
    }
    close(fd);
}

/*
 * The machine
 */

static void found(QPCIDevice *dev, int devfn, void *opaque)
{
    NvmeRaw *m = opaque;

    if (qpci_config_readl(dev, PCI_CLASS_REVISION) >> 8 != PCI_CLASS_NVME) {
        g_free(dev);
        return;
    }
    g_assert_cmpuint(m->nr_ctrls, <, MAX_CTRLS);
    m->ctrls[m->nr_ctrls++] = (NvmeRawCtrl) { .m = m, .dev = dev };
}

static void find_ctrls(NvmeRaw *m)
{
    unsigned i;

    qpci_device_foreach(m->qs->pcibus, -1, -1, found, m);
    for (i = 0; i < m->nr_ctrls; i++) {
        NvmeRawCtrl *c = &m->ctrls[i];

        qpci_device_enable(c->dev);
        c->bar = qpci_iomap(c->dev, 0, NULL);
        c->dstrd = 4 << NVME_CAP_DSTRD(nvme_raw_reg(c, NVME_REG_CAP));
    }
}

NvmeRaw *nvme_raw_boot(const char *fmt, ...)
{
    NvmeRaw *m = g_new0(NvmeRaw, 1);
    g_autofree char *options = NULL;
    va_list ap;

    va_start(ap, fmt);
    options = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    m->pidfile = g_strdup_printf("%s/qtest-nvme.%d.pid", g_get_tmp_dir(),
                                 getpid());
    m->qs = qtest_pc_boot("-nodefaults -pidfile %s %s", m->pidfile, options);
    m->mmio = m->qs->pcibus->mmio_alloc_ptr;
    find_ctrls(m);
    return m;
}

static void free_queue(NvmeRawCtrl *c, Queue *q)
{
    nvme_raw_free(c->m, q->sq_alloc);
    nvme_raw_free(c->m, q->cq_alloc);
    q->depth = 0;
}

static void free_queues(NvmeRawCtrl *c)
{
    unsigned i;

    for (i = 0; i <= MAX_QUEUES; i++) {
        if (c->queues[i].depth) {
            free_queue(c, &c->queues[i]);
        }
    }
}

static void forget_ctrls(NvmeRaw *m)
{
    unsigned i;

    for (i = 0; i < m->nr_ctrls; i++) {
        free_queues(&m->ctrls[i]);
        qpci_iounmap(m->ctrls[i].dev, m->ctrls[i].bar);
        g_free(m->ctrls[i].dev);
    }
    m->nr_ctrls = 0;
}

void nvme_raw_rescan(NvmeRaw *m)
{
    forget_ctrls(m);
    m->qs->pcibus->mmio_alloc_ptr = m->mmio;
    find_ctrls(m);
}

void nvme_raw_quit(NvmeRaw *m)
{
    forget_ctrls(m);
    qtest_shutdown(m->qs);
    g_free(m->pidfile);
    g_free(m);
}

QOSState *nvme_raw_qos(NvmeRaw *m)
{
    return m->qs;
}

QTestState *nvme_raw_qts(NvmeRaw *m)
{
    return m->qs->qts;
}

uint64_t nvme_raw_rss(NvmeRaw *m)
{
    return zoned_rss(m->pidfile);
}

char *nvme_raw_refused(const char *fmt, ...)
{
    g_autofree char *options = NULL, *command = NULL;
    g_autoptr(GError) error = NULL;
    char *err = NULL;
    char *argv[4] = { (char *)"sh", (char *)"-c" };
    int status;
    va_list ap;

    va_start(ap, fmt);
    options = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    command = g_strdup_printf("echo quit | %s -nodefaults -display none "
                              "-accel qtest -monitor stdio %s >/dev/null",
                              getenv("QTEST_QEMU_BINARY"), options);
    argv[2] = command;
    if (!g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL,
                      &err, &status, &error)) {
        g_error("%s", error->message);
    }
    g_assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) > 1) {
        g_error("%s: ends with status %d: %s", command, WEXITSTATUS(status),
                err);
    }
    if (!WEXITSTATUS(status)) {
        g_clear_pointer(&err, g_free);
    }
    return err;
}

NvmeRawCtrl *nvme_raw_ctrl(NvmeRaw *m, unsigned n)
{
    g_assert_cmpuint(n, <, m->nr_ctrls);
    return &m->ctrls[n];
}

uint64_t nvme_raw_alloc(NvmeRaw *m, size_t size)
{
    uint64_t addr = guest_alloc(&m->qs->alloc, size);

    g_assert_cmphex(addr % NVME_RAW_PAGE, ==, 0);
    qtest_memset(m->qs->qts, addr, 0, size);
    return addr;
}

void nvme_raw_free(NvmeRaw *m, uint64_t addr)
{
    guest_free(&m->qs->alloc, addr);
}

void nvme_raw_put(NvmeRaw *m, uint64_t addr, const void *buf, size_t len)
{
    if (len) {
        qtest_bufwrite(m->qs->qts, addr, buf, len);
    }
}

void nvme_raw_get(NvmeRaw *m, uint64_t addr, void *buf, size_t len)
{
    if (len) {
        qtest_bufread(m->qs->qts, addr, buf, len);
    }
}

/*
 * The controller
 */

NvmeRaw *nvme_raw_machine(NvmeRawCtrl *c)
{
    return c->m;
}

uint64_t nvme_raw_reg(NvmeRawCtrl *c, uint64_t offset)
{
    return qpci_io_readq(c->dev, c->bar, offset);
}

static uint32_t read_reg(NvmeRawCtrl *c, uint64_t offset)
{
    return qpci_io_readl(c->dev, c->bar, offset);
}

static void write_reg(NvmeRawCtrl *c, uint64_t offset, uint32_t value)
{
    qpci_io_writel(c->dev, c->bar, offset, value);
}

void nvme_raw_poke(NvmeRawCtrl *c, uint64_t offset, uint32_t value)
{
    write_reg(c, offset, value);
}

/* One step of waiting, which fails the test once it was too long */
static void step(NvmeRawCtrl *c, gint64 start)
{
    g_assert_cmpint(g_get_monotonic_time() - start, <, TIMEOUT_US);
    qtest_clock_step(c->m->qs->qts, 1000);
    g_usleep(20);
}

static void wait_csts(NvmeRawCtrl *c, uint32_t mask, uint32_t value)
{
    gint64 start = g_get_monotonic_time();

    while ((read_reg(c, NVME_REG_CSTS) & mask) != value) {
        step(c, start);
    }
}

static uint64_t alloc_aligned(NvmeRawCtrl *c, size_t size, uint64_t *alloc)
{
    *alloc = nvme_raw_alloc(c->m, size + c->page);
    return ROUND_UP(*alloc, c->page);
}

static Queue *init_queue(NvmeRawCtrl *c, uint16_t id, uint16_t depth)
{
    Queue *q = &c->queues[id];

    memset(q, 0, sizeof(*q));
    q->id = id;
    q->depth = depth;
    q->phase = 1;
    q->sq = alloc_aligned(c, depth * sizeof(NvmeCmd), &q->sq_alloc);
    q->cq = alloc_aligned(c, depth * sizeof(NvmeCqe), &q->cq_alloc);
    return q;
}

void nvme_raw_create_queue(NvmeRawCtrl *c, uint16_t id, uint16_t depth)
{
    Queue *q = init_queue(c, id, depth);
    NvmeRawCmd cmd = {
        .opcode = NVME_ADM_CMD_CREATE_CQ,
        .prp1 = q->cq,
        .cdw10 = (depth - 1) << 16 | id,
        .cdw11 = NVME_CQ_PC,
    };

    g_assert_cmphex(nvme_raw_exec(c, 0, &cmd).status, ==, 0);
    cmd.opcode = NVME_ADM_CMD_CREATE_SQ;
    cmd.prp1 = q->sq;
    cmd.cdw11 = id << 16 | NVME_SQ_PC;
    g_assert_cmphex(nvme_raw_exec(c, 0, &cmd).status, ==, 0);
}

void nvme_raw_delete_queue(NvmeRawCtrl *c, uint16_t id)
{
    NvmeRawCmd cmd = { .opcode = NVME_ADM_CMD_DELETE_SQ, .cdw10 = id };

    g_assert_cmphex(nvme_raw_exec(c, 0, &cmd).status, ==, 0);
    cmd.opcode = NVME_ADM_CMD_DELETE_CQ;
    g_assert_cmphex(nvme_raw_exec(c, 0, &cmd).status, ==, 0);
    free_queue(c, &c->queues[id]);
}

void nvme_raw_enable(NvmeRawCtrl *c, const NvmeRawConfig *config)
{
    static const NvmeRawConfig standard = NVME_RAW_CONFIG_DEFAULT;
    Queue *q;
    unsigned i;

    config = config ?: &standard;
    g_assert_false(c->enabled);
    g_assert_cmpuint(config->queues, <=, MAX_QUEUES);
    g_assert_cmpuint(config->depth, >=, 2);
    g_assert_cmpuint(config->depth, <=, MAX_DEPTH);
    c->page = NVME_RAW_PAGE << config->mps;

    q = init_queue(c, 0, config->depth);
    write_reg(c, NVME_REG_AQA, (config->depth - 1) << 16 | (config->depth - 1));
    write_reg(c, NVME_REG_ASQ, q->sq);
    write_reg(c, NVME_REG_ASQ + 4, q->sq >> 32);
    write_reg(c, NVME_REG_ACQ, q->cq);
    write_reg(c, NVME_REG_ACQ + 4, q->cq >> 32);
    write_reg(c, NVME_REG_CC, 4 << CC_IOCQES_SHIFT | 6 << CC_IOSQES_SHIFT |
              config->mps << CC_MPS_SHIFT | config->css << CC_CSS_SHIFT |
              1 << CC_EN_SHIFT);
    wait_csts(c, NVME_CSTS_READY | NVME_CSTS_FAILED, NVME_CSTS_READY);
    c->enabled = true;
    for (i = 1; i <= config->queues; i++) {
        nvme_raw_create_queue(c, i, config->depth);
    }
}

void nvme_raw_disable(NvmeRawCtrl *c)
{
    write_reg(c, NVME_REG_CC,
              read_reg(c, NVME_REG_CC) & ~(1 << CC_EN_SHIFT));
    wait_csts(c, NVME_CSTS_READY, 0);
    c->enabled = false;
    free_queues(c);
}

void nvme_raw_shutdown(NvmeRawCtrl *c)
{
    write_reg(c, NVME_REG_CC,
              read_reg(c, NVME_REG_CC) | 1 << CC_SHN_SHIFT);
    wait_csts(c, CSTS_SHST_MASK << CSTS_SHST_SHIFT, NVME_CSTS_SHST_COMPLETE);
}

/*
 * Commands
 */

static Queue *get_queue(NvmeRawCtrl *c, uint16_t qid)
{
    g_assert_true(c->enabled);
    g_assert_cmpuint(qid, <=, MAX_QUEUES);
    g_assert_cmpuint(c->queues[qid].depth, !=, 0);
    return &c->queues[qid];
}

uint16_t nvme_raw_queue(NvmeRawCtrl *c, uint16_t qid, const NvmeRawCmd *cmd)
{
    Queue *q = get_queue(c, qid);
    uint32_t raw[16] = {
        [1] = cmd->nsid,
        [2] = cmd->cdw2, [3] = cmd->cdw3,
        [4] = cmd->mptr, [5] = cmd->mptr >> 32,
        [6] = cmd->prp1, [7] = cmd->prp1 >> 32,
        [8] = cmd->prp2, [9] = cmd->prp2 >> 32,
        [10] = cmd->cdw10, [11] = cmd->cdw11, [12] = cmd->cdw12,
        [13] = cmd->cdw13, [14] = cmd->cdw14, [15] = cmd->cdw15,
    };
    uint16_t cid;
    int i;

    g_assert_cmpuint(q->in_flight, <, q->depth - 1);
    while (q->used[q->next_cid]) {
        q->next_cid = (q->next_cid + 1) % q->depth;
    }
    cid = q->next_cid;
    q->next_cid = (q->next_cid + 1) % q->depth;
    q->used[cid] = true;
    q->arrived[cid] = false;
    q->in_flight++;

    raw[0] = (uint32_t)cid << 16 | cmd->flags << 8 | cmd->opcode;
    for (i = 0; i < 16; i++) {
        raw[i] = cpu_to_le32(raw[i]);
    }
    nvme_raw_put(c->m, q->sq + q->tail * sizeof(raw), raw, sizeof(raw));
    q->tail = (q->tail + 1) % q->depth;
    return cid;
}

void nvme_raw_ring(NvmeRawCtrl *c, uint16_t qid)
{
    Queue *q = get_queue(c, qid);

    write_reg(c, 0x1000 + 2 * qid * c->dstrd, q->tail);
}

uint16_t nvme_raw_submit(NvmeRawCtrl *c, uint16_t qid, const NvmeRawCmd *cmd)
{
    uint16_t cid = nvme_raw_queue(c, qid, cmd);

    nvme_raw_ring(c, qid);
    return cid;
}

/* Take all that has been posted */
static void reap(NvmeRawCtrl *c, Queue *q)
{
    bool any = false;

    while (true) {
        NvmeCqe cqe;
        uint16_t status, cid;

        nvme_raw_get(c->m, q->cq + q->head * sizeof(cqe), &cqe, sizeof(cqe));
        status = le16_to_cpu(cqe.status);
        if ((status & 1) != q->phase) {
            break;
        }
        cid = le16_to_cpu(cqe.cid);
        g_assert_cmpuint(le16_to_cpu(cqe.sq_id), ==, q->id);
        g_assert_cmpuint(cid, <, q->depth);
        g_assert_true(q->used[cid] && !q->arrived[cid]);
        q->arrived[cid] = true;
        q->cpl[cid] = (NvmeRawCpl) {
            .cid = cid,
            .status = status >> 1,
            .dw0 = le32_to_cpu(cqe.result),
            .dw1 = le32_to_cpu(cqe.dw1),
        };
        q->head = (q->head + 1) % q->depth;
        if (!q->head) {
            q->phase = !q->phase;
        }
        any = true;
    }
    if (any) {
        write_reg(c, 0x1000 + (2 * q->id + 1) * c->dstrd, q->head);
    }
}

bool nvme_raw_poll(NvmeRawCtrl *c, uint16_t qid, uint16_t cid, NvmeRawCpl *cpl)
{
    Queue *q = get_queue(c, qid);

    g_assert_true(q->used[cid]);
    if (!q->arrived[cid]) {
        reap(c, q);
    }
    if (!q->arrived[cid]) {
        *cpl = (NvmeRawCpl) { .cid = cid, .status = NVME_RAW_PENDING };
        return false;
    }
    *cpl = q->cpl[cid];
    q->used[cid] = false;
    q->in_flight--;
    return true;
}

NvmeRawCpl nvme_raw_wait(NvmeRawCtrl *c, uint16_t qid, uint16_t cid)
{
    gint64 start = g_get_monotonic_time();
    NvmeRawCpl cpl;

    while (!nvme_raw_poll(c, qid, cid, &cpl)) {
        step(c, start);
    }
    return cpl;
}

NvmeRawCpl nvme_raw_exec(NvmeRawCtrl *c, uint16_t qid, const NvmeRawCmd *cmd)
{
    return nvme_raw_wait(c, qid, nvme_raw_submit(c, qid, cmd));
}

/*
 * A list of @n PRPs that start at @addr, in as many pages as it takes: the
 * last entry of each page but the last is the address of the next.
 */
static uint64_t prp_list(NvmeRawCtrl *c, uint64_t addr, size_t n,
                         uint64_t *alloc)
{
    size_t per_page = c->page / 8;
    size_t pages = DIV_ROUND_UP(n, per_page - 1);
    size_t size = pages * c->page;
    uint64_t list = alloc_aligned(c, size, alloc);
    g_autofree uint64_t *entries = g_malloc0(size);
    size_t i = 0;

    while (n) {
        if (i % per_page == per_page - 1 && n > 1) {
            entries[i] = cpu_to_le64(list + (i + 1) * 8);
        } else {
            entries[i] = cpu_to_le64(addr);
            addr += c->page;
            n--;
        }
        i++;
    }
    nvme_raw_put(c->m, list, entries, size);
    return list;
}

uint64_t nvme_raw_prps(NvmeRawCtrl *c, NvmeRawCmd *cmd, uint64_t addr,
                       size_t len)
{
    size_t first = c->page - addr % c->page;
    uint64_t alloc = 0;

    cmd->prp1 = addr;
    cmd->prp2 = 0;
    if (len > first) {
        len -= first;
        addr += first;
        cmd->prp2 = len <= c->page ? addr :
            prp_list(c, addr, DIV_ROUND_UP(len, c->page), &alloc);
    }
    return alloc;
}

/* Execute a command with a buffer of guest memory, of at least a page */
static NvmeRawCpl exec_buf(NvmeRawCtrl *c, uint16_t qid, NvmeRawCmd *cmd,
                           uint64_t addr, size_t len)
{
    uint64_t list = nvme_raw_prps(c, cmd, addr, len);
    NvmeRawCpl cpl = nvme_raw_exec(c, qid, cmd);

    if (list) {
        nvme_raw_free(c->m, list);
    }
    return cpl;
}

NvmeRawCpl nvme_raw_in_fill(NvmeRawCtrl *c, uint16_t qid, NvmeRawCmd cmd,
                            void *data, size_t len, uint8_t fill)
{
    uint64_t addr = nvme_raw_alloc(c->m, MAX(len, NVME_RAW_PAGE));
    NvmeRawCpl cpl;

    if (fill) {
        qtest_memset(c->m->qs->qts, addr, fill, len);
    }
    cpl = exec_buf(c, qid, &cmd, addr, len);
    nvme_raw_get(c->m, addr, data, len);
    nvme_raw_free(c->m, addr);
    return cpl;
}

NvmeRawCpl nvme_raw_in(NvmeRawCtrl *c, uint16_t qid, NvmeRawCmd cmd,
                       void *data, size_t len)
{
    return nvme_raw_in_fill(c, qid, cmd, data, len, 0);
}

NvmeRawCpl nvme_raw_out(NvmeRawCtrl *c, uint16_t qid, NvmeRawCmd cmd,
                        const void *data, size_t len)
{
    uint64_t addr = nvme_raw_alloc(c->m, MAX(len, NVME_RAW_PAGE));
    NvmeRawCpl cpl;

    nvme_raw_put(c->m, addr, data, len);
    cpl = exec_buf(c, qid, &cmd, addr, len);
    nvme_raw_free(c->m, addr);
    return cpl;
}

uint16_t nvme_raw_identify(NvmeRawCtrl *c, uint8_t cns, uint8_t csi,
                           uint32_t nsid, void *data)
{
    NvmeRawCmd cmd = {
        .opcode = NVME_ADM_CMD_IDENTIFY,
        .nsid = nsid,
        .cdw10 = cns,
        .cdw11 = (uint32_t)csi << 24,
    };

    return nvme_raw_in(c, 0, cmd, data, NVME_IDENTIFY_DATA_SIZE).status;
}

uint16_t nvme_raw_log(NvmeRawCtrl *c, uint8_t lid, uint8_t csi, uint32_t nsid,
                      void *data, size_t len)
{
    uint32_t numd = len / 4 - 1;
    NvmeRawCmd cmd = {
        .opcode = NVME_ADM_CMD_GET_LOG_PAGE,
        .nsid = nsid,
        .cdw10 = numd << 16 | lid,
        .cdw11 = numd >> 16,
        .cdw14 = (uint32_t)csi << 24,
    };

    return nvme_raw_in(c, 0, cmd, data, len).status;
}

/*
 * Namespaces and zones
 */

NvmeRawNs *nvme_raw_ns(NvmeRawCtrl *c, uint32_t nsid)
{
    NvmeRawNs *ns = g_new0(NvmeRawNs, 1);
    g_autofree NvmeIdNs *id = g_new0(NvmeIdNs, 1);
    NvmeLBAF *lbaf;

    QEMU_BUILD_BUG_ON(sizeof(*id) != NVME_IDENTIFY_DATA_SIZE);
    g_assert_cmphex(nvme_raw_identify(c, NVME_ID_CNS_NS, 0, nsid, id), ==, 0);
    g_assert_cmpuint(id->nsze, !=, 0);
    lbaf = &id->lbaf[NVME_ID_NS_FLBAS_INDEX(id->flbas)];
    ns->ctrl = c;
    ns->nsid = nsid;
    ns->qid = 1;
    ns->lbasz = 1 << lbaf->ds;
    ns->ms = NVME_ID_NS_FLBAS_EXTENDED(id->flbas) ? le16_to_cpu(lbaf->ms) : 0;
    return ns;
}

NvmeRawCmd nvme_raw_rw(NvmeRawNs *ns, uint8_t opcode, uint64_t slba,
                       uint32_t nlb)
{
    g_assert_cmpuint(nlb, >=, 1);
    g_assert_cmpuint(nlb, <=, 0x10000);
    return (NvmeRawCmd) {
        .opcode = opcode,
        .nsid = ns->nsid,
        .cdw10 = slba,
        .cdw11 = slba >> 32,
        .cdw12 = nlb - 1,
    };
}

uint16_t nvme_raw_write(NvmeRawNs *ns, uint64_t slba, uint32_t nlb,
                        const void *data)
{
    return nvme_raw_out(ns->ctrl, ns->qid,
                        nvme_raw_rw(ns, NVME_CMD_WRITE, slba, nlb), data,
                        (size_t)nlb * (ns->lbasz + ns->ms)).status;
}

uint16_t nvme_raw_read(NvmeRawNs *ns, uint64_t slba, uint32_t nlb, void *data)
{
    return nvme_raw_in(ns->ctrl, ns->qid,
                       nvme_raw_rw(ns, NVME_CMD_READ, slba, nlb), data,
                       (size_t)nlb * (ns->lbasz + ns->ms)).status;
}

uint16_t nvme_raw_append(NvmeRawNs *ns, uint64_t zslba, uint32_t nlb,
                         const void *data, uint64_t *alba)
{
    NvmeRawCpl cpl = nvme_raw_out(ns->ctrl, ns->qid,
                                  nvme_raw_rw(ns, NVME_CMD_ZONE_APPEND, zslba,
                                              nlb), data,
                                  (size_t)nlb * (ns->lbasz + ns->ms));

    if (alba && !cpl.status) {
        *alba = (uint64_t)cpl.dw1 << 32 | cpl.dw0;
    }
    return cpl.status;
}

NvmeRawCmd nvme_raw_zone_cmd(NvmeRawNs *ns, uint64_t slba, uint8_t action,
                             uint8_t flags)
{
    return (NvmeRawCmd) {
        .opcode = NVME_CMD_ZONE_MGMT_SEND,
        .nsid = ns->nsid,
        .cdw10 = slba,
        .cdw11 = slba >> 32,
        .cdw13 = flags << 8 | action,
    };
}

uint16_t nvme_raw_zone_send(NvmeRawNs *ns, uint64_t slba, uint8_t action,
                            uint8_t flags)
{
    NvmeRawCmd cmd = nvme_raw_zone_cmd(ns, slba, action, flags);

    return nvme_raw_exec(ns->ctrl, ns->qid, &cmd).status;
}

uint16_t nvme_raw_set_ext(NvmeRawNs *ns, uint64_t slba, const void *ext,
                          size_t len)
{
    NvmeRawCmd cmd = nvme_raw_zone_cmd(ns, slba, NVME_ZONE_ACTION_SET_ZD_EXT,
                                       0);

    return nvme_raw_out(ns->ctrl, ns->qid, cmd, ext, len).status;
}

uint16_t nvme_raw_recv(NvmeRawNs *ns, uint64_t slba, uint8_t zra,
                       uint8_t option, bool partial, void *data, size_t len)
{
    NvmeRawCmd cmd = {
        .opcode = NVME_CMD_ZONE_MGMT_RECV,
        .nsid = ns->nsid,
        .cdw10 = slba,
        .cdw11 = slba >> 32,
        .cdw12 = len / 4 - 1,
        .cdw13 = (uint32_t)partial << 16 | option << 8 | zra,
    };

    return nvme_raw_in(ns->ctrl, ns->qid, cmd, data, len).status;
}

void nvme_raw_parse_zone(const void *descr, NvmeRawZone *zone)
{
    const NvmeZoneDescr *d = descr;

    *zone = (NvmeRawZone) {
        .type = d->zt,
        .state = d->zs >> 4,
        .attrs = d->za,
        .info = d->rsvd3[0],
        .cap = le64_to_cpu(d->zcap),
        .zslba = le64_to_cpu(d->zslba),
        .wp = le64_to_cpu(d->wp),
    };
}

uint16_t nvme_raw_report(NvmeRawNs *ns, uint64_t slba, uint8_t option,
                         bool partial, NvmeRawZone *zones, size_t max,
                         uint64_t *nr)
{
    size_t len = sizeof(NvmeZoneReportHeader) + max * sizeof(NvmeZoneDescr);
    g_autofree uint8_t *buf = g_malloc0(len);
    uint16_t status = nvme_raw_recv(ns, slba, NVME_ZONE_REPORT, option,
                                    partial, buf, len);
    size_t i, n;

    if (status) {
        return status;
    }
    n = ldq_le_p(buf);
    if (nr) {
        *nr = n;
    }
    for (i = 0; i < MIN(n, max); i++) {
        nvme_raw_parse_zone(buf + sizeof(NvmeZoneReportHeader) +
                            i * sizeof(NvmeZoneDescr), &zones[i]);
    }
    return 0;
}

NvmeRawZone nvme_raw_zone(NvmeRawNs *ns, uint64_t slba)
{
    NvmeRawZone zone;
    uint64_t nr;

    g_assert_cmphex(nvme_raw_report(ns, slba, NVME_ZONE_REPORT_ALL, true,
                                    &zone, 1, &nr), ==, 0);
    g_assert_cmpuint(nr, ==, 1);
    g_assert_cmpuint(zone.zslba, <=, slba);
    return zone;
}
