/*
 * QTest testcase for zoned SCSI disks (ZBC) on HBAs other than virtio-scsi
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Raw drivers for some of them, each of which moves data in its own way.  The
 * am53c974 and the lsi53c895a have no scatter/gather lists: they take the data
 * of a write, and give that of a read, in pieces.
 */

#include "qemu/osdep.h"
#include "libqtest.h"
#include "qemu/bswap.h"
#include "scsi/constants.h"
#include "scsi-zbc-disk.h"

#define TYPE_ZBC 0x14

/* Guest memory: scripts, frames, requests and rings, then sense, then data */
#define HBA_SENSE 0x3f00
#define HBA_DATA 0x4000

/* Zones that have room for large writes, and many zones */
#define LARGE_ZONES \
    "driver=null-co,memory-backed=on,size=8388608,zoned.zone-size=1M," \
    "zoned.conventional-zones=1,zoned.zone-capacity=1000K"
#define MANY_ZONES \
    "driver=null-co,size=8388608,zoned.zone-size=4K," \
    "zoned.conventional-zones=3,zoned.zone-capacity=2K"
#define NO_ZONES "driver=null-co,size=8388608"

#define TARGET_FAILURE 0x044400

typedef struct Hba Hba;

typedef struct HbaKind {
    const char *device;
    int bar;
    bool autosense;         /* sense comes with the status */
    void (*start)(Hba *h);
    /* Carry a command out, with this much data one way; returns its status */
    uint8_t (*command)(Hba *h, const uint8_t *cdb, uint8_t cdb_len, size_t out,
                       size_t in);
    bool takes_no_memory;   /* for a command that moves data */
} HbaKind;

struct Hba {
    const HbaKind *kind;
    QOSState *qs;
    QTestState *qts;
    QPCIDevice *pdev;
    QPCIBar bar;
    uint64_t mem;
};

static void step(Hba *h, gint64 start)
{
    qtest_clock_step(h->qts, 100);
    g_assert(g_get_monotonic_time() - start <= TIMEOUT_US);
}

/*
 * am53c974
 */

enum {
    ESP_TC_LOW = 0, ESP_TC_MID = 1, ESP_FIFO = 2, ESP_CMD = 3, ESP_STAT = 4,
    ESP_INTR = 5, ESP_TC_HIGH = 0xe, ESP_DMA_CMD = 0x10, ESP_DMA_COUNT,
    ESP_DMA_ADDR,
};

/* Of the SCSI bus */
enum {
    PHASE_DATA_OUT, PHASE_DATA_IN, PHASE_COMMAND, PHASE_STATUS,
    PHASE_MESSAGE_OUT = 6, PHASE_MESSAGE_IN,
};

static void esp_out(Hba *h, int reg, uint32_t value)
{
    qpci_io_writel(h->pdev, h->bar, reg * 4, value);
}

static uint8_t esp_in(Hba *h, int reg)
{
    return qpci_io_readl(h->pdev, h->bar, reg * 4);
}

/* Start a command of the HBA with DMA; returns the phase that follows */
static uint8_t esp_dma(Hba *h, uint8_t command, uint64_t addr, uint32_t len,
                       bool in)
{
    const gint64 start = g_get_monotonic_time();
    uint8_t status;

    esp_out(h, ESP_DMA_CMD, 0);
    esp_out(h, ESP_DMA_COUNT, len);
    esp_out(h, ESP_DMA_ADDR, addr);
    esp_out(h, ESP_TC_LOW, len & 0xff);
    esp_out(h, ESP_TC_MID, len >> 8 & 0xff);
    esp_out(h, ESP_TC_HIGH, len >> 16);
    esp_out(h, ESP_DMA_CMD, 3 | (in ? 0x80 : 0));
    esp_out(h, ESP_CMD, command | 0x80);
    while (!((status = esp_in(h, ESP_STAT)) & 0x80)) {
        step(h, start);
    }
    esp_in(h, ESP_INTR);
    return status & 7;
}

