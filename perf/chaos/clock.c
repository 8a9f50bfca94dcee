/* What a process takes for the time of day, off by as many seconds as a file says; the monotonic clock is left alone.
 *
 * Who waits until a time of day is woken by this clock too, as the kernel would do it: at once where the clock jumps past
 * that time, and later where it is set back.
 *
 * libfaketime does more and breaks what Python sleeps by (clock_nanosleep until a moment). Preloaded into every process
 * of a fleet: cc -shared -fPIC -O2 -o clock.so clock.c -ldl
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *dial;

__attribute__((constructor)) static void open_dial(void) {
    const char *path = getenv("PIXELIS_CHAOS_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *at = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (at != MAP_FAILED) dial = at;
}

static int64_t off(void) { return dial ? *dial : 0; }

int clock_gettime(clockid_t which, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(which, at);
    if (!done && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) at->tv_sec += off();
    return done;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    (void)zone;
    int done = clock_gettime(CLOCK_REALTIME, &now);
    if (!done) {
        at->tv_sec = now.tv_sec;
        at->tv_usec = now.tv_nsec / 1000;
    }
    return done;
}

time_t time(time_t *at) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now)) return (time_t)-1;
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}

/* Times of the monotonic clock, which some condition variables go by, are seconds since this machine started, and far
 * smaller than those of the day. */
enum { REAL = 1000000000, SLICE_NS = 50000000, SECOND_NS = 1000000000 };

static int of_the_day(const struct timespec *until) { return dial && until && until->tv_sec >= REAL; }

static int due(const struct timespec *until) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec > until->tv_sec || (now.tv_sec == until->tv_sec && now.tv_nsec >= until->tv_nsec);
}

/* The kernel waits until the real time of day, and no longer than until the dial is to be looked at again. */
static const struct timespec *slice(const struct timespec *until, struct timespec *kept) {
    clock_gettime(CLOCK_REALTIME, kept);
    kept->tv_nsec += SLICE_NS;
    if (kept->tv_nsec >= SECOND_NS) kept->tv_sec += 1, kept->tv_nsec -= SECOND_NS;
    if (kept->tv_sec > until->tv_sec || (kept->tv_sec == until->tv_sec && kept->tv_nsec > until->tv_nsec)) *kept = *until;
    kept->tv_sec -= off();
    return kept;
}

int pthread_cond_timedwait(pthread_cond_t *one, pthread_mutex_t *lock, const struct timespec *until) {
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    struct timespec kept;
    int done;
    /* The version that a program of today is linked with; there is an older one of another layout. */
    if (!real) *(void **)&real = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    if (!of_the_day(until)) return real(one, lock, until);
    do done = real(one, lock, slice(until, &kept));
    while (done == ETIMEDOUT && !due(until));
    return done;
}

int sem_timedwait(sem_t *one, const struct timespec *until) {
    static int (*real)(sem_t *, const struct timespec *);
    struct timespec kept;
    int done;
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "sem_timedwait");
    if (!of_the_day(until)) return real(one, until);
    do done = real(one, slice(until, &kept));
    while (done && errno == ETIMEDOUT && !due(until));
    return done;
}

int pthread_mutex_timedlock(pthread_mutex_t *lock, const struct timespec *until) {
    static int (*real)(pthread_mutex_t *, const struct timespec *);
    struct timespec kept;
    int done;
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "pthread_mutex_timedlock");
    if (!of_the_day(until)) return real(lock, until);
    do done = real(lock, slice(until, &kept));
    while (done == ETIMEDOUT && !due(until));
    return done;
}

/* gRPC's locks (Abseil's) ask the kernel themselves. */
long syscall(long number, ...) {
    static long (*real)(long, ...);
    long a[6];
    va_list rest;
    va_start(rest, number);
    for (int at = 0; at < 6; ++at) a[at] = va_arg(rest, long);
    va_end(rest);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "syscall");
    const struct timespec *until = (const struct timespec *)a[3];
    if (number == SYS_futex && (a[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET && (a[1] & FUTEX_CLOCK_REALTIME) &&
        of_the_day(until)) {
        struct timespec kept;
        long done;
        do done = real(number, a[0], a[1], a[2], slice(until, &kept), a[4], a[5]);
        while (done == -1 && errno == ETIMEDOUT && !due(until));
        return done;
    }
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
