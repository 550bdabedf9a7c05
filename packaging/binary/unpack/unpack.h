/* The single file: this program with the one-folder form behind it, as one gzipped tar.
 *
 * It unpacks once, into a folder that only its user can write to, and becomes the program
 * in there: the same process, so signals and an end by force mean what they mean to any.
 *
 * packaging/binary/single_file.py gives FOLDER, the version and a part of the payload's hash, and GLIBC,
 * the oldest that the program runs on.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define PROGRAM "agentgather"

/* In the file: this program, the payload, the payload's length as eight bytes, least
 * significant first, and MAGIC. */
#define MAGIC "AGPACK01"
#define TRAILER_BYTES 16
#define DAMAGED "this file is damaged; download it again"

struct payload {
    const unsigned char *start;
    size_t bytes;
};

/* Say in one line what is wrong, and end. */
_Noreturn void give_up(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* archive.c: unpack into an empty folder, without the first part of each name. False, with
 * errno: EBADMSG if the payload is not as it was made, else what the folder says. */
bool unpack(const struct payload *payload, int folder);

/* cache.c: give the folder below `base` with the whole program in it, unpacked first where
 * need be. The descriptor holds a lock: as long as it is open, here and in what this process
 * becomes, no other version removes the folder. -1 where `base` can't be used; `why` then
 * has the reason. */
int open_program(const char *base, const struct payload *payload, const char **why);