static uint8_t esp_command(Hba *h, const uint8_t *cdb, uint8_t cdb_len,
                           size_t out, size_t in)
{
    uint8_t phase, status;

    qtest_bufwrite(h->qts, h->mem, cdb, cdb_len);
    esp_out(h, ESP_STAT, 0);
    phase = esp_dma(h, 0x41, h->mem, cdb_len, false);
    if (phase == PHASE_DATA_OUT || phase == PHASE_DATA_IN) {
        g_assert_cmpuint(out + in, >, 0);
        phase = esp_dma(h, 0x10, h->mem + HBA_DATA, out + in,
                        phase == PHASE_DATA_IN);
    }
    g_assert_cmpint(phase, ==, PHASE_STATUS);
    esp_out(h, ESP_CMD, 0x11);
    status = esp_in(h, ESP_FIFO);
    esp_in(h, ESP_FIFO);
    esp_in(h, ESP_INTR);
    esp_out(h, ESP_CMD, 0x12);
    esp_in(h, ESP_INTR);
    return status;
}

/*
 * lsi53c895a: each instruction is a script of its own, and an interrupt
 */

enum {
    LSI_DSTAT = 0x0c, LSI_SSTAT1 = 0x0e, LSI_ISTAT0 = 0x14, LSI_DSP = 0x2c,
    LSI_SIST0 = 0x42,
};

#define LSI_SELECT 0x40000000
#define LSI_RESELECT 0x50000000
#define LSI_INTERRUPT 0x98080000

/* The largest piece of data, so that commands have several */
#define LSI_PIECE (96 * KiB)

static uint8_t lsi_in(Hba *h, int reg)
{
    return qpci_io_readb(h->pdev, h->bar, reg);
}

static uint8_t lsi_phase(Hba *h)
{
    return lsi_in(h, LSI_SSTAT1) & 7;
}

static void lsi_run(Hba *h, uint32_t insn, uint32_t addr)
{
    const gint64 start = g_get_monotonic_time();
    /* Interrupts, since the end of a command makes the script go on */
    uint32_t script[16] = { cpu_to_le32(insn), cpu_to_le32(addr) };
    size_t i;

    for (i = 2; i < ARRAY_SIZE(script); i += 2) {
        script[i] = cpu_to_le32(LSI_INTERRUPT);
    }
    qtest_bufwrite(h->qts, h->mem, script, sizeof(script));
    lsi_in(h, LSI_DSTAT);
    lsi_in(h, LSI_SIST0);
    qpci_io_writel(h->pdev, h->bar, LSI_DSP, h->mem);
    while (!(lsi_in(h, LSI_ISTAT0) & 3)) {
        step(h, start);
    }
}

static void lsi_move(Hba *h, uint8_t phase, uint32_t addr, uint32_t len)
{
    lsi_run(h, (uint32_t)phase << 24 | len, addr);
}

static uint8_t lsi_command(Hba *h, const uint8_t *cdb, uint8_t cdb_len,
                           size_t out, size_t in)
{
    const gint64 start = g_get_monotonic_time();
    const uint32_t byte = h->mem + 0x80;
    uint32_t data = h->mem + HBA_DATA;
    size_t left = out + in;
    uint8_t phase;

    lsi_run(h, LSI_SELECT, 0);
    qtest_writeb(h->qts, byte, 0x80);
    lsi_move(h, PHASE_MESSAGE_OUT, byte, 1);
    qtest_bufwrite(h->qts, h->mem + 0x100, cdb, cdb_len);
    lsi_move(h, PHASE_COMMAND, h->mem + 0x100, cdb_len);
    if (lsi_phase(h) == PHASE_MESSAGE_IN) {
        /* Disconnected while the disk works */
        lsi_move(h, PHASE_MESSAGE_IN, byte, 2);
        lsi_run(h, LSI_RESELECT, 0);
        lsi_move(h, PHASE_MESSAGE_IN, byte, 1);
    }
    while ((phase = lsi_phase(h)) != PHASE_STATUS) {
        uint32_t n = MIN(left, LSI_PIECE);

        if (n) {
            lsi_move(h, phase, data, n);
            data += n;
            left -= n;
        } else {
            step(h, start);
        }
    }
    lsi_move(h, PHASE_STATUS, byte, 1);
    lsi_move(h, PHASE_MESSAGE_IN, byte + 1, 1);
    return qtest_readb(h->qts, byte);
}

/*
 * megasas
 */

#define MFI_IQP 0x40
#define MFI_LD_SCSI_IO 3

