/* What a process takes for the time of day, off by as many seconds as a file says; the monotonic clock is left alone.
 *
 * libfaketime does more and breaks what Python sleeps by (clock_nanosleep until a moment). Preloaded into every process
 * of a fleet: cc -shared -fPIC -O2 -o clock.so clock.c -ldl
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
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

/* Whoever waits until a time of day got it from here: the kernel has to wait until the real one. Times of the monotonic
 * clock, which some condition variables go by, are seconds since this machine started, and far smaller. */
enum { REAL = 1000000000 };

static const struct timespec *real_time(const struct timespec *until, struct timespec *kept) {
    if (!until || until->tv_sec < REAL) return until;
    *kept = *until;
    kept->tv_sec -= off();
    return kept;
}

int pthread_cond_timedwait(pthread_cond_t *one, pthread_mutex_t *lock, const struct timespec *until) {
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    struct timespec kept;
    /* The version that a program of today is linked with; there is an older one of another layout. */
    if (!real) *(void **)&real = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    return real(one, lock, real_time(until, &kept));
}

int sem_timedwait(sem_t *one, const struct timespec *until) {
    static int (*real)(sem_t *, const struct timespec *);
    struct timespec kept;
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "sem_timedwait");
    return real(one, real_time(until, &kept));
}

int pthread_mutex_timedlock(pthread_mutex_t *lock, const struct timespec *until) {
    static int (*real)(pthread_mutex_t *, const struct timespec *);
    struct timespec kept;
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "pthread_mutex_timedlock");
    return real(lock, real_time(until, &kept));
}
