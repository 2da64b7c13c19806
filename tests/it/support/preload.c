// Stands between a program and the system, so that tests can have a disk hang and set the clock for that program alone.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// A sync does not return while the file named by STEPRILL_TEST_DISK_HANGS exists, and fails while the one named by
// STEPRILL_TEST_DISK_FAILS does.
static int is_bad(void) {
    const char *hangs = getenv("STEPRILL_TEST_DISK_HANGS"), *fails = getenv("STEPRILL_TEST_DISK_FAILS");
    struct timespec pause = {0, 2000000};
    while (hangs && access(hangs, F_OK) == 0) nanosleep(&pause, 0);
    if (!fails || access(fails, F_OK) != 0) return 0;
    errno = EIO;
    return 1;
}

int fsync(int file) { return is_bad() ? -1 : (int)syscall(SYS_fsync, file); }

int fdatasync(int file) { return is_bad() ? -1 : (int)syscall(SYS_fdatasync, file); }

// The wall clock is ahead by so many seconds as stand in the file named by STEPRILL_TEST_CLOCK.
int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    const char *path = clock == CLOCK_REALTIME ? getenv("STEPRILL_TEST_CLOCK") : 0;
    int file = path ? open(path, O_RDONLY) : -1;
    if (file >= 0) {
        char text[32] = {0};
        if (read(file, text, sizeof text - 1) > 0) time->tv_sec += atoll(text);
        close(file);
    }
    return result;
}