static uint8_t megasas_command(Hba *h, const uint8_t *cdb, uint8_t cdb_len,
                               size_t out, size_t in)
{
    const gint64 start = g_get_monotonic_time();
    const uint32_t half = (out + in) / 2;
    uint8_t frame[64] = {
        [0] = MFI_LD_SCSI_IO, [1] = 18, [2] = 0xff, [6] = cdb_len,
        [7] = out + in ? 2 : 0,
        [16] = out ? 0x08 : in ? 0x10 : 0,
    };

    stl_le_p(&frame[20], out + in);
    stl_le_p(&frame[24], h->mem + HBA_SENSE);
    memcpy(&frame[32], cdb, cdb_len);
    if (out + in) {
        stl_le_p(&frame[48], h->mem + HBA_DATA);
        stl_le_p(&frame[52], half);
        stl_le_p(&frame[56], h->mem + HBA_DATA + half);
        stl_le_p(&frame[60], out + in - half);
    }
    qtest_bufwrite(h->qts, h->mem, frame, sizeof(frame));
    qpci_io_writel(h->pdev, h->bar, MFI_IQP, h->mem);
    while (qtest_readb(h->qts, h->mem + 2) == 0xff) {
        step(h, start);
    }
    return qtest_readb(h->qts, h->mem + 3);
}

/*
 * mptsas1068
 */

enum { MPI_DOORBELL = 0, MPI_REQUEST = 0x40, MPI_REPLY = 0x44 };

#define MPI_REPLY_FRAME 0x100
#define MPI_SGE_SIMPLE 0x10000000
#define MPI_SGE_LAST 0xc1000000

static void mptsas_start(Hba *h)
{
    /* IOC INIT, with the size of replies */
    const uint32_t init[] = { 0x02000000, 0x00010100, 0, 128, [10] = 0 };
    size_t i;

    qpci_io_writel(h->pdev, h->bar, MPI_DOORBELL,
                   0x42000000 | ARRAY_SIZE(init) << 16);
    for (i = 0; i < ARRAY_SIZE(init); i++) {
        qpci_io_writel(h->pdev, h->bar, MPI_DOORBELL, init[i]);
    }
    qpci_io_writel(h->pdev, h->bar, MPI_REPLY, h->mem + MPI_REPLY_FRAME);
}

static uint8_t mptsas_command(Hba *h, const uint8_t *cdb, uint8_t cdb_len,
                              size_t out, size_t in)
{
    const gint64 start = g_get_monotonic_time();
    const uint32_t half = (out + in) / 4 * 2;
    uint8_t request[64] = { [4] = cdb_len, [5] = 18 };
    uint32_t reply;

    stl_le_p(&request[0x14], out ? 0x01000000 : in ? 0x02000000 : 0);
    memcpy(&request[0x18], cdb, cdb_len);
    stl_le_p(&request[0x28], out + in);
    stl_le_p(&request[0x2c], h->mem + HBA_SENSE);
    stl_le_p(&request[0x30], MPI_SGE_SIMPLE | half);
    stl_le_p(&request[0x34], h->mem + HBA_DATA);
    stl_le_p(&request[0x38], MPI_SGE_SIMPLE | MPI_SGE_LAST |
                             (uint32_t)(out + in - half));
    stl_le_p(&request[0x3c], h->mem + HBA_DATA + half);
    if (!half) {
        memcpy(&request[0x30], &request[0x38], 8);
    }
    qtest_bufwrite(h->qts, h->mem, request, sizeof(request));
    qpci_io_writel(h->pdev, h->bar, MPI_REQUEST, h->mem);
    while ((reply = qpci_io_readl(h->pdev, h->bar, MPI_REPLY)) == UINT32_MAX) {
        step(h, start);
    }
    if (!(reply & 0x80000000)) {
        return GOOD;
    }
    g_assert_cmphex(reply << 1, ==, h->mem + MPI_REPLY_FRAME);
    qpci_io_writel(h->pdev, h->bar, MPI_REPLY, h->mem + MPI_REPLY_FRAME);
    return qtest_readb(h->qts, h->mem + MPI_REPLY_FRAME + 0x0c);
}

/*
 * pvscsi: a page each for the state of the rings with the scatter/gather list,
 * for requests and for completions
 */

enum { PVSCSI_COMMAND = 0, PVSCSI_COMMAND_DATA = 4, PVSCSI_KICK = 0x3014 };

#define PVSCSI_SETUP_RINGS 3
#define PVSCSI_LIST 0x800
#define PVSCSI_REQUESTS 0x1000
#define PVSCSI_COMPLETIONS 0x2000

