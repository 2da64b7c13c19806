// Stands between a program and the system, so that tests can have a disk hang for that program alone.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// A sync does not return while the file named by STEPRILL_TEST_DISK_HANGS exists.
static void hang(void) {
    const char *path = getenv("STEPRILL_TEST_DISK_HANGS");
    struct timespec pause = {0, 2000000};
    while (path && access(path, F_OK) == 0) nanosleep(&pause, 0);
}

int fsync(int file) {
    hang();
    return (int)syscall(SYS_fsync, file);
}

int fdatasync(int file) {
    hang();
    return (int)syscall(SYS_fdatasync, file);
}
