/* A clock that stands still. LightZero's C++ search seeds its rand() from gettimeofday at each simulation; with this in
 * LD_PRELOAD two trainings with the same seed are the same, bit for bit:
 *
 *     cc -shared -fPIC -o still_clock.so still_clock.c
 */
#include <sys/time.h>

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    now->tv_sec = now->tv_usec = 0;
    return 0;
}