static void pvscsi_start(Hba *h)
{
    const uint32_t page = h->mem / 4096;
    const uint32_t setup[4 + 2 * 64] = {
        1, 1, page, 0, page + 1, [4 + 64] = page + 2,
    };
    size_t i;

    g_assert_cmpuint(h->mem % 4096, ==, 0);
    qpci_io_writel(h->pdev, h->bar, PVSCSI_COMMAND, PVSCSI_SETUP_RINGS);
    for (i = 0; i < ARRAY_SIZE(setup); i++) {
        qpci_io_writel(h->pdev, h->bar, PVSCSI_COMMAND_DATA, setup[i]);
    }
}

static uint8_t pvscsi_command(Hba *h, const uint8_t *cdb, uint8_t cdb_len,
                              size_t out, size_t in)
{
    const gint64 start = g_get_monotonic_time();
    const uint32_t half = (out + in) / 2;
    const uint32_t index = qtest_readl(h->qts, h->mem);
    uint8_t request[128] = { [0] = 1, [32] = 18, [56] = cdb_len };
    uint8_t list[32] = { 0 };

    stq_le_p(&list[0], h->mem + HBA_DATA);
    stl_le_p(&list[8], half);
    stq_le_p(&list[16], h->mem + HBA_DATA + half);
    stl_le_p(&list[24], out + in - half);
    qtest_bufwrite(h->qts, h->mem + PVSCSI_LIST, list, sizeof(list));
    stq_le_p(&request[8], h->mem + PVSCSI_LIST);
    stq_le_p(&request[16], out + in);
    stq_le_p(&request[24], h->mem + HBA_SENSE);
    request[36] = 1 | (out ? 0x10 : in ? 0x08 : 0x04);
    memcpy(&request[40], cdb, cdb_len);
    qtest_bufwrite(h->qts, h->mem + PVSCSI_REQUESTS + index % 32 * 128,
                   request, sizeof(request));
    qtest_writel(h->qts, h->mem, index + 1);
    qpci_io_writel(h->pdev, h->bar, PVSCSI_KICK, 0);
    while (qtest_readl(h->qts, h->mem + 12) == index) {
        step(h, start);
    }
    return qtest_readw(h->qts, h->mem + PVSCSI_COMPLETIONS +
                               index % 128 * 32 + 22);
}

static const HbaKind kinds[] = {
    { "am53c974", 0, false, NULL, esp_command },
    { "lsi53c895a", 1, false, NULL, lsi_command },
    { "megasas", 0, true, NULL, megasas_command, true },
    { "mptsas1068", 1, true, mptsas_start, mptsas_command },
    { "pvscsi", 0, true, pvscsi_start, pvscsi_command, true },
};

/*
 * Commands
 */

static Hba *hba_new(const HbaKind *kind, const char *node)
{
    Hba *h = g_new0(Hba, 1);

    h->kind = kind;
    h->qs = qtest_pc_boot("-nodefaults -blockdev node-name=zbd,%s "
                          "-device %s,id=hba,addr=4 "
                          "-device scsi-hd,bus=hba.0,scsi-id=0,drive=zbd",
                          node, kind->device);
    h->qts = h->qs->qts;
    h->mem = guest_alloc(&h->qs->alloc, HBA_DATA + DATA_MAX);
    h->pdev = qpci_device_find(h->qs->pcibus, QPCI_DEVFN(4, 0));
    g_assert_nonnull(h->pdev);
    qpci_device_enable(h->pdev);
    h->bar = qpci_iomap(h->pdev, kind->bar, NULL);
    if (kind->start) {
        kind->start(h);
    }
    return h;
}

static void hba_free(Hba *h)
{
    qpci_iounmap(h->pdev, h->bar);
    g_free(h->pdev);
    qtest_shutdown(h->qs);
    g_free(h);
}

/* Returns the sense */
static uint32_t hba_cmd(Hba *h, const uint8_t *cdb, size_t out, size_t in)
{
    static const uint8_t request_sense[6] = { REQUEST_SENSE, 0, 0, 0, 18 };
    uint64_t at = h->mem + HBA_SENSE;
    uint8_t status = h->kind->command(h, cdb, cdb[0] < 0x20 ? 6 : 16, out, in);
    uint8_t sense[18];

    if (status == GOOD) {
        return 0;
    }
    g_assert_cmphex(status, ==, CHECK_CONDITION);
    if (!h->kind->autosense) {
        at = h->mem + HBA_DATA;
        g_assert_cmphex(h->kind->command(h, request_sense, 6, 0, 18), ==,
                        GOOD);
    }
    qtest_bufread(h->qts, at, sense, sizeof(sense));
    return sense[2] << 16 | sense[12] << 8 | sense[13];
}

