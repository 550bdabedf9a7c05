/* Find the payload and a folder for it, and become the program. */
#include "unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define OWN_FOLDER "AGENTGATHER_UNPACK_DIR"
#define REFUSED 1

_Noreturn void give_up(const char *format, ...) {
    char line[2 * PATH_MAX];
    va_list values;
    va_start(values, format);
    vsnprintf(line, sizeof line, format, values);
    va_end(values);
    dprintf(STDERR_FILENO, PROGRAM ": %s\n", line);
    exit(REFUSED);
}

/* Keep the numbers of closed streams from files of ours, and leave them closed to the program. */
static void hold_streams(void) {
    for (int number = 0; number <= STDERR_FILENO; number++) {
        if (fcntl(number, F_GETFD) >= 0) continue;
        /* The lowest free number is this one. */
        if (open("/dev/null", O_RDWR | O_CLOEXEC) != number) exit(REFUSED);
    }
}

static struct payload find_payload(void) {
    int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    struct stat found;
    if (self < 0 || fstat(self, &found))
        give_up("cannot read itself: /proc/self/exe: %s", strerror(errno));
    size_t whole = (size_t)found.st_size;
    unsigned char *file = mmap(NULL, whole, PROT_READ, MAP_PRIVATE, self, 0);
    if (file == MAP_FAILED) give_up("cannot read itself: %s", strerror(errno));
    close(self);
    const unsigned char *trailer = file + whole - TRAILER_BYTES;
    size_t bytes = 0;
    for (int place = 7; place >= 0; place--) bytes = bytes << 8 | trailer[place];
    if (memcmp(trailer + 8, MAGIC, 8) || bytes > whole - TRAILER_BYTES)
        give_up(DAMAGED);
    return (struct payload){trailer - bytes, bytes};
}

static char *joined(const char *folder, const char *rest) {
    char *path;
    if (asprintf(&path, "%s%s", folder, rest) < 0) give_up("no memory");
    return path;
}

/* Become the program in `base`. Returns only if that can't be, and says why. */
static const char *become(const char *base, const struct payload *payload, char **arguments) {
    const char *why;
    mode_t mask = umask(077);
    int folder = open_program(base, payload, &why);
    umask(mask);
    if (folder < 0) return why;
    execv(joined(base, "/" FOLDER "/" PROGRAM), arguments);
    /* It is there, so what is missing is what loads it. */
    if (errno == ENOENT)
        give_up("this program needs Linux with glibc " GLIBC " or newer, and finds none here");
    why = strerror(errno);
    close(folder);
    return why;
}

static bool is_own(const char *path) {
    struct stat found;
    return path && path[0] == '/' && stat(path, &found) == 0 && found.st_uid == geteuid();
}

/* Say whether a folder, or the one that it would be made in, is neither ours nor root's. */
static bool is_others(const char *path) {
    char part[PATH_MAX];
    struct stat found;
    if (snprintf(part, sizeof part, "%s", path) >= (int)sizeof part) return true;
    while (stat(part, &found)) {
        char *slash = strrchr(part, '/');
        if (slash == part && !slash[1]) return true;
        slash[slash == part] = '\0';
    }
    return found.st_uid != geteuid() && found.st_uid != 0;
}

/* List where to unpack, best first. Returns how many. */
static int list_bases(char *bases[3]) {
    const char *own = getenv(OWN_FOLDER), *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char shared[64];
    snprintf(shared, sizeof shared, "/" PROGRAM "-%u", (unsigned)geteuid());
    int known = 0;
    if (own && *own) {
        if (own[0] != '/') give_up(OWN_FOLDER " must begin with a slash, not: %s", own);
        bases[known++] = joined(own, shared);
        return known;
    }
    /* Under sudo these may be another user's: neither run what that one can change, nor leave
     * root's files there. */
    if (cache && cache[0] == '/' && !is_others(cache))
        bases[known++] = joined(cache, "/" PROGRAM);
    else if (is_own(home))
        bases[known++] = joined(home, "/.cache/" PROGRAM);
    bases[known++] = joined("/var/tmp", shared);
    bases[known++] = joined("/tmp", shared);
    return known;
}

int main(int count, char **arguments) {
    (void)count;
    hold_streams();
    struct payload payload = find_payload();
    char *bases[3];
    int known = list_bases(bases);
    const char *first = become(bases[0], &payload, arguments);
    for (int one = 1; one < known; one++) become(bases[one], &payload, arguments);
    give_up("nowhere to unpack (%s: %s); set " OWN_FOLDER
            " to a folder that you can write to and that programs may run from",
            bases[0], first);
}
