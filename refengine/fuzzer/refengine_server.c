/* `refengine fuzz` for emulators and boards: this file goes into the image that holds your kernels and your
 * refengine_kernel. It takes cases from a line of bytes, calls refengine_kernel, and sends back what memory looks like.
 *
 *     refengine fuzz --header > refengine_fuzz.h
 *     refengine fuzz --server > refengine_server.c
 *
 * The line is standard input and output: a process's pipes, or what semihosting (rdimon) makes of them:
 *
 *     cc -O2 refengine_server.c adapter.c mykernels.c -o server
 *     refengine fuzz --emulator ./server
 *     arm-none-eabi-gcc -mcpu=cortex-m7 -mthumb --specs=rdimon.specs ... -o image.elf
 *     refengine fuzz --emulator 'qemu-system-arm -M mps2-an500 -nographic -semihosting-config enable=on -kernel image.elf'
 *
 * With -DREFENGINE_PORT=4000 it listens on a TCP port (`--port socket://localhost:4000`). With -DREFENGINE_LINE the line
 * is yours, such as a UART: write refengine_read and refengine_write, and call refengine_serve() from your main
 * (`--port /dev/ttyACM0`). A case with all guards takes 5 to 200 kB; those beyond REFENGINE_MEMORY bytes are skipped.
 *
 * A request: "RFZ1", CRC-32 of all that follows, its number, size, count, `count` places of pointers in the image, the
 * image of `size` bytes. A reply: "rfz1", CRC-32 of all that follows, the request's number, status, size, the image.
 * Every number has 32 bits, little-endian. A request without an image asks who is there. */
#include "refengine_fuzz.h"

#ifndef REFENGINE_MEMORY
#define REFENGINE_MEMORY 262144
#endif

enum { ALIGNMENT = 64, GARBLED = INT32_MIN };

#ifdef REFENGINE_LINE
int refengine_read(void *data, size_t bytes);         /* waits for all of them; 0 if there will be no more, else 1 */
void refengine_write(const void *data, size_t bytes); /* all of them */
#else
static int refengine_read(void *data, size_t bytes) { return fread(data, 1, bytes, stdin) == bytes; }
static void refengine_write(const void *data, size_t bytes) {
    fwrite(data, 1, bytes, stdout);
    fflush(stdout);
}
#endif

static unsigned char memory[REFENGINE_MEMORY + ALIGNMENT];

/* The CRC-32 of zlib, taken further. */
static uint32_t crc32_of(uint32_t crc, const void *data, size_t bytes) {
    static uint32_t table[256];
    const unsigned char *at = (const unsigned char *)data;
    uint32_t i, bit;
    if (table[1] == 0)
        for (i = 0; i < 256; i++) {
            table[i] = i;
            for (bit = 0; bit < 8; bit++) table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xEDB88320u : 0);
        }
    for (crc = ~crc; bytes > 0; bytes--) crc = crc >> 8 ^ table[(crc ^ *at++) & 255];
    return ~crc;
}

static void reply(uint32_t number, int32_t status, const void *data, uint32_t bytes) {
    uint32_t head[5] = {0, 0, 0, 0, 0};
    memcpy(head, "rfz1", 4);
    head[2] = number;
    head[3] = (uint32_t)status;
    head[4] = bytes;
    head[1] = crc32_of(crc32_of(0, head + 2, 12), data, bytes);
    refengine_write(head, sizeof head);
    if (bytes > 0) refengine_write(data, bytes);
}

/* Whether the line goes on; behind this there is a request's head. */
static int found_request(uint32_t head[4]) {
    unsigned char last[4] = {0, 0, 0, 0};
    do {
        memmove(last, last + 1, 3);
        if (!refengine_read(last + 3, 1)) return 0;
    } while (memcmp(last, "RFZ1", 4) != 0);
    return refengine_read(head, 16);
}

/* Turn the offsets at these places into addresses, or back. */
static void relocate(unsigned char *image, uint32_t size, const uint32_t *places, uint32_t count, uintptr_t by) {
    uintptr_t value;
    uint32_t i;
    for (i = 0; i < count; i++) {
        if (size < sizeof value || places[i] > size - sizeof value) continue; /* a kernel wrote over them */
        memcpy(&value, image + places[i], sizeof value);
        value += by;
        memcpy(image + places[i], &value, sizeof value);
    }
}

/* Serve requests until the line ends. */
void refengine_serve(void) {
    unsigned char *image = memory + (ALIGNMENT - (uintptr_t)memory % ALIGNMENT) % ALIGNMENT;
    const uint32_t here[] = {sizeof(void *),
                             REFENGINE_MEMORY,
                             sizeof(struct refengine_tensor),
                             sizeof(struct refengine_number),
                             sizeof(struct refengine_scratch),
                             sizeof(struct refengine_case)};
    uint32_t head[4]; /* CRC-32, number, size, count */
    while (found_request(head)) {
        const uint32_t size = head[2], count = head[3];
        uint32_t *places = (uint32_t *)(image + ((size_t)size + 7) / 8 * 8);
        int status = GARBLED;
        if (size > REFENGINE_MEMORY - 8 || count > (REFENGINE_MEMORY - 8 - size) / 4) {
            reply(head[1], GARBLED, NULL, 0);
            continue;
        }
        if (!refengine_read(places, 4 * (size_t)count) || !refengine_read(image, size)) return;
        if (crc32_of(crc32_of(crc32_of(0, head + 1, 12), places, 4 * (size_t)count), image, size) != head[0]) {
            reply(head[1], GARBLED, NULL, 0);
        } else if (size == 0) {
            reply(head[1], 0, here, sizeof here);
        } else {
            relocate(image, size, places, count, (uintptr_t)image);
            status = refengine_kernel((const struct refengine_case *)image);
            relocate(image, size, places, count, 0 - (uintptr_t)image);
            reply(head[1], status, image, size);
        }
    }
}

#ifdef REFENGINE_PORT
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
int main(void) {
    const int one = 1, server = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(REFENGINE_PORT)};
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(server, (struct sockaddr *)&address, sizeof address) != 0 || listen(server, 1) != 0) return 1;
    for (;;) {
        const int line = accept(server, NULL, NULL);
        if (line < 0 || dup2(line, 0) < 0 || dup2(line, 1) < 0) return 1;
        setsockopt(0, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        close(line);
        clearerr(stdin);
        refengine_serve();
    }
}
#elif !defined(REFENGINE_LINE)
int main(void) {
    refengine_serve();
    return 0;
}
#endif