static uint32_t hba_write(Hba *h, uint64_t lba, uint32_t n, uint8_t pattern)
{
    uint8_t cdb[16];

    rw_cdb(cdb, WRITE_16, lba, n);
    qtest_memset(h->qts, h->mem + HBA_DATA, pattern, n * 512);
    return hba_cmd(h, cdb, n * 512, 0);
}

static uint32_t hba_mgmt(Hba *h, uint8_t action, uint64_t lba)
{
    uint8_t cdb[16] = { ZBC_OUT, action };

    stq_be_p(&cdb[2], lba);
    return hba_cmd(h, cdb, 0, 0);
}

static uint8_t *hba_report(Hba *h, uint64_t lba, uint8_t options, size_t len)
{
    uint8_t cdb[16] = { ZBC_IN, 0, [14] = options };
    uint8_t *buf = g_malloc(len);

    stq_be_p(&cdb[2], lba);
    stl_be_p(&cdb[10], len);
    qtest_memset(h->qts, h->mem + HBA_DATA, 0xa5, len);
    g_assert_cmphex(hba_cmd(h, cdb, 0, len), ==, 0);
    qtest_bufread(h->qts, h->mem + HBA_DATA, buf, len);
    return buf;
}

static void assert_wp(Hba *h, uint64_t zone, uint8_t cond, uint64_t wp)
{
    g_autofree uint8_t *buf = hba_report(h, zone, PARTIAL, 128);

    g_assert_cmphex(buf[64 + 1] >> 4, ==, cond);
    g_assert_cmpuint(ldq_be_p(&buf[64 + 24]), ==, wp);
}

static void power_on(Hba *h)
{
    const uint8_t test_unit_ready[6] = { 0 };

    /* A unit attention, if the HBA does not swallow it */
    hba_cmd(h, test_unit_ready, 0, 0);
    g_assert_cmphex(hba_cmd(h, test_unit_ready, 0, 0), ==, 0);
}

/* A write larger than the pieces is one write, done or refused as a whole */
static void test_write(const void *kind)
{
    enum { START = 2048, WRITTEN = 1008, LEFT = 2000 - WRITTEN };
    const uint8_t inquiry[6] = { INQUIRY, 0, 0, 0, 36 };
    Hba *h = hba_new(kind, LARGE_ZONES);
    uint8_t data[512], cdb[16];
    int i;

    power_on(h);
    g_assert_cmphex(hba_cmd(h, inquiry, 0, 36), ==, 0);
    g_assert_cmphex(qtest_readb(h->qts, h->mem + HBA_DATA), ==, TYPE_ZBC);

    g_assert_cmphex(hba_write(h, START, 8, 1), ==, 0);
    g_assert_cmphex(hba_write(h, START + 8, WRITTEN - 8, 2), ==, 0);
    assert_wp(h, START, IOPEN, START + WRITTEN);
    g_assert_cmphex(hba_write(h, START + 1000, 900, 3), ==, UNALIGNED);
    g_assert_cmphex(hba_write(h, START + WRITTEN, LEFT + 1, 4), ==,
                    WRITE_BORDER);
    assert_wp(h, START, IOPEN, START + WRITTEN);
    g_assert_cmphex(hba_mgmt(h, OPEN, START + 1), ==, BAD_FIELD);
    g_assert_cmphex(hba_mgmt(h, OPEN, START), ==, 0);
    assert_wp(h, START, EOPEN, START + WRITTEN);
    g_assert_cmphex(hba_write(h, START + WRITTEN, LEFT, 5), ==, 0);
    assert_wp(h, START, FULL, START + 2000);
    for (i = 0; i < 2000; i += 97) {
        rw_cdb(cdb, READ_16, START + i, 1);
        g_assert_cmphex(hba_cmd(h, cdb, 0, 512), ==, 0);
        qtest_bufread(h->qts, h->mem + HBA_DATA, data, 512);
        g_assert_cmphex(data[511], ==, i < 8 ? 1 : i < WRITTEN ? 2 : 5);
    }
    g_assert_cmphex(hba_mgmt(h, RESET, START), ==, 0);
    assert_wp(h, START, EMPTY, START);
    hba_free(h);
}

