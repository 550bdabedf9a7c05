/* A gzipped ustar archive, unpacked: plain files and folders, nothing else. */
#include "unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define BLOCK 512

struct header {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100];
    char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a header is one block");

struct reader {
    z_stream z;
    unsigned char data[64 * 1024];
    const unsigned char *next;
    size_t left;
    bool at_end;
};

static bool damaged(void) {
    errno = EBADMSG;
    return false;
}

/* Decompress on, once what was there is used up. gzip's own checksum is looked at with the
 * last byte. */
static bool refill(struct reader *reader) {
    reader->z.next_out = reader->data;
    reader->z.avail_out = sizeof reader->data;
    int status = inflate(&reader->z, Z_NO_FLUSH);
    reader->next = reader->data;
    reader->left = sizeof reader->data - reader->z.avail_out;
    reader->at_end = status == Z_STREAM_END;
    return status == Z_OK || status == Z_STREAM_END || damaged();
}

/* Give up to `most` bytes in one piece; 0 if there are none. */
static size_t take(struct reader *reader, size_t most, const unsigned char **piece) {
    while (reader->left == 0) {
        if (reader->at_end) return damaged();
        if (!refill(reader)) return 0;
    }
    size_t taken = most < reader->left ? most : reader->left;
    *piece = reader->next;
    reader->next += taken;
    reader->left -= taken;
    return taken;
}

static bool take_block(struct reader *reader, struct header *header) {
    const unsigned char *piece;
    for (size_t had = 0, got; had < BLOCK; had += got) {
        if (!(got = take(reader, BLOCK - had, &piece))) return false;
        memcpy((char *)header + had, piece, got);
    }
    return true;
}

/* Give a name below the archive's one top folder: "" for that folder itself, NULL for one
 * that leads out of it. */
static const char *name_of(const struct header *header, char whole[257]) {
    size_t used = strnlen(header->prefix, sizeof header->prefix);
    memcpy(whole, header->prefix, used);
    if (used) whole[used++] = '/';
    size_t length = strnlen(header->name, sizeof header->name);
    memcpy(whole + used, header->name, length);
    whole[used + length] = '\0';
    if (whole[0] == '/' || strstr(whole, "..")) return NULL;
    const char *slash = strchr(whole, '/');
    return slash ? slash + 1 : "";
}

static bool write_all(int file, const unsigned char *piece, size_t bytes) {
    while (bytes) {
        ssize_t written = write(file, piece, bytes);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return false;
        piece += written;
        bytes -= (size_t)written;
    }
    return true;
}

static bool unpack_file(struct reader *reader, const struct header *header, int folder,
                        const char *name) {
    /* Only the owner's right to run is taken over: nobody else gets any. */
    mode_t mode = strtoul(header->mode, NULL, 8) & 0100 ? 0700 : 0600;
    int file = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (file < 0) return false;
    size_t left = strtoul(header->size, NULL, 8), got;
    size_t padding = (BLOCK - left % BLOCK) % BLOCK;
    const unsigned char *piece;
    bool done = true;
    for (; done && left; left -= got) {
        got = take(reader, left, &piece);
        done = got && write_all(file, piece, got);
    }
    for (; done && padding; padding -= got) done = (got = take(reader, padding, &piece));
    int problem = errno;
    if (close(file) && done) return false;
    errno = problem;
    return done;
}

static bool unpack_all(struct reader *reader, int folder) {
    struct header header;
    char whole[257];
    for (;;) {
        if (!take_block(reader, &header)) return false;
        if (!header.name[0]) break;
        const char *name = name_of(&header, whole);
        if (!name) return damaged();
        if (header.type == '5') {
            if (*name && mkdirat(folder, name, 0700)) return false;
        } else if (header.type == '0' && *name) {
            if (!unpack_file(reader, &header, folder, name)) return false;
        } else {
            return damaged();
        }
    }
    /* To the last byte, for the checksum. */
    while (!reader->at_end) {
        if (!refill(reader)) return false;
    }
    return true;
}

bool unpack(const struct payload *payload, int folder) {
    static struct reader reader;
    memset(&reader, 0, sizeof reader);
    reader.z.next_in = (unsigned char *)payload->start;
    reader.z.avail_in = (unsigned)payload->bytes;
    /* 16: what comes is gzip. */
    if (inflateInit2(&reader.z, 16 + MAX_WBITS) != Z_OK) give_up("no memory");
    bool done = unpack_all(&reader, folder);
    int problem = errno;
    inflateEnd(&reader.z);
    errno = problem;
    return done;
}
