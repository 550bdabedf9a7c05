/* The folder that the program is unpacked into, and those that older versions left. */
#include "unpack.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define UNFINISHED ".new-"
#define OUTDATED ".old-"
#define HASH_CHARS 16
#define ATTEMPTS 10

static const char *make_folders(const char *path) {
    char part[PATH_MAX];
    if (snprintf(part, sizeof part, "%s/", path) >= (int)sizeof part) return "its name is too long";
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        /* A folder that is there may be on a disk that can't be written to, or not be ours. */
        if (mkdir(part, 0700)) {
            const char *why = strerror(errno);
            if (access(part, F_OK)) return why;
        }
        *slash = '/';
    }
    return NULL;
}

/* Say what is wrong with a folder from which a program is to run: whoever could write to it
 * would choose the program. */
static const char *fault_of(int folder) {
    struct stat found;
    struct statvfs system;
    if (fstat(folder, &found) || fstatvfs(folder, &system)) return strerror(errno);
    if (found.st_uid != geteuid()) return "it belongs to somebody else";
    if (found.st_mode & 022) return "others may write to it";
    if (system.f_flag & ST_NOEXEC) return "no program may run from it (noexec)";
    return NULL;
}

static void remove_tree(int parent, const char *name) {
    int folder = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *entries = folder < 0 ? NULL : fdopendir(folder);
    if (!entries) {
        if (folder >= 0) close(folder);
        return;
    }
    for (struct dirent *entry; (entry = readdir(entries));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        if (unlinkat(folder, entry->d_name, 0)) remove_tree(folder, entry->d_name);
    }
    closedir(entries);
    unlinkat(parent, name, AT_REMOVEDIR);
}

static bool is_of_ours(const char *name) {
    if (!strncmp(name, UNFINISHED, strlen(UNFINISHED))) return true;
    if (!strncmp(name, OUTDATED, strlen(OUTDATED))) return true;
    const char *hash = strrchr(name, '-');
    return isdigit((unsigned char)name[0]) && hash && strlen(hash + 1) == HASH_CHARS &&
           strspn(hash + 1, "0123456789abcdef") == HASH_CHARS;
}

/* Remove what other versions left and nothing runs from. A folder in use is locked. */
static void remove_outdated(int base) {
    int copy = openat(base, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = copy < 0 ? NULL : fdopendir(copy);
    if (!entries) return;
    for (struct dirent *entry; (entry = readdir(entries));) {
        const char *name = entry->d_name;
        if (!strcmp(name, FOLDER) || !is_of_ours(name)) continue;
        int folder = openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (folder < 0) continue;
        if (flock(folder, LOCK_EX | LOCK_NB) == 0) {
            /* First the name, so that one that is half removed is never run from. */
            char old[NAME_MAX + 1];
            bool is_old = !strncmp(name, OUTDATED, strlen(OUTDATED));
            snprintf(old, sizeof old, "%s%.200s", is_old ? "" : OUTDATED, name);
            if (is_old || renameat(base, name, base, old) == 0) remove_tree(base, old);
        }
        close(folder);
    }
    closedir(entries);
}

static bool is_still(int base, const char *name, int folder) {
    struct stat there, here;
    return fstatat(base, name, &there, AT_SYMLINK_NOFOLLOW) == 0 && fstat(folder, &here) == 0 &&
           there.st_ino == here.st_ino && there.st_dev == here.st_dev;
}

/* Open a folder and lock it against removal; -1 if it went meanwhile. It stays open in what
 * this process becomes, above the standard streams. */
static int open_locked(int base, const char *name) {
    int folder = openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (folder < 0) return -1;
    /* A file system without locks: then others can't lock it to remove it either. */
    while (flock(folder, LOCK_SH) && errno == EINTR) {
    }
    if (is_still(base, name, folder)) return folder;
    close(folder);
    errno = ENOENT;
    return -1;
}

/* Unpack beside, then rename: whoever else does the same at this time is not disturbed, and
 * what has the name is whole, also after a crash. False, with errno, if it can't be. */
static bool add_program(int base, const char *base_path, const struct payload *payload) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/" UNFINISHED "XXXXXX", base_path);
    if (!mkdtemp(path)) return false;
    const char *name = strrchr(path, '/') + 1;
    int folder = open_locked(base, name);
    bool done = folder >= 0 && unpack(payload, folder) && syncfs(folder) == 0;
    done = done && renameat(base, name, base, FOLDER) == 0;
    int problem = errno;
    if (!done) remove_tree(base, name);
    if (folder >= 0) close(folder);
    if (done) remove_outdated(base);
    if (!done && problem == EBADMSG) give_up(DAMAGED);
    errno = problem;
    /* Somebody else was quicker, or took this one for a left-over: look again. */
    return done || problem == EEXIST || problem == ENOTEMPTY || problem == ENOENT;
}

int open_program(const char *base_path, const struct payload *payload, const char **why) {
    if ((*why = make_folders(base_path))) return -1;
    int base = open(base_path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (base < 0) {
        *why = strerror(errno);
        return -1;
    }
    int folder = -1;
    *why = fault_of(base);
    for (int attempt = 0; !*why && attempt < ATTEMPTS; attempt++) {
        folder = open_locked(base, FOLDER);
        if (folder >= 0) {
            *why = fault_of(folder);
            break;
        }
        if (errno != ENOENT || !add_program(base, base_path, payload)) *why = strerror(errno);
    }
    close(base);
    if (folder < 0 && !*why) *why = "its files keep vanishing";
    return *why ? -1 : folder;
}