/* REPORT ZONES gives what it gives on virtio-scsi */
static void test_report(const void *kind)
{
    static const uint8_t options[] = { 0, 1, 4, 5, 0x3e, 0x3f, PARTIAL,
                                       PARTIAL | 0x3f, PARTIAL | 1 };
    static const uint32_t lens[] = { 10, 64, 100, 128, 64 * 100, 64 * 1025,
                                     64 * 5000 };
    Hba *h = hba_new(kind, MANY_ZONES);
    Disk *d = disk_new(MANY_ZONES, "");
    size_t i, j;

    power_on(h);
    g_assert_cmphex(hba_write(h, 32, 4, 1), ==, 0);
    g_assert_cmphex(do_write(d, 32, 4), ==, 0);
    for (i = 0; i < ARRAY_SIZE(options); i++) {
        for (j = 0; j < ARRAY_SIZE(lens); j++) {
            g_autofree uint8_t *a = hba_report(h, i * 5, options[i], lens[j]);
            g_autofree uint8_t *b = g_malloc(lens[j]);

            g_assert_cmphex(report_raw(d, i * 5, options[i], lens[j], b), ==,
                            0);
            g_assert_cmpmem(a, lens[j], b, lens[j]);
        }
    }
    disk_free(d);
    hba_free(h);
}

/* Reads and writes for whose data there is no memory */
static void test_no_memory(const void *kind)
{
    static const char *const nodes[] = { NO_ZONES, LARGE_ZONES };
    size_t i;

    for (i = 0; i < ARRAY_SIZE(nodes); i++) {
        Hba *h = hba_new(kind, nodes[i]);
        uint8_t cdb[16];

        power_on(h);
        rw_cdb(cdb, READ_16, 2048, 1);
        g_assert_cmphex(hba_cmd(h, cdb, 0, 0), ==, TARGET_FAILURE);
        rw_cdb(cdb, WRITE_16, 2048, 1);
        g_assert_cmphex(hba_cmd(h, cdb, 0, 0), ==, TARGET_FAILURE);
        g_assert_cmphex(hba_write(h, 2048, 1, 1), ==, 0);
        rw_cdb(cdb, READ_16, 2048, 0);
        g_assert_cmphex(hba_cmd(h, cdb, 0, 0), ==, 0);
        hba_free(h);
    }
}

/* HBAs without a driver here; a device that makes its disk is refused */
static void test_realize(void)
{
    static const char *const hbas[] = {
        "dc390", "lsi53c810", "megasas-gen2",
        "qemu-xhci -device usb-bot", "qemu-xhci -device usb-uas",
    };
    g_autofree char *refused = NULL;
    QTestState *qts;
    size_t i;

    for (i = 0; i < ARRAY_SIZE(hbas); i++) {
        g_autofree char *tree = NULL;

        qts = qtest_initf("-nodefaults -blockdev node-name=zbd," LARGE_ZONES
                          " -device %s,id=hba "
                          "-device scsi-hd,bus=hba.0,id=hd,drive=zbd",
                          hbas[i]);
        tree = qtest_hmp(qts, "info qtree");
        g_assert_nonnull(strstr(tree, "dev: scsi-hd, id \"hd\""));
        qtest_quit(qts);
    }
    qts = qtest_init("-nodefaults -device qemu-xhci "
                     "-blockdev node-name=zbd," LARGE_ZONES);
    refused = qtest_hmp(qts, "device_add usb-storage,drive=zbd");
    g_assert_nonnull(strstr(refused, "supports zones"));
    qtest_quit(qts);
}

int main(int argc, char **argv)
{
    size_t i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < ARRAY_SIZE(kinds); i++) {
        g_autofree char *write = g_strdup_printf("/scsi/zbc-hba/%s/write",
                                                 kinds[i].device);
        g_autofree char *report = g_strdup_printf("/scsi/zbc-hba/%s/report",
                                                  kinds[i].device);
        g_autofree char *memory = g_strdup_printf("/scsi/zbc-hba/%s/no-memory",
                                                  kinds[i].device);

        qtest_add_data_func(write, &kinds[i], test_write);
        qtest_add_data_func(report, &kinds[i], test_report);
        if (kinds[i].takes_no_memory) {
            qtest_add_data_func(memory, &kinds[i], test_no_memory);
        }
    }
    qtest_add_func("/scsi/zbc-hba/realize", test_realize);
    return g_test_run();
}
